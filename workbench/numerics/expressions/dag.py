"""Expressions as a graph with shared parts, whose numbers are exact rationals.

A node is a number by which it is known, and stands behind all that it is made of. So everything that is asked of an
expression is one pass over its nodes in their order, and no depth is too deep: nothing here calls itself. Equal parts are one
node, sums and products have any number of terms, and coefficients and exponents belong to them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from fractions import Fraction
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from workbench.core.errors import DataError, MissingError

if TYPE_CHECKING:
    from jaxtyping import Float

Number = int | float | Fraction
Function = Callable[[Any], Any]


def _sigmoid(x: Any) -> Any:
    return 0.5 * (1 + np.tanh(0.5 * x))


def _gelu(x: Any) -> Any:
    from scipy.special import ndtr

    return x * ndtr(x)


FUNCTIONS: dict[str, Function] = {
    "relu": lambda x: np.maximum(x, 0),
    "abs": np.abs,
    "exp": np.exp,
    "log": np.log,
    "sqrt": np.sqrt,
    "sin": np.sin,
    "cos": np.cos,
    "tanh": np.tanh,
    "sigmoid": _sigmoid,
    "gelu": _gelu,
    "silu": lambda x: x * _sigmoid(x),
}
EXACT: dict[str, Function] = {"relu": lambda x: max(x, 0 * x), "abs": abs}
"""Those of whose arguments and values rationals are one."""


class Node(NamedTuple):
    """One node.

    Attributes
    ----------
    op : ``number``, ``variable``, ``sum``, ``product`` or one of `FUNCTIONS`.
    args : the nodes that it is of.
    numbers : of a sum the coefficient of each argument and then the constant; of a product the exponents; of a number itself.
    name : of a variable.
    """

    op: str
    args: tuple[int, ...] = ()
    numbers: tuple[Fraction, ...] = ()
    name: str = ""


def exact(value: Number) -> Fraction:
    """Return the rational that a number is: of floating point the dyadic one, without rounding.

    Raises
    ------
    DataError
        It isn't finite.
    """
    try:
        return Fraction(value)
    except (ValueError, OverflowError):
        raise DataError(
            f"{value} is no number that an expression can hold; its weights have to be finite."
        ) from None


class Dag:
    """Expressions that share their parts; each is known by the number of its node."""

    def __init__(self) -> None:
        self.nodes: list[Node] = []
        self._known: dict[Node, int] = {}

    def _add(self, node: Node) -> int:
        at = self._known.get(node)
        if at is None:
            at = self._known[node] = len(self.nodes)
            self.nodes.append(node)
        return at

    def number(self, value: Number) -> int:
        return self._add(Node("number", numbers=(exact(value),)))

    def variable(self, name: str) -> int:
        return self._add(Node("variable", name=name))

    def apply(self, function: str, argument: int) -> int:
        """Return a function of a node; refused with those that are known.

        Raises
        ------
        MissingError
            There is no such function.
        """
        if function not in FUNCTIONS:
            raise MissingError(
                f"No function {function!r} is known to expressions. There are: {', '.join(FUNCTIONS)}."
            )
        return self._add(Node(function, (argument,)))

    def sum(self, terms: Iterable[tuple[int, Number]], constant: Number = 0) -> int:
        """Return the sum of nodes times coefficients, and a constant."""
        rest, held = exact(constant), dict[int, Fraction]()
        for node, coefficient in terms:
            c = exact(coefficient)
            if self.nodes[node].op == "number":
                rest += c * self.nodes[node].numbers[0]
            else:
                held[node] = held.get(node, Fraction(0)) + c
        kept = sorted((n, c) for n, c in held.items() if c)
        if not kept:
            return self.number(rest)
        if len(kept) == 1 and kept[0][1] == 1 and not rest:
            return kept[0][0]
        return self._add(Node("sum", tuple(n for n, _ in kept), (*(c for _, c in kept), rest)))

    def product(self, factors: Iterable[tuple[int, int]]) -> int:
        """Return the product of nodes, each to a whole power.

        Raises
        ------
        DataError
            It divides by zero.
        """
        scale, held = Fraction(1), dict[int, int]()
        for node, power in factors:
            if self.nodes[node].op == "number":
                value = self.nodes[node].numbers[0]
                if not value and power < 0:
                    raise DataError("An expression divides by zero.")
                scale *= value**power
            else:
                held[node] = held.get(node, 0) + power
        kept = sorted((n, p) for n, p in held.items() if p)
        if not kept or not scale:
            return self.number(scale)
        if len(kept) == 1 and kept[0][1] == 1:
            made = kept[0][0]
        else:
            made = self._add(Node("product", tuple(n for n, _ in kept), tuple(Fraction(p) for _, p in kept)))
        return self.sum([(made, scale)])

    def affine(self, inputs: Sequence[int], weights: Float[np.ndarray, " d"], bias: Number = 0) -> int:
        """Return the weighted sum of nodes that a unit of a linear layer is."""
        return self.sum(zip(inputs, np.asarray(weights).tolist(), strict=True), bias)

    def reach(self, *roots: int) -> list[int]:
        """All nodes that some are made of, and themselves, in order: each behind its arguments."""
        needed = np.zeros(max(roots) + 1, bool)
        needed[list(roots)] = True
        for at in range(len(needed) - 1, -1, -1):
            if needed[at] and self.nodes[at].args:
                needed[list(self.nodes[at].args)] = True
        return np.flatnonzero(needed).tolist()

    def variables(self, *roots: int) -> tuple[str, ...]:
        """The names of the variables that some nodes depend on, in the order in which they were made."""
        return tuple(self.nodes[at].name for at in self.reach(*roots) if self.nodes[at].op == "variable")

    def value(self, root: int, values: Mapping[str, Fraction]) -> Fraction:
        """Evaluate in exact rationals.

        Raises
        ------
        DataError
            A function has no rational values (all but ``relu`` and ``abs``), or it divides by zero.
        MissingError
            A variable has no value.
        """

        def function(name: str, x: Fraction) -> Fraction:
            if name not in EXACT:
                raise DataError(
                    f"{name} of a rational is no rational: evaluate it in floating point (`numeric`)."
                )
            return Fraction(EXACT[name](x))

        try:
            return Fraction(self._evaluate(root, values, Fraction, function))
        except ZeroDivisionError:
            raise DataError("The expression divides by zero there.") from None

    def numeric(self, root: int, values: Mapping[str, Float[np.ndarray, " n"]]) -> Float[np.ndarray, " n"]:
        """Evaluate in double precision, for many rows at once; NaN or infinite where it isn't defined."""
        n = len(next(iter(values.values()))) if values else 1
        with np.errstate(all="ignore"):
            out = self._evaluate(root, values, float, lambda name, x: FUNCTIONS[name](x))
        return np.broadcast_to(np.asarray(out, np.float64), (n,)).copy()

    def _evaluate(
        self,
        root: int,
        values: Mapping[str, Any],
        scalar: Callable[[Fraction], Any],
        function: Callable[[str, Any], Any],
    ) -> Any:
        held: dict[int, Any] = {}
        for at in self.reach(root):  # every argument has its value before the node that it is of
            op, args, numbers, name = self.nodes[at]
            if op == "number":
                held[at] = scalar(numbers[0])
            elif op == "variable":
                if name not in values:
                    raise MissingError(f"The expression has a variable {name!r}, which was given no value.")
                held[at] = values[name]
            elif op == "sum":
                total = scalar(numbers[-1])
                for a, c in zip(args, numbers, strict=False):
                    total = total + held[a] * scalar(c)
                held[at] = total
            elif op == "product":
                total = scalar(Fraction(1))
                for a, p in zip(args, numbers, strict=True):
                    total = total * (held[a] ** int(p) if p > 0 else 1 / held[a] ** int(-p))
                held[at] = total
            else:
                held[at] = function(op, held[args[0]])
        return held[root]
