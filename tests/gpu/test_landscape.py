"""Loss landscapes on the GPU: equal to the CPU's and to the plain loop's."""

from __future__ import annotations

import numpy as np
import pytest
import torch

pytest.importorskip("annotated_types", reason="needs what the package requires, not what its primitives do")

import workbench as wb
from workbench.benchmarks.landscapes import grid, plane_of

pytestmark = pytest.mark.gpu
if not torch.cuda.is_available():
    pytest.skip("needs a CUDA device", allow_module_level=True)


def test_many_points_equal_one_by_one_and_the_cpu() -> None:
    at = grid(9)
    there, here = plane_of("cuda", 256), plane_of("cpu", 256)
    together = there.losses(at)
    assert not there.one_by_one
    np.testing.assert_allclose(together, there.alone(at), rtol=1e-5)
    np.testing.assert_allclose(together, here.losses(at), rtol=1e-4)


def test_a_million_parameters_fit_many_at_a_time() -> None:
    """``workbench bench landscape`` times this."""
    plane, at = plane_of("cuda"), grid(51)
    assert sum(plane.sizes) > 990_000
    np.testing.assert_allclose(plane.losses(at), plane.alone(at), rtol=1e-4)


def test_method_gives_the_cpus_answer() -> None:
    descent = wb.digits_descent(width=16, depth=1, steps=60)
    there, here = (wb.loss_landscape(descent, points=9, n_null=3, device=d) for d in ("cuda", "cpu"))
    np.testing.assert_allclose(there.values, here.values, rtol=1e-4)
