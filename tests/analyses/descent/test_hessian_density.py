"""Hessian density: bowls of known curvatures, a dense matrix beside it, and the null's false alarms."""

from __future__ import annotations

import numpy as np
import pytest
from helpers import assert_calibrated, untrained_descent

import workbench as wb
from workbench.core.errors import ParameterError
from workbench.models.quadratic_descent import curvatures
from workbench.numerics.hessian import Hessian


def test_known_answer_one_steep_direction_and_the_rest_flat() -> None:
    """The interval holds 15 of 16 directions no less often than it says."""
    bowl = wb.quadratic_descent(spectrum="outlier", condition=1000.0, steps=3)
    held = 0
    for seed in range(100):
        flat, down = wb.hessian_density(bowl, n_null=0, lanczos_steps=4, random_state=seed).evidence
        held += flat.interval[0] <= 15 / 16 <= flat.interval[1]
        assert down.value == 0
    assert held >= 90, held


def test_known_answer_the_density_of_a_bowl() -> None:
    bowl = wb.quadratic_descent(spectrum="linear", condition=2.0, steps=3)
    found = wb.hessian_density(bowl, starts=50, width=0.2, n_null=0)
    exact = curvatures(16, 2.0, "linear")
    bells = np.exp(-0.5 * ((found.x[:, None] - exact) / 0.1) ** 2).mean(axis=1) / (0.1 * np.sqrt(2 * np.pi))
    assert np.abs(found.y[:, 0] - bells).max() < 0.15 * bells.max()
    assert (found.y[:, 0] * (found.x[1] - found.x[0])).sum() == pytest.approx(1, abs=0.01)


def test_peer_numpys_eigenvalues_of_the_whole_matrix() -> None:
    d = wb.digits_descent(width=3, depth=1, steps=80)
    values = np.linalg.eigvalsh(Hessian(d.network(80), d.probe, d.parameter_names).dense().numpy())
    flat, down = wb.hessian_density(d, starts=30, lanczos_steps=60, flat=0.05, n_null=0).evidence
    edge = 0.05 * np.abs(values).max()
    for found, exact in ((flat, (np.abs(values) <= edge).mean()), (down, (values < -edge).mean())):
        assert found.value == pytest.approx(exact, abs=0.03)
        assert found.interval[0] - 0.01 <= exact <= found.interval[1] + 0.01


@pytest.mark.slow
def test_false_alarms_are_as_rare_as_they_say() -> None:
    def p_value(seed: int) -> float:
        found = wb.hessian_density.function(
            untrained_descent(seed, width=4, samples=12).view(wb.hessian_density.inputs[0].takes),
            starts=2,
            lanczos_steps=6,
            n_null=9,
            random_state=seed,
            device="cpu",
        )
        return found.evidence[0].p_value

    assert_calibrated(p_value, runs=50, level=0.2)


def test_a_step_without_weights_is_refused_with_the_nearest() -> None:
    d = wb.digits_descent(width=8, depth=1, steps=60)
    with pytest.raises(ParameterError, match=r"step=55 has no weights.*50, 60"):
        wb.hessian_density(d, step=55)
    assert wb.hessian_density(d, step=0, n_null=0).names == ("step 0",)
