"""Rectifiers that are always on or always off on the domain, though interval bounds don't say so: proven one by one, and gone.

Each such proof asks about the few rectifiers that a sum depends on, and what is left has fewer pieces by half. Units that
differed by it alone are one then.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from workbench.numerics.exact.expansion import ONE, Basis, Row, Rows, joined, rectified
from workbench.numerics.exact.solving import never, reachable

SHARE = 0.5  # of the work, that goes into this at most


def settled(rest: Rows, basis: Basis, signs: Mapping[int, int], work: float) -> tuple[Rows, Basis, int]:
    """Write a difference over a new basis, in which rectifiers that always or never act are none.

    Parameters
    ----------
    signs : of functions whose sum had one sign wherever it was looked at, that sign; only these are asked about.
    work : seconds of the solver, roughly.

    Returns
    -------
    Rows, Basis, int
        The same difference; the basis; how many rectifiers were proven to be none.

    Raises
    ------
    MissingError
        z3 isn't installed.
    """
    made = Basis(basis.inputs, basis.low, basis.high)
    values: dict[int, tuple[Row, int]] = {k: ({k: 1}, 0) for k in range(ONE, basis.inputs + 1)}
    each = SHARE * work / max(1, len(signs))
    found = 0
    for k in reachable(rest.rows, basis):
        f = basis.function(k)
        assert f is not None and f.kind == "relu"
        row, power = _over(f.sum, f.power, values)
        sign = signs.get(k, 0)
        if row and sign and never(row, -sign, made, each):
            found += 1
            values[k] = (row, power) if sign > 0 else ({}, 0)
        else:
            values[k] = rectified(row, power, made)
    return joined([_over(row.items(), rest.power, values) for row in rest.rows]), made, found


def _over(
    items: Iterable[tuple[int, int]], power: int, values: Mapping[int, tuple[Row, int]]
) -> tuple[Row, int]:
    """A sum of functions written out by what each of them is."""
    terms = [(c, *values[k]) for k, c in items]
    low = min((p for _, row, p in terms if row), default=0)
    total: Row = {}
    for c, row, p in terms:
        for k, v in row.items():
            total[k] = total.get(k, 0) + (c * v << (p - low))
    return {k: v for k, v in total.items() if v}, power + low
