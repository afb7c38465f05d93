"""The canonical form of an expression: a polynomial with exact coefficients, in python-flint.

What is no polynomial (a function, a reciprocal) is an atom: a variable of its own, the same for canonically equal arguments. So
two expressions with one polynomial are equal wherever both are defined; two without atoms and with different ones aren't equal.
No rule is tried that may or may not help: sums and products of any number of terms go to flint as they are.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from math import comb
from typing import Any

from workbench.core.errors import DataError
from workbench.numerics.expressions.dag import Dag
from workbench.numerics.extras import MissingExtra

MOST_TERMS = 200_000
INVERSE = "inverse"


@dataclass(frozen=True)
class Canonical:
    """A polynomial over variables and atoms.

    Attributes
    ----------
    polynomial : a flint ``fmpq_mpoly``. names : of its variables, those of the expression first.
    atoms : name of an atom to its function (or ``inverse``) and its argument's polynomial.
    """

    polynomial: Any
    names: tuple[str, ...]
    atoms: Mapping[str, tuple[str, Any]]

    @property
    def terms(self) -> int:
        """How many terms the expanded form has."""
        return len(self.polynomial)


def flint() -> Any:
    """The library of polynomials.

    Raises
    ------
    MissingExtra
        It isn't installed; with the command that installs it.
    """
    try:
        import flint as library
    except ImportError:
        raise MissingExtra(
            "Canonical forms need python-flint, which is an extra: python -m pip install 'workbench[expressions]' "
            "(or 'python-flint>=0.7')."
        ) from None
    return library


def canonical(dag: Dag, root: int, *, max_terms: int = MOST_TERMS) -> Canonical:
    """Return the canonical form of an expression.

    Raises
    ------
    DataError
        A product would have more than ``max_terms`` terms; with the number, before any of it is computed.
    MissingExtra
        python-flint isn't installed.
    """
    return canonicals(dag, (root,), max_terms=max_terms)[0]


def canonicals(dag: Dag, roots: tuple[int, ...], *, max_terms: int = MOST_TERMS) -> list[Canonical]:
    """Return the canonical forms of several expressions, over the same variables and atoms; see `canonical`."""
    library = flint()
    order = dag.reach(*roots)
    variables = dag.variables(*roots)
    places = list(_places(dag, order))
    names = (*variables, *(f"[{i}]" for i in range(len(places))))
    context = library.fmpq_mpoly_ctx.get(names or ("x",), library.Ordering.lex)
    generators = dict(zip(names, context.gens(), strict=False))
    atoms: dict[str, tuple[str, Any]] = {}
    known: dict[tuple[str, Any], Any] = {}
    held: dict[int, Any] = {}

    def atom(function: str, argument: Any) -> Any:
        key = (function, tuple(sorted(argument.to_dict().items(), key=lambda t: t[0])))
        if key not in known:
            name = f"[{len(known)}]"
            known[key], atoms[name] = generators[name], (function, argument)
        return known[key]

    for at in order:
        op, args, numbers, name = dag.nodes[at]
        if op == "number":
            held[at] = context.constant(rational(numbers[0]))
        elif op == "variable":
            held[at] = generators[name]
        elif op == "sum":
            parts = [held[a] * rational(c) for a, c in zip(args, numbers, strict=False)]
            _within(sum(len(p) for p in parts), max_terms)
            held[at] = _added([*parts, context.constant(rational(numbers[-1]))])
        elif op == "product":
            made = context.constant(1)
            for a, p in zip(args, numbers, strict=True):
                base = held[a] if p > 0 else atom(INVERSE, held[a])
                _within(_power_terms(len(base), abs(int(p))) * len(made), max_terms)
                made = made * base ** abs(int(p))
            held[at] = made
        else:
            held[at] = atom(op, held[args[0]])
    return [Canonical(held[r], names, atoms) for r in roots]


def same(dag: Dag, left: int, right: int, *, max_terms: int = MOST_TERMS) -> bool | None:
    """Whether two expressions are equal: proven, refuted, or None where only a difference of atoms tells them apart."""
    a, b = canonicals(dag, (left, right), max_terms=max_terms)
    if a.polynomial == b.polynomial:
        return True
    return None if a.atoms else False


def rational(value: Fraction) -> Any:
    """A fraction as flint has it."""
    return flint().fmpq(value.numerator, value.denominator)


def _places(dag: Dag, order: list[int]) -> Iterator[int]:
    """Where an atom may come from: functions and negative powers, one for each."""
    for at in order:
        op, _, numbers, _ = dag.nodes[at]
        if op == "product":
            yield from (at for p in numbers if p < 0)
        elif op not in ("number", "variable", "sum"):
            yield at


def _added(parts: list[Any]) -> Any:
    """The sum, by halves: one after the other would copy the sum for each."""
    while len(parts) > 1:
        parts = [parts[i] + parts[i + 1] if i + 1 < len(parts) else parts[i] for i in range(0, len(parts), 2)]
    return parts[0]


def _power_terms(terms: int, power: int) -> int:
    """At most so many terms has a power of a sum of ``terms``."""
    return comb(terms + power - 1, power) if terms else 1


def _within(terms: int, most: int) -> None:
    if terms > most:
        raise DataError(
            f"Written out, the expression may have {terms:,} terms; the budget is {most:,}. Keep it with its shared parts, or "
            f"give a larger max_terms."
        )
