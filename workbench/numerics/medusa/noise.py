"""What drives a world: Wiener, correlated, coloured (Ornstein-Uhlenbeck) and fractional Brownian noise, each exact.

A noise is a value; `start` gives what draws it for some worlds, `take` its next steps. Taking 100 steps, or 37 and then 63,
or one world of many, gives the same numbers to the last bit.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

import numpy as np

from workbench.core.errors import DataError, ParameterError
from workbench.numerics.medusa.counters import normals

if TYPE_CHECKING:
    from jaxtyping import Float

WIENER, AREA, COLOUR, FIRST_COLOUR, SPECTRUM = range(
    5
)  # streams of one noise; `STREAMS` apart from another's
STREAMS = 8
LONGEST = 2**22  # steps of a fractional noise, which is drawn as a whole


@dataclass(frozen=True, eq=False)
class Increments:
    """What a noise does in some steps.

    Attributes
    ----------
    dw : (steps, n, worlds), the increment of each step.
    dz : (steps, n, worlds), the integral over each step of what the noise has moved since the step began: a scheme of
        order 1.5 reads it. None where the noise has none (fractional).
    """

    dw: Float[np.ndarray, "steps n worlds"]
    dz: Float[np.ndarray, "steps n worlds"] | None


class Drawing(Protocol):
    """What draws a noise, step after step."""

    def take(self, steps: int, *, integrals: bool = True) -> Increments:
        """Give the next steps.

        Without their integrals, which few schemes read, they may lie where those of the last such call lay.
        """


class NoiseKind(Protocol):
    """Noise of some kind."""

    def start(self, seed: int, worlds: Sequence[int], n: int, h: float, which: int = 0) -> Drawing:
        """Begin to draw it.

        Parameters
        ----------
        seed, worlds : see `normals`. n : nodes. h : length of a step. which : of several noises of one world.
        """


def coarser(fine: Increments, h: float, by: int) -> Increments:
    """Sum ``by`` steps of length ``h`` into one: the same path in longer steps.

    References
    ----------
    Kloeden and Platen 1992, Numerical solution of stochastic differential equations, section 10.4, for the sums.
    """
    steps, n, worlds = fine.dw.shape
    dw = fine.dw.reshape(steps // by, by, n, worlds)
    if fine.dz is None:
        return Increments(dw.sum(axis=1), None)
    before = np.cumsum(dw, axis=1) - dw
    dz = (fine.dz.reshape(dw.shape) + h * before).sum(axis=1)
    return Increments(dw.sum(axis=1), dz)


@dataclass(frozen=True)
class Wiener:
    """Independent Wiener processes, one a node."""

    def start(self, seed: int, worlds: Sequence[int], n: int, h: float, which: int = 0) -> _Wiener:
        return _Wiener(seed, worlds, n, h, STREAMS * which)


@dataclass
class _Wiener:
    seed: int
    worlds: Sequence[int]
    n: int
    h: float
    stream: int
    at: int = 0
    room: np.ndarray | None = None  # getting memory takes longer than filling it

    def take(self, steps: int, *, integrals: bool = True) -> Increments:
        drawn = range(self.at, self.at + steps)
        self.at += steps
        if not integrals:
            if self.room is None or len(self.room) < steps:
                self.room = np.empty((steps, self.n, len(self.worlds)))
            dw = normals(self.seed, self.stream + WIENER, drawn, self.n, self.worlds, self.room[:steps])
            dw *= np.sqrt(self.h)
            return Increments(dw, None)
        z = normals(self.seed, self.stream + WIENER, drawn, self.n, self.worlds)
        other = normals(self.seed, self.stream + AREA, drawn, self.n, self.worlds)
        return Increments(np.sqrt(self.h) * z, self.h**1.5 / 2 * (z + other / np.sqrt(3)))


@dataclass(frozen=True, eq=False)
class Correlated:
    """Wiener processes with a covariance (n, n) per unit of time.

    Raises
    ------
    DataError
        The matrix is no covariance: not square, not finite, not symmetric, or with a negative eigenvalue.
    """

    covariance: Float[np.ndarray, "n n"]
    factor: Float[np.ndarray, "n n"] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "factor", _factor(np.asarray(self.covariance, dtype=np.float64)))

    def start(self, seed: int, worlds: Sequence[int], n: int, h: float, which: int = 0) -> _Correlated:
        if n != len(self.factor):
            raise DataError(f"The noise is of {len(self.factor):,} nodes and the world has {n:,}.")
        return _Correlated(Wiener().start(seed, worlds, n, h, which), self.factor)


@dataclass
class _Correlated:
    plain: _Wiener
    factor: np.ndarray

    def take(self, steps: int, *, integrals: bool = True) -> Increments:
        plain = self.plain.take(steps, integrals=integrals)
        return Increments(
            _mixed(self.factor, plain.dw), None if plain.dz is None else _mixed(self.factor, plain.dz)
        )


def _mixed(factor: np.ndarray, drawn: np.ndarray) -> np.ndarray:
    """Factor times drawn, node by node: a product of matrices sums in an order that depends on how many worlds there are."""
    mixed = np.zeros_like(drawn)
    for j in range(factor.shape[1]):
        mixed[:, j:] += factor[j:, j, None] * drawn[:, j : j + 1]  # the factor is lower triangular
    return mixed


def _factor(covariance: np.ndarray) -> np.ndarray:
    """The lower triangular L with L Lᵀ = covariance, of one that may be singular too."""
    if covariance.ndim != 2 or covariance.shape[0] != covariance.shape[1]:
        raise DataError(f"A covariance is a square matrix; this array has the shape {covariance.shape}.")
    if not np.isfinite(covariance).all() or not np.allclose(covariance, covariance.T, atol=1e-10):
        raise DataError("A covariance is finite and symmetric; this matrix isn't. Try (c + c.T) / 2.")
    try:
        return np.linalg.cholesky(covariance)
    except np.linalg.LinAlgError:
        values, vectors = np.linalg.eigh(covariance)
        if values[0] < -1e-10 * max(values[-1], 1e-300):
            raise DataError(
                f"A covariance has no eigenvalue below 0; the lowest of this matrix is {values[0]:.3g}."
            ) from None
        root = np.sqrt(values.clip(0)) * vectors
        upper = np.linalg.qr(root.T)[1]
        return (upper * np.where(np.diag(upper) < 0, -1.0, 1.0)[:, None]).T


@dataclass(frozen=True)
class Coloured:
    """Ornstein-Uhlenbeck noise: the force ξ of dξ = -θ ξ dt + θ dB, begun in its stationary state; an increment is ∫ξ dt.

    The step is exact for any length. As the rate θ grows it becomes the Wiener process that drives it.

    Raises
    ------
    ParameterError
        A rate that isn't above 0.
    """

    rate: float = 1.0

    def __post_init__(self) -> None:
        if not (np.isfinite(self.rate) and self.rate > 0):
            raise ParameterError(
                f"rate={self.rate!r} is not legal: a number above 0, one over a memory's length."
            )

    def start(self, seed: int, worlds: Sequence[int], n: int, h: float, which: int = 0) -> _Coloured:
        stream = STREAMS * which
        first = normals(seed, stream + FIRST_COLOUR, range(1), n, worlds)[0]
        return _Coloured(seed, worlds, n, h, self.rate, stream, np.sqrt(self.rate / 2) * first)


@dataclass
class _Coloured:
    seed: int
    worlds: Sequence[int]
    n: int
    h: float
    rate: float
    stream: int
    force: np.ndarray
    at: int = 0

    def take(self, steps: int, *, integrals: bool = True) -> Increments:
        drawn = range(self.at, self.at + steps)
        self.at += steps
        z, other = (normals(self.seed, self.stream + s, drawn, self.n, self.worlds) for s in (WIENER, COLOUR))
        kept, moved, along, apart = ou_step(self.rate, self.h)
        dw = np.empty_like(z)
        for i in range(steps):  # ∫ξ dt = ΔB - Δξ / θ
            force = kept * self.force + along * z[i] + apart * other[i]
            dw[i] = moved * z[i] - (force - self.force) / self.rate
            self.force = force
        return Increments(dw, None)


def ou_step(rate: float, h: float) -> tuple[float, float, float, float]:
    """Say how dξ = -θ ξ dt + θ dB moves in one step, exactly.

    Returns
    -------
    kept : share of ξ that stays. moved : of the Wiener process per unit normal. along, apart : of ξ per unit of that normal, and
        of one that is independent of it.

    References
    ----------
    Gillespie 1996, Exact numerical simulation of the Ornstein-Uhlenbeck process and its integral, Phys. Rev. E 54.
    """
    kept, moved = np.exp(-rate * h), np.sqrt(h)
    along = -np.expm1(-rate * h) / moved
    variance = -rate * np.expm1(-2 * rate * h) / 2
    return float(kept), float(moved), float(along), float(np.sqrt(max(variance - along**2, 0.0)))


@dataclass(frozen=True)
class Fractional:
    """Fractional Brownian motion of a Hurst exponent, drawn as a whole of ``steps`` steps by circulant embedding, exactly.

    Its increments remember (above ½) or turn back (below ½). It is no semimartingale, so that only a noise that is added
    has a meaning by itself; a noise that the state scales is refused by whoever integrates.

    Raises
    ------
    ParameterError
        An exponent outside (0, 1), or more steps than are drawn as a whole.

    References
    ----------
    Davies and Harte 1987, Tests for Hurst effect, Biometrika 74. Craigmile 2003, Simulating a class of stationary Gaussian
    processes using the Davies-Harte algorithm, J. Time Ser. Anal. 24, for that no eigenvalue is negative.
    """

    hurst: float
    steps: int

    def __post_init__(self) -> None:
        if not 0 < self.hurst < 1:
            raise ParameterError(
                f"hurst={self.hurst!r} is not legal: a number above 0 and below 1; ½ is Wiener's."
            )
        if not 1 <= self.steps <= LONGEST:
            raise ParameterError(f"steps={self.steps!r} is not legal: a whole number from 1 to {LONGEST:,}.")

    def start(self, seed: int, worlds: Sequence[int], n: int, h: float, which: int = 0) -> _Fractional:
        size = 2 * self.steps
        root = np.sqrt(embedded(self.hurst, self.steps) / size)
        z = normals(seed, STREAMS * which + SPECTRUM, range(2 * size), n, worlds)
        dw = np.empty((self.steps, n, len(worlds)))
        for w in range(len(worlds)):  # world by world, so that one alone is the same one
            wave = root[:, None] * (z[:size, :, w] + 1j * z[size:, :, w])
            dw[:, :, w] = np.fft.fft(wave, axis=0).real[: self.steps]
        return _Fractional(h**self.hurst * dw)


def fractional_covariance(hurst: float, lags: np.ndarray) -> np.ndarray:
    """Covariance of increments of unit length at these lags (Mandelbrot and Van Ness 1968)."""
    k = np.abs(lags).astype(np.float64)
    return (np.abs(k + 1) ** (2 * hurst) - 2 * k ** (2 * hurst) + np.abs(k - 1) ** (2 * hurst)) / 2


def embedded(hurst: float, steps: int) -> Float[np.ndarray, " 2*steps"]:
    """Eigenvalues of the circle of 2 * steps increments in which a path's covariance is embedded."""
    lags = np.minimum(np.arange(2 * steps), 2 * steps - np.arange(2 * steps))
    values = np.fft.fft(fractional_covariance(hurst, lags)).real
    return values.clip(0)  # none is negative but by rounding


@dataclass
class _Fractional:
    dw: np.ndarray
    at: int = 0

    def take(self, steps: int, *, integrals: bool = True) -> Increments:
        if self.at + steps > len(self.dw):
            raise DataError(
                f"The fractional noise was drawn for {len(self.dw):,} steps, and step {self.at + steps:,} was asked for."
            )
        self.at += steps
        return Increments(self.dw[self.at - steps : self.at], None)
