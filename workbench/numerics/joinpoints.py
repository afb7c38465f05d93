"""Joinpoint regression: lines joined at unknown places, in noise whose memory isn't known either."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from workbench.numerics.slow_noise import SlowNoise, cosines, family
from workbench.numerics.threads import one_thread

if TYPE_CHECKING:
    from jaxtyping import Float, Int

CANDIDATES = 30  # places that are tried for a joint, before the best is moved to where it fits best
WINDOWS = 6  # of a curve, over each of which the noise's size is taken for even
BLOCK = 8  # second differences of independent noise depend on each other over three
UNEVEN = 10.0  # times its median the noise is taken to be at most
ONE, TWO = 1.0, 1 / 1.5
"""What a log-likelihood gained by one more joint counts, and by two: two gain more by chance."""
TOGETHER = 64  # draws whose gains are held at once


@dataclass(frozen=True)
class Joined:
    """Lines joined at knots, fitted by generalized least squares.

    Attributes
    ----------
    knots : positions in the curve, ascending. curve : (n,) fitted.
    slopes : of each line, per unit of the clock.
    noise : the likeliest about them. scale : of it.
    """

    knots: Int[np.ndarray, " k"]
    curve: Float[np.ndarray, " n"]
    slopes: Float[np.ndarray, " r"]
    noise: SlowNoise
    scale: float

    @property
    def bounds(self) -> Int[np.ndarray, " b"]:
        """Positions where a line begins, and the last."""
        return np.concatenate([[0], self.knots, [len(self.curve) - 1]]).astype(int)


class MoreJoints(NamedTuple):
    """Whether there are more joints than those found.

    Attributes
    ----------
    value : log-likelihood that they gain, two counted as `TWO` says. draws : of curves without them.
    noise : the one that these were drawn with. joints : more that were found, 0 to 2.
    """

    value: float
    draws: Float[np.ndarray, " m"]
    noise: SlowNoise
    joints: int


def candidates(n: int, shortest: int, knots: Int[np.ndarray, " k"]) -> Int[np.ndarray, " c"]:
    """Positions of another knot, no line being shorter than ``shortest`` points."""
    places = np.unique(
        np.linspace(shortest, n - 1 - shortest, min(CANDIDATES, max(n - 2 * shortest, 0))).astype(int)
    )
    near = np.abs(places[:, None] - np.asarray(knots)[None, :]) < shortest
    return places[~near.any(axis=1)]


def noise_size(y: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
    """How large the noise is along a curve, relative to its median: from second differences in a window that moves.

    Losses often waver more, relative to what they are, the lower they come; stretches of little noise then say more. It is 1
    where it may be even: an estimate that wavers bends slow noise, which then looks as if it changed its pace. It may be
    where the second differences, in blocks of `BLOCK` that are put in a random order, make it waver as much in one of 100.
    """
    bends = np.square(np.diff(y, 2, prepend=y[1], append=y[-2]))
    if not np.median(bends) > 0:
        return np.ones(len(y))
    rng = np.random.default_rng(0)
    blocks = np.array_split(bends, max(len(y) // BLOCK, 2))
    shuffled = (np.concatenate([blocks[i] for i in rng.permutation(len(blocks))]) for _ in range(99))
    size = _smoothed(bends)
    if any(np.log(_smoothed(b)).std() >= np.log(size).std() for b in shuffled):
        return np.ones(len(y))
    return np.clip(size / np.median(size), 1 / UNEVEN, UNEVEN)


def _smoothed(bends: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
    from scipy.ndimage import uniform_filter1d

    floor = 1e-9 * bends.mean()
    return np.sqrt(uniform_filter1d(bends, max(len(bends) // WINDOWS, 5), mode="reflect") + floor)


def design(clock: np.ndarray, knots: np.ndarray) -> Float[np.ndarray, "n c"]:
    """The clock, and a hinge at each knot, which bends the line from there on; a constant is in no half-wave."""
    return np.column_stack([clock, *(np.maximum(clock - clock[k], 0) for k in np.sort(knots))])


class Gains(NamedTuple):
    """Log-likelihoods of each noise, (models, draws): without more joints (and restricted), with the best one and two.

    Attributes
    ----------
    one, two : where those are, by the likeliest noise, (draws,) indices.
    """

    none: np.ndarray
    restricted: np.ndarray
    one: np.ndarray
    two: np.ndarray
    at_one: np.ndarray
    at_two: np.ndarray

    @property
    def value(self) -> Float[np.ndarray, " draws"]:
        """What more joints gain."""
        none = self.none.max(axis=0)
        return np.maximum(ONE * (self.one.max(axis=0) - none), TWO * (self.two.max(axis=0) - none))


class Joints:
    """What one or two more joints gain beside those found, in any noise of the family.

    Found joints may lie beside their true places. So a step at each is fitted too, which is what a hinge loses when it is
    moved a little: what is gained by another isn't that.

    Parameters
    ----------
    clock : (n,) ascending. models : the family. knots : joints that were found. shortest : points of a line.
    """

    def __init__(
        self, clock: np.ndarray, models: Sequence[SlowNoise], knots: Int[np.ndarray, " k"], shortest: int
    ):
        n = len(clock)
        self.models, waves = models, cosines(n)
        self.places = candidates(n, shortest, knots)
        steps = [(np.arange(n) > k).astype(float) for k in knots]
        fixed = waves @ np.column_stack([design(clock, knots), *steps])
        hinges = waves @ np.maximum(clock[:, None] - clock[self.places], 0)
        self.first, self.second = (
            a for a in np.nonzero(self.places[None, :] - self.places[:, None] >= shortest)
        )
        rest, unit, angles, volume = [], [], [], []
        for model in self.models:
            basis, s, _ = np.linalg.svd(model.inverse @ fixed, full_matrices=False)
            left = model.inverse - basis @ (basis.T @ model.inverse)
            bends = left @ hinges
            bends /= np.maximum(np.linalg.norm(bends, axis=0), 1e-300)
            rest.append(left)
            unit.append(bends.T @ left)
            angles.append((bends.T @ bends)[self.first, self.second])
            volume.append(np.log(s).sum())
        self.rest, self.unit, self.angles = np.array(rest), np.array(unit), np.array(angles)
        self.volume, self.parameters = np.array(volume)[:, None], fixed.shape[1]
        self.log_root = np.array([m.log_root for m in self.models])[:, None]

    def gains(self, waves: Float[np.ndarray, "q draws"]) -> Gains:
        """Of curves given by their cosines, a column each."""
        q = len(waves)
        square = np.square(self.rest @ waves).sum(axis=1)
        square = np.maximum(square, 1e-24 * np.square(waves).sum(axis=0) + 1e-300)
        along = self.unit @ waves
        one = np.full_like(square, -np.inf)
        two, at_one, at_two = one.copy(), np.zeros(one.shape, int), np.zeros(one.shape, int)
        for g in range(len(square)):
            if len(self.places):
                at_one[g] = np.square(along[g]).argmax(axis=0)
                one[g] = _best(np.square(along[g]), at_one[g])
            if len(self.first):
                a, b, c = along[g][self.first], along[g][self.second], self.angles[g][:, None]
                both = (a * a + b * b - 2 * c * a * b) / np.maximum(1 - c * c, 1e-9)
                at_two[g] = both.argmax(axis=0)
                two[g] = _best(both, at_two[g])

        def likelihood(left: np.ndarray, points: int = q) -> np.ndarray:
            left = np.maximum(left, 1e-12 * square)
            return np.asarray(-points / 2 * np.log(left / points) - self.log_root)

        one, two = (np.where(np.isfinite(g), likelihood(square - g), -np.inf) for g in (one, two))
        return Gains(
            likelihood(square),
            likelihood(square, max(q - self.parameters, 1)) - self.volume,
            one,
            two,
            _best(at_one, one.argmax(axis=0)),
            _best(at_two, two.argmax(axis=0)),
        )

    def ask(self, waves: Float[np.ndarray, " q"], level: float, n_null: int, random_state: int) -> MoreJoints:
        """Say whether one or two more joints gain more than in curves without; two where one alone isn't beyond chance.

        The draws are of the noise that is likeliest if there are no more. That takes a change for slow noise where it can be,
        so that little is found; but the noise that is likeliest beside two more takes slow noise for changes: in 30 to 45 of
        100 steady curves, where it is nearly a random walk.
        """
        found = self.gains(waves[:, None])
        noise = self.models[int(found.restricted[:, 0].argmax())]
        rng = np.random.default_rng([random_state, 0x6A6F696E])
        draws, ones = np.empty(n_null), np.empty(n_null)
        for start in range(0, n_null, TOGETHER):
            made = self.gains(noise.draw(min(TOGETHER, n_null - start), rng))
            draws[start : start + TOGETHER] = made.value
            ones[start : start + TOGETHER] = made.one.max(axis=0) - made.none.max(axis=0)
        value, one = float(found.value[0]), float(found.one.max() - found.none.max())
        joints = 0
        if _p(value, draws) <= level:
            joints = 1 if _p(one, ones) <= level or not np.isfinite(found.two).any() else 2
        return MoreJoints(value, draws, noise, joints)

    def places_of(self, waves: Float[np.ndarray, " q"], joints: int) -> Int[np.ndarray, " j"]:
        """Where the best one or two more joints are."""
        found = self.gains(waves[:, None])
        if joints == 1:
            return self.places[[found.at_one[0]]]
        return self.places[[self.first[found.at_two[0]], self.second[found.at_two[0]]]]


def fit_joined(
    clock: np.ndarray, y: np.ndarray, knots: Int[np.ndarray, " k"], models: Sequence[SlowNoise]
) -> Joined:
    """Fit lines joined at given knots, in the likeliest of several noises (by restricted likelihood)."""
    columns, d = design(clock, knots), cosines(len(y))
    x, z = d @ columns, d @ y

    def fitted(model: SlowNoise) -> tuple[float, np.ndarray, float]:
        white, bent = model.inverse @ z, model.inverse @ x
        weights, _, _, s = np.linalg.lstsq(bent, white, rcond=None)
        left = max(float(np.square(white - bent @ weights).sum()), 1e-300)
        points = max(len(z) - len(s), 1)
        likelihood = -points / 2 * np.log(left / points) - model.log_root - np.log(s).sum()
        return float(likelihood), weights, left / points

    tried = [(m, *fitted(m)) for m in models]
    model, _, weights, variance = max(tried, key=lambda m: m[1])
    curve = columns @ weights
    curve = curve + np.average(y - curve, weights=1 / np.square(model.size))
    return Joined(np.sort(knots), curve, np.cumsum(weights), model, float(np.sqrt(variance)))


def unlikely(clock: np.ndarray, y: np.ndarray, models: Sequence[SlowNoise]) -> float:
    """How much a single line in the likeliest noise lacks: its negative log-likelihood."""
    waves = cosines(len(y)) @ y
    return -float(Joints(clock, models, np.empty(0, int), len(y)).gains(waves[:, None]).none.max())


def moved(
    clock: np.ndarray,
    waves: Float[np.ndarray, " q"],
    knots: Int[np.ndarray, " k"],
    shortest: int,
    noise: SlowNoise,
) -> Int[np.ndarray, " k"]:
    """Move each knot in turn to its best place until none moves."""
    n, knots = len(clock), np.sort(knots)
    d = cosines(n)
    for _ in range(3):
        before = knots.copy()
        for j in range(len(knots)):
            others = np.delete(knots, j)
            reach = max(n // CANDIDATES, shortest)
            near = np.arange(max(shortest, knots[j] - reach), min(n - 1 - shortest, knots[j] + reach) + 1)
            near = near[(np.abs(near[:, None] - others[None, :]) >= shortest).all(axis=1)]
            near = np.union1d(near, candidates(n, shortest, others))
            if not len(near):
                continue
            basis, _ = np.linalg.qr(noise.inverse @ (d @ design(clock, others)))
            bends = noise.inverse @ (d @ np.maximum(clock[:, None] - clock[near], 0))
            bends -= basis @ (basis.T @ bends)
            white = noise.inverse @ waves
            gain = np.square(bends.T @ white) / np.maximum(np.square(bends).sum(axis=0), 1e-300)
            knots[j] = near[gain.argmax()]
        if np.array_equal(before, knots):
            break
    return np.sort(knots)


def refitted(
    clock: np.ndarray, fit: Joined, shortest: int, many: int, rng: np.random.Generator
) -> list[Joined]:
    """Lines fitted again to curves redrawn along them, joints sought anew around theirs."""
    d = cosines(len(clock))
    signal = d @ fit.curve
    again = []
    with one_thread():
        for noise in fit.noise.draw(many, rng).T:
            waves = signal + fit.scale * noise
            knots = moved(clock, waves, fit.knots, shortest, fit.noise)
            again.append(fit_joined(clock, d.T @ waves, knots, (fit.noise,)))
    return again


def sequence(
    clock: np.ndarray,
    y: np.ndarray,
    *,
    shortest: int,
    most: int,
    level: float,
    n_null: int,
    random_state: int,
) -> tuple[Joined, list[tuple[int, MoreJoints]]]:
    """Add joints while more than those found gain more than in curves without them at ``level``.

    One or two at a time: a rest is two, and either alone gains little.

    Returns
    -------
    The lines, and the tests, each with how many joints had been found before it.

    References
    ----------
    Kim, Fay, Feuer, Midthune 2000, Permutation tests for joinpoint regression with applications to cancer rates,
    Statist. Med. 19; Bai and Perron 1998, Estimating and testing linear models with multiple structural changes,
    Econometrica 66 (more changes against those found; up to several against none).
    """
    models, waves = family(noise_size(y)), cosines(len(y)) @ y
    knots = np.empty(0, int)
    tests: list[tuple[int, MoreJoints]] = []
    fit = fit_joined(clock, y, knots, models)
    while len(knots) < most:
        joints = Joints(clock, models, knots, shortest)
        if not len(joints.places):
            break
        test = joints.ask(waves, level, n_null, random_state + len(knots))
        tests.append((len(knots), test))
        if not test.joints:
            break
        more = joints.places_of(waves, min(test.joints, most - len(knots)))
        knots = np.append(knots, more)
        fit = fit_joined(clock, y, knots, models)
        knots = moved(clock, waves, knots, shortest, fit.noise)
        fit = fit_joined(clock, y, knots, models)
    return fit, tests


def _best(values: np.ndarray, at: np.ndarray) -> np.ndarray:
    return np.asarray(np.take_along_axis(values, at[None, :], axis=0)[0])


def _p(value: float, draws: Float[np.ndarray, " m"]) -> float:
    return (1 + int((draws >= value).sum())) / (1 + len(draws))
