"""Expressions as text, as LaTeX, and as SymPy has them: to be read and exchanged, never to compute with."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

from workbench.core.errors import DataError
from workbench.numerics.expressions.dag import Dag

DEEPEST = 60  # levels that are written one inside the other
MOST_NODES = 2_000  # that are written, or given to SymPy
SPECIAL = {"π": math.pi, "e": math.e, "√2": math.sqrt(2), "(1/√(2π))": 1 / math.sqrt(2 * math.pi)}
_LATEX = {"π": r"\pi", "e": "e", "√2": r"\sqrt{2}", "(1/√(2π))": r"\frac{1}{\sqrt{2\pi}}"}
_SIMPLEST = 64  # denominators up to it are written as fractions


def number(value: Fraction, *, digits: int = 4, latex: bool = False) -> str:
    """A number as one reads it: a simple fraction, a simple multiple of π, e or √2, or so many digits."""
    if value.denominator <= _SIMPLEST and abs(value.numerator) < 10**6:
        return _fraction(value, latex)
    if special := _special(value):
        name, ratio = special
        shown = _LATEX[name] if latex else name
        if ratio in (1, -1):
            return ("-" if ratio < 0 else "") + shown
        return f"{_fraction(ratio, latex)}{shown}" if ratio.denominator == 1 or latex else f"({ratio}){shown}"
    try:
        return f"{float(value):.{digits}g}"
    except OverflowError:
        return f"{value.numerator // value.denominator:.3e}"


def simple(value: Fraction) -> bool:
    """Whether it is a number that somebody would write down: of few digits, or a simple multiple of π, e or √2."""
    return value.denominator <= 10**4 or _special(value) is not None


def _special(value: Fraction) -> tuple[str, Fraction] | None:
    for name, constant in SPECIAL.items():
        ratio = Fraction(float(value) / constant).limit_denominator(_SIMPLEST)
        if ratio and abs(float(ratio) * constant - float(value)) <= 4e-15 * abs(float(value)):
            return name, ratio
    return None


def _fraction(value: Fraction, latex: bool) -> str:
    if value.denominator == 1 or not latex:
        return str(value)
    return rf"{'-' if value < 0 else ''}\frac{{{abs(value.numerator)}}}{{{value.denominator}}}"


def text(dag: Dag, root: int, *, digits: int = 4) -> str:
    """An expression in a line: ``2*x**2 + sin(y)``; refused with its size where nobody could read it.

    Raises
    ------
    DataError
        It has more than 2,000 nodes, or 60 levels.
    """
    return _write(dag, root, digits, False)


def latex(dag: Dag, root: int, *, digits: int = 4) -> str:
    """An expression as LaTeX, in which names are plain letters and digits; see `text`."""
    return _write(dag, root, digits, True)


def _write(dag: Dag, root: int, digits: int, tex: bool) -> str:
    order = readable(dag, root)
    held: dict[
        int, tuple[str, int]
    ] = {}  # the text, and how loosely it holds together: 0 atom, 1 product, 2 sum
    for at in order:
        op, args, numbers, name = dag.nodes[at]
        if op == "number":
            shown = number(numbers[0], digits=digits, latex=tex)
            held[at] = shown, 2 if shown.startswith("-") or "/" in shown else 0
        elif op == "variable":
            held[at] = (_name(name) if tex else name), 0
        elif op == "sum":
            held[at] = _sum([held[a] for a in args], numbers, digits, tex)
        elif op == "product":
            held[at] = _product([held[a] for a in args], [int(p) for p in numbers], tex)
        else:
            inner = held[args[0]][0]
            if op == "sqrt" and tex:
                held[at] = rf"\sqrt{{{inner}}}", 0
            else:
                held[at] = (rf"\mathrm{{{op}}}\left({inner}\right)" if tex else f"{op}({inner})"), 0
    return held[root][0]


def readable(dag: Dag, root: int) -> list[int]:
    """The nodes in order, of an expression that isn't too large or too deep to be written in a line; else refused."""
    order = dag.reach(root)
    depth: dict[int, int] = {}
    size: dict[int, int] = {}
    for at in order:
        args = dag.nodes[at].args
        depth[at] = 1 + max((depth[a] for a in args), default=0)
        size[at] = 1 + sum(size[a] for a in args)
    if size[root] > MOST_NODES or depth[root] > DEEPEST:
        shown = f"{size[root]:,}" if size[root] < 10**9 else f"about 10^{size[root].bit_length() * 3 // 10}"
        raise DataError(
            f"Written in a line, the expression has {shown} parts in {depth[root]:,} levels; at most {MOST_NODES:,} in "
            f"{DEEPEST} are written. Cut it to the terms that matter."
        )
    return order


def _sum(
    terms: list[tuple[str, int]], numbers: tuple[Fraction, ...], digits: int, tex: bool
) -> tuple[str, int]:
    pieces = []
    for (inner, loose), c in zip(terms, numbers, strict=False):
        sign, size = ("-" if c < 0 else "+"), abs(c)
        if size == 1:
            shown = _bracket(inner, tex) if loose == 2 else inner
        else:
            times = r"\," if tex else "*"
            shown = f"{number(size, digits=digits, latex=tex)}{times}{_bracket(inner, tex) if loose == 2 else inner}"
        pieces.append((sign, shown))
    if numbers[-1]:
        pieces.append(("-" if numbers[-1] < 0 else "+", number(abs(numbers[-1]), digits=digits, latex=tex)))
    first, *rest = pieces
    joined = ("-" if first[0] == "-" else "") + first[1] + "".join(f" {s} {p}" for s, p in rest)
    return joined, 1 if len(pieces) == 1 and first[0] == "+" else 2


def _product(factors: list[tuple[str, int]], powers: list[int], tex: bool) -> tuple[str, int]:
    over: list[str] = []
    under: list[str] = []
    for (inner, loose), p in zip(factors, powers, strict=True):
        base = _bracket(inner, tex) if loose else inner
        shown = base if abs(p) == 1 else (f"{base}^{{{abs(p)}}}" if tex else f"{base}**{abs(p)}")
        (over if p > 0 else under).append(shown)
    times = r"\," if tex else "*"
    top = times.join(over) or "1"
    if not under:
        return top, 1
    if tex:
        return rf"\frac{{{top}}}{{{times.join(under)}}}", 1
    return f"{top}/{under[0]}" if len(under) == 1 else f"{top}/({times.join(under)})", 1


def _bracket(inner: str, tex: bool) -> str:
    return rf"\left({inner}\right)" if tex else f"({inner})"


def _name(name: str) -> str:
    """A name as LaTeX: letters and digits alone, since what comes from data is no LaTeX; ``x12`` has an index."""
    plain = "".join(c if c.isalnum() else "~" for c in name)
    letters = plain.rstrip("0123456789")
    if len(letters) == 1 and letters != plain:
        return f"{letters}_{{{plain[len(letters) :]}}}"
    return plain if len(plain) == 1 else rf"\mathrm{{{plain}}}"


def to_sympy(dag: Dag, root: int) -> Any:
    """The same expression as SymPy has it, unevaluated, for whoever goes on with it there.

    Raises
    ------
    DataError
        It is too large or too deep; see `text`.
    """
    import sympy

    special = {
        "relu": lambda x: sympy.Max(x, 0),
        "abs": sympy.Abs,
        "sigmoid": lambda x: 1 / (1 + sympy.exp(-x)),
        "silu": lambda x: x / (1 + sympy.exp(-x)),
        "gelu": lambda x: x * (1 + sympy.erf(x / sympy.sqrt(2))) / 2,
    }
    held: dict[int, Any] = {}
    for at in readable(dag, root):
        op, args, numbers, name = dag.nodes[at]
        exact = [sympy.Rational(c.numerator, c.denominator) for c in numbers]
        if op == "number":
            held[at] = exact[0]
        elif op == "variable":
            held[at] = sympy.Symbol(name)
        elif op == "sum":
            held[at] = sympy.Add(*(held[a] * c for a, c in zip(args, exact, strict=False)), exact[-1])
        elif op == "product":
            held[at] = sympy.Mul(*(held[a] ** p for a, p in zip(args, exact, strict=True)))
        else:
            held[at] = (special.get(op) or getattr(sympy, op))(held[args[0]])
    return held[root]
