"""Curvature and room on the GPU against the CPU's."""

from __future__ import annotations

import numpy as np
import pytest
import torch

pytest.importorskip("annotated_types", reason="needs what the package requires, not what its primitives do")

import workbench as wb
from workbench.numerics.hessian import Hessian, extreme_eigenpairs, hutchinson, lanczos_quadrature, signs
from workbench.subjects.descents.trajectory import Trajectory

pytestmark = pytest.mark.gpu
if not torch.cuda.is_available():
    pytest.skip("needs a CUDA device", allow_module_level=True)


@pytest.fixture(scope="module")
def descent() -> Trajectory:
    return wb.digits_descent(steps=100)


def test_eigenvalues_trace_and_quadrature_equal_the_cpus(descent: Trajectory) -> None:
    found = []
    for device in ("cpu", "cuda"):
        h = Hessian(descent.network(100), descent.probe, descent.parameter_names, device)
        e = extreme_eigenpairs(h, h.n, 3, 1, steps=60, device=device)
        assert e.vectors.device.type == device
        trace = hutchinson(h.products, signs(h.n, 16, 0, device))
        density = lanczos_quadrature(h, h.n, starts=2, steps=20, device=device).density(
            np.linspace(-1, 8, 50), 0.1
        )
        found.append((e.values, trace.draws, h.along(e.vectors[:, 0]).cpu().numpy(), density))
    for here, there in zip(*found, strict=True):
        np.testing.assert_allclose(here, there, rtol=1e-6, atol=1e-6)


def test_known_answer_a_bowl_on_the_gpu() -> None:
    from workbench.models.quadratic_descent import curvatures

    found = wb.hessian_spectrum(wb.quadratic_descent(steps=5), n_null=0, device="cuda")
    np.testing.assert_allclose(found.y[-1, :3], curvatures(16, 100, "geometric")[[0, 1, -1]], atol=1e-8)


@pytest.mark.parametrize(
    ("name", "tolerance"),
    [
        ("hessian_spectrum", 1e-5),
        ("hessian_density", 1e-5),
        ("gradient_rank", 2e-3),
        ("activation_rank", 2e-3),
        ("output_entropy", 1e-4),
        ("sameness", 1e-4),
        ("neural_collapse", 1e-3),
    ],
)
def test_methods_equal_the_cpus(descent: Trajectory, name: str, tolerance: float) -> None:
    here, there = (getattr(wb, name)(descent, n_null=3, device=device) for device in ("cpu", "cuda"))
    np.testing.assert_allclose(here.y, there.y, rtol=tolerance, atol=tolerance)
    for a, b in zip(here.evidence, there.evidence, strict=True):
        np.testing.assert_allclose(a.null_values, b.null_values, rtol=10 * tolerance, atol=10 * tolerance)
