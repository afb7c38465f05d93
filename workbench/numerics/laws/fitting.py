"""An expression's numbers, fitted to rows, and rounded to simple ones where the fit doesn't suffer."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator
from fractions import Fraction
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from workbench.numerics.expressions.dag import FUNCTIONS, Dag
from workbench.numerics.expressions.show import SPECIAL

if TYPE_CHECKING:
    from jaxtyping import Float

SUFFERS, SUFFERS_NOTHING = 8.0, 12.0
"""How much twice the logarithm of the likelihood may fall where a number is rounded, and where that leaves it out."""
NO_SCALE, NO_SHIFT = ("abs", "relu", "log", "sqrt"), ("exp",)  # what another number stands for already
STEPS = 20  # of a fit, at most


class Fitted:
    """A form whose numbers are free: every coefficient and constant of its sums.

    Parameters
    ----------
    loose : also a factor and a shift inside each function and reciprocal that has none.
    """

    def __init__(self, dag: Dag, root: int, *, loose: bool = False):
        self.dag, self.root = dag, root
        self.steps: list[tuple[int, str, tuple[int, ...], Any, Any]] = []
        start: list[float] = []

        def slot(value: float) -> int:
            start.append(float(value))
            return len(start) - 1

        for at in dag.reach(root):
            op, args, numbers, name = dag.nodes[at]
            given: Any = None
            slots: Any = None
            if op == "number":
                slots = slot(float(numbers[0]))
            elif op == "variable":
                given = name
            elif op == "sum":
                slots = (
                    [slot(float(c)) for c in numbers[:-1]],
                    slot(float(numbers[-1])) if numbers[-1] else -1,
                )
            elif op == "product":
                given = [int(p) for p in numbers]
                slots = [
                    slot(0.0) if loose and p < 0 and dag.nodes[a].op != "sum" else -1
                    for a, p in zip(args, numbers, strict=True)
                ]
            elif loose and dag.nodes[args[0]].op != "sum":
                slots = (-1 if op in NO_SCALE else slot(1.0), -1 if op in NO_SHIFT else slot(0.0))
            self.steps.append((at, op, args, given, slots))
        self.numbers = np.array(start)

    def values(
        self, numbers: Float[np.ndarray, " k"], data: dict[str, np.ndarray]
    ) -> Float[np.ndarray, " n"]:
        """The form's values with these numbers; of several sets of them, (k, m, 1), all at once, (m, n)."""
        held: dict[int, Any] = {}
        with np.errstate(all="ignore"):
            for at, op, args, given, slots in self.steps:
                if op == "number":
                    held[at] = numbers[slots]
                elif op == "variable":
                    held[at] = data[given]
                elif op == "sum":
                    coefficients, constant = slots
                    total = numbers[constant] if constant >= 0 else 0.0
                    for a, c in zip(args, coefficients, strict=True):
                        total = total + numbers[c] * held[a]
                    held[at] = total
                elif op == "product":
                    total = 1.0
                    for a, p, s in zip(args, given, slots, strict=True):
                        total = total * (held[a] + (numbers[s] if s >= 0 else 0.0)) ** float(p)
                    held[at] = total
                else:
                    inner = held[args[0]]
                    if slots is not None:
                        scale, shift = slots
                        inner = inner * (numbers[scale] if scale >= 0 else 1.0) + (
                            numbers[shift] if shift >= 0 else 0.0
                        )
                    held[at] = FUNCTIONS[op](inner)
        return np.asarray(held[self.root], np.float64)

    def built(self, numbers: list[float] | np.ndarray) -> int:
        """The form with these numbers, as a node of the same graph."""
        dag, made = self.dag, dict[int, int]()
        for at, op, args, given, slots in self.steps:
            if op == "number":
                made[at] = dag.number(float(numbers[slots]))
            elif op == "variable":
                made[at] = at
            elif op == "sum":
                coefficients, constant = slots
                terms = [(made[a], float(numbers[c])) for a, c in zip(args, coefficients, strict=True)]
                made[at] = flat_sum(dag, terms, float(numbers[constant]) if constant >= 0 else 0)
            elif op == "product":
                bases = [
                    flat_sum(dag, [(made[a], 1)], float(numbers[s])) if s >= 0 else made[a]
                    for a, s in zip(args, slots, strict=True)
                ]
                made[at] = flat_product(dag, list(zip(bases, given, strict=True)))
            else:
                inner = made[args[0]]
                if slots is not None:
                    scale, shift = slots
                    by, to = (
                        float(numbers[scale]) if scale >= 0 else 1.0,
                        float(numbers[shift]) if shift >= 0 else 0.0,
                    )
                    inner = flat_sum(dag, [(inner, by)], to)
                made[at] = applied(dag, op, inner)
        return made[self.root]

    def fit(
        self,
        data: dict[str, np.ndarray],
        y: Float[np.ndarray, " n"],
        start: np.ndarray,
        held: Collection[int] = (),
    ) -> tuple[np.ndarray, float]:
        """Return the numbers that fit best, by Levenberg and Marquardt, and the mean squared error; those ``held`` stay.

        All derivatives come of one pass, in which each number is moved by a little in a row of its own.
        """
        free = np.array([i for i in range(len(start)) if i not in held], int)
        n, k = len(y), len(free)
        numbers = start.astype(np.float64)
        left = self._residual(numbers, data, y)
        error = float(left @ left)
        if not k or k > n:
            return numbers, error / n
        damping = 1e-3
        for _ in range(STEPS):
            h = 1e-7 * np.maximum(np.abs(numbers[free]), 1e-2)
            moved = np.repeat(numbers[:, None, None], k, axis=1)
            moved[free, np.arange(k), 0] += h
            j = (np.broadcast_to(self.values(moved, data), (k, n)) - (left + y)) / h[:, None]
            j = np.clip(np.nan_to_num(j, posinf=0, neginf=0), -1e12, 1e12)
            normal, gradient = j @ j.T, j @ left
            before = error
            while damping < 1e9:
                scale = np.maximum(np.diag(normal), 1e-12)
                trial = numbers.copy()
                trial[free] -= np.linalg.solve(normal + damping * np.diag(scale), gradient)
                again = self._residual(trial, data, y)
                if (now := float(again @ again)) < error:
                    numbers, left, error = trial, again, now
                    damping = max(damping / 10, 1e-9)
                    break
                damping *= 10
            if before - error <= 1e-9 * before:
                break
        return numbers, error / n

    def _residual(self, numbers: np.ndarray, data: dict[str, np.ndarray], y: np.ndarray) -> np.ndarray:
        out = np.broadcast_to(self.values(numbers, data), y.shape) - y
        return np.where(np.isfinite(out), np.clip(out, -1e12, 1e12), 1e12)


def refined(
    dag: Dag, root: int, data: dict[str, np.ndarray], y: Float[np.ndarray, " n"], *, loose: bool
) -> tuple[int, float]:
    """Fit the numbers of a form; the node with them, and its mean squared error."""
    form = Fitted(dag, root, loose=loose)
    numbers, error = form.fit(data, y, form.numbers)
    return form.built(numbers), error


def snapped(
    dag: Dag, root: int, data: dict[str, np.ndarray], y: Float[np.ndarray, " n"]
) -> tuple[int, float]:
    """Round a form's numbers to simple ones, one by one, the others fitted anew each time; its node and mean squared error.

    A number is rounded to the simplest that the data allow: a rational, or one times π, e or √2; where that takes more bits than
    the number is known to, it stays as it is, since one of so many would have been near it by chance.
    """
    form = Fitted(dag, root)
    numbers, error = form.fit(data, y, form.numbers)
    if not len(numbers):
        return root, error
    n, fixed = len(y), set[int]()
    floor = 1e-22 * float(np.mean(y * y)) + 1e-300
    order = np.argsort(
        _known(form, numbers, data, error), kind="stable"
    )  # those least known first: they may be nothing
    for i in order.tolist():
        spread = float(_spreads(form, numbers, data, error)[i])
        for value in _simple(float(numbers[i]), spread):
            trial = numbers.copy()
            trial[i] = value
            again, worse = form.fit(data, y, trial, fixed | {i})
            if (
                n * math.log((worse + floor) / (error + floor)) <= (SUFFERS if value else SUFFERS_NOTHING)
                and np.isfinite(again).all()
            ):
                numbers, error = again, min(worse, max(error, worse))
                break
        fixed.add(i)
    return form.built(numbers), error


def _spreads(form: Fitted, numbers: np.ndarray, data: dict[str, np.ndarray], error: float) -> np.ndarray:
    """Standard errors of the numbers; infinite where the data say nothing of one."""
    k, n = len(numbers), len(next(iter(data.values())))
    h = 1e-6 * np.maximum(np.abs(numbers), 1e-3)
    moved = np.repeat(numbers[:, None, None], k, axis=1)
    moved[np.arange(k), np.arange(k), 0] += h
    base = np.broadcast_to(form.values(numbers, data), n)
    j = (
        np.nan_to_num((np.broadcast_to(form.values(moved, data), (k, n)) - base) / h[:, None])
        .clip(-1e100, 1e100)
        .T
    )
    scale = np.sqrt((j * j).sum(0))
    scale[scale == 0] = 1e-300
    s = j / scale
    inverse = np.linalg.pinv(s.T @ s + 1e-12 * np.eye(len(numbers)), hermitian=True)
    return np.asarray(np.sqrt(np.maximum(np.diag(inverse), 0) * error) / scale)


def _known(form: Fitted, numbers: np.ndarray, data: dict[str, np.ndarray], error: float) -> np.ndarray:
    return np.abs(numbers) / np.maximum(_spreads(form, numbers, data, error), 1e-300)


@cache
def _rationals() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Simple numbers up to 20, rational or one times π, e or √2, and how many bits each takes."""
    found: dict[Fraction, float] = {}
    for q in (1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 12, 16, 20, 25, 50, 100):
        for p in range(1, 20 * q + 1):
            f = Fraction(p, q)
            if f.denominator == q and (q <= 12 or p <= 150):
                bits = math.log2(f.numerator) + (
                    min(2 * math.log2(q), 1 + math.log2(q) + (10 % q != 0)) if q > 1 else 0
                )
                found[f] = bits
    values = [(float(f), b, float(f)) for f, b in found.items()]
    small = {Fraction(p, q) for q in (1, 2, 3, 4) for p in range(1, 9)}
    values += [
        (float(f) * c, 3 + math.log2(f.numerator) + 2 * math.log2(f.denominator), float(f))
        for f in small
        for c in SPECIAL.values()
    ]
    values += [(1 / math.sqrt(2 * math.pi), 5.0, 0.0), (1 / math.pi, 4.0, 0.0)]
    values.sort()
    return (
        np.array([v for v, *_ in values]),
        np.array([b for _, b, _ in values]),
        np.array([r for *_, r in values]),
    )


def _simple(value: float, spread: float) -> Iterator[float]:
    """Simple numbers near a value, the simplest first."""
    if not np.isfinite(value):
        return
    near = 3.5 * spread + 1e-9 * abs(value)
    if abs(value) <= near or abs(value) < 1e-9:
        yield 0.0
    sizes, bits, _ = _rationals()
    sign, size = (-1.0 if value < 0 else 1.0), abs(value)
    if size > 20:  # whole numbers, and those with few digits
        options = {float(f"{size:.{d}g}"): 3.4 * d + 1 for d in (1, 2, 3)} | {
            float(round(size)): math.log2(size) + 1
        }
        sizes, bits = np.array(sorted(options)), np.array([options[o] for o in sorted(options)])
    inside = np.flatnonzero(np.abs(sizes - size) <= near)
    precision = math.log2(max(size / max(spread, 1e-300), 1.0)) if spread else 60.0
    ranked = inside[np.lexsort((np.abs(sizes[inside] - size), bits[inside]))]
    for i in ranked[:3]:
        if bits[i] <= max(precision, 1.0) + 0.5:
            yield sign * float(sizes[i])


def flat_sum(dag: Dag, terms: list[tuple[int, Any]], constant: Any = 0) -> int:
    """A sum whose terms that are sums are part of it."""
    flat: list[tuple[int, Fraction]] = []
    rest = Fraction(constant)
    for node, coefficient in terms:
        c = Fraction(coefficient)
        if dag.nodes[node].op == "sum":
            _, args, numbers, _ = dag.nodes[node]
            flat += [(a, c * d) for a, d in zip(args, numbers, strict=False)]
            rest += c * numbers[-1]
        else:
            flat.append((node, c))
    return dag.sum(_rounded(flat), _near(rest))


def flat_product(dag: Dag, factors: list[tuple[int, int]]) -> int:
    """A product whose factors that are products are part of it, and numbers before it."""
    scale, flat, exponent = Fraction(1), list[tuple[int, int]](), list[tuple[int, int]]()
    for node, power in factors:
        op, args, numbers, _ = dag.nodes[node]
        if op == "sum" and len(args) == 1 and not numbers[-1]:
            scale *= numbers[0] ** power
            node, (op, args, numbers, _) = args[0], dag.nodes[args[0]]
        if op == "product":
            flat += [(a, int(p) * power) for a, p in zip(args, numbers, strict=True)]
        elif op == "exp":
            exponent.append((args[0], power))
        else:
            flat.append((node, power))
    if exponent:
        flat.append((dag.apply("exp", flat_sum(dag, exponent)), 1))
    return flat_sum(dag, [(dag.product(flat), _near(scale))])


def applied(dag: Dag, function: str, inner: int) -> int:
    """A function of a node, written shorter where that is a logarithm's exponential or a root of something scaled."""
    op, args, numbers, _ = dag.nodes[inner]
    if (function, op) == ("log", "exp"):
        return args[0]
    if function in ("sin", "tanh", "cos") and op == "sum" and all(c <= 0 for c in numbers):
        turned = dag.apply(function, flat_sum(dag, [(inner, -1)]))
        return turned if function == "cos" else flat_sum(dag, [(turned, -1)])
    if function == "exp":
        terms = zip(args, numbers, strict=False) if op == "sum" else [(inner, Fraction(1))]
        taken = [
            (dag.nodes[a].args[0], c)
            for a, c in terms
            if dag.nodes[a].op == "log" and (2 * c).denominator == 1
        ]
        if taken:
            logs = {dag.apply("log", a): c for a, c in taken}
            rest = flat_sum(dag, [(inner, 1), *((a, -c) for a, c in logs.items())])
            whole = [(a, int(c)) for a, c in taken if c.denominator == 1]
            halves = [(a, int(2 * c)) for a, c in taken if c.denominator == 2]
            parts = [(flat_product(dag, whole), 1)] if whole else []
            parts += [(applied(dag, "sqrt", flat_product(dag, halves)), 1)] if halves else []
            if dag.nodes[rest].op != "number" or dag.nodes[rest].numbers[0]:
                parts.append((dag.apply("exp", rest), 1))
            return flat_product(dag, parts)
    if (function, op) == ("sqrt", "exp"):
        return dag.apply("exp", flat_sum(dag, [(args[0], Fraction(1, 2))]))
    if (
        function == "sqrt"
        and op == "sum"
        and len(args) == 1
        and not numbers[-1]
        and numbers[0] > 0
        and numbers[0] != 1
    ):
        return flat_sum(dag, [(applied(dag, "sqrt", args[0]), math.sqrt(numbers[0]))])
    return dag.apply(function, inner)


def _rounded(terms: list[tuple[int, Fraction]]) -> list[tuple[int, Fraction]]:
    return [(node, _near(c)) for node, c in terms]


def _near(value: Fraction) -> Fraction:
    """The same number, or of a long one the simple one that floating point can't tell from it."""
    if value.denominator < 10**6:
        return value
    simple = value.limit_denominator(1000)
    return simple if abs(float(simple - value)) <= 1e-15 * abs(float(value)) else Fraction(float(value))


def size_of(dag: Dag, root: int) -> int:
    """How many symbols a form has, shared parts written again: inputs, numbers other than 1, operations."""
    size: dict[int, int] = {}
    for at in dag.reach(root):
        op, args, numbers, _ = dag.nodes[at]
        size[at] = 1 if not args else sum(size[a] for a in args)
        if op == "sum":
            size[at] += sum(2 * (abs(c) != 1) for c in numbers[:-1]) + 2 * bool(numbers[-1]) + len(args) - 1
        elif op == "product":
            size[at] += len(args) - 1 + sum(p not in (1, -1) for p in numbers) + all(p < 0 for p in numbers)
        elif args:
            size[at] += 1
    return size[root]
