"""What torch says of a matrix is what `streamed` does; what a GPU does with it is in tests/gpu."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from workbench.core.lazy import LazyTensor
from workbench.numerics import streamed_torch
from workbench.numerics.floats import decode, encode
from workbench.numerics.streamed import gram_spectrum, leading_value, measure, sketch

SHAPES = [(90, 40), (40, 90), (50, 50), (7, 1), (1, 7)]


@pytest.fixture(autouse=True, params=[1 << 25, 700])
def parts(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Matrices whole, and a few rows at a time."""
    monkeypatch.setattr(streamed_torch, "_NUMBERS", request.param)
    if request.param == 700:
        monkeypatch.setattr(streamed_torch, "memory_budget", lambda device: 0)


def noise(shape: tuple[int, ...], seed: int = 0) -> np.ndarray:
    w = np.random.default_rng(seed).standard_normal(shape).astype(np.float32)
    w[..., 0] *= 20
    return w


@pytest.mark.parametrize("shape", SHAPES)
def test_equals_the_plain_path(shape: tuple[int, int]) -> None:
    w = noise(shape)
    w.flags.writeable = False
    matrix = LazyTensor.of(w)
    whole = streamed_torch.held(matrix, "cpu")
    plain = gram_spectrum(measure(matrix, gram=True, keep=np.empty(0, np.int64)).gram)
    found = streamed_torch.gram_spectrum_on(whole)
    assert found == pytest.approx(plain, abs=1e-7 * plain[0])
    assert found == pytest.approx(np.linalg.svd(w.astype(float), compute_uv=False), abs=1e-7 * plain[0])
    here = sketch(matrix, 4, np.random.default_rng(1))
    there = streamed_torch.sketch_on(whole, 4, np.random.default_rng(1))
    assert there.top == pytest.approx(here.top, rel=1e-9, abs=1e-6 * here.top[0])
    assert there.bulk == pytest.approx(here.bulk, rel=1e-6, abs=1e-6 * here.top[0])
    assert there.effective_rank == pytest.approx(here.effective_rank, rel=1e-6)


@pytest.mark.parametrize("wrong", [False, True])
@pytest.mark.parametrize("stored", ["F32", "F16", "BF16"])
@pytest.mark.parametrize("shape", SHAPES)
def test_sums_are_the_plain_ones(shape: tuple[int, int], stored: str, wrong: bool) -> None:
    w = noise(shape)
    w.flat[3] = 0
    if wrong:
        w.flat[5], w.flat[6], w.flat[0] = np.nan, -np.inf, np.inf
    kept = {"F32": w, "F16": w.astype(np.float16), "BF16": encode(w, "BF16").reshape(shape)}[stored]
    read = decode(kept, "BF16") if stored == "BF16" else kept.astype(np.float32)
    keep = np.arange(0, shape[0], 3)
    plain = measure(LazyTensor.of(read), gram=False, keep=keep)
    there = streamed_torch.measure_on(streamed_torch.held(LazyTensor.of(kept), "cpu"), keep)
    for name in ("shape", "nan", "infinite", "first", "zeros", "largest"):
        assert getattr(there, name) == getattr(plain, name), name
    for name in ("total", "square", "rows", "columns"):
        assert getattr(there, name) == pytest.approx(getattr(plain, name), rel=1e-12), name
    assert np.array_equal(there.kept, plain.kept, equal_nan=True)


def test_the_first_that_is_not_finite_is_found_far_down() -> None:
    w = noise((300, 40))
    w[271, 13] = w[290, 2] = np.nan
    there = streamed_torch.measure_on(streamed_torch.held(LazyTensor.of(w), "cpu"), np.arange(3))
    assert (there.nan, there.first) == (2, (271, 13))


@pytest.mark.parametrize("kind", ["noise", "decay", "low rank"])
@pytest.mark.parametrize("shape", [(300, 200), (200, 300)])
def test_bounds_of_a_sketch_hold(kind: str, shape: tuple[int, int]) -> None:
    w = np.random.default_rng(3).standard_normal(shape)
    if kind == "decay":
        w = w * np.geomspace(1, 1e-6, shape[1])
    if kind == "low rank":
        w = w[:, :3] @ w[:3]
    s = np.linalg.svd(w, compute_uv=False)
    found = streamed_torch.sketch_on(torch.from_numpy(w), 8, np.random.default_rng(1))
    nearest = np.abs(found.top[:, None] - s).min(axis=1)
    assert (nearest <= found.bound + 1e-12 * s[0]).all()
    assert found.top[0] == pytest.approx(s[0], rel=1e-5)
    assert found.bound[0] < 1e-3 * s[0]


def test_leading_values_are_the_plain_ones_also_of_matrices_that_end_early() -> None:
    w = np.stack(
        [
            noise((60, 50), 1),
            noise((60, 50), 2),
            np.ones((60, 50), np.float32),
            np.zeros((60, 50), np.float32),
        ]
    )
    w[1, :, 2:] = 0
    start = noise((50,), 4)
    found = streamed_torch.leading_values_on(torch.from_numpy(w), torch.from_numpy(start), 16)
    assert found == pytest.approx([leading_value(one, start, 16) for one in w], rel=1e-5, abs=1e-6)


def test_turned_signs_are_turned_there() -> None:
    block, start = noise((40, 30)), noise((30,), 5)
    signs = np.random.default_rng(0).integers(0, 2, (5, 40, 30), dtype=np.int8) * 2 - 1
    found = streamed_torch.leading_under_signs(block, start, 16, "cpu")(signs)
    assert found == pytest.approx([leading_value(block * s, start, 16) for s in signs], rel=1e-5)
