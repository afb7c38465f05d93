"""The method on the GPU says what it says on the CPU."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import workbench as wb
from workbench.numerics.landmarks import farthest_first

pytestmark = pytest.mark.gpu
if not torch.cuda.is_available():
    pytest.skip("needs a CUDA device", allow_module_level=True)
for needed in ("gph", "pydantic"):  # the CPU's answer where rows are few, and what methods are declared with
    pytest.importorskip(needed)

CLOUDS = {
    "circle": (lambda: wb.circle(n=200, noise=0.1).values, (0, 1), None),
    "torus": (lambda: wb.torus(n=600, noise=0.02).values, (0, 1), None),
    "sphere": (lambda: wb.sphere(n=120, noise=0).values, (0, 1, 2), None),
    "gaussian": (lambda: np.random.default_rng(0).standard_normal((60, 5)), (0, 1, 2, 3), None),
    "duplicates": (
        lambda: np.repeat(np.random.default_rng(1).standard_normal((25, 3)), 3, axis=0),
        (0, 1, 2),
        None,
    ),
    "grid": (lambda: np.argwhere(np.ones((5, 5, 4))).astype(float), (0, 1, 2), None),
    "threshold": (lambda: np.random.default_rng(2).standard_normal((150, 4)), (0, 1), 1.2),
}


@pytest.mark.parametrize("name", CLOUDS)
def test_gpu_equals_cpu(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORKBENCH_NO_CACHE", "1")
    rows, dimensions, limit = CLOUDS[name]
    on_gpu, on_cpu = (
        wb.persistence(
            rows(),
            homology_dimensions=dimensions,
            max_edge_length=limit,
            max_points=600 if max(dimensions) < 2 else 200,
            n_null=3,
            n_boot=3,
            device=device,
        )
        for device in ("cuda", "cpu")
    )
    np.testing.assert_array_equal(on_gpu.pairs, on_cpu.pairs)
    np.testing.assert_array_equal(on_gpu.cycle_ids, on_cpu.cycle_ids)
    np.testing.assert_array_equal(on_gpu.cycle_starts, on_cpu.cycle_starts)
    for a, b in zip(on_gpu.evidence, on_cpu.evidence, strict=True):
        assert a.value == pytest.approx(b.value, rel=1e-5)
        assert a.null_values == pytest.approx(b.null_values, rel=1e-5)


def test_landmarks_are_the_cpus() -> None:
    x = np.random.default_rng(0).standard_normal((40_000, 64))
    (there, covered), (here, radius) = (farthest_first(x, 100, device=d) for d in ("cuda", "cpu"))
    np.testing.assert_array_equal(there, here)
    assert covered == pytest.approx(radius)
