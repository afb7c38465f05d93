"""Strong orders on geometric Brownian motion along shared paths, and what a scheme refuses."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from workbench.core.errors import DataError, ParameterError
from workbench.numerics.medusa.integrators import Equation, Scheme, integrate
from workbench.numerics.medusa.noise import Increments, Wiener, coarser

MU, SIGMA, T = 0.8, 0.6, 1.0
GEOMETRIC = Equation(lambda t, x: MU * x, lambda t, x: SIGMA * x)


def along(noise: Increments) -> tuple[torch.Tensor, torch.Tensor]:
    assert noise.dz is not None
    return torch.from_numpy(noise.dw), torch.from_numpy(noise.dz)


def order(scheme: Scheme, equation: Equation = GEOMETRIC, worlds: int = 1500) -> float:
    """Slope of log mean error at the end over log step, all steps along the same paths."""
    steps = 512
    fine = Wiener().start(4, range(worlds), 1, T / steps).take(steps)
    exact = np.exp((MU - SIGMA**2 / 2) * T + SIGMA * fine.dw.sum(axis=0))
    lengths, errors = [], []
    for by in (8, 16, 32, 64):
        h = by * T / steps
        dw, dz = along(coarser(fine, T / steps, by))
        end = integrate(
            equation, torch.ones(1, worlds, dtype=torch.float64), h, dw, dz, scheme=scheme
        ).states[-1]
        lengths.append(np.log(h))
        errors.append(np.log(np.abs(end.numpy() - exact).mean()))
    return float(np.polyfit(lengths, errors, 1)[0])


@pytest.mark.parametrize(
    ("scheme", "known"),
    [("euler", 0.5), ("milstein", 1.0), ("derivative_free_milstein", 1.0), ("srk", 1.5)],
)
def test_known_strong_order(scheme: Scheme, known: float) -> None:
    assert order(scheme) == pytest.approx(known, abs=0.1)


def test_milstein_of_commuting_sources_has_order_one_too() -> None:
    """Two sources that both scale the state: together a geometric motion whose order Euler's step doesn't reach."""
    a, b = 0.36, 0.48  # their squares sum to SIGMA²
    two = Equation(lambda t, x: MU * x, lambda t, x: torch.stack([a * x, b * x], dim=1), "general")
    steps, worlds = 256, 800
    fine = Wiener().start(4, range(worlds), 2, T / steps).take(steps)
    total = fine.dw.sum(axis=0)
    exact = np.exp((MU - SIGMA**2 / 2) * T + a * total[0] + b * total[1])
    errors = []
    for by in (4, 16):
        dw, _ = along(coarser(fine, T / steps, by))
        start = torch.ones(1, worlds, dtype=torch.float64)
        end = integrate(two, start, by * T / steps, dw, scheme="milstein").states[-1, 0]
        errors.append(np.abs(end.numpy() - exact).mean())
    assert np.log(errors[1] / errors[0]) / np.log(4) == pytest.approx(1, abs=0.1)


def test_srk_of_coupled_nodes_agrees_with_a_fine_path() -> None:
    """Drifts that couple nodes and an additive noise: order 1.5 there too, against a step 16 times shorter."""
    pull = torch.tensor([[-1.0, 2.0], [-2.0, -0.5]], dtype=torch.float64)
    equation = Equation(lambda t, x: torch.tanh(pull @ x), lambda t, x: torch.full_like(x, 0.5), "additive")
    steps, worlds = 1024, 300
    fine = Wiener().start(9, range(worlds), 2, T / steps).take(steps)
    start = torch.ones(2, worlds, dtype=torch.float64)
    exact = integrate(equation, start, T / steps, *along(fine), scheme="srk").states[-1]
    errors = []
    for by in (16, 64):
        dw, dz = along(coarser(fine, T / steps, by))
        end = integrate(equation, start, by * T / steps, dw, dz, scheme="srk").states[-1]
        errors.append(float((end - exact).abs().mean()))
    assert np.log(errors[1] / errors[0]) / np.log(4) > 1.4


def test_a_path_that_diverges_ends_and_says_when() -> None:
    cubic = Equation(lambda t, x: x**3, lambda t, x: torch.ones_like(x), "additive")
    path = integrate(cubic, torch.full((2, 3), 3.0), 0.1, torch.zeros(200, 2, 3))
    assert path.outcome == "diverged" and 0 < path.step < 200
    assert len(path.states) == path.step and torch.isfinite(path.states).all()
    calm = integrate(cubic, torch.zeros(2, 3), 0.1, torch.zeros(20, 2, 3), every=5)
    assert (calm.outcome, calm.step, len(calm.states)) == ("finished", 20, 5)


def turning(t: float, x: torch.Tensor) -> torch.Tensor:
    """Two sources, the second as strong as what the first has moved: the Heisenberg group's, which don't commute."""
    zero, one = torch.zeros_like(x[0]), torch.ones_like(x[0])
    return torch.stack([torch.stack([one, zero]), torch.stack([zero, x[0]])])


still = lambda t, x: torch.zeros_like(x)  # noqa: E731


@pytest.mark.parametrize(
    ("equation", "asked", "said"),
    [
        (Equation(still, turning, "general"), {"scheme": "milstein"}, "Sources 0 and 1 .* don't commute"),
        (Equation(still, turning, "general"), {"scheme": "srk"}, "takes an additive or a diagonal noise"),
        (Equation(still, turning, "general"), {"scheme": "derivative_free_milstein"}, "or 'euler'"),
        (Equation(still, lambda t, x: x.flip(0)), {}, "declared diagonal"),
        (Equation(still, lambda t, x: x, "additive"), {}, "declared additive"),
        (Equation(still, lambda t, x: x), {"martingale": False}, "no semimartingale"),
        (Equation(still, lambda t, x: x), {"scheme": "srk"}, "no integrals"),
        (Equation(still, lambda t, x: x), {"scheme": "heun"}, "one of euler, milstein"),
        (Equation(still, lambda t, x: x), {"h": 0.0}, "h=0.0"),
    ],
)
def test_what_a_scheme_can_not_do_is_refused(equation: Equation, asked: dict, said: str) -> None:
    start = torch.tensor([[1.0], [2.0]])
    with pytest.raises((DataError, ParameterError), match=said):
        integrate(equation, start, asked.pop("h", 0.1), torch.zeros(3, 2, 1), **asked)


def test_euler_takes_sources_that_do_not_commute() -> None:
    path = integrate(Equation(still, turning, "general"), torch.ones(2, 4), 0.1, torch.ones(3, 2, 4))
    assert path.outcome == "finished"
    assert path.states[-1, :, 0].tolist() == [4.0, 7.0]  # 1 + 1 + 2 + 3
