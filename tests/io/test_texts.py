"""Networks that read texts, as people save them: what is fed to them is what they were made for, whatever their kind."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import (
    BartConfig,
    BartModel,
    FNetConfig,
    FNetModel,
    GPT2Config,
    GPT2ForSequenceClassification,
    LlamaConfig,
    LlamaForCausalLM,
    LongformerConfig,
    LongformerModel,
    MambaConfig,
    MambaModel,
    MarianConfig,
    MarianModel,
    MBartConfig,
    MBartModel,
    MPNetConfig,
    MPNetModel,
    PreTrainedModel,
    PreTrainedTokenizerFast,
    RobertaConfig,
    RobertaModel,
    T5Config,
    T5ForConditionalGeneration,
    T5Model,
)

import workbench as wb
from workbench.core.errors import ParameterError

TEXTS = ["w1 w2 w3 w4", "w5", "w6 w7"]
BODY: dict[str, Any] = {
    "vocab_size": 100,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
}
PAIR: dict[str, Any] = {
    "vocab_size": 100,
    "d_model": 32,
    "encoder_layers": 2,
    "decoder_layers": 2,
    "encoder_attention_heads": 2,
    "decoder_attention_heads": 2,
    "encoder_ffn_dim": 32,
    "decoder_ffn_dim": 32,
    "max_position_embeddings": 64,
}
T5 = T5Config(num_layers=2, num_decoder_layers=2, d_model=32, d_ff=64, d_kv=16, num_heads=2, vocab_size=100)


def opened(folder: Path, kind: type[PreTrainedModel], config: Any, special: str = "", **about: Any) -> Any:
    """A network of random weights with a tokenizer that splits at spaces, saved and opened.

    ``special`` are the tokens that it has beside words; ``about`` is what the tokenizer says of them.
    """
    torch.manual_seed(0)
    kind(config).save_pretrained(folder)
    words = [*special.split(), "<unk>"]
    words += [f"w{i}" for i in range(100 - len(words))]
    tokenizer = Tokenizer(models.WordLevel({w: i for i, w in enumerate(words)}, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, unk_token="<unk>", **about).save_pretrained(folder)
    return wb.open(folder)


def llama(folder: Path, **about: Any) -> Any:
    config = LlamaConfig(**BODY, intermediate_size=64, max_position_embeddings=64)
    return opened(folder, LlamaForCausalLM, config, **about)


def rows(network: Any, site: str, text: str, **beside: torch.Tensor) -> np.ndarray:
    """What a site gives for one text alone, by the network's own forward pass and the tokenizer's own numbers."""
    kept: list[torch.Tensor] = []
    ids = torch.tensor([[network.ids[word] for word in text.split()]])
    handle = network.module.get_submodule(site).register_forward_hook(
        lambda _, args, out: kept.append(out[0] if isinstance(out, tuple) else out)
    )
    with torch.no_grad():
        network.module(input_ids=ids, **beside)
    handle.remove()
    return kept[0][0].numpy()


def assert_rows_are_the_networks_own(
    net: Any, site: str, special: str = "", start: int | None = None
) -> None:
    """Compare a capture with one pass a text; ``start`` is what a decoder is fed before the text."""
    network = net.network()
    words = [*special.split(), "<unk>"]
    network.ids = {f"w{i}": i + len(words) for i in range(10)}
    acts = wb.capture(net, TEXTS, at=site)
    for i, text in enumerate(TEXTS):
        ids = [network.ids[word] for word in text.split()]
        beside = {} if start is None else {"decoder_input_ids": torch.tensor([[start, *ids[:-1]]])}
        mine = acts.array(site)[(acts.table["text_id"] == i).to_numpy()]
        np.testing.assert_allclose(mine, rows(network, site, text, **beside), atol=2e-6)
        assert acts.table["token"][acts.table["text_id"] == i].tolist() == text.split()


@pytest.mark.parametrize(
    "about",
    [
        {"model_input_names": ["input_ids", "attention_mask"]},
        {"model_input_names": ["input_ids"]},
        {},  # with token types, which this network doesn't take
        {"pad_token": "<added>"},  # beyond the network's last embedding
    ],
)
def test_known_answer_whatever_the_tokenizer_says_of_padding(about, tmp_path) -> None:
    assert_rows_are_the_networks_own(llama(tmp_path / "net", **about), "model.layers.1")


def test_known_answer_a_network_that_takes_no_mask(tmp_path) -> None:
    config = MambaConfig(vocab_size=100, hidden_size=32, num_hidden_layers=2, state_size=4)
    assert_rows_are_the_networks_own(opened(tmp_path / "net", MambaModel, config), "layers.1")


def test_known_answer_a_head_that_looks_for_the_last_token(tmp_path) -> None:
    config = GPT2Config(vocab_size=100, n_embd=32, n_layer=2, n_head=2, n_positions=64)
    net = opened(tmp_path / "net", GPT2ForSequenceClassification, config, model_input_names=["input_ids"])
    assert_rows_are_the_networks_own(net, "transformer.h.1")
    assert len(wb.capture(net, TEXTS, at="score")) == 7


@pytest.mark.parametrize("site", ["encoder.block.1", "decoder.block.1", "decoder.final_layer_norm"])
@pytest.mark.parametrize("kind", [T5Model, T5ForConditionalGeneration])
def test_known_answer_a_decoder_is_fed_the_text_moved_by_one(kind, site, tmp_path) -> None:
    special = "<pad> </s>"
    net = opened(tmp_path / "net", kind, T5, special, pad_token="<pad>", eos_token="</s>")
    assert_rows_are_the_networks_own(net, site, special, start=0)


@pytest.mark.parametrize(
    ("kind", "config", "start"),
    [
        (MarianModel, MarianConfig(**PAIR, pad_token_id=0, eos_token_id=1, decoder_start_token_id=0), 0),
        (BartModel, BartConfig(**PAIR, pad_token_id=0, eos_token_id=1, decoder_start_token_id=1), None),
        (MBartModel, MBartConfig(**PAIR, pad_token_id=0, eos_token_id=1), None),
    ],
)
def test_known_answer_those_that_feed_their_decoder_themselves_are_left_to_it(
    kind, config, start, tmp_path
) -> None:
    special = "<pad> </s>"
    net = opened(tmp_path / "net", kind, config, special, pad_token="<pad>", eos_token="</s>")
    for site in ("encoder.layers.1", "decoder.layers.1"):
        assert_rows_are_the_networks_own(net, site, special, start)


@pytest.mark.parametrize(
    "site", ["encoder.block.1.layer.0.SelfAttention", "decoder.block.0.layer.1.EncDecAttention"]
)
def test_known_answer_attention_of_a_network_that_puts_its_biases_before_it(site, tmp_path) -> None:
    special = "<pad> </s>"
    net = opened(tmp_path / "net", T5Model, T5, special, pad_token="<pad>", eos_token="</s>")
    acts = wb.capture(net, TEXTS, at=f"{site}#attention")
    ids = torch.tensor([[i + 3 for i in (1, 2, 3, 4)]])
    moved = torch.tensor([[0, *ids[0, :-1].tolist()]])
    module = net.network().module
    module.set_attn_implementation("eager")
    with torch.no_grad():
        theirs = module(input_ids=ids, decoder_input_ids=moved, output_attentions=True)
    weights = theirs.encoder_attentions[1] if site.startswith("encoder") else theirs.cross_attentions[0]
    mine = acts.array(f"{site}#attention")[(acts.table["text_id"] == 0).to_numpy(), :, :4]
    np.testing.assert_allclose(mine, weights[0].permute(1, 0, 2).numpy(), atol=1e-5)


def test_known_answer_texts_are_as_long_as_a_window_wants_them(tmp_path) -> None:
    config = LongformerConfig(**BODY, intermediate_size=64, attention_window=8, max_position_embeddings=90)
    special = "<s> <pad> </s>"
    net = opened(tmp_path / "net", LongformerModel, config, special, pad_token="<pad>")
    acts = wb.capture(net, TEXTS, at="encoder.layer.1")
    assert acts.array("encoder.layer.1").shape == (7, 32)
    with torch.no_grad():
        theirs = net.network().module(input_ids=torch.tensor([[5, 6, 7, 8]]), output_hidden_states=True)
    mine = acts.array("encoder.layer.1")[(acts.table["text_id"] == 0).to_numpy()]
    np.testing.assert_allclose(mine, theirs.hidden_states[2][0, :4].numpy(), atol=1e-5)


def test_known_answer_a_network_that_sees_its_padding_reads_one_text_at_a_time(tmp_path) -> None:
    sizes = {k: v for k, v in BODY.items() if k != "num_attention_heads"}
    config = FNetConfig(**sizes, intermediate_size=64, max_position_embeddings=64)
    net = opened(tmp_path / "net", FNetModel, config)
    with pytest.warns(RuntimeWarning, match="each text is run by itself"):
        assert_rows_are_the_networks_own(net, "encoder.layer.1")


def test_texts_are_compared_by_the_encoder_where_there_is_one(tmp_path) -> None:
    special = "<pad> </s>"
    about = {"pad_token": "<pad>", "eos_token": "</s>"}
    net = opened(tmp_path / "net", T5ForConditionalGeneration, T5, special, **about)
    near = net.network().answer(["w1 w2", "w9", "w1 w2"])
    assert near[0][0] == "w1 w2"
    assert near[0][1] == pytest.approx(1)
    hidden = wb.capture(net, ["w1 w2", "w9"], at="encoder.final_layer_norm", rows="sample").values
    hidden = hidden / np.linalg.norm(hidden, axis=1, keepdims=True)
    assert near[1][1] == pytest.approx(float(hidden[0] @ hidden[1]), abs=1e-5)


@pytest.mark.parametrize(
    ("kind", "config"),
    [
        (
            RobertaModel,
            RobertaConfig(**BODY, intermediate_size=64, max_position_embeddings=34, pad_token_id=1),
        ),
        (MPNetModel, MPNetConfig(**BODY, intermediate_size=64, max_position_embeddings=34, pad_token_id=1)),
    ],
)
def test_the_limit_that_is_named_can_be_read(kind, config, tmp_path) -> None:
    net = opened(tmp_path / "net", kind, config, "<s> <pad> </s>", pad_token="<pad>")
    long = " ".join(["w1"] * 50)
    with pytest.raises(ParameterError, match="at most 32 tokens"):
        wb.capture(net, [long], max_length=33)
    assert len(wb.capture(net, [long], max_length=32)) == 32
    assert len(net.network().answer([long, long])) == 1
