"""Weights: planted directions, NaN, ties, grids and roles are found in a whole checkpoint; noise has none of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from helpers import assert_calibrated
from safetensors.torch import save_file
from weights_for_tests import assert_same, of_every_kind

import workbench as wb
from workbench.analyses.weights._roles import role_of
from workbench.analyses.weights.weights import joined, planned
from workbench.core.errors import MissingError, ParameterError
from workbench.results.weight_map import WeightMap
from workbench.subjects.checkpoint import Checkpoint, TensorInfo


@pytest.fixture(autouse=True)
def no_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORKBENCH_NO_CACHE", "1")


def noise(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def opened(folder: Path, tensors: dict[str, torch.Tensor]) -> Checkpoint:
    save_file(tensors, folder / "net.safetensors")
    return wb.open(folder / "net.safetensors")


def facts(result: WeightMap, name: str) -> dict:
    return next(m for m in result.matrices if m["name"] == name)


@pytest.fixture
def result(tmp_path: Path) -> WeightMap:
    spiked = noise(120, 80, seed=1) + 2 * torch.outer(noise(120, seed=2), noise(80, seed=3))
    broken = noise(60, 40, seed=4)
    broken[33, 5], broken[50, 2] = float("nan"), float("inf")
    outlier = noise(90, 60, seed=5)
    outlier[:, 17] *= 8
    tensors = {
        "layers.0.self_attn.q_proj.weight": noise(80, 80),
        "layers.0.mlp.up_proj.weight": spiked,
        "layers.1.mlp.up_proj.weight": broken,
        "layers.1.mlp.gate_proj.weight": outlier,
        "embed_tokens.weight": noise(300, 60, seed=6).to(torch.bfloat16),
        "lm_head.weight": noise(300, 60, seed=6).to(torch.bfloat16),
        "thing.weight": noise(20, 30, seed=7) * (noise(20, 30, seed=8) > 0),
        "norm.weight": noise(80),
        "ids": torch.zeros(4, 4, dtype=torch.int64),
    }
    return wb.weights(opened(tmp_path, tensors), n_null=39)


@pytest.mark.parametrize("largest_exact", [8192, 0])
def test_what_is_held_by_torch_is_weighed_alike(
    largest_exact: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a GPU computes, on torch's CPU: tests/gpu has the same on a GPU."""
    from workbench.analyses.weights import _held
    from workbench.numerics import streamed_torch

    net = wb.open(of_every_kind(tmp_path))
    here = wb.weights.function(net, largest_exact=largest_exact, n_null=39, device="cpu")
    monkeypatch.setattr(_held, "IN_FILE", ())
    sent: list[tuple[int, ...]] = []
    plain = streamed_torch.held

    def held(*given: Any) -> torch.Tensor:
        whole = plain(*given)
        sent.append(tuple(whole.shape))
        return whole

    monkeypatch.setattr(streamed_torch, "held", held)
    there = wb.weights.function(net, largest_exact=largest_exact, n_null=39, device="cpu")
    assert len(sent) == len(here.matrices)
    assert_same(here, there)


def test_stacked_experts_are_weighed_each_by_itself(tmp_path: Path) -> None:
    stacked = noise(4, 120, 80, seed=1)
    stacked[2] += 2 * torch.outer(noise(120, seed=2), noise(80, seed=3))
    name = "model.layers.3.mlp.experts.up_proj"
    checkpoint = opened(tmp_path, {name: stacked, "blocks.0.weight": noise(4, 12, 8), "norm": noise(80)})
    result = wb.weights(checkpoint, n_null=39)
    of = {e: facts(result, f"{name}.{e}") for e in range(4)}
    assert all((of[e]["role"], of[e]["layer"]) == ("feed-forward in", 3) for e in of)
    p = {e.of: e.p_value for e in result.evidence if e.id == "stable_rank"}
    assert min(p, key=p.__getitem__) == f"{name}.2" and p[f"{name}.2"] == 1 / 40
    alone = {str(e): stacked[e].contiguous() for e in range(4)}
    (tmp_path / "apart").mkdir()
    apart = wb.weights(opened(tmp_path / "apart", alone), n_null=0)
    for e in range(4):
        assert of[e]["spectrum"] == facts(apart, str(e))["spectrum"]
    # what isn't experts stays one matrix, and one expert is a matrix for every method
    assert facts(result, "blocks.0.weight")
    one = checkpoint.at(f"{name}.2")
    assert wb.weights(one, n_null=39).matrices[0] == of[2]
    np.testing.assert_array_equal(one.as_matrix().values, stacked[2])
    with pytest.raises(MissingError, match="no tensor"):
        checkpoint.at(f"{name}.4")


def test_a_stacked_tensor_and_one_of_its_experts_are_not_asked_for_at_once(tmp_path: Path) -> None:
    name = "model.layers.3.mlp.experts.up_proj"
    checkpoint = opened(tmp_path, {name: noise(4, 12, 8), "norm": noise(80)})
    for patterns in ((name, f"{name}.2"), (f"{name}.2", name)):
        with pytest.raises(
            MissingError, match=r"keeps in one tensor.*name each, or all of them by '.*up_proj\.\*'"
        ):
            checkpoint.at(*patterns)
    assert list(checkpoint.at(f"{name}.*", f"{name}.2").tensors) == [f"{name}.{e}" for e in range(4)]
    assert set(checkpoint.at("norm", f"{name}.2").tensors) == {"norm", f"{name}.2"}
    assert list(checkpoint.at(name).tensors) == [name]


@pytest.mark.parametrize("kind", ["safetensors", "torch", "gguf", "gguf in blocks", "held"])
def test_an_expert_is_read_by_its_own_rows(tmp_path: Path, kind: str) -> None:
    values = noise(3, 64, 96, seed=1).to(torch.float16)
    name = "blk.0.ffn_up_exps.weight"
    if kind == "held":
        info = TensorInfo(name, tuple(values.shape), "F16", values.nbytes)
        checkpoint = Checkpoint(
            {name: info}, {name: values.float().numpy()}.__getitem__, name="held", content=lambda: "0"
        )
    elif kind == "safetensors":
        checkpoint = opened(tmp_path, {name: values})
    elif kind == "torch":
        torch.save({name: values}, tmp_path / "net.pt")
        checkpoint = wb.open(tmp_path / "net.pt")
    else:
        gguf = pytest.importorskip("gguf")
        writer = gguf.GGUFWriter(tmp_path / "net.gguf", "llama")
        if kind == "gguf":
            writer.add_tensor(name, values.numpy())
        else:
            q8 = gguf.GGMLQuantizationType.Q8_0
            writer.add_tensor(name, gguf.quants.quantize(values.float().numpy(), q8), raw_dtype=q8)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()
        checkpoint = wb.open(tmp_path / "net.gguf")
    whole = checkpoint[name]
    for e in range(3):
        expert = checkpoint.at(f"{name}.{e}").lazy(f"{name}.{e}")
        np.testing.assert_array_equal(expert.whole(), whole[e])
        np.testing.assert_array_equal(expert.read(7, 9), whole[e, 7:9])
    assert len({m["norm"] for m in wb.weights(checkpoint, n_null=0).matrices}) == 3


def test_known_answer_directions_nan_ties_grids_and_outliers_are_found(result: WeightMap) -> None:
    spiked = facts(result, "layers.0.mlp.up_proj.weight")
    assert (spiked["role"], spiked["layer"], spiked["confidence"]) == ("feed-forward in", 0, 1.0)
    assert spiked["outside"] == 1 and spiked["outside_share"] > 0.7 and spiked["stable_rank"] < 1.5
    plain = facts(result, "layers.0.self_attn.q_proj.weight")
    assert abs(plain["entropy_below_random"]) < 0.02 < 1 < spiked["entropy_below_random"]
    assert plain["outside"] == 0 and plain["noise"] == pytest.approx(1, rel=0.1)
    broken = facts(result, "layers.1.mlp.up_proj.weight")
    assert (broken["nan"], broken["non_finite"], broken["first_non_finite"]) == (1, 2, [33, 5])
    assert broken["stable_rank"] is None and 0.9 < broken["norm"] < 1.1
    outlier = facts(result, "layers.1.mlp.gate_proj.weight")
    assert outlier["columns_that_stand_out"] == [17] and outlier["column_outliers"] == 1
    assert outlier["row_outliers"] == 0
    embedding = facts(result, "embed_tokens.weight")
    assert embedding["also"] == ["lm_head.weight"] and embedding["grid"] == "bfloat16"
    thing = facts(result, "thing.weight")
    assert thing["confidence"] < 0.5 and 0.4 < thing["sparsity"] < 0.6
    assert len(result.matrices) == 6
    for said in (
        "at row 33, column 5",
        "a guess",
        "1 more have the content",
        "Not weighed: 1 of numbers of type I64",
    ):
        assert said in result.caveat


def test_evidence_is_of_the_direction_alone(result: WeightMap) -> None:
    asked = {e.of: e for e in result.evidence if e.id == "stable_rank"}
    assert asked["layers.0.mlp.up_proj.weight"].p_value == pytest.approx(1 / 40)
    assert asked["layers.0.self_attn.q_proj.weight"].p_value > 0.05
    assert "layers.1.mlp.up_proj.weight" not in asked
    assert asked["layers.0.mlp.up_proj.weight"].null_name == "same_scales"
    assert "In 1 of 5" in result.caveat or "In 0 of 5" in result.caveat


def test_peer_numpys_decomposition_gives_the_same_numbers(tmp_path: Path) -> None:
    w = noise(70, 130, seed=9)
    s = np.linalg.svd(w.double().numpy(), compute_uv=False)
    exact = wb.weights(opened(tmp_path, {"w": w}), n_null=0).matrices[0]
    shares = s / s.sum()
    assert exact["largest"] == pytest.approx(s[0], rel=1e-9)
    assert exact["stable_rank"] == pytest.approx((s**2).sum() / s[0] ** 2, rel=1e-9)
    assert exact["effective_rank"] == pytest.approx(np.exp(-(shares * np.log(shares)).sum()), rel=1e-9)
    sketched = wb.weights(opened(tmp_path, {"w": w}), n_null=0, largest_exact=8).matrices[0]
    assert (
        sketched["tier"] == "sketch" and abs(sketched["largest"] - s[0]) <= sketched["largest_bound"] + 1e-9
    )
    assert sketched["effective_rank"] == pytest.approx(
        exact["effective_rank"], abs=5 * sketched["effective_rank_error"] + 1
    )
    assert sketched["alpha"] is None


def test_peer_the_spectrum_is_the_one_that_singular_values_has(tmp_path: Path) -> None:
    spiked = noise(120, 80) + 2 * torch.outer(noise(120, seed=2), noise(80, seed=3))
    net = opened(tmp_path, {"w": spiked})
    weighed, alone = wb.weights(net, n_null=0).matrices[0], wb.singular_values(net, n_null=0)
    assert weighed["largest"] == pytest.approx(alone.values[0], rel=1e-6)
    for name, key in (("above_noise", "outside"), ("largest_over_noise",) * 2, ("stable_rank",) * 2):
        assert alone.evidence_of(name).value == pytest.approx(weighed[key], rel=1e-6)


def test_parts_and_other_orders_give_the_same_answer(tmp_path: Path) -> None:
    tensors = {f"layers.{i}.w": noise(40, 30, seed=i) for i in range(3)}
    net = opened(tmp_path, tensors)
    whole = wb.weights(net, n_null=9)
    parts = {n: wb.weights(net.at(n), n_null=9) for n in reversed(tensors)}
    again = joined(planned(net), parts)
    assert again.matrices == whole.matrices and again.caveat == whole.caveat
    assert [e.to_json() for e in again.evidence] == [e.to_json() for e in whole.evidence]


@pytest.mark.slow
@pytest.mark.parametrize("scaled", [False, True])
def test_calibrated_whatever_the_scales_of_rows_and_columns(scaled: bool) -> None:
    def p(seed: int) -> float | None:
        rng = np.random.default_rng(seed)
        w = rng.standard_normal((12, 8))
        if scaled:
            w *= np.exp(rng.standard_normal((12, 1))) * np.exp(rng.standard_normal(8))
        w = w.astype(np.float32)
        return (
            wb.weights(checkpoint_of(w), n_null=19, random_state=seed).evidence_of("stable_rank", "w").p_value
        )

    assert_calibrated(p)


def checkpoint_of(w: np.ndarray) -> Checkpoint:
    from workbench.calibrating.worlds.weights import _weights

    return _weights(w)[0]


@pytest.mark.parametrize(
    ("name", "shape", "role", "sure"),
    [
        ("encoder.layer.3.attention.self.query.weight", (384, 384), "query", 1.0),
        ("encoder.layer.3.attention.output.dense.weight", (384, 384), "attention output", 1.0),
        ("encoder.layer.3.intermediate.dense.weight", (1536, 384), "feed-forward in", 1.0),
        ("encoder.layer.3.output.dense.weight", (384, 1536), "feed-forward out", 1.0),
        ("embeddings.word_embeddings.weight", (30522, 384), "embedding", 1.0),
        ("embeddings.position_embeddings.weight", (512, 384), "position embedding", 1.0),
        ("model.layers.0.self_attn.k_proj.weight", (192, 576), "key", 1.0),
        ("model.layers.0.self_attn.o_proj.weight", (576, 576), "attention output", 1.0),
        ("model.layers.0.mlp.gate_proj.weight", (1536, 576), "gate", 1.0),
        ("model.layers.0.mlp.down_proj.weight", (576, 1536), "feed-forward out", 1.0),
        ("model.layers.0.block_sparse_moe.gate.weight", (8, 576), "router", 1.0),
        ("transformer.h.0.attn.c_attn.weight", (768, 2304), "query, key, value", 1.0),
        ("blk.0.attn_q.weight", (576, 576), "query", 1.0),
        ("lm_head.weight", (50257, 768), "output head", 1.0),
        ("features.0.conv.weight", (32, 3, 3, 3), "convolution", 1.0),
        ("q_proj.weight", (100, 30), "query", 1.0),
        ("a.3.b", (400, 100), "tall", 0.3),
        ("a.b", (4000, 100), "embedding", 0.3),
        ("a.b", (100, 100), "square", 0.3),
    ],
)
def test_known_answer_roles(name: str, shape: tuple[int, ...], role: str, sure: float) -> None:
    found = role_of(name, shape)
    assert (found.name, found.confidence) == (role, sure if role != "query" or shape[0] == shape[1] else 0.7)


def test_what_holds_no_matrix_is_refused(tmp_path: Path) -> None:
    with pytest.raises(MissingError, match="no weight matrix"):
        wb.weights(opened(tmp_path, {"b": noise(4)}))


def test_degenerate_matrices_answer(tmp_path: Path) -> None:
    tensors = {
        "zero": torch.zeros(5, 4),
        "row": noise(1, 9),
        "column": noise(9, 1),
        "one": torch.ones(6, 6),
        "rank": torch.outer(noise(30), noise(20)),
    }
    result = wb.weights(opened(tmp_path, tensors), n_null=9)
    assert facts(result, "zero")["stable_rank"] is None and facts(result, "zero")["sparsity"] == 1
    assert facts(result, "rank")["stable_rank"] == pytest.approx(1) and facts(result, "rank")["lost"] > 10
    assert facts(result, "one")["effective_rank"] == pytest.approx(1)
    assert result.evidence_of("stable_rank", "row").untested


def test_names_from_a_file_are_inert_in_the_figure(tmp_path: Path) -> None:
    name = "<img src=x onerror=alert(1)>"
    figure = wb.weights(opened(tmp_path, {name: noise(9, 8)}), n_null=0).figure()
    assert figure.layout.meta["cards"]["cells"][0]["title"] == name  # which a page writes as text
    figure.layout.meta = None
    assert "<img" not in figure.to_json() and "&lt;img" in figure.data[0].hovertext[0]


def test_a_spectrum_that_is_drawn_is_the_matrix_own_beside_noise(tmp_path: Path) -> None:
    """Noise lies in its band at about 95 of 100 ranks; a direction is seen above it, where it was planted, alone."""
    w = noise(120, 80, seed=5)
    strong = 2.0 * torch.outer(noise(120, seed=7), noise(80, seed=8))
    result = wb.weights(opened(tmp_path, {"noise": w, "strong": w + strong}), n_null=0)
    outside = {}
    for name, tensor in (("noise", w), ("strong", w + strong)):
        told = facts(result, name)["spectrum"]
        true = np.linalg.svd(tensor.numpy().astype(float), compute_uv=False)
        values, low, high = (np.array(told[k]) for k in ("values", "low", "high"))
        assert values == pytest.approx(true[np.array(told["ranks"]) - 1], rel=1e-4)
        assert told["ranks"][0] == 1 and told["ranks"][-1] == 80
        outside[name] = (values > 1.1 * high).tolist(), ((values < low) | (values > high)).mean()
    assert not any(outside["noise"][0]) and outside["noise"][1] < 0.3
    assert outside["strong"][0][0] and not any(outside["strong"][0][1:])


def test_the_map_is_coloured_by_any_quantity(result: WeightMap) -> None:
    figure = result.figure(colour="alpha")
    held = [c for c in figure.data[0].marker.color if not isinstance(c, str)]
    assert len(held) < len(result.matrices)
    assert sorted(held) == sorted(m["alpha"] for m in result.matrices if m["alpha"] is not None)
    assert "exponent of the tail" in [b.label for b in figure.layout.updatemenus[0].buttons]
    with pytest.raises(ParameterError, match="stable_rank_share"):
        result.figure(colour="beauty")


def test_too_few_draws_are_said_to_be_too_few(tmp_path: Path) -> None:
    strong = 3 * torch.outer(noise(24, seed=7), noise(16, seed=8))
    tensors = {f"noise.{i}": noise(24, 16, seed=i) for i in range(3)}
    net = opened(tmp_path, {**tensors, "strong": noise(24, 16, seed=9) + strong})
    few = wb.weights(net, n_null=19).caveat
    assert "In 0 of 4 matrices" in few and "In 1 more it holds more than each of 19 draws" in few
    assert "n_null=80 would do" in few
    enough = wb.weights(net, n_null=99).caveat
    assert "In 1 of 4 matrices" in enough and "more than each" not in enough


def falling(rows: int) -> torch.Tensor:
    """Orthogonal columns times 1, 1/2, 1/4 ... 2**-40 = 9e-13, which float32 holds without rounding."""
    from scipy.linalg import hadamard

    columns = hadamard(64)[:, :41] * 2.0 ** -np.arange(41)
    return torch.from_numpy(np.tile(columns, (rows // 64, 1)).astype(np.float32))


def test_known_answer_values_that_are_lost_are_found_on_request(tmp_path: Path) -> None:
    """A spectrum that falls to 1e-12: a Gram matrix ends at 1e-7, an SVD doesn't, and where nothing is there it says so."""
    rng = np.random.default_rng(0)
    u, v = (np.linalg.qr(rng.standard_normal((n, 40)))[0] for n in (90, 40))
    planted = np.geomspace(1, 1e-12, 40)
    none = torch.outer(torch.arange(1.0, 65), torch.arange(1.0, 42))  # of rank 1 to the last bit
    net = opened(
        tmp_path, {"single": falling(64), "double": torch.from_numpy((u * planted) @ v.T), "none": none}
    )
    usual, asked = (wb.weights(net, n_null=0, small_values=small) for small in (False, True))
    for name, values in (("single", 8 * 2.0 ** -np.arange(41)), ("double", planted)):
        assert facts(usual, name)["lost"] > 15 and facts(asked, name)["lost"] == 0
        for result, reach in ((usual, 1e-7), (asked, 1e-12)):
            told = facts(result, name)["spectrum"]
            true = values[np.array(told["ranks"]) - 1]
            assert told["values"] == pytest.approx(true, rel=1e-2) and true[-1] < 3 * reach * true[0]
    assert facts(asked, "none")["lost"] == 40 and facts(asked, "single")["tier"] == "SVD"


def test_singular_values_of_a_long_matrix_are_found_down_to_rounding(tmp_path: Path) -> None:
    values = wb.singular_values(opened(tmp_path, {"w": falling(640)}), n_null=0).values
    assert values == pytest.approx(values[0] * 2.0 ** -np.arange(41), rel=1e-2)
