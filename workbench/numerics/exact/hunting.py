"""Inputs at which two networks may differ, sought in floating point; whoever gets one computes there without rounding.

Most pairs that aren't equal differ at any input that is drawn. The others differ where a unit that only one of them has is
at work, which may be a corner that no draw meets: such a corner is climbed to, along the unit's own gradient.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from workbench.numerics.exact.expansion import ONE, Basis, Row, Rows
from workbench.numerics.exact.solving import reachable

DRAWN = 512  # inputs at each scale
SCALES = (1 / 64, 1 / 8, 1.0, 8.0, 64.0, 4096.0)  # of inputs without bounds
STARTS, ROUNDS = 6, 12  # inputs from which a unit is climbed to, and steps at most
MOST = 4_000_000  # numbers of a gradient that are held at once; a larger network is only drawn at
HALVINGS = 60  # of the distance to a hyperplane, before no input beside it is found
SIDES = 4  # lines across a hyperplane that are tried


@dataclass(frozen=True, eq=False)
class Hunt:
    """Attributes
    ----------
    suspects : inputs at which the difference seems largest, most likely first.
    signs : of each function whose sum had one sign wherever it was looked at, that sign.
    """

    suspects: list[np.ndarray]
    signs: dict[int, int]


def hunt(rest: Rows, basis: Basis, random_state: int, most: int = 3) -> Hunt:
    """Look for inputs at which a difference of rectifiers' sums isn't 0.

    Parameters
    ----------
    rest : the difference, an output a row. most : how many inputs are returned.
    """
    net = _Floats(rest, basis)
    rng = np.random.default_rng([random_state, 0x68756E74])
    x = _drawn(basis, rng)
    values = net.values(x)
    pool, size = [x], STARTS * (len(net.places) + basis.inputs + 1) * basis.inputs
    signs = net.signs(values)
    if size <= MOST:
        for k in [k for k, s in signs.items() if s]:
            pool.append(_climbed(net, k, -signs[k], x, values, basis, rng))
    x = np.concatenate(pool)
    values = net.values(x)
    apart = np.abs(net.outputs(values)).max(axis=1)
    # Where numbers are large a difference is, too: so it is set beside what is added up to it.
    share = apart / np.maximum(net.sizes(values), np.finfo(np.float64).tiny)
    order = dict.fromkeys(
        int(i) for pair in zip(np.argsort(-apart), np.argsort(-share), strict=True) for i in pair
    )
    suspects = [x[i] for i in list(order)[: 2 * most] if apart[i] > 0]
    return Hunt(suspects, {k: s for k, s in net.signs(values).items() if s})


class _Floats:
    """Functions of a basis in floating point, each divided by a whole number that keeps it in range.

    A rectifier may be: relu(z) / s = relu(z / s).
    """

    def __init__(self, rest: Rows, basis: Basis):
        self.inputs = basis.inputs
        self.places = reachable(rest.rows, basis)
        self.scale: dict[int, int] = dict.fromkeys(range(self.inputs + 1), 1)
        self.column = {k: k for k in range(self.inputs + 1)}
        self.sums: list[tuple[np.ndarray, np.ndarray]] = []
        for k in self.places:
            f = basis.function(k)
            assert f is not None
            self.scale[k], weights = self._weights(dict(f.sum))
            self.column[k] = self.inputs + 1 + len(self.sums)
            self.sums.append(weights)
        self.rows = [self._weights(row)[1] for row in rest.rows if row]

    def _weights(self, row: Row) -> tuple[int, tuple[np.ndarray, np.ndarray]]:
        whole = {k: c * self.scale[k] for k, c in row.items()}
        scale = max(map(abs, whole.values()))
        at = np.array([self.column[k] for k in whole], np.int64)
        return scale, (at, np.array([c / scale for c in whole.values()]))

    def values(self, x: np.ndarray) -> np.ndarray:
        """Return 1, the inputs and every function's sum, which is its value where positive: (columns, n)."""
        out = np.empty((self.inputs + 1 + len(self.sums), len(x)))
        out[0], out[1 : self.inputs + 1] = 1, x.T
        for i, (at, weights) in enumerate(self.sums, self.inputs + 1):
            out[i] = weights @ self.activated(out, at)
        return out

    def activated(self, values: np.ndarray, at: np.ndarray) -> np.ndarray:
        some = values[at]
        return np.where((at > self.inputs)[:, None], np.maximum(some, 0), some)

    def outputs(self, values: np.ndarray) -> np.ndarray:
        return np.array([weights @ self.activated(values, at) for at, weights in self.rows]).T

    def sizes(self, values: np.ndarray) -> np.ndarray:
        return np.max(
            [np.abs(weights) @ np.abs(self.activated(values, at)) for at, weights in self.rows], axis=0
        )

    def signs(self, values: np.ndarray) -> dict[int, int]:
        """The sign that a function's sum always has, 0 where it has both."""
        sums = values[self.inputs + 1 :]
        positive, negative = np.any(sums > 0, axis=1), np.any(sums < 0, axis=1)
        return {
            k: int(p) - int(n)
            for k, p, n in zip(self.places, positive.tolist(), negative.tolist(), strict=True)
        }

    def gradient(self, values: np.ndarray, k: int) -> np.ndarray:
        """Of one function's sum in the inputs: (n, inputs)."""
        last = self.column[k]
        slopes = np.zeros((last + 1, values.shape[1], self.inputs))
        for j in range(1, self.inputs + 1):
            slopes[j, :, j - 1] = 1
        for i, (at, weights) in enumerate(self.sums[: last - self.inputs], self.inputs + 1):
            at_work = np.where((at > self.inputs)[:, None], values[at] > 0, True)
            slopes[i] = np.einsum("k,kn,knd->nd", weights, at_work, slopes[at])
        return slopes[last]


def _drawn(basis: Basis, rng: np.random.Generator) -> np.ndarray:
    low, high = bounds(basis)
    shape = (DRAWN, basis.inputs)
    if np.isfinite(low) and np.isfinite(high):
        corners = np.where(rng.random(shape) < 0.5, low, high)
        inside = rng.uniform(low, high, shape)
        mixed = np.where(rng.random(shape) < 0.5, corners, inside)
        return np.concatenate([inside, mixed, corners])
    return clipped(np.concatenate([s * rng.standard_normal(shape) for s in SCALES]), basis)


def _climbed(
    net: _Floats, k: int, sign: int, x: np.ndarray, values: np.ndarray, basis: Basis, rng: np.random.Generator
) -> np.ndarray:
    """Inputs from which a function's sum grew (or fell, for a negative sign), until it passed 0 or no further."""
    at = net.column[k]
    low, high = bounds(basis)
    reach = high - low if np.isfinite(high - low) else 1.0
    lengths = reach * 2.0 ** np.arange(-12, 1 if np.isfinite(high - low) else 13, 2)
    best = x[np.argsort(-sign * values[at], kind="stable")[:STARTS]]
    for _ in range(ROUNDS):
        held = net.values(best)
        slope = sign * net.gradient(held, k)
        norm = np.linalg.norm(slope, axis=1, keepdims=True)
        random = rng.standard_normal(slope.shape)
        ways = [slope / np.maximum(norm, 1e-300), random / np.linalg.norm(random, axis=1, keepdims=True)]
        tried = [best, *(clipped(best + t * way, basis) for way in ways for t in lengths)]
        height = np.array([sign * net.values(one)[at] for one in tried])
        chosen = height.argmax(axis=0)
        best = np.array([tried[c][i] for i, c in enumerate(chosen)])
        if not chosen.any():
            break
    return best


def beside(rest: Rows, basis: Basis, rng: np.random.Generator) -> Iterator[np.ndarray]:
    """Inputs, one of which shows that a sum of rectifiers of the inputs isn't 0.

    Three on a line across one rectifier's hyperplane, so near that no other hyperplane lies between: a function with one
    kink there isn't 0 at all three. Without a rectifier in it the sum is affine, and 0 at no input but of a plane.
    """
    n = basis.inputs
    strongest: tuple[int, int] | None = None
    for row in rest.rows:
        for k, c in row.items():
            if k > n and (strongest is None or abs(c) > strongest[1]):
                strongest = (k, abs(c))
    if strongest is None:
        yield from _off_a_plane(rest.rows, basis)
        return
    f = basis.function(strongest[0])
    assert f is not None
    w, constant = _floats(dict(f.sum), n)
    for _ in range(SIDES):
        one, other = _ends(w, constant, basis, rng)
        for _ in range(HALVINGS):  # the hyperplane stays between the two
            half = (one + other) / 2
            if (w @ half + constant > 0) == (w @ other + constant > 0):
                other = half
            else:
                one = half
        ends = _ends(w, constant, basis, rng)
        direction = ends[1] - ends[0]
        for halved in range(2, HALVINGS, 6):
            for side in (1.0, -1.0, 0.0):
                yield clipped(one + side * direction * 2.0**-halved, basis)


def _off_a_plane(rows: Sequence[Row], basis: Basis) -> Iterator[np.ndarray]:
    middle, size = _middle(basis)
    row = next(row for row in rows if row)
    yield np.full(basis.inputs, middle)
    for k in row:
        if k != ONE:
            for step in (size, -size):
                x = np.full(basis.inputs, middle)
                x[k - 1] += step
                yield clipped(x, basis)


def _ends(
    w: np.ndarray, constant: float, basis: Basis, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Two inputs on either side of a hyperplane: at random, and beyond it as far as need be."""
    low, high = bounds(basis)
    unbounded = not np.isfinite(low) or not np.isfinite(high)
    start = rng.standard_normal(len(w)) if unbounded else rng.uniform(low, high, len(w))
    reach = 1.0
    for _ in range(200):
        one, other = (clipped(start + sign * reach * np.sign(w), basis) for sign in (-1, 1))
        if w @ one + constant < 0 < w @ other + constant:
            break
        reach *= 2
    return one, other


def bounds(basis: Basis) -> tuple[float, float]:
    """The domain in floating point, infinite where it has no bound."""
    low, high = basis.low, basis.high
    return (-np.inf if low is None else float(low)), (np.inf if high is None else float(high))


def clipped(x: np.ndarray, basis: Basis) -> np.ndarray:
    """Inputs moved into the domain."""
    return np.clip(x, *bounds(basis))


def _floats(row: Row, n: int) -> tuple[np.ndarray, float]:
    """A sum of inputs in floating point, scaled to a largest coefficient of 1."""
    largest = max(map(abs, row.values()))
    w = np.zeros(n)
    for k, c in row.items():
        if k != ONE:
            w[k - 1] = c / largest
    return w, row.get(ONE, 0) / largest


def _middle(basis: Basis) -> tuple[float, float]:
    """An input's value inside the domain, and a step that stays in it."""
    low, high = bounds(basis)
    if np.isfinite(low) and np.isfinite(high):
        return (low + high) / 2, (high - low) / 2
    return (low + 1.0 if np.isfinite(low) else 0.0 if np.isinf(high) else high - 1.0), 1.0
