"""Barcodes whose distances are computed on the GPU, against the CPU's and giotto-ph's."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from workbench.numerics.rips import rips

pytestmark = pytest.mark.gpu
if not torch.cuda.is_available():
    pytest.skip("needs a CUDA device", allow_module_level=True)

RNG = np.random.default_rng(0)
CLOUDS = {
    "gaussian": (RNG.normal(size=(100, 4)), 2),
    "to H3": (RNG.normal(size=(40, 5)), 3),
    "one block": (RNG.normal(size=(32, 3)), 3),
    "one block and one": (RNG.normal(size=(33, 3)), 3),
    "duplicates": (np.repeat(RNG.normal(size=(20, 3)), 3, axis=0), 2),
    "all equal": (np.ones((12, 3)), 2),
    "one point": (np.ones((1, 3)), 2),
    "two points": (np.eye(2), 3),
    "line": (np.arange(70.0)[:, None], 2),
    "integer grid": (RNG.integers(0, 4, size=(50, 3)).astype(float), 3),
    "float16": (RNG.normal(size=(60, 3)).astype(np.float16), 2),
}


@pytest.mark.parametrize("name", CLOUDS)
def test_bars_equal_the_cpu(name: str) -> None:
    x, highest = CLOUDS[name]
    on_gpu, on_cpu = (rips(x, max_dimension=highest, device=device) for device in ("cuda", "cpu"))
    assert on_gpu.shape == on_cpu.shape
    np.testing.assert_allclose(on_gpu, on_cpu, rtol=1e-6)


def test_bars_equal_giotto() -> None:
    gph = pytest.importorskip("gph")
    x = RNG.normal(size=(900, 6)).astype(np.float32)
    found = gph.ripser_parallel(x, maxdim=1, n_threads=8)["dgms"]
    bars = rips(x, max_dimension=1)
    for dimension, expected in enumerate(found):
        ours = bars[bars[:, 2] == dimension, :2]
        expected = expected[np.lexsort((expected[:, 1], expected[:, 0]))]
        np.testing.assert_allclose(ours, expected, rtol=1e-5)
