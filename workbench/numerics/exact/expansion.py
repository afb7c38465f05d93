"""Networks written over one basis of distinct functions, in exact arithmetic, so that equal parts of two are one.

A value is a sum of whole multiples of basis functions, times a power of two. The basis begins with 1 and the inputs.
Every activation of such a sum is a further basis function, the same one wherever the same sum is met, in whichever
network and in whatever order: so units that are permuted, repeated or rescaled are one function, and what is left is
to compare coefficients. A rectifier knows its sum up to a positive factor, and with relu(-z) = relu(z) - z up to a
negative one too; so every unit is a multiple of the rectifier of a primitive integer vector, plus a linear part.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from fractions import Fraction

import numpy as np

from workbench.core.errors import DataError
from workbench.numerics.exact.dyadic import Dyadic, product
from workbench.numerics.exact.reading import Program, Step

Row = dict[int, int]
Bound = Fraction | None  # None: there is none
Sum = tuple[tuple[int, int], ...]

ONE = 0  # the basis function 1
MOST = 6_000_000  # coefficients of a network that are written out; about 0.5 microseconds and 100 bytes each
FEW = 20_000_000  # additions, up to which sparse rows are added up one by one

# f(-z) = a f(z) + b z + c
REFLECTED = {
    "relu": (1, -1, 0),
    "gelu": (1, -1, 0),
    "gelu_tanh": (1, -1, 0),
    "silu": (1, -1, 0),
    "tanh": (-1, 0, 0),
    "sigmoid": (-1, 0, 1),
    "batch_norm": (-1, 0, 0),
}
BOUNDS: dict[str, tuple[Bound, Bound]] = {
    "tanh": (Fraction(-1), Fraction(1)),
    "sigmoid": (Fraction(0), Fraction(1)),
    "softmax": (Fraction(0), Fraction(1)),
    "gelu": (Fraction(-1, 5), None),
    "gelu_tanh": (Fraction(-1, 5), None),
    "silu": (Fraction(-3, 10), None),
}


@dataclass(frozen=True, eq=False)
class Rows:
    """One sum a number of a value: ``sum(c * basis[k] for k, c in row.items()) * 2**power``; no coefficient is 0."""

    rows: tuple[Row, ...]
    power: int


@dataclass(frozen=True)
class Function:
    """A basis function: ``kind`` of ``sum * 2**power``, with a ``number`` and a ``group`` where the kind has them.

    Attributes
    ----------
    low, high : what it lies between for all inputs of the domain. crosses : of a rectifier, whether its sum takes both signs
        there.
    """

    kind: str
    sum: Sum
    power: int
    low: Bound
    high: Bound
    number: Fraction = Fraction(0)
    crosses: bool = True


@dataclass
class Basis:
    """The functions that values are sums of: 1, the inputs, and those that were met since.

    Parameters
    ----------
    inputs : how many there are. low, high : between what every input lies; None for no bound.
    """

    inputs: int
    low: Bound = None
    high: Bound = None
    functions: list[Function] = field(default_factory=list)
    _known: dict[object, int] = field(default_factory=dict)
    _groups: dict[object, int] = field(default_factory=dict)

    def function(self, k: int) -> Function | None:
        """The function at a place; None for 1 and the inputs."""
        return self.functions[k - 1 - self.inputs] if k > self.inputs else None

    def bounds(self, row: Iterable[tuple[int, int]], power: int) -> tuple[Bound, Bound]:
        """Between what a sum lies on the domain, by interval arithmetic without rounding."""
        constant = above = below = 0  # above, below: of the inputs' coefficients, positive and negative
        low: Bound = Fraction(0)
        high: Bound = Fraction(0)
        for k, c in row:
            if k == ONE:
                constant += c
            elif k <= self.inputs:
                if c > 0:
                    above += c
                else:
                    below += c
            else:
                f = self.functions[k - 1 - self.inputs]
                a, b = (f.low, f.high) if c > 0 else (f.high, f.low)
                low, high = _plus(low, c, a), _plus(high, c, b)
        low = _plus(_plus(_plus(low, above, self.low), below, self.high), constant, Fraction(1))
        high = _plus(_plus(_plus(high, above, self.high), below, self.low), constant, Fraction(1))
        factor = Fraction(2) ** power
        return (None if low is None else low * factor), (None if high is None else high * factor)

    def add(self, key: object, function: Function) -> int:
        """Return the place of a function, a new one where it hasn't been met."""
        at = self._known.get(key)
        if at is None:
            self.functions.append(function)
            at = self._known[key] = self.inputs + len(self.functions)
        return at

    def known(self, key: object) -> int | None:
        return self._known.get(key)

    def group(self, about: object, sums: list[Sum]) -> int:
        """A number for a collection of sums and what is done to them, the same in whatever order they are."""
        return self._groups.setdefault((about, tuple(sorted(sums))), len(self._groups))


def _plus(total: Bound, c: int, bound: Bound) -> Bound:
    if c == 0:
        return total
    return None if total is None or bound is None else total + c * bound


def expand(program: Program, basis: Basis, owner: str = "The network") -> list[Rows]:
    """Write the value of every step of a program over a basis, to which its functions are added.

    Raises
    ------
    DataError
        There are more coefficients than `MOST`.
    """
    size = sum(s.weight.size for s in program if s.op == "affine" and s.weight is not None)
    if size > MOST:
        raise DataError(f"{owner} has {size:,} weights; up to {MOST:,} are written out in exact arithmetic.")
    values: list[Rows] = []
    for step in program:
        values.append(_value(step, [values[a] for a in step.args], basis))
    return values


def difference(a: Rows, b: Rows) -> Rows:
    """One value less another."""
    return _added(a, Rows(tuple({k: -c for k, c in row.items()} for row in b.rows), b.power))


def _value(step: Step, given: list[Rows], basis: Basis) -> Rows:
    if step.op == "input":
        return Rows(tuple({j: 1} for j in range(1, step.width + 1)), 0)
    if step.op == "affine":
        assert step.weight is not None
        return _affine(step.weight, step.bias, given[0])
    if step.op == "scale":
        assert step.weight is not None
        return _scaled(step.weight, step.bias, given[0])
    if step.op == "add":
        return _added(*given)
    if step.op == "unit":
        applied = [unit(step.kind, step.number, row, given[0].power, basis) for row in given[0].rows]
        return joined(applied)
    if step.op == "batch_norm":
        return _batch_norm(step, given[0], basis)
    return _together(step, given[0], basis)


# -- sums -------------------------------------------------------------------------------------------


def joined(parts: list[tuple[Row, int]]) -> Rows:
    """Sums with a power of two each, brought to one."""
    power = min((p for row, p in parts if row), default=0)
    return Rows(
        tuple(row if p == power else {k: c << (p - power) for k, c in row.items()} for row, p in parts), power
    )


def _added(a: Rows, b: Rows) -> Rows:
    power = min(a.power, b.power)
    rows = []
    for x, y in zip(a.rows, b.rows, strict=True):
        row = {k: c << (a.power - power) for k, c in x.items()}
        for k, c in y.items():
            row[k] = row.get(k, 0) + (c << (b.power - power))
        rows.append({k: c for k, c in row.items() if c})
    return Rows(tuple(rows), power)


def _affine(weight: np.ndarray, bias: np.ndarray | None, given: Rows) -> Rows:
    w = Dyadic.of(weight)
    if len(weight) * sum(map(len, given.rows)) <= FEW:
        rows = [_summed(line, given.rows) for line in w.whole.tolist()]
    else:
        columns = sorted({k for row in given.rows for k in row})
        matrix = np.array([[row.get(k, 0) for k in columns] for row in given.rows], dtype=object)
        rows = [
            {k: c for k, c in zip(columns, line, strict=True) if c}
            for line in product(w.whole, matrix).tolist()
        ]
    total = Rows(tuple(rows), given.power + w.power)
    return total if bias is None else _added(total, _constants(bias))


def _summed(coefficients: list[int], rows: tuple[Row, ...]) -> Row:
    total: Row = {}
    for w, row in zip(coefficients, rows, strict=True):
        if w:
            for k, c in row.items():
                total[k] = total.get(k, 0) + w * c
    return {k: c for k, c in total.items() if c}


def _scaled(weight: np.ndarray, bias: np.ndarray | None, given: Rows) -> Rows:
    w = Dyadic.of(weight)
    rows = tuple(
        {k: s * c for k, c in row.items()} if s else {}
        for s, row in zip(w.whole.tolist(), given.rows, strict=True)
    )
    total = Rows(rows, given.power + w.power)
    return total if bias is None else _added(total, _constants(bias))


def _constants(values: np.ndarray) -> Rows:
    b = Dyadic.of(values)
    return Rows(tuple({ONE: c} if c else {} for c in b.whole.tolist()), b.power)


# -- activations ------------------------------------------------------------------------------------


def unit(kind: str, number: float, row: Row, power: int, basis: Basis) -> tuple[Row, int]:
    """An activation of one sum, as a sum."""
    if kind == "relu":
        return rectified(row, power, basis)
    if kind == "leaky":  # (1 - s) relu(z) + s z
        slope, rest = Dyadic.of(number), Dyadic.of(1.0)
        positive, p = rectified(row, power, basis)
        low = min(slope.power, 0)
        less = (int(rest.whole[()]) << (rest.power - low)) - (int(slope.whole[()]) << (slope.power - low))
        one = Rows(({k: less * c for k, c in positive.items()},), p + low)
        linear = Rows(({k: int(slope.whole[()]) * c for k, c in row.items()},), power + slope.power)
        total = _added(one, linear)
        return total.rows[0], total.power
    return _smooth(kind, row, power, basis)


def primitive(row: Row) -> tuple[Sum, int]:
    """A row as a primitive vector whose first coefficient is positive, and the factor, which may be negative."""
    items = sorted(row.items())
    factor = math.gcd(*row.values())
    if items[0][1] < 0:
        factor = -factor
    return tuple((k, c // factor) for k, c in items), factor


def rectified(row: Row, power: int, basis: Basis) -> tuple[Row, int]:
    """relu of a sum: a multiple of one basis function, and the sum itself where it is relu(-z) = relu(z) - z."""
    if not row:
        return {}, 0
    u, factor = primitive(row)
    at = basis.known(("relu", u))
    if at is None:
        low, high = basis.bounds(u, 0)
        if high is not None and high <= 0:  # u is never positive: relu(factor u) is 0 or factor u
            return ({}, 0) if factor > 0 else (row, power)
        if low is not None and low >= 0:
            return (row, power) if factor > 0 else ({}, 0)
        at = basis.add(("relu", u), Function("relu", u, 0, Fraction(0), high))
    if factor > 0:
        return {at: factor}, power
    return {**row, at: row.get(at, 0) - factor}, power


def _smooth(kind: str, row: Row, power: int, basis: Basis) -> tuple[Row, int]:
    """Any other activation: it knows its sum, and by its symmetry the negative of it."""
    if not row:  # of 0
        return ({ONE: 1}, -1) if kind == "sigmoid" else ({}, 0)
    u, factor = primitive(row)
    power, size = _odd(abs(factor), power)
    scaled = tuple((k, size * c) for k, c in u)
    low, high = BOUNDS[kind]
    if high is None:
        top = basis.bounds(scaled, power)[1]
        high = None if top is None else max(top, Fraction(0))
    at = basis.add((kind, scaled, power), Function(kind, scaled, power, low, high))
    if factor > 0:
        return {at: 1}, 0
    a, b, c = REFLECTED[kind]  # of z = -row
    total = _added(
        Rows(({at: a, **({ONE: c} if c else {})},), 0),
        Rows(({k: -b * v for k, v in row.items() if b},), power),
    )
    return total.rows[0], total.power


def _odd(size: int, power: int) -> tuple[int, int]:
    """A whole number's powers of two moved into the exponent: (power, odd number)."""
    zeros = (size & -size).bit_length() - 1
    return power + zeros, size >> zeros


def _batch_norm(step: Step, given: Rows, basis: Basis) -> Rows:
    """(z - mean) / sqrt(var + eps): a multiple of an irrational number, known by what is under the root."""
    assert step.weight is not None and step.bias is not None
    centred = difference(given, _constants(step.weight))
    out: list[tuple[Row, int]] = []
    for row, var in zip(centred.rows, step.bias.tolist(), strict=True):
        if not row:
            out.append(({}, 0))
            continue
        u, factor = primitive(row)
        under = Fraction(var) + Fraction(step.number)
        at = basis.add(("batch_norm", u, under), Function("batch_norm", u, 0, None, None, under))
        out.append(({at: factor}, centred.power))
    return joined(out)


def _together(step: Step, given: Rows, basis: Basis) -> Rows:
    """Layer norm and softmax: each number depends on all, in whatever order those are, less their mean."""
    n = len(given.rows)
    total = _summed([1] * n, given.rows)
    rows = []
    for row in given.rows:  # n times what is left when the mean is taken away
        centred = {k: n * c for k, c in row.items()}
        for k, c in total.items():
            centred[k] = centred.get(k, 0) - c
        rows.append({k: c for k, c in centred.items() if c})
    shift = _common_zeros(rows)
    sums = [tuple(sorted((k, c >> shift) for k, c in row.items())) for row in rows]
    power = given.power + shift
    about = (step.op, Fraction(step.number), n, power)
    group = basis.group(about, sums)
    low, high = BOUNDS.get(step.op, (None, None))
    out: list[tuple[Row, int]] = []
    for s in sums:
        if not s and step.op == "layer_norm":
            out.append(({}, 0))
            continue
        function = Function(step.op, s, power, low, high, Fraction(step.number))
        out.append(({basis.add((about, group, s), function): 1}, 0))
    return joined(out)


def _common_zeros(rows: list[Row]) -> int:
    """How often all coefficients can be halved."""
    factor = math.gcd(*(c for row in rows for c in row.values()), 0)
    return (factor & -factor).bit_length() - 1 if factor else 0
