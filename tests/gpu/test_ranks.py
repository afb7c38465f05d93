"""Ranks and dimensions on the GPU against the CPU's."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from workbench.numerics.neighbour_ranks import rank_blocks
from workbench.numerics.neighbours import Metric
from workbench.numerics.preservation import preservation, trust_of_rows

pytestmark = pytest.mark.gpu
if not torch.cuda.is_available():
    pytest.skip("needs a CUDA device", allow_module_level=True)


@pytest.mark.parametrize("metric", ["euclidean", "cosine", "correlation", "manhattan", "chebyshev"])
def test_ranks_equal_the_cpu(metric: Metric) -> None:
    x = np.random.default_rng(0).standard_normal((3000, 12))
    for (_, here), (_, there) in zip(
        rank_blocks(x, metric), rank_blocks(x, metric, device="cuda"), strict=True
    ):
        assert (here == there).mean() > 0.9999  # near ties in the last bit of float64
    a, b = (preservation(x, x[:, :2], 10, metric=metric, n_null=3, device=d) for d in ("cpu", "cuda"))
    for here, there in zip(a, b, strict=True):
        np.testing.assert_allclose(here.rows, there.rows, atol=1e-6)
        np.testing.assert_allclose(here.null, there.null, atol=1e-6)


@pytest.mark.parametrize("metric", ["euclidean", "cosine", "correlation", "manhattan"])
def test_a_rows_trust_equals_the_cpus(metric: Metric) -> None:
    x = np.random.default_rng(0).standard_normal((9000, 12)).astype(np.float32)
    asked = np.arange(0, 9000, 9)
    here, there = (
        trust_of_rows(x, x[:, :2], 10, metric=metric, queries=asked, device=d) for d in ("cpu", "cuda")
    )
    np.testing.assert_allclose(here, there, atol=1e-5)
