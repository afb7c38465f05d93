"""Asking a solver about sums of rectifiers: whether a sum has a sign, and whether a difference is anywhere other than 0."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import Any, Literal

from workbench.numerics.exact.expansion import ONE, Basis, Row, Rows
from workbench.numerics.extras import MissingExtra

A_SECOND = (
    50_000  # of the solver's own units of work, about a second of it; they are counted alike on every machine
)
MISSING = (
    "Networks of several layers of rectifiers are compared by z3, which is an extra: python -m pip install "
    "'workbench[expressions]' (or 'z3-solver>=4.13')."
)


def reachable(rows: Sequence[Row], basis: Basis) -> list[int]:
    """Places of all functions that some sums depend on, each after those that it is made of."""
    met: set[int] = set()
    left = [k for row in rows for k in row]
    while left:
        k = left.pop()
        f = basis.function(k)
        if f is not None and k not in met:
            met.add(k)
            left += [j for j, _ in f.sum]
    return sorted(met)


def nonzero_somewhere(
    difference: Rows, basis: Basis, work: float
) -> tuple[Literal["nowhere", "somewhere", "unknown"], list[Fraction]]:
    """Say whether a difference of rectifiers' sums is other than 0 for some input of the domain, and for which.

    All outputs in one question. The solver is given so much work (in units of about a second), counted in its own steps and
    not in time, so that the answer is the same on every machine.

    Raises
    ------
    MissingExtra
        z3 isn't installed.

    References
    ----------
    de Moura and Bjørner 2008, Z3: an efficient SMT solver, TACAS; Katz, Barrett, Dill, Julian and Kochenderfer 2017,
    Reluplex: an efficient SMT solver for verifying deep neural networks, CAV.
    """
    rows = [row for row in difference.rows if row]
    z3 = _z3()
    solver, values = _constrained(rows, basis, z3, work)
    solver.add(z3.Or(*(_sum(row.items(), values, z3) != 0 for row in rows)))
    answer = solver.check()
    if answer != z3.sat:
        return ("nowhere" if answer == z3.unsat else "unknown"), []
    model = solver.model()
    found = [model.eval(values[j], model_completion=True) for j in range(1, basis.inputs + 1)]
    return "somewhere", [Fraction(v.numerator_as_long(), v.denominator_as_long()) for v in found]


def never(row: Row, sign: int, basis: Basis, work: float) -> bool:
    """Whether it is proven that a sum never has a sign on the domain; work as in `nonzero_somewhere`.

    Raises
    ------
    MissingExtra
        z3 isn't installed.
    """
    z3 = _z3()
    solver, values = _constrained([row], basis, z3, work)
    total = _sum(row.items(), values, z3)
    solver.add(total > 0 if sign > 0 else total < 0)
    return bool(solver.check() == z3.unsat)


def _z3() -> Any:
    try:
        import z3
    except ModuleNotFoundError as e:
        raise MissingExtra(MISSING) from e
    return z3


def _constrained(rows: Sequence[Row], basis: Basis, z3: Any, work: float) -> tuple[Any, dict[int, Any]]:
    """A solver that knows the rectifiers that some sums depend on, with so much work to do."""
    solver = z3.SolverFor("QF_LRA")
    solver.set("rlimit", max(1, int(work * A_SECOND)))
    solver.set("random_seed", 0)
    values: dict[int, Any] = {ONE: z3.RealVal(1)}
    for j in range(1, basis.inputs + 1):
        values[j] = z3.Real(f"x{j}")
        if basis.low is not None:
            solver.add(values[j] >= z3.Q(basis.low.numerator, basis.low.denominator))
        if basis.high is not None:
            solver.add(values[j] <= z3.Q(basis.high.numerator, basis.high.denominator))
    for k in reachable(rows, basis):
        f = basis.function(k)
        assert f is not None and f.kind == "relu"
        z = _sum(f.sum, values, z3)
        values[k] = z3.Real(f"f{k}")
        solver.add(values[k] >= 0, values[k] >= z, z3.Or(values[k] == z, values[k] == 0))
    return solver, values


def _sum(row: Any, values: dict[int, Any], z3: Any) -> Any:
    return z3.Sum([c * values[k] for k, c in row])
