"""Series that are linear noise of some spectrum, and series that a map or a flow determines, seen with noise."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from workbench.calibrating.world import World
from workbench.subjects.series import TimeSeries

STEPS = 300
BEFORE = 300  # steps that a series takes to forget its start


def _series(draw: Callable[[np.random.Generator], np.ndarray]) -> Callable[[np.random.Generator], Any]:
    return lambda rng: (TimeSeries(draw(rng), name="world"),)


def linear(rng: np.random.Generator, *coefficients: float) -> np.ndarray:
    """An autoregression with Gaussian noise, the coefficient of the last step first."""
    from scipy.signal import lfilter

    noise = rng.standard_normal(STEPS + BEFORE)
    return np.asarray(lfilter([1.0], [1.0, *(-c for c in coefficients)], noise)[BEFORE:])


def _oscillation(radius: float) -> Callable[[np.random.Generator], np.ndarray]:
    turn = 2 * np.pi / 12
    return lambda rng: linear(rng, 2 * radius * np.cos(turn), -(radius**2))


def _seasonal(rng: np.random.Generator) -> np.ndarray:
    turn = 2 * np.pi * np.arange(STEPS) / 12
    return np.asarray(np.sin(turn + rng.uniform(0, 2 * np.pi)) + 0.5 * rng.standard_normal(STEPS))


def _trend(rng: np.random.Generator) -> np.ndarray:
    return np.asarray(3 * np.linspace(0, 1, STEPS) + linear(rng, 0.5))


def _with_noise(x: np.ndarray, share: float, rng: np.random.Generator) -> np.ndarray:
    """A series seen with noise that has ``share`` of its standard deviation."""
    return np.asarray(x + share * x.std() * rng.standard_normal(len(x)))


def _henon(share: float) -> Callable[[np.random.Generator], np.ndarray]:
    def draw(rng: np.random.Generator) -> np.ndarray:
        x = np.empty(STEPS + BEFORE)
        x[:2] = 0.1 * rng.random(2)
        for t in range(2, len(x)):
            x[t] = 1 - 1.4 * x[t - 1] ** 2 + 0.3 * x[t - 2]
        return _with_noise(x[BEFORE:], share, rng)

    return draw


def _lorenz(share: float) -> Callable[[np.random.Generator], np.ndarray]:
    def draw(rng: np.random.Generator) -> np.ndarray:
        from scipy.integrate import solve_ivp

        def flow(_: float, s: np.ndarray) -> list[float]:
            return [10 * (s[1] - s[0]), s[0] * (28 - s[2]) - s[1], s[0] * s[1] - 8 / 3 * s[2]]

        times = 10 + 0.1 * np.arange(STEPS)
        solved = solve_ivp(
            flow, (0, times[-1]), rng.standard_normal(3) + np.array([0.0, 0.0, 25.0]), t_eval=times, rtol=1e-6
        )
        return _with_noise(solved.y[0], share, rng)

    return draw


SERIES = ("Series",)
DETERMINED = {"takens": ("prediction_error",)}
ONLY = ("takens",)  # what is asked of a series is one thing with each method: linear noise is this one's null
WORLDS = (
    World(
        "white noise",
        "independent Gaussian steps",
        SERIES,
        _series(lambda r: r.standard_normal(STEPS)),
        only=ONLY,
    ),
    World(
        "short memory",
        "an autoregression with coefficient 0.5",
        SERIES,
        _series(lambda r: linear(r, 0.5)),
        only=ONLY,
    ),
    World(
        "long memory",
        "an autoregression with coefficient 0.95",
        SERIES,
        _series(lambda r: linear(r, 0.95)),
        only=ONLY,
    ),
    World(
        "oscillation",
        "noise that swings every 12 steps or so",
        SERIES,
        _series(_oscillation(0.95)),
        only=ONLY,
    ),
    World(
        "long oscillation",
        "noise that swings every 12 steps for long",
        SERIES,
        _series(_oscillation(0.99)),
        only=ONLY,
    ),
    World(
        "random walk",
        "sums of independent steps",
        SERIES,
        _series(lambda r: np.cumsum(r.standard_normal(STEPS))),
        only=ONLY,
    ),
    World("trend", "noise on a line that rises", SERIES, _series(_trend), only=ONLY),
    World("seasonal", "a sine of 12 steps with noise", SERIES, _series(_seasonal), only=ONLY),
    World(
        "linear seen through exp",
        "an autoregression seen through the exponential function",
        SERIES,
        _series(lambda r: np.exp(0.6 * linear(r, 0.8))),
        only=ONLY,
    ),
    World(
        "Hénon map",
        "the Hénon map, with noise of 0.5 of its spread",
        SERIES,
        _series(_henon(0.5)),
        DETERMINED,
    ),
    World(
        "Lorenz flow",
        "the Lorenz flow, with noise of 0.2 of its spread",
        SERIES,
        _series(_lorenz(0.2)),
        DETERMINED,
    ),
)
