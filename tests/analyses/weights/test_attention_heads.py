"""Attention heads: circuits equal the products of whole matrices and what the modules compute; planted composition is found."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from helpers import assert_calibrated
from safetensors.torch import save_file

import workbench as wb
from workbench.analyses.weights._attention import attentions, read_heads
from workbench.calibrating.worlds.heads import WORLDS, checkpoint, induction
from workbench.core.errors import DataError, ParameterError
from workbench.numerics.head_circuits import by_scale, circuits, overlaps
from workbench.results.head_map import QUANTITIES, HeadMap
from workbench.subjects.checkpoint import Checkpoint

WIDE = {"num_hidden_layers": 2, "hidden_size": 32, "num_attention_heads": 4, "initializer_range": 0.3}


@pytest.fixture(autouse=True)
def no_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORKBENCH_NO_CACHE", "1")


def drawn(name: str, seed: int = 0) -> Checkpoint:
    return next(w for w in WORLDS if w.name == name).make(np.random.default_rng(seed))[0]


# -- the layouts of real modules ----------------------------------------------------------------------


def bert() -> tuple[torch.nn.Module, Any]:
    from transformers import BertConfig, BertModel

    module = BertModel(BertConfig(vocab_size=40, intermediate_size=48, max_position_embeddings=32, **WIDE))
    inside = module.encoder.layer[1].attention

    def run(x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        context, weights = inside.self(x)[:2]
        return inside.output.dense(context), weights

    return module, run


def gpt2() -> tuple[torch.nn.Module, Any]:
    from transformers import GPT2Config, GPT2LMHeadModel

    config = GPT2Config(vocab_size=40, n_embd=32, n_head=4, n_layer=2, n_positions=32, initializer_range=0.3)
    module = GPT2LMHeadModel(config)
    return module, lambda x: module.transformer.h[1].attn(x)[:2]


def llama() -> tuple[torch.nn.Module, Any]:
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(vocab_size=40, intermediate_size=48, num_key_value_heads=2, **WIDE)
    module = LlamaForCausalLM(config)
    unturned = (torch.ones(1, 3, 8), torch.zeros(1, 3, 8))  # every token at position 0
    attention = module.model.layers[1].self_attn
    return module, lambda x: attention(x, position_embeddings=unturned, attention_mask=None)[:2]


def neox() -> tuple[torch.nn.Module, Any]:
    from transformers import GPTNeoXConfig, GPTNeoXForCausalLM

    module = GPTNeoXForCausalLM(GPTNeoXConfig(vocab_size=40, intermediate_size=48, rotary_pct=1.0, **WIDE))
    unturned = (torch.ones(1, 3, 8), torch.zeros(1, 3, 8))
    attention = module.gpt_neox.layers[1].attention
    return module, lambda x: attention(x, attention_mask=None, position_embeddings=unturned)[:2]


@pytest.mark.parametrize(
    ("make", "sure"),
    [(bert, 1.0), (gpt2, 1.0), (llama, 1.0), (neox, 1.0)],
    ids=lambda x: getattr(x, "__name__", ""),
)
def test_peer_circuits_are_what_transformers_modules_compute(make: Any, sure: float, tmp_path: Path) -> None:
    torch.manual_seed(0)
    module, run = make()
    module.eval().set_attn_implementation("eager")
    with torch.no_grad():
        for name, parameter in module.named_parameters():
            if name.endswith("bias"):
                parameter.zero_()
        x = torch.randn(1, 3, 32)
        out, weights = run(x)
    module.save_pretrained(tmp_path)
    net = wb.open(tmp_path)
    found, left = attentions(net)
    assert [a.layer for a in found] == [0, 1] and left == 0 and found[1].confidence == sure
    heads = read_heads(net, found[1], 0)
    tokens = x[0].double().numpy()
    pattern = weights[0].double().numpy()
    query, key = (np.einsum("ndh,td->nth", w, tokens) for w in (heads.query, heads.key[heads.shared]))
    scores = query @ key.mT / 8**0.5
    seen = pattern > 0
    for h, q in np.ndindex(4, 3):  # log-ratios of a pattern are differences of scores
        at = np.flatnonzero(seen[h, q])
        np.testing.assert_allclose(
            np.log(pattern[h, q, at] / pattern[h, q, at[0]]),
            scores[h, q, at] - scores[h, q, at[0]],
            atol=1e-3,
        )
    value = np.einsum("mdh,td->mth", heads.value, tokens)[heads.shared]
    said = np.einsum("ndh,nth->td", heads.output, pattern @ value)
    np.testing.assert_allclose(said, out[0].double().numpy(), atol=1e-3)


def test_vision_transformers_and_t5_are_read_by_their_names(tmp_path: Path) -> None:
    from transformers import T5Config, T5EncoderModel, ViTConfig, ViTModel

    torch.manual_seed(0)
    ViTModel(ViTConfig(intermediate_size=48, image_size=16, patch_size=8, **WIDE)).save_pretrained(
        tmp_path / "vit"
    )
    seen = wb.attention_heads(wb.open(tmp_path / "vit"), n_null=9)
    assert len(seen.heads) == 8 and seen.heads[0]["confidence"] == 1
    T5EncoderModel(
        T5Config(d_model=32, d_kv=4, num_heads=4, num_layers=2, d_ff=40, vocab_size=40)
    ).save_pretrained(tmp_path / "t5")
    read = wb.attention_heads(wb.open(tmp_path / "t5"), n_null=9)
    assert len(read.heads) == 8 and read.heads[0]["confidence"] == 0.7 and "a guess" not in read.caveat


def test_an_output_that_no_name_tells_is_guessed_from_its_shape_and_said_to_be(tmp_path: Path) -> None:
    names = ("q_proj", "k_proj", "v_proj", "back")
    tensors = {f"layers.{i}.attention.{name}.weight": torch.randn(16, 16) for i in range(2) for name in names}
    save_file(tensors, tmp_path / "net.safetensors")
    read = wb.attention_heads(wb.open(tmp_path / "net.safetensors"), n_heads=4, n_null=9)
    assert read.heads[0]["confidence"] == 0.3 and "a guess" in read.caveat


# -- the numbers, against whole matrices ------------------------------------------------------------------


def test_oracle_whole_matrices_give_the_same_numbers() -> None:
    net = drawn("attention of unlike scales")
    result = wb.attention_heads(net, n_null=0)
    w = {
        (i, p): net[f"layers.{i}.self_attn.{p}_proj.weight"].astype(np.float64)
        for i in range(3)
        for p in "qkvo"
    }
    cut = [slice(0, 12), slice(12, 24)]
    ov = [w[i, "o"][:, c] @ w[i, "v"][c] for i in range(3) for c in cut]
    qk = [w[i, "q"][c].T @ w[i, "k"][c] for i in range(3) for c in cut]
    for i, head in enumerate(result.heads):
        for name, whole, values in (("ov", ov[i], result.ov_values[i]), ("qk", qk[i], result.qk_values[i])):
            s = np.linalg.svd(whole, compute_uv=False)
            np.testing.assert_allclose(values, s[:12], atol=1e-10 * s[0])
            assert head[f"{name}_norm"] == pytest.approx(np.linalg.norm(whole))
            assert head[f"{name}_stable_rank"] == pytest.approx((s**2).sum() / s[0] ** 2)
            found = np.linalg.eigvals(whole)
            share = found.real.sum() / np.abs(found).sum()
            assert head["copying" if name == "ov" else "matching"] == pytest.approx(share, abs=1e-6)
    norm = np.linalg.norm
    for a, b, scores in zip(result.earlier, result.later, result.scores, strict=True):
        assert result.heads[a]["layer"] < result.heads[b]["layer"]
        for side, read, of in zip(range(3), (qk[b].T, qk[b], ov[b]), (qk[b], qk[b], ov[b]), strict=True):
            assert scores[side] == pytest.approx(norm(read @ ov[a]) / norm(of) / norm(ov[a]), rel=1e-5)
    assert len(result.scores) == 4 + 8


def test_oracle_the_mean_over_all_signs_is_in_closed_form() -> None:
    rng = np.random.default_rng(0)
    reads, writes = rng.standard_normal((2, 5, 3)), rng.standard_normal((4, 5, 2))
    signs = 1 - 2 * ((np.arange(32)[:, None] >> np.arange(5)) & 1)
    every = [overlaps(reads * s[:, None], writes) for s in signs]
    np.testing.assert_allclose(np.mean(every, axis=0), by_scale(reads, writes))


def test_a_copying_head_copies_and_its_opposite_negates() -> None:
    rng = np.random.default_rng(0)
    v = rng.standard_normal((1, 20, 4))
    assert circuits(v, v).positive[0] == pytest.approx(1)
    assert circuits(-v, v).positive[0] == pytest.approx(-1)
    assert circuits(np.zeros_like(v), v).positive[0] == circuits(np.zeros_like(v), v).stable_ranks[0] == 0


# -- what is found, and what isn't -----------------------------------------------------------------------


def test_known_answer_the_induction_circuit_is_found_and_its_broken_twin_is_not() -> None:
    whole = wb.attention_heads(induction(np.random.default_rng(0)), n_null=99)
    first = whole.pairs().iloc[0]
    assert (first["earlier"], first["later"], first["by"]) == ("layer 0, head 0", "layer 1, head 0", "key")
    assert first["p, corrected"] == 0.01 and first["score"] == pytest.approx(1 / 7**0.5, rel=1e-4)
    assert (whole.p[:, [0, 2]] > 0.05).all() and (whole.p[1:] > 0.05).all()
    assert "Most clearly the keys of layer 1, head 0 read what layer 0, head 0 writes: 0.378" in whole.caveat
    broken = wb.attention_heads(induction(np.random.default_rng(0), broken=True), n_null=99)
    assert (broken.p > 0.05).all() and broken.evidence_of("key_composition").p_value > 0.05


@pytest.mark.slow
@pytest.mark.parametrize(
    "world", ["untrained attention", "attention of unlike scales", "broken induction circuit"]
)
def test_calibrated_no_pair_composes_by_chance(world: str) -> None:
    def p(seed: int) -> float:
        return float(wb.attention_heads(drawn(world, seed), n_null=19, random_state=seed).p.min())

    assert_calibrated(p, exact=False)


def test_what_composes_is_a_graph_that_pagerank_takes() -> None:
    found = wb.attention_heads(induction(np.random.default_rng(0)), n_null=99)
    graph = found.as_graph()
    assert graph.edges.tolist() == [[0, 1]] and graph.directed
    ranked = wb.pagerank(found, n_null=0)
    assert ranked.names[int(ranked.scores.argmax())] == "layer 1, head 0"


def test_an_edit_of_a_head_changes_what_it_composes_with() -> None:
    from workbench.edits.replacement import Replacement

    net = induction(np.random.default_rng(0))
    silent = net + Replacement(
        {"blocks.0.attention.out.weight": np.zeros((24, 24), np.float32)}, title="silent"
    )
    found = wb.attention_heads(silent, n_null=19)
    assert (found.scores[0] == 0).all() and found.heads[0]["ov_norm"] == 0 and (found.p > 0.05).all()


# -- refusals ----------------------------------------------------------------------------------------------


def test_a_bare_file_is_asked_how_many_heads_there_are(tmp_path: Path) -> None:
    net = induction(np.random.default_rng(0))
    save_file({n: torch.tensor(np.asarray(net[n])) for n in net}, tmp_path / "bare.safetensors")
    bare = wb.open(tmp_path / "bare.safetensors")
    with pytest.raises(DataError, match=r"doesn't say how many heads.*n_heads=12.*config.json"):
        wb.attention_heads(bare)
    assert len(wb.attention_heads(bare, n_heads=2, n_null=0).heads) == 8
    with pytest.raises(ParameterError, match="7 heads don't fit layer 0"):
        wb.attention_heads(bare, n_heads=7)


def test_what_has_no_attention_or_holds_nan_is_refused() -> None:
    with pytest.raises(DataError, match="no layer whose queries, keys, values"):
        wb.attention_heads(Checkpoint.example().at("w"))
    held = {n: np.array(induction(np.random.default_rng(0))[n]) for n in induction(np.random.default_rng(0))}
    held["blocks.1.attention.key.weight"][3, 5] = np.nan
    with pytest.raises(
        DataError, match=r"blocks.1.attention.key.weight of world holds nan at row 3, column 5"
    ):
        wb.attention_heads(checkpoint(held, 1))


def test_a_fused_projection_of_unknown_order_is_refused() -> None:
    rng = np.random.default_rng(0)
    held = {
        "h.0.attention.query_key_value.weight": rng.standard_normal((36, 12)),
        "h.0.attention.dense.weight": rng.standard_normal((12, 12)),
    }
    with pytest.raises(DataError, match="order that isn't known here"):
        wb.attention_heads(checkpoint(held, 2))


# -- the figure ----------------------------------------------------------------------------------------------


def test_the_figure_has_a_menu_a_map_and_gaps_where_it_could_be_chance() -> None:
    figure = wb.attention_heads(induction(np.random.default_rng(0)), n_null=99).figure(
        colour="ov_norm", by="by key"
    )
    heads, pairs = figure.data
    assert len(heads.z) == 4 and [len(m.buttons) for m in figure.layout.updatemenus] == [len(QUANTITIES), 4]
    cells = np.array(pairs.z, dtype=float)
    assert np.argwhere(np.isfinite(cells)).tolist() == [[1, 0]]
    with pytest.raises(ParameterError, match="copying"):
        HeadMap.example().figure(colour="beauty")
    with pytest.raises(ParameterError, match="by key"):
        HeadMap.example().figure(by="heart")


def test_names_from_a_file_are_inert_in_the_figure() -> None:
    hostile = "<img src=x onerror=alert(1)>"
    rng = np.random.default_rng(0)
    held = {
        f"{stack}.{i}.{p}_proj.weight": rng.standard_normal((8, 8))
        for stack in (hostile, "b")
        for i in range(2)
        for p in "qkvo"
    }
    assert "<img" not in wb.attention_heads(checkpoint(held, 2), n_null=9).figure().to_json()


def random_layers(layers: int, width: int, heads: int) -> Checkpoint:
    rng = np.random.default_rng(0)
    names = [f"layers.{i}.self_attn.{p}_proj.weight" for i in range(layers) for p in "qkvo"]
    return checkpoint({n: rng.standard_normal((width, width)) for n in names}, heads)


def test_one_layer_composes_with_none() -> None:
    found = wb.attention_heads(random_layers(1, 12, 3), n_null=19)
    assert [e.id for e in found.evidence] == ["copying", "matching"] and "one layer" in found.caveat
    assert len(found.figure().data) == 1 and len(found.pairs()) == 0 and len(found.as_graph().edges) == 0


def test_many_heads_are_drawn_layer_by_layer() -> None:
    found = wb.attention_heads(random_layers(2, 304, 152), n_null=19, n_directions=1)
    cells = np.array(found.figure().data[1].z, dtype=float)
    assert cells.shape == (2, 2) and 0 <= cells[1, 0] <= 0.05 and np.isnan(cells[0]).all()


def test_more_than_is_held_at_once_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("workbench.analyses.weights.attention_heads.HELD", 1 << 10)
    with pytest.raises(DataError, match=r"The 6 heads of world and the draws.*n_null=19"):
        wb.attention_heads(random_layers(2, 12, 3), n_null=19)
