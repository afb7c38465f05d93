"""The forms in which an expression can be written, each with its cost."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import Any, NamedTuple

from workbench.core.errors import DataError
from workbench.numerics.expressions.canonical import INVERSE, MOST_TERMS, Canonical, canonical
from workbench.numerics.expressions.dag import Dag

MOST_TO_FACTOR = 2_000
"""Terms beyond which a polynomial in many variables isn't factored: flint takes 86 s for the square of 384 terms."""


class Cost(NamedTuple):
    """What it takes to evaluate an expression once, shared parts counted once."""

    additions: int
    multiplications: int
    functions: int

    @property
    def total(self) -> int:
        return sum(self)


class Form(NamedTuple):
    """One way to write an expression.

    Attributes
    ----------
    root : its node in the same graph, -1 where it was refused. cost : None then. refused : why.
    """

    name: str
    root: int
    cost: Cost | None
    refused: str = ""


def cost(dag: Dag, root: int) -> Cost:
    """Count the additions, multiplications (divisions too) and functions of an expression, shared parts once.

    A power takes the multiplications of repeated squaring; coefficients of 1 and -1 take none.
    """
    adds = muls = functions = 0
    for at in dag.reach(root):
        op, args, numbers, _ = dag.nodes[at]
        if op == "sum":
            adds += len(args) - 1 + bool(numbers[-1])
            muls += sum(abs(c) != 1 for c in numbers[:-1])
        elif op == "product":
            muls += len(args) - 1 + sum(_squarings(abs(int(p))) for p in numbers)
            muls += all(p < 0 for p in numbers)
        elif args:
            functions += 1
    return Cost(adds, muls, functions)


def forms(dag: Dag, root: int, *, max_terms: int = MOST_TERMS) -> list[Form]:
    """Write an expression in all forms: with shared parts as it was built, expanded, factored, and by Horner's rule.

    A form over its budget is refused, with its size.
    """
    made = [Form("shared", root, cost(dag, root))]
    try:
        held = canonical(dag, root, max_terms=max_terms)
    except DataError as e:
        return [*made, *(Form(name, -1, None, str(e)) for name in _WRITERS)]
    for name, write in _WRITERS.items():
        if name == "factored" and held.terms > MOST_TO_FACTOR:
            why = f"It has {held.terms:,} terms; polynomials of more than {MOST_TO_FACTOR:,} aren't factored."
            made.append(Form(name, -1, None, why))
            continue
        node = _written(dag, held, write)
        made.append(Form(name, node, cost(dag, node)))
    return made


Terms = dict[tuple[tuple[int, int], ...], Fraction]
"""Powers of variables (which, and to what power) to coefficient."""
Writer = Callable[[Dag, list[int], Any], int]


def _written(dag: Dag, held: Canonical, write: Writer) -> int:
    """The node of a canonical form, its atoms' arguments written first, in the order in which they came to be."""
    nodes = {
        name: dag.variable(name) for name in held.names if name not in held.atoms and not name.startswith("[")
    }
    for name, (function, argument) in held.atoms.items():  # an argument has only atoms that stand before it
        inner = write(dag, [nodes.get(n, -1) for n in held.names], argument)
        nodes[name] = dag.product([(inner, -1)]) if function == INVERSE else dag.apply(function, inner)
    return write(dag, [nodes.get(n, -1) for n in held.names], held.polynomial)


def terms_of(polynomial: Any) -> Terms:
    """The terms of a polynomial of flint's."""
    return {
        tuple((i, int(p)) for i, p in enumerate(e) if p): Fraction(int(c.p), int(c.q))
        for e, c in polynomial.to_dict().items()
    }


def _expanded(dag: Dag, nodes: list[int], polynomial: Any) -> int:
    return _sum(dag, nodes, terms_of(polynomial))


def _sum(dag: Dag, nodes: list[int], terms: Terms) -> int:
    return dag.sum((dag.product((nodes[i], p) for i, p in e), c) for e, c in terms.items())


def _factored(dag: Dag, nodes: list[int], polynomial: Any) -> int:
    if not len(polynomial):
        return dag.number(0)
    constant, factors = polynomial.factor()
    made = dag.product((_sum(dag, nodes, terms_of(f)), int(p)) for f, p in factors)
    return dag.sum([(made, Fraction(int(constant.p), int(constant.q)))])


def _horner(dag: Dag, nodes: list[int], polynomial: Any) -> int:
    """By Horner's rule in several variables: again and again the one that most terms share is taken out of them.

    Of each part (terms) the stack keeps what is to be done; ``made`` has the nodes of parts that are done. A part is what was taken
    out, one variable after the other, times what it was taken out of, and the rest: when these are made, it is folded up.
    """
    made: list[int] = []
    stack: list[tuple[list[int], Terms] | Terms] = [terms_of(polynomial)]
    while stack:
        what = stack.pop()
        if isinstance(what, tuple):
            taken, rest = what
            node = _sum(dag, nodes, rest)
            for i in reversed(taken):
                node = dag.sum([(dag.product([(nodes[i], 1), (made.pop(), 1)]), 1), (node, 1)])
            made.append(node)
            continue
        parts, rest = _taken_out(what)
        stack.append(([i for i, _ in parts], rest))
        stack += [part for _, part in reversed(parts)]
    return made[-1]


def _taken_out(terms: Terms) -> tuple[list[tuple[int, Terms]], Terms]:
    """Take out the variable that most of the remaining terms have, while two have one: each with its terms, and the rest.

    Every term is looked at once for each of its variables, however many are taken out.
    """
    having: dict[int, dict[tuple[tuple[int, int], ...], None]] = {}
    for e in terms:
        for i, _ in e:
            having.setdefault(i, {})[e] = None
    rest, parts = dict(terms), []
    while having:
        most = min(having, key=lambda i: (-len(having[i]), i))
        if len(having[most]) < 2:
            break
        inside: Terms = {}
        for e in list(having[most]):
            for i, _ in e:
                del having[i][e]
            inside[tuple((i, p - (i == most)) for i, p in e if i != most or p > 1)] = rest.pop(e)
        having = {i: held for i, held in having.items() if held}
        parts.append((most, inside))
    return parts, rest


_WRITERS: dict[str, Writer] = {"expanded": _expanded, "factored": _factored, "Horner": _horner}


def _squarings(power: int) -> int:
    """Multiplications of a power by repeated squaring."""
    return power.bit_length() - 1 + power.bit_count() - 1
