"""A real series and one that was made: of one process, in another order, with other values, coupled otherwise, or copied."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from workbench.calibrating.world import World
from workbench.subjects.series import TimeSeries

REAL, KNOWN, MADE = 900, 600, 600
"""Steps of the real series, of its part that the other may be made from, and of the other."""
BEFORE = 200  # steps that a series takes to forget its start
SKEW = 0.7  # of the exponent
BLOCK = 12  # steps of a stretch of a copy, on average
SHORT, SWING = (0.6,), (2 * 0.9 * np.cos(np.pi / 6), -(0.9**2))
"""Coefficients: of a memory of a few steps, and of a swing of 12 steps or so."""

Draw = Callable[[np.random.Generator, int], np.ndarray]


def linear(coefficients: Sequence[float], channels: int = 1, coupled: float = 0.0) -> Draw:
    """Autoregressions with Gaussian noise, which channels have in common as far as they are coupled."""

    def draw(rng: np.random.Generator, steps: int) -> np.ndarray:
        from scipy.signal import lfilter

        noise = rng.standard_normal((steps + BEFORE, channels))
        noise = np.sqrt(1 - coupled) * noise + np.sqrt(coupled) * rng.standard_normal((steps + BEFORE, 1))
        x = lfilter([1.0], [1.0, *(-c for c in coefficients)], noise, axis=0)[BEFORE:]
        return np.asarray(x / _spread(coefficients))

    return draw


def _spread(coefficients: Sequence[float]) -> float:
    """Standard deviation of an autoregression driven by unit noise, from its response."""
    from scipy.signal import lfilter

    impulse = np.zeros(BEFORE)
    impulse[0] = 1
    return float(np.sqrt(np.square(lfilter([1.0], [1.0, *(-c for c in coefficients)], impulse)).sum()))


def through_exp(draw: Draw) -> Draw:
    """The same seen through the exponential function: skewed, with a heavy tail, of mean 0 and spread 1."""
    mean = np.exp(SKEW**2 / 2)
    spread = mean * np.sqrt(np.expm1(SKEW**2))
    return lambda rng, steps: (np.exp(SKEW * draw(rng, steps)) - mean) / spread


def shuffled(draw: Draw) -> Draw:
    """Its values in random order."""
    return lambda rng, steps: rng.permutation(draw(rng, steps))


def bootstrapped(x: np.ndarray, steps: int, rng: np.random.Generator) -> np.ndarray:
    """Stretches of a series one after the other, of random lengths (Politis and Romano 1994)."""
    first = rng.random(steps) < 1 / BLOCK  # steps with which a stretch begins
    first[0] = True
    begun = np.maximum.accumulate(np.where(first, np.arange(steps), 0))
    return np.asarray(x[(rng.integers(0, len(x), steps)[begun] + np.arange(steps) - begun) % len(x)])


def _two(real: Draw, made: Draw | None = None) -> Callable[[np.random.Generator], tuple[Any, ...]]:
    return lambda rng: _named(real(rng, REAL), (made or real)(rng, MADE))


def _copy(real: Draw, noise: float = 0.0) -> Callable[[np.random.Generator], tuple[Any, ...]]:
    def make(rng: np.random.Generator) -> tuple[Any, ...]:
        x = real(rng, REAL)
        copy = bootstrapped(x[:KNOWN], MADE, rng)
        return _named(x, copy + noise * rng.standard_normal(copy.shape))

    return make


def _changing(before: Draw, after: Draw) -> Callable[[np.random.Generator], tuple[Any, ...]]:
    """A real series that is another from where it is held out on, and one made as the first part is."""
    return lambda rng: _named(
        np.concatenate([before(rng, KNOWN), after(rng, REAL - KNOWN)]), before(rng, MADE)
    )


def _named(real: np.ndarray, made: np.ndarray) -> tuple[Any, ...]:
    return TimeSeries(real, name="real"), TimeSeries(made, name="made")


TWO = ("Series", "Series")
COMPARED = ("copying", "discriminator", "likeness")
LEARNT = {"usefulness": ("boosted", "linear")}
TOLD = ("told_apart",)
FEW = {"usefulness": {"n_boot": 12}}
WORLDS = (
    World(
        "one short memory",
        "two runs of an autoregression",
        TWO,
        _two(linear(SHORT)),
        only=COMPARED,
        covers=True,
    ),
    World("one swing", "two runs of noise that swings", TWO, _two(linear(SWING)), only=COMPARED),
    World(
        "one through exp",
        "two runs of an autoregression seen through the exponential function",
        TWO,
        _two(through_exp(linear(SHORT))),
        only=COMPARED,
    ),
    World(
        "one of three channels",
        "two runs of three coupled channels",
        TWO,
        _two(linear(SHORT, 3, 0.5)),
        only=COMPARED,
    ),
    World(
        "another order",
        "a swing, and its values in random order",
        TWO,
        _two(linear(SWING), shuffled(linear(SWING))),
        holds={"discriminator": TOLD, "likeness": ("autocorrelation",)},
    ),
    World(
        "other values",
        "an autoregression, and one of equal spread that is skewed",
        TWO,
        _two(linear(SHORT), through_exp(linear(SHORT))),
        holds={"discriminator": TOLD, "likeness": ("marginal", "tails")},
    ),
    World(
        "other coupling",
        "three coupled channels, and three that aren't coupled",
        TWO,
        _two(linear(SHORT, 3, 0.5), linear(SHORT, 3)),
        holds={"discriminator": TOLD, "likeness": ("between_channels",)},
    ),
    World(
        "changed later",
        "an autoregression that is skewed where it is held out, and one that isn't",
        TWO,
        _changing(linear(SHORT), through_exp(linear(SHORT))),
        holds={"discriminator": (*TOLD, "real_parts_told_apart")},
    ),
    World(
        "copied stretches",
        "an autoregression, and stretches of it one after the other",
        TWO,
        _copy(linear(SHORT)),
        holds={"copying": ("copied", "distance_to_closest")},
        covers=True,
    ),
    World(
        "copied with noise",
        "an autoregression, and stretches of it with a little noise",
        TWO,
        _copy(linear(SHORT), 0.1),
        holds={"copying": ("distance_to_closest",)},
    ),
    World(
        "order says nothing",
        "a swing, and its values in random order",
        TWO,
        _two(linear(SWING), shuffled(linear(SWING))),
        only=("usefulness",),
    ),
    World(
        "nothing to learn",
        "independent steps, and an autoregression",
        TWO,
        _two(linear(()), linear(SHORT)),
        only=("usefulness",),
    ),
    World(
        "order teaches",
        "two runs of noise that swings",
        TWO,
        _two(linear(SWING)),
        holds=LEARNT,
        parameters=FEW,
        covers=True,
    ),
)
