"""Spanning trees on the GPU: kernels against references, and lengths against the CPU's."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from workbench.numerics import spanning_tree
from workbench.numerics.kernels import spanning
from workbench.numerics.spanning_tree import _Half, minimum_spanning_tree

pytestmark = pytest.mark.gpu
if not torch.cuda.is_available():
    pytest.skip("needs a CUDA device", allow_module_level=True)

RNG = np.random.default_rng(0)
CENTRES = RNG.normal(size=(12, 8)) * 10
CLOUDS = {
    "gaussian": RNG.normal(size=(5000, 3)),
    "uniform": RNG.random((4097, 384)),
    "clusters apart": np.concatenate([c + 0.01 * RNG.normal(size=(300, 8)) for c in CENTRES]),
    "copies": np.repeat(RNG.normal(size=(1500, 5)), 4, axis=0),
    "almost copies": np.repeat(RNG.normal(size=(15, 40)), 300, axis=0) + 1e-6 * RNG.normal(size=(4500, 40)),
    "grid": RNG.integers(0, 20, size=(6000, 3)).astype(float),
    "line": np.arange(4000.0)[:, None],
    "far from the origin": RNG.normal(size=(3000, 3)) + 1e4,
    "block": RNG.normal(size=(2048, 2)),
    "block and one": RNG.normal(size=(2049, 2)),
    "float16": RNG.normal(size=(3000, 7)).astype(np.float16),
    "all equal": np.ones((3000, 3)),
    "one": np.ones((1, 3)),
}


@pytest.mark.parametrize("name", CLOUDS)
def test_lengths_equal_those_of_all_pairs(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    x = CLOUDS[name]
    found = minimum_spanning_tree(x, device="cuda")
    monkeypatch.setattr(spanning_tree, "ALL_PAIRS_UP_TO", 10**6)
    expected = minimum_spanning_tree(x, device="cuda")
    np.testing.assert_allclose(found.lengths, expected.lengths, rtol=2e-6, atol=1e-9)


@pytest.mark.parametrize(("n", "d"), [(300, 3), (2048, 64), (2100, 100)])
def test_kernels_equal_the_references(n: int, d: int) -> None:
    x = torch.from_numpy(RNG.normal(size=(n, d))).float().cuda()
    half = _Half(x)
    a, norm, moved = half.ordered(torch.arange(n, device="cuda"))
    gap = torch.rand(n, device="cuda") * half.factor * (0.2 * (2 * d) ** 0.5)
    gap[n // 2] = half.factor * 0.9 * (2 * d) ** 0.5
    found, total = spanning.shortcuts(a, norm, moved, gap, n, 1 << 24)
    expected = spanning.shortcuts_reference(a[:n], norm[:n], moved, gap)
    assert total == len(found)
    assert total > 0
    keys = [(p[:, 0] * n + p[:, 1]).cpu().numpy() for p in (found, expected)]
    # sums in another order may decide a pair on the edge otherwise
    assert len(np.setxor1d(*keys)) <= 1e-4 * len(expected) + 1
    group = torch.randint(0, 3, (n,), device="cuda")
    near = spanning.nearest_other(half.rows[:77], group[:77], half.rows, half.norm, group)
    assert bool((group[near] != group[:77]).all())
    reference = spanning.nearest_other_reference(half.rows[:77], group[:77], half.rows, half.norm, group)
    gone = [(x[:77] - x[at]).norm(dim=1) for at in (near, reference)]
    torch.testing.assert_close(*gone, rtol=1e-3, atol=1e-3)
