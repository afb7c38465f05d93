"""All terms up to a size: what can be made of the inputs by a few operations, each kept once.

Terms are made by size, from small to large, and told apart by their values on the rows, up to a factor and a shift: the sum that
they become part of has both. Of those that are equal the first, a smallest, is kept.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from jaxtyping import Float

ALGEBRAIC = ("square", "inverse", "sqrt")
TRANSCENDENTAL = ("exp", "log", "sin", "cos", "tanh")
"""Functions of which none stands inside another: there would be many more terms, and few laws among them."""
LARGEST = 1e8  # values beyond it are no term: their sums are rounding
MOST = 9_000
"""Terms that are kept; of larger ones there are no more then."""


class Term(NamedTuple):
    """A term by how it was made: an operation and the places of what it was made of; of a variable ``x`` and its number."""

    op: str
    left: int
    right: int
    size: int
    bent: bool = False  # whether one of `TRANSCENDENTAL` is in it


class Terms(NamedTuple):
    """All terms up to a size.

    Attributes
    ----------
    made : (m,) in order of their size. unit : (m, n) their values, centred and of unit length. size : (m,).
    complete : the size up to which none was left out because there are too many.
    """

    made: list[Term]
    unit: Float[np.ndarray, "m n"]
    size: Float[np.ndarray, " m"]
    complete: int


def terms(x: Float[np.ndarray, "n d"], max_size: int, *, most: int = MOST) -> Terms:
    """Make all terms of the columns of ``x`` up to a size, which counts operations, inputs and ones."""
    n, d = x.shape
    made = [Term("one", 0, 0, 1)]
    values = [np.ones(n)]
    known: set[bytes] = set()
    by_size: dict[int, list[int]] = {1: [0]}
    complete = max_size

    def keep(term: Term, value: np.ndarray) -> None:
        unit = _unit(value)
        if unit is None:
            return
        key = (
            np.round(unit * (1e6 if unit[np.argmax(np.abs(unit) > 1e-4)] > 0 else -1e6))
            .astype(np.int64)
            .tobytes()
        )
        if key in known:
            return
        known.add(key)
        by_size.setdefault(term.size, []).append(len(made))
        made.append(term)
        values.append(value)

    for j in range(d):
        keep(Term("x", j, 0, 1), x[:, j])
    for size in range(2, max_size + 1):
        for term in _of_size(made, by_size, size):
            if len(made) > most:
                complete = min(complete, size - 1)
                break
            with np.errstate(all="ignore"):
                value = apply(term.op, values[term.left], values[term.right])
            keep(term, value)
    unit = np.array([_unit(v) for v in values[1:]])
    return Terms(made, unit, np.array([t.size for t in made[1:]], np.float64), complete)


def _of_size(made: list[Term], by_size: dict[int, list[int]], size: int) -> Iterator[Term]:
    """Every way to make a term of a size; those of larger parts last."""
    for i in by_size.get(size - 1, ()):
        if i:
            yield from (Term(op, i, 0, size, made[i].bent) for op in ALGEBRAIC)
            if not made[i].bent:
                yield from (Term(op, i, 0, size, True) for op in TRANSCENDENTAL)
    for left_size in range(1, size - 1):
        right_size = size - 1 - left_size
        for i in by_size.get(left_size, ()):
            for j in by_size.get(right_size, ()):
                bent = made[i].bent or made[j].bent
                if i >= j and i:  # the one is only added and taken away
                    if j:
                        yield Term("mul", i, j, size, bent)
                    yield Term("add", i, j, size, bent)
                if i and j and i != j:
                    yield Term("div", i, j, size, bent)
                if i != j and (i > j or not j):
                    yield Term("sub", i, j, size, bent)


def apply(op: str, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """The values of an operation."""
    match op:
        case "add":
            return a + b
        case "sub":
            return a - b
        case "mul":
            return a * b
        case "div":
            return a / b
        case "square":
            return a * a
        case "inverse":
            return 1 / a
        case _:
            return np.asarray(getattr(np, op)(a))


def _unit(value: np.ndarray) -> np.ndarray | None:
    """Centred and of unit length; None where it isn't finite, or is the same everywhere."""
    if not np.isfinite(value).all() or np.abs(value).max() > LARGEST:
        return None
    centred = value - value.mean()
    length = float(np.sqrt(centred @ centred))
    return centred / length if length > 1e-9 * max(1e-9, float(np.abs(value).max())) else None


class Sum(NamedTuple):
    """Some terms whose weighted sum was fitted. places : in ``Terms.unit``. error : share of the variance that is left."""

    places: tuple[int, ...]
    error: float


def best_sums(
    held: Terms, y: Float[np.ndarray, " n"], *, most_terms: int = 4, keep: int = 12, pool: int = 1_200
) -> list[Sum]:
    """Find the sums of one, two, three ... terms that leave least of ``y``, smaller terms preferred by description length.

    All single terms and all pairs of the ``pool`` smallest and nearest are compared; longer sums grow from the best shorter
    ones, each by every term (as SISSO does).

    References
    ----------
    Ouyang and others 2018, SISSO: a compressed-sensing method for identifying the best low-dimensional descriptor, Phys. Rev.
    Materials 2.
    """
    target = _unit(y)
    if target is None:
        return []
    n = len(y)
    weight = np.log(12.0) * 2 / n  # of a symbol, beside the logarithm of the error
    near = held.unit @ target
    single = np.log(np.maximum(1 - near**2, 1e-14)) + weight * held.size
    first = np.argsort(single, kind="stable")
    found = [Sum((int(i),), float(1 - near[i] ** 2)) for i in first[: 2 * keep]]
    small = np.argsort(held.size, kind="stable")[: pool // 2]
    chosen = np.unique(np.concatenate([small, first[: pool // 2]]))
    u, r, sizes = held.unit[chosen], near[chosen], held.size[chosen]
    gram = u @ u.T
    with np.errstate(all="ignore"):
        explained = (r[:, None] ** 2 + r[None] ** 2 - 2 * r[:, None] * r[None] * gram) / (1 - gram**2)
    explained[np.abs(gram) > 0.9999] = 0  # all but parallel: their difference is rounding
    cost = np.log(np.clip(1 - explained, 1e-14, 1)) + weight * (sizes[:, None] + sizes[None])
    cost[np.tril_indices(len(cost))] = np.inf
    best = np.argpartition(cost, min(3 * keep, cost.size - 1), axis=None)[: 3 * keep]
    pairs = sorted(
        (float(cost.flat[i]), *divmod(int(i), len(cost))) for i in best if np.isfinite(cost.flat[i])
    )
    grown = [Sum((int(chosen[i]), int(chosen[j])), float(1 - explained[i, j])) for _, i, j in pairs]
    found += grown[: 2 * keep]
    for _ in range(2, most_terms):
        longer: dict[tuple[int, ...], tuple[float, float]] = {}
        for base in grown[:keep]:
            q = np.linalg.qr(held.unit[list(base.places)].T)[0]
            rest = u - (u @ q) @ q.T
            length = np.einsum("ij,ij->i", rest, rest)
            left = target - q @ (q.T @ target)
            with np.errstate(all="ignore"):
                error = left @ left - np.where(length > 1e-6, (rest @ left) ** 2 / length, 0)
            cost1 = np.log(np.maximum(error, 1e-14)) + weight * (sizes + held.size[list(base.places)].sum())
            for i in np.argsort(cost1, kind="stable")[:4]:
                if chosen[i] not in base.places:
                    longer[tuple(sorted((*base.places, int(chosen[i]))))] = float(cost1[i]), float(error[i])
        ranked = sorted(longer.items(), key=lambda t: t[1])
        grown = [Sum(places, error) for places, (_, error) in ranked[:keep]]
        found += grown[: keep // 2]
    return found
