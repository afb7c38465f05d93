"""What a network gives for one input in real arithmetic, straight from its weights: exactly, or within a proven ball."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import numpy as np

from workbench.numerics.exact.dyadic import Dyadic
from workbench.numerics.exact.reading import Program, Step, is_piecewise
from workbench.numerics.extras import MissingExtra

BITS = 320  # in which balls are computed
MISSING = (
    "Exact answers of smooth activations are computed with python-flint, which is an extra: python -m pip install "
    "'workbench[expressions]' (or 'python-flint>=0.8')."
)


def difference_at(a: Program, b: Program, x: np.ndarray) -> tuple[int, Fraction, str]:
    """Return in which output two programs surely differ most at a point, by how much at least, and how much in words.

    Networks that are linear in pieces are computed in rational arithmetic (`fractions`), others in balls of 320 bits (Arb),
    which contain what they stand for.

    Returns
    -------
    int, Fraction, str
        The output; a lower bound of the difference's size, exact for those that are linear in pieces, and 0 where none is
        proven; the difference as text.

    References
    ----------
    Johansson 2017, Arb: efficient arbitrary-precision midpoint-radius interval arithmetic, IEEE Trans. Comput. 66.
    """
    point = [Fraction(float(v)) for v in np.asarray(x).ravel()]
    if is_piecewise(a) and is_piecewise(b):
        apart = [u - v for u, v in zip(exact(a, point), exact(b, point), strict=True)]
        at = max(range(len(apart)), key=lambda i: abs(apart[i]))
        return at, abs(apart[at]), shown(apart[at])
    balls = [u - v for u, v in zip(enclosed(a, point), enclosed(b, point), strict=True)]
    least = [_fraction(ball.abs_lower()) for ball in balls]
    at = max(range(len(least)), key=least.__getitem__)
    return at, least[at], str(balls[at].str(12))


def shown(number: Fraction) -> str:
    """An exact number for people: as a quotient where that is short, and about how much it is."""
    text = str(number)
    return (
        text
        if len(text) <= 24
        else f"about {float(number):.6g}, exactly a quotient of {len(text):,} characters"
    )


def exact(program: Program, x: Sequence[Fraction]) -> list[Fraction]:
    """Return the outputs of a program that is linear in pieces, without rounding.

    All numbers of a step have one denominator, so that what is computed with are integers.
    """
    import math

    denominator = math.lcm(*(v.denominator for v in x))
    values = [
        (np.array([v.numerator * (denominator // v.denominator) for v in x], dtype=object), denominator)
    ]
    for step in program[1:]:
        values.append(_exact(step, [values[a] for a in step.args]))
    numbers, denominator = values[-1]
    return [Fraction(int(n), denominator) for n in numbers]


def _exact(step: Step, given: list[tuple[np.ndarray, int]]) -> tuple[np.ndarray, int]:
    n, d = given[0]
    if step.op == "add":
        m, e = given[1]
        return n * e + m * d, d * e
    if step.op == "unit":
        if step.kind == "relu":
            return np.maximum(n, 0), d
        slope = Fraction(step.number)
        return np.where(n > 0, n * slope.denominator, n * slope.numerator), d * slope.denominator
    assert step.weight is not None
    w = Dyadic.of(step.weight)
    total, power = (w.whole @ n if step.op == "affine" else w.whole * n), w.power
    if step.bias is not None:
        b = Dyadic.of(step.bias)
        low = min(power, b.power)
        total = total * (1 << (power - low)) + b.whole * (d << (b.power - low))
        power = low
    return (total, d << -power) if power < 0 else (total * (1 << power), d)


def enclosed(program: Program, x: Sequence[Fraction]) -> list[Any]:
    """Return a ball (``flint.arb``) around each output of any program.

    Raises
    ------
    MissingExtra
        python-flint isn't installed.
    """
    try:
        import flint
    except ModuleNotFoundError as e:
        raise MissingExtra(MISSING) from e
    before = flint.ctx.prec
    flint.ctx.prec = BITS
    try:
        values = [[flint.arb(flint.fmpq(v.numerator, v.denominator)) for v in x]]
        for step in program[1:]:
            values.append(_enclosed(step, [values[a] for a in step.args], flint))
    finally:
        flint.ctx.prec = before
    return values[-1]


def _enclosed(step: Step, given: list[list[Any]], flint: Any) -> list[Any]:
    z, n = given[0], step.width
    if step.op == "add":
        return [u + v for u, v in zip(*given, strict=True)]
    if step.op == "unit":
        return [_unit(step, v, flint) for v in z]
    if step.op == "softmax":
        powers = [v.exp() for v in z]
        total = sum(powers, flint.arb(0))
        return [p / total for p in powers]
    if step.op == "layer_norm":
        mean = sum(z, flint.arb(0)) / n
        var = sum(((v - mean) ** 2 for v in z), flint.arb(0)) / n
        return [(v - mean) / (var + step.number).sqrt() for v in z]
    assert step.weight is not None
    if step.op == "affine":
        matrix = flint.arb_mat(step.weight.tolist())
        total = [row[0] for row in (matrix * flint.arb_mat([[v] for v in z])).tolist()]
    elif step.op == "scale":
        total = [w * v for w, v in zip(step.weight.tolist(), z, strict=True)]
    else:  # batch norm
        assert step.bias is not None
        about = zip(z, step.weight.tolist(), step.bias.tolist(), strict=True)
        return [(v - m) / (flint.arb(s) + step.number).sqrt() for v, m, s in about]
    return total if step.bias is None else [v + b for v, b in zip(total, step.bias.tolist(), strict=True)]


def _unit(step: Step, z: Any, flint: Any) -> Any:
    one = flint.arb(1)
    if step.kind == "relu":
        return z.max(flint.arb(0))
    if step.kind == "leaky":
        return z.max(step.number * z) if step.number <= 1 else z.min(step.number * z)
    if step.kind == "gelu":
        return z * (one + (z / flint.arb(2).sqrt()).erf()) / 2
    if step.kind == "gelu_tanh":  # of torch's own constants, which are real numbers there
        return z * (one + ((2 / flint.arb.pi()).sqrt() * (z + flint.arb(0.044715) * z**3)).tanh()) / 2
    if step.kind == "silu":
        return z / (one + (-z).exp())
    return z.tanh() if step.kind == "tanh" else one / (one + (-z).exp())


def _fraction(ball: Any) -> Fraction:
    """A ball without a radius as a fraction."""
    q = ball.fmpq()
    return Fraction(int(q.p), int(q.q))
