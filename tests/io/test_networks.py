"""Networks of folders in Hugging Face's layout: every weight is the folder's, or the folder is refused by name."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from workbench.core.errors import FormatError, ViewError, WorkbenchError
from workbench.io.opening import open as open_subject

TOKENS = torch.arange(10)[None]
State = dict[str, torch.Tensor]


def gpt2() -> Any:
    from transformers import GPT2Config, GPT2LMHeadModel

    sizes = {"n_layer": 2, "n_embd": 32, "n_head": 2, "vocab_size": 100, "n_positions": 32}
    return GPT2LMHeadModel(GPT2Config(**sizes, bos_token_id=1, eos_token_id=2))


SMALL = {
    "num_hidden_layers": 2,
    "hidden_size": 32,
    "num_attention_heads": 2,
    "intermediate_size": 64,
    "vocab_size": 100,
}


def llama() -> Any:
    from transformers import LlamaConfig, LlamaForCausalLM

    return LlamaForCausalLM(LlamaConfig(**SMALL, num_key_value_heads=2))


def bert() -> Any:
    from transformers import BertConfig, BertForPreTraining

    return BertForPreTraining(BertConfig(**SMALL))


def mixtral() -> Any:
    from transformers import MixtralConfig, MixtralForCausalLM

    return MixtralForCausalLM(MixtralConfig(**SMALL, num_key_value_heads=2, num_local_experts=4))


def made(make: Callable[[], Any]) -> Any:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return make().eval()


def folder(path: Path, module: Any, state: State, **config: Any) -> Path:
    module.config.architectures = [type(module).__name__]
    module.config.save_pretrained(path)
    file = path / "config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **config}))
    torch.save(state, path / "pytorch_model.bin")
    return path


def difference(path: Path, module: Any, output: str = "logits") -> float:
    with torch.no_grad():
        ours = open_subject(path).network().module(TOKENS)
        return float((ours[output] - module(TOKENS)[output]).abs().max())


PREFIXES: dict[str, Callable[[str], str]] = {
    "none": lambda n: n,
    "torch.compile": lambda n: f"_orig_mod.{n}",
    "DataParallel": lambda n: f"module.{n}",
    "both": lambda n: f"module._orig_mod.{n}",
    "FSDP": lambda n: f"_fsdp_wrapped_module.{n.replace('.h.1.', '.h.1._fsdp_wrapped_module.')}",
    "a compiled block": lambda n: n.replace(".h.0.", ".h.0._orig_mod."),
    "PEFT": lambda n: f"base_model.model.{n}",
    "Lightning": lambda n: f"model.{n}",
    "a wrapped language model": lambda n: f"language_model.{n}",
    "the body alone": lambda n: n.removeprefix("transformer."),
}


@pytest.mark.parametrize("how", PREFIXES)
def test_prefixes_that_wrappers_put_before_names_are_taken_off(how: str, tmp_path: Path) -> None:
    module = made(gpt2)
    state = {PREFIXES[how](n): t for n, t in module.state_dict().items()}
    path = folder(tmp_path / "net", module, state)
    assert difference(path, module) == 0
    network = open_subject(path).network()
    assert ("names were changed" in network.holds) == (how not in ("none", "the body alone"))


@pytest.mark.parametrize("make", [llama, bert, mixtral])
def test_peer_what_transformers_saves_comes_back(make: Callable[[], Any], tmp_path: Path) -> None:
    module = made(make)
    module.save_pretrained(tmp_path / "net")
    assert difference(tmp_path / "net", module, "prediction_logits" if make is bert else "logits") == 0


def test_edits_reach_the_tensor_behind_a_prefix(tmp_path: Path) -> None:
    from workbench.edits.prune import prune

    module = made(gpt2)
    path = folder(tmp_path / "net", module, {f"_orig_mod.{n}": t for n, t in module.state_dict().items()})
    subject = open_subject(path)
    name = "_orig_mod.transformer.h.0.mlp.c_fc.weight"
    edited = (subject + prune(subject, at=name)).network().module.state_dict()
    assert not torch.equal(
        edited[name.removeprefix("_orig_mod.")], module.state_dict()[name.removeprefix("_orig_mod.")]
    )


def test_constants_that_older_versions_stored_are_no_weights(tmp_path: Path) -> None:
    module = made(gpt2)
    constants = {
        "transformer.h.0.attn.bias": torch.ones(1, 1, 32, 32, dtype=torch.uint8),
        "transformer.h.0.attn.masked_bias": torch.tensor(-1e4),
    }
    assert difference(folder(tmp_path / "net", module, {**module.state_dict(), **constants}), module) == 0


def without(part: str) -> Callable[[State], State]:
    return lambda s: {n: t for n, t in s.items() if part not in n}


def test_another_file_that_the_configuration_names_is_not_read(tmp_path: Path) -> None:
    module = made(gpt2)
    path = folder(tmp_path / "net", module, module.state_dict(), transformers_weights="../secret.bin")
    assert difference(path, module) == 0


MISFITS: dict[str, tuple[Callable[[], Any], Callable[[State], State], dict[str, Any], str]] = {
    "a layer too few": (gpt2, lambda s: s, {"n_layer": 3}, r"no tensor for 'transformer\.h\.2\."),
    "a layer too many": (gpt2, lambda s: s, {"n_layer": 1}, r"holds 'transformer\.h\.1\."),
    "another width": (gpt2, lambda s: s, {"n_embd": 64}, r"shape is another for .*attn"),
    "no head": (llama, without("lm_head"), {}, r"no tensor for 'lm_head\.weight'"),
    "one weight": (
        llama,
        without("layers.1.mlp.up"),
        {},
        r"no tensor for 'model\.layers\.1\.mlp\.up_proj\.weight'",
    ),
    "other names": (
        llama,
        lambda s: {f"x{i}": t for i, t in enumerate(s.values())},
        {},
        r"no tensor for .* holds 'x0'",
    ),
    "something beside": (
        gpt2,
        lambda s: {**s, "vision.w": torch.ones(2)},
        {},
        r"holds 'vision\.w', for which",
    ),
}


@pytest.mark.parametrize("why", MISFITS)
def test_weights_that_do_not_fit_are_refused_by_name(why: str, tmp_path: Path) -> None:
    make, change, config, words = MISFITS[why]
    module = made(make)
    subject = open_subject(folder(tmp_path / "net", module, change(module.state_dict()), **config))
    with pytest.raises(FormatError, match=words):
        subject.network()
    name = next(n for n in subject if subject.tensors[n].shape)
    assert subject[name].size  # its weights are still read one by one


def test_weights_with_a_head_more_get_the_class_that_has_it(tmp_path: Path) -> None:
    module = made(bert)
    path = folder(tmp_path / "net", module, module.state_dict(), architectures=["BertForMaskedLM"])
    network = open_subject(path).network()
    assert type(network.module).__name__ == "BertForPreTraining"
    assert "built as BertForPreTraining" in network.holds
    assert difference(path, module, "prediction_logits") == 0


def test_a_body_without_a_pooler_is_built_without_one(tmp_path: Path) -> None:
    module = made(bert)
    body = {n: t for n, t in module.bert.state_dict().items() if "pooler" not in n}
    network = open_subject(folder(tmp_path / "net", module, body, architectures=["BertModel"])).network()
    assert network.module.pooler is None
    assert "without a pooler" in network.holds


@pytest.mark.parametrize("named", [["OurLlamaForCausalLM"], ["TheirLMHeadModel"], None, [{}]], ids=str)
def test_an_architecture_that_transformers_lacks_is_built_as_what_the_weights_fit(
    named: Any, tmp_path: Path
) -> None:
    module = made(llama)
    path = folder(tmp_path / "net", module, module.state_dict(), architectures=named)
    assert difference(path, module) == 0
    assert type(open_subject(path).network().module).__name__ == "LlamaForCausalLM"


def test_an_architecture_whose_code_lies_beside_it_is_refused(tmp_path: Path) -> None:
    module = made(llama)
    config = {
        "architectures": ["OurForCausalLM"],
        "auto_map": {"AutoModelForCausalLM": "ours.OurForCausalLM"},
    }
    (tmp_path / "net").mkdir()
    (tmp_path / "net" / "ours.py").write_text("raise SystemExit('ran')")
    with pytest.raises(ViewError, match="OurForCausalLM"):
        open_subject(folder(tmp_path / "net", module, module.state_dict(), **config)).network()


HOSTILE: dict[str, dict[str, Any]] = {
    "a million layers": {"n_layer": 10**6},
    "more modules than tensors": {"n_layer": 1800},
    "positions without end": {"n_positions": 10**12},
    "words without end": {"vocab_size": 10**11},
    "labels without end": {"num_labels": 10**10},
    "a kernel from elsewhere": {"attn_implementation": "someone/kernel"},
    "a kernel in a part": {"text_config": {"_attn_implementation": "someone/kernel:f"}},
    "packed weights": {"quantization_config": {"quant_method": "gptq", "bits": 4}},
    "another kind": {"model_type": "ours"},
}


@pytest.mark.parametrize("what", HOSTILE)
def test_a_configuration_that_asks_for_too_much_is_refused_at_once(what: str, tmp_path: Path) -> None:
    module = made(gpt2)
    subject = open_subject(folder(tmp_path / "net", module, module.state_dict(), **HOSTILE[what]))
    start = time.perf_counter()
    with pytest.raises(WorkbenchError, match=r"config\.json|quantization_config"):
        subject.network()
    assert time.perf_counter() - start < 5


def test_a_token_beyond_all_numbers_is_refused(tmp_path: Path) -> None:
    from tokenizers import Tokenizer, models
    from transformers import PreTrainedTokenizerFast

    module = made(gpt2)
    path = folder(tmp_path / "net", module, module.state_dict())
    made_of = Tokenizer(models.WordLevel({"<unk>": 0, "a": 1}, unk_token="<unk>"))
    PreTrainedTokenizerFast(tokenizer_object=made_of, unk_token="<unk>").save_pretrained(path)
    file = path / "tokenizer.json"  # the library counts to such a number for half a minute
    told = json.loads(file.read_text())
    told["model"]["vocab"]["a"] = 10**9
    file.write_text(json.dumps(told))
    with pytest.raises(FormatError, match="numbers a token 1,000,000,000"):
        open_subject(path).network()
