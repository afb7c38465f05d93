"""A series learnt without gradients: a fixed random body, one ridge regression, and residuals drawn where they arose.

Each channel becomes normal scores. The scores drive a body, a reservoir or the relay of `relay`, and a ridge regression reads the
next scores from its state and from the last few scores themselves. A free run feeds its own forecasts back, each with a residual
that the forecast left (leave-one-out) at one of the nearest states of the fit. In the end ranks are mapped back to the channel's
own values.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from workbench.core.errors import DataError, ParameterError
from workbench.numerics.medusa.counters import normals

if TYPE_CHECKING:
    from jaxtyping import Float

FEWEST, MOST = 50, 200_000
"""Steps of a series that is learnt, and of one that is made."""
MOST_UNITS, MOST_LAGS, MOST_CHANNELS = 2000, 20, 256
WASHOUT = 20  # steps in which the reservoir forgets its start
NEAREST_OF = 4000  # states among which the nearest are looked for; of more, evenly many
FOLDS = 5
PENALTIES = np.logspace(-3, 5, 17)
SETTLING = 100  # steps of a free run that are left out
REACH = 1.25  # a forecast is held within so many times the largest score: the readout's lags are linear and could run away
WEIGHTS, INPUTS, CHOICE, STATE, START = (2**20 + i for i in range(5))  # streams of one seed


@dataclass(frozen=True)
class Settings:
    """Numbers of a fit.

    Attributes
    ----------
    units : of the reservoir. radius : spectral radius of its weights, below 1, so that it forgets. leak : how much of a state is
        new each step. lags : last steps that the reservoir and the readout see. scores : whether channels become normal scores
        and ranks are mapped back; otherwise they are only centred and scaled. state_noise : of each unit, in the fit and the run.
        share : of the fit's states, those nearest to a state whose residuals it may have.

    Raises
    ------
    ParameterError
        A number outside its range.
    """

    units: int = 200
    radius: float = 0.9
    leak: float = 0.5
    lags: int = 2
    scores: bool = True
    state_noise: float = 0.0
    share: float = 0.05

    def __post_init__(self) -> None:
        for name, legal, said in (
            ("units", 1 <= self.units <= MOST_UNITS, f"a whole number from 1 to {MOST_UNITS:,}"),
            (
                "radius",
                0 <= self.radius < 1,
                "at least 0 and below 1; at 1 or above the reservoir needn't forget its start",
            ),
            ("leak", 0 < self.leak <= 1, "above 0 and at most 1"),
            ("lags", 1 <= self.lags <= MOST_LAGS, f"a whole number from 1 to {MOST_LAGS}"),
            ("state_noise", 0 <= self.state_noise <= 10, "from 0 to 10"),
            ("share", 0 < self.share <= 1, "above 0 and at most 1"),
        ):
            if not legal:
                raise ParameterError(f"{name}={getattr(self, name)!r} is not legal: {said}.")


class Body(Protocol):
    """What a series drives. Its state is what the readout sees, and what says which moments are alike."""

    def driven(self, seen: Float[np.ndarray, "n i"]) -> Float[np.ndarray, "n d"]:
        """The state after each row of a constant and the last scores, from rest."""

    def free(self, steps: int, seed: int, world: int) -> Callable[[int, np.ndarray, np.ndarray], np.ndarray]:
        """What takes the number of a step below ``steps``, the state (d,) and what is seen (i,) to the state that follows."""

    def scale(self, states: Float[np.ndarray, "n d"]) -> Float[np.ndarray, " d"]:
        """By what numbers of these states are divided, so that those of one kind don't outweigh another."""


@dataclass(frozen=True, eq=False)
class Reservoir:
    """A plain reservoir: units that leak, driven by what is seen through fixed random weights, of single precision.

    Attributes
    ----------
    recurrent : (u, u). into : (u, 1 + lags c), a constant's weight first.
    """

    recurrent: Float[np.ndarray, "u u"]
    into: Float[np.ndarray, "u i"]
    settings: Settings
    seed: int

    @classmethod
    def made(cls, seen: Float[np.ndarray, "n i"], settings: Settings, seed: int) -> Reservoir:
        """That of a seed, for rows as wide as these."""
        u, i = settings.units, seen.shape[1]
        recurrent = normals(seed, WEIGHTS, range(u), u, [0])[..., 0]
        largest = np.abs(np.linalg.eigvals(recurrent)).max()
        return cls(
            (recurrent * (settings.radius / largest)).astype(np.float32),
            inward(seed, u, i).astype(np.float32),
            settings,
            seed,
        )

    def driven(self, seen: Float[np.ndarray, "n i"]) -> Float[np.ndarray, "n u"]:
        """See `Body`."""
        u, leak = len(self.recurrent), self.settings.leak
        given = seen @ self.into.T.astype(np.float64) + _state_noise(
            self.settings, self.seed, len(seen), u, 0
        )
        weights = self.recurrent.astype(np.float64)
        states, r = np.empty((len(seen), u)), np.zeros(u)
        for t in range(len(seen)):
            r = (1 - leak) * r + leak * np.tanh(weights @ r + given[t])
            states[t] = r
        return states

    def free(self, steps: int, seed: int, world: int) -> Callable[[int, np.ndarray, np.ndarray], np.ndarray]:
        """See `Body`."""
        leak, noise = (
            self.settings.leak,
            _state_noise(self.settings, seed, steps, len(self.recurrent), world),
        )
        weights, into = self.recurrent.astype(np.float64), self.into.astype(np.float64)
        return lambda t, r, seen: (1 - leak) * r + leak * np.tanh(weights @ r + into @ seen + noise[t])

    def scale(self, states: Float[np.ndarray, "n u"]) -> Float[np.ndarray, " u"]:
        """See `Body`; all are of one kind."""
        return np.ones(states.shape[1])


def inward(seed: int, units: int, width: int) -> Float[np.ndarray, "u i"]:
    """Random weights of what is seen."""
    return normals(seed, INPUTS, range(units), width, [0])[..., 0] / np.sqrt(width)


@dataclass(frozen=True, eq=False)
class Learnt:
    """A body whose readout was fitted, and the series that it was learnt from, of single precision.

    Attributes
    ----------
    readout : (1 + lags c + d, c), of a constant, the lags and the state. series : (T, c), in its own units. settings : of the fit.
    penalty : of the ridge regression.
    """

    body: Body
    readout: Float[np.ndarray, "p c"]
    series: Float[np.ndarray, "T c"]
    settings: Settings
    penalty: float
    features: Float[np.ndarray, "n p"] = field(repr=False)
    scale: Float[np.ndarray, " d"] = field(repr=False)
    residuals: Float[np.ndarray, "n c"] = field(init=False, repr=False)
    """What each forecast of the fit left, had its own step been left out, in scores."""

    def __post_init__(self) -> None:
        z = scored(self.series, self.settings.scores)
        left = z[-len(self.features) + 1 :] - self.features[:-1] @ self.readout
        taken = leverage(self.features[:-1], self.penalty)
        object.__setattr__(self, "residuals", left / np.maximum(1 - taken, 1e-3)[:, None])

    def run(self, steps: int, seed: int = 0, world: int = 0) -> Float[np.ndarray, "steps c"]:
        """Let it run free.

        Parameters
        ----------
        steps : FEWEST to MOST. seed, world : of the residuals that are drawn; the same ones give the same series.

        Returns
        -------
        (steps, c) float64, in the units of the series that was learnt.

        Raises
        ------
        ParameterError
            A number of steps that isn't legal.
        """
        if not FEWEST <= steps <= MOST:
            raise ParameterError(f"steps={steps!r} is not legal: a whole number from {FEWEST} to {MOST:,}.")
        s, c, d = self.settings, self.series.shape[1], len(self.scale)
        whole = SETTLING + steps
        every = -(-(len(self.features) - 1) // NEAREST_OF)
        states, left = self.features[:-1:every, -d:], self.residuals[::every]
        near = max(1, round(s.share * len(states)))
        squares = np.square(states).sum(axis=1)
        chosen = _uniform(normals(seed, CHOICE, range(whole), 1, [world])[:, 0, 0])
        start = int(_uniform(normals(seed, START, range(1), 1, [world])).item() * (len(self.features) - 1))
        after = self.body.free(whole, seed, world)
        now = self.features[start].astype(np.float64)
        held = REACH * np.abs(scored(self.series, s.scores)).max(axis=0)
        made = np.empty((whole, c))
        for t in range(whole):
            far = squares - 2 * (states @ now[-d:])
            at = np.argpartition(far, near - 1)[:near]
            drawn = left[np.sort(at)[int(chosen[t] * near)]]
            made[t] = np.clip(now @ self.readout + drawn, -held, held)
            seen = np.concatenate([[1.0], made[t], now[1 : 1 + (s.lags - 1) * c]])
            now = np.concatenate([seen, after(t, now[-d:] * self.scale, seen) / self.scale])
        return unscored(made[SETTLING:], self.series, s.scores)


def fit(
    series: Float[np.ndarray, "T c"],
    settings: Settings | None = None,
    seed: int = 0,
    *,
    name: str = "the series",
    body: Callable[[np.ndarray, Any, int], Body] = Reservoir.made,
) -> Learnt:
    """Learn a series; see the head of this file.

    Parameters
    ----------
    series : finite, no channel constant. seed : of the body. name : what the series is called in a refusal.
    body : what makes the body of what drives it (rows of a constant and the last scores), the settings and the seed.

    Raises
    ------
    DataError
        Fewer than 50 steps or more than 200,000, more than 256 channels, a number that isn't finite, or a channel that is constant.

    References
    ----------
    Jaeger 2001, The echo state approach to analysing and training recurrent neural networks, GMD report 148; Lukoševičius 2012, A
    practical guide to applying echo state networks, in Neural Networks: Tricks of the Trade, for the leak and the ridge regression;
    Bergmeir, Hyndman and Koo 2018, A note on the validity of cross-validation for evaluating autoregressive time series prediction,
    Comput. Stat. Data Anal. 120, for the blocks; Lall and Sharma 1996, A nearest neighbor bootstrap for resampling hydrologic time
    series, Water Resour. Res. 32, for residuals of near states.
    """
    settings = settings or Settings()
    require_learnable(series, name)
    series = np.asarray(series).astype(np.float32)
    z = scored(series, settings.scores)
    seen = last_scores(z, settings.lags)
    made = body(seen, settings, seed)
    states = made.driven(seen)
    scale = made.scale(states[WASHOUT:])
    features = np.concatenate([seen, states / scale], axis=1)[WASHOUT:]
    past, future = features[:-1], z[-len(features) + 1 :]
    penalty = _validated(past, future)
    readout = _ridge(past.T @ past, past.T @ future, np.array([penalty]))[0].astype(np.float32)
    return Learnt(made, readout, series, settings, penalty, features, scale)


def require_learnable(series: np.ndarray, name: str = "the series") -> None:
    """Refuse a series that can't be learnt; see `fit`."""
    steps, channels = series.shape
    if not FEWEST <= steps <= MOST:
        raise DataError(f"{name} has {steps:,} steps; from {FEWEST} to {MOST:,} can be learnt.")
    if not 1 <= channels <= MOST_CHANNELS:
        raise DataError(
            f"{name} has {channels:,} channels; from 1 to {MOST_CHANNELS} can be learnt. Choose some of them."
        )
    if bad := int((~np.isfinite(series)).sum()):
        raise DataError(
            f"{name} holds {bad:,} numbers that aren't finite; all have to be. Fill the gaps, or leave those steps out at an end."
        )
    with np.errstate(over="ignore"):
        single = np.asarray(series).astype(np.float32)
    if not np.isfinite(single).all():
        raise DataError(
            f"{name} has numbers beyond 3e38, which single precision doesn't hold. Give it in other units."
        )
    if len(still := np.flatnonzero(np.ptp(single, axis=0) == 0)):
        raise DataError(
            f"Channel {still[0]} of {name} is constant in single precision: there is nothing to learn. Leave it out, or take off its mean."
        )


def scored(series: Float[np.ndarray, "T c"], ranked: bool) -> Float[np.ndarray, "T c"]:
    """Normal scores of each channel, equal values alike; or the channel less its mean, over its spread."""
    from scipy.special import ndtri
    from scipy.stats import rankdata

    x = series.astype(np.float64)
    if not ranked:
        return np.asarray((x - x.mean(axis=0)) / x.std(axis=0))
    return np.asarray(ndtri((rankdata(x, axis=0) - 0.5) / len(x)))


def unscored(
    z: Float[np.ndarray, "n c"], series: Float[np.ndarray, "T c"], ranked: bool
) -> Float[np.ndarray, "n c"]:
    """Give each rank of ``z`` the value that the same rank has in the series, between two of them in proportion."""
    x = series.astype(np.float64)
    if not ranked:
        return z * x.std(axis=0) + x.mean(axis=0)
    n, steps = len(z), len(x)
    rank = np.argsort(np.argsort(z, axis=0, kind="stable"), axis=0)
    place = np.clip((rank + 0.5) / n * steps - 0.5, 0, steps - 1)
    ordered = np.sort(x, axis=0)
    return np.stack(
        [np.interp(place[:, j], np.arange(steps), ordered[:, j]) for j in range(z.shape[1])], axis=1
    )


def last_scores(z: Float[np.ndarray, "T c"], lags: int) -> Float[np.ndarray, "n i"]:
    """A constant and the last scores at each step, the newest first."""
    first, steps = lags - 1, len(z)
    return np.concatenate(
        [np.ones((steps - first, 1)), *(z[first - k : steps - k] for k in range(lags))], axis=1
    )


def leverage(features: Float[np.ndarray, "n p"], penalty: float) -> Float[np.ndarray, " n"]:
    """How much each row's own target moves its ridge forecast: the diagonal of the hat matrix."""
    gram = features.T @ features
    solved = np.linalg.solve(gram + penalty * np.diag(_penalised(len(gram))), features.T)
    return np.asarray((features * solved.T).sum(axis=1))


def _penalised(p: int) -> np.ndarray:
    """All but the constant; the least bit of it too, so that there is always one answer."""
    return np.concatenate([[1e-8], np.ones(p - 1)])


def _ridge(gram: np.ndarray, target: np.ndarray, penalties: np.ndarray) -> np.ndarray:
    """(k, p, c) coefficients for each penalty."""
    scale = np.sqrt(_penalised(len(gram)))
    values, vectors = np.linalg.eigh(gram / scale[:, None] / scale)
    turned = vectors.T @ (target / scale[:, None])
    found = vectors @ (turned / (values.clip(0)[:, None] + penalties[:, None, None]))
    return np.asarray(found / scale[:, None])


def _validated(past: Float[np.ndarray, "n p"], future: Float[np.ndarray, "n c"]) -> float:
    """The penalty that forecasts blocks best which took no part in the fit."""
    error = np.zeros(len(PENALTIES))
    gram, target = past.T @ past, past.T @ future
    for at in np.array_split(np.arange(len(past)), FOLDS):
        some, held = past[at], future[at]
        found = _ridge(gram - some.T @ some, target - some.T @ held, PENALTIES)
        error += np.square(some @ found - held).sum(axis=(1, 2))
    return float(PENALTIES[error.argmin()])


def _uniform(z: np.ndarray) -> np.ndarray:
    """Normal numbers as uniform ones, below 1."""
    from scipy.special import ndtr

    return np.minimum(ndtr(z), 1 - 2**-53)


def _state_noise(settings: Settings, seed: int, steps: int, units: int, world: int) -> np.ndarray:
    if settings.state_noise == 0:
        return np.zeros((steps, 1))
    return settings.state_noise * normals(seed, STATE, range(steps), units, [world])[..., 0]
