"""In which order rows and columns of a matrix were put before it was trained on, and what no order of unrelated ones reaches."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from jaxtyping import Float, Int

WORK = 2e10  # multiplications of one comparison of all rows with all rows, or of columns, up to which an order is looked for
ASSIGNED = 2048  # rows up to which those that want the same place are given theirs by linear assignment
DISTINCT = 0.75  # of the rows' first choices, from which on a match is likely
FAR = 3.0  # times the scale of its row or column, at which an entry is cut
LEVEL = 0.01
SWEEPS = 3


@dataclass(frozen=True)
class Order:
    """An order of rows and columns in which one matrix is like another.

    Attributes
    ----------
    rows, columns : ``before[rows][:, columns]`` is like ``after``.
    cosine : between the two then, their entries brought to one scale.
    limit : what the cosine of unrelated matrices stays under in every order, but for `LEVEL` of cases.
    """

    rows: Int[np.ndarray, " n"]
    columns: Int[np.ndarray, " m"]
    cosine: float
    limit: float


def order_of(before: Float[np.ndarray, "n m"], after: Float[np.ndarray, "n m"]) -> Order | None:
    """Look for an order of rows and columns in which ``before`` is like ``after``; None where none is beyond chance.

    Three beginnings: columns in place, rows in place, and rows matched by their sorted entries, which no order of columns
    changes; then rows and columns are matched by turns, by their inner products. Whatever was tried, the limit holds: it counts
    all n! m! orders.

    References
    ----------
    Ainsworth, Hayase and Srinivasa 2023, Git Re-Basin, ICLR, for the matching.
    """
    n, m = before.shape
    if min(n, m) < 2 or n * m * max(n, m) > WORK:
        return None
    b, a = _alike(before), _alike(after)
    norms = float(np.linalg.norm(b)) * float(np.linalg.norm(a))
    if not norms > 0 or (limit := chance_limit(b, a)) >= 1:
        return None
    for columns in _beginnings(b, a):
        if (found := _by_turns(b, a, columns)) is None:
            continue
        rows, columns = found
        cosine = float(np.vdot(b[rows][:, columns], a)) / norms
        if cosine > limit:
            return Order(rows, columns, cosine, limit)
    return None


def _by_turns(b: np.ndarray, a: np.ndarray, columns: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
    """Rows matched for an order of the columns, columns for that of the rows, until nothing moves; None where few match."""
    rows = np.empty(0, np.int64)
    for _ in range(SWEEPS):
        by_row = _assigned(a @ b[:, columns].T)
        by_column = None if by_row is None else _assigned(a.T @ b[by_row])
        if by_row is None or by_column is None:
            return None
        still = np.array_equal(by_row, rows) and np.array_equal(by_column, columns)
        rows, columns = by_row, by_column
        if still:
            break
    return rows, columns


def chance_limit(b: Float[np.ndarray, "n m"], a: Float[np.ndarray, "n m"]) -> float:
    """What the cosine of two matrices stays under in every order of rows and columns, where the signs of entries are random.

    For one order, Hoeffding's inequality bounds the inner product of random signs by the squares of the products of entries,
    which are at most √(Σa⁴ Σb⁴) in any order; all orders together by the sum of their chances. At least 1 where matrices are so
    small that some order fits anything.

    References
    ----------
    Hoeffding 1963, Probability inequalities for sums of bounded random variables, J. Am. Stat. Assoc. 58.
    """
    from scipy.special import gammaln

    n, m = b.shape
    orders = float(gammaln(n + 1) + gammaln(m + 1))
    squares = [np.square(x, dtype=np.float64) for x in (b, a)]
    fourth = float(np.sqrt(np.square(squares[0]).sum() * np.square(squares[1]).sum()))
    return float(np.sqrt(2 * (orders - np.log(LEVEL)) * fourth / (squares[0].sum() * squares[1].sum())))


def _alike(x: np.ndarray) -> np.ndarray:
    """Entries of one scale, none far out: what rows and columns share, or one entry holds, agrees in some order by itself."""
    x = x - x.mean(axis=0) - x.mean(axis=1, keepdims=True) + x.mean(dtype=np.float64)
    for axis in (1, 0):
        size = np.sqrt(np.square(x).mean(axis=axis, keepdims=True))
        x = np.clip(x / np.where(size > 0, size, 1), -FAR, FAR)
    return np.asarray(x, np.float32)


def _beginnings(b: np.ndarray, a: np.ndarray) -> Iterator[np.ndarray]:
    """Orders of the columns to begin with."""
    yield np.arange(b.shape[1])
    if (columns := _assigned(a.T @ b)) is not None:
        yield columns
    s, t = np.sort(a, axis=1), np.sort(b, axis=1)
    rows = _assigned(2 * s @ t.T - np.square(t).sum(axis=1))  # minus the squared distances
    if rows is not None and (columns := _assigned(a.T @ b[rows])) is not None:
        yield columns


def _assigned(similarity: np.ndarray) -> np.ndarray | None:
    """For each row the column that it is given, each once; None where so many want the same that there is no match.

    Where all want another one, no sum is larger. At random 63 of 100 columns are wanted.
    """
    first = similarity.argmax(axis=1)
    wanted = len(np.unique(first))
    if wanted == len(first):
        return first
    if wanted < DISTINCT * len(first) or len(first) > ASSIGNED:
        return None
    from scipy.optimize import linear_sum_assignment

    return np.asarray(linear_sum_assignment(similarity, maximize=True)[1], np.int64)


def reordered(
    before: np.ndarray, after: np.ndarray
) -> tuple[Int[np.ndarray, " n"], Int[np.ndarray, " m"]] | None:
    """Find in which order rows and columns were put, so that ``before[rows][:, columns]`` is ``after``; None where in none.

    Rows are told by what stays of them in any order of columns: their sorted entries.
    """
    rows = _matched(before, after)
    if rows is None:
        return None
    columns = _matched(np.ascontiguousarray(before.T), np.ascontiguousarray(after.T))
    if columns is None:
        return None
    if not np.array_equal(before[rows][:, columns], after):
        return None
    return rows, columns


def _matched(before: np.ndarray, after: np.ndarray) -> np.ndarray | None:
    """Which row of ``before`` has each row's entries; in place where both have equal ones."""
    keys: tuple[list[bytes], list[bytes]] = ([], [])
    for x, into in zip((before, after), keys, strict=True):
        into.extend(row.tobytes() for row in np.sort(x, axis=1))
    where: dict[bytes, list[int]] = {}
    for i, key in enumerate(keys[0]):
        where.setdefault(key, []).append(i)
    out = np.empty(len(after), np.int64)
    for i, key in enumerate(keys[1]):
        same = where.get(key)
        if not same:
            return None
        out[i] = same.pop(same.index(i) if i in same else 0)
    return out
