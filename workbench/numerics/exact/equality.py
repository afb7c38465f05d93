"""Whether two networks are one function: proven, refuted by an input, or neither."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Literal

import numpy as np

from workbench.core.errors import DataError, MissingError
from workbench.numerics.exact.evaluation import difference_at
from workbench.numerics.exact.expansion import ONE, Basis, Row, Rows, difference, expand
from workbench.numerics.exact.reading import Program
from workbench.numerics.exact.solving import nonzero_somewhere, reachable

TRIES = 3  # of the sampled inputs at which outputs differ most, how many are checked exactly
HALVINGS = 60  # of the distance to a hyperplane, before no input beside it is found


@dataclass(frozen=True, eq=False)
class Decision:
    """Attributes
    ----------
    verdict : ``proven`` equal on the whole domain, ``refuted``, or ``untold``. how : by what, in a sentence.
    point : (d,) an input at which they differ; empty without one. output : which of the outputs does, by ``apart``, in words.
    units, shared : how many distinct units the two have together, and how many of those both have; None where they weren't
        written out.
    """

    verdict: Literal["proven", "refuted", "untold"]
    how: str
    point: np.ndarray
    output: int = -1
    apart: str = ""
    units: int | None = None
    shared: int | None = None


def decide(
    a: Program,
    b: Program,
    *,
    low: Fraction | None = None,
    high: Fraction | None = None,
    suspects: Sequence[np.ndarray] = (),
    work: float = 20,
    random_state: int = 0,
) -> Decision:
    """Say whether two programs are one function of real numbers on a domain.

    Parameters
    ----------
    low, high : between what every input lies; None for no bound.
    suspects : inputs at which they seem to differ, most likely first; the first few are checked exactly.
    work : seconds, roughly, that the solver may take; 0: no proof is looked for.

    Raises
    ------
    DataError
        They take or give other numbers of numbers.
    """
    for what, one, other in (("take", a[0].width, b[0].width), ("give", a[-1].width, b[-1].width)):
        if one != other:
            raise DataError(
                f"The two networks {what} {one} and {other} numbers: they are functions of other things, and aren't compared."
            )
    if not work:
        return _suspected(a, b, suspects) or Decision(
            "untold", "No proof was looked for (effort=0).", np.empty(0)
        )
    basis = Basis(a[0].width, low, high)
    try:
        values = [expand(n, basis, f"The {which} network")[-1] for n, which in ((a, "first"), (b, "second"))]
    except DataError as too_large:
        return _suspected(a, b, suspects) or Decision("untold", str(too_large), np.empty(0))
    units = [set(reachable(value.rows, basis)) for value in values]
    rest = difference(*values)
    if any(rest.rows):
        told = _suspected(a, b, suspects) or _unequal(a, b, rest, basis, work, random_state)
    else:
        how = "Written over their distinct units, the two have the same coefficients."
        told = Decision("proven", how, np.empty(0))
    return replace(told, units=len(units[0] | units[1]), shared=len(units[0] & units[1]))


def _suspected(a: Program, b: Program, suspects: Sequence[np.ndarray]) -> Decision | None:
    checked = (_checked(a, b, x) for x in suspects[:TRIES])
    return next((told for told in checked if told is not None), None)


def _checked(
    a: Program, b: Program, x: np.ndarray, how: str = "an input that was drawn at random"
) -> Decision | None:
    output, least, apart = difference_at(a, b, x)
    if not least:
        return None
    return Decision("refuted", f"They differ at {how}, computed without rounding.", x, output, apart)


def _unequal(a: Program, b: Program, rest: Rows, basis: Basis, work: float, random_state: int) -> Decision:
    """What follows from other coefficients: of one layer of rectifiers that they differ, of more that a solver is asked."""
    functions = [f for k in reachable(rest.rows, basis) if (f := basis.function(k)) is not None]
    if any(f.kind != "relu" for f in functions):
        return Decision(
            "untold",
            "Their units can't all be matched up to order, sign and scale, and for smooth activations nothing else is tried.",
            np.empty(0),
        )
    if all(k <= basis.inputs for f in functions for k, _ in f.sum):
        # Distinct hyperplanes that cross the domain: the kink at one can't be made up for by others, so that they differ.
        for x in _beside(rest, basis, np.random.default_rng(random_state)):
            if (
                told := _checked(a, b, x, "an input beside a hyperplane at which only one of them has a kink")
            ) is not None:
                return told
        return Decision(
            "untold",
            "They have other coefficients over distinct rectifiers, so that they differ; no floating point input was found that "
            "shows it.",
            np.empty(0),
        )
    try:
        answer, point = nonzero_somewhere(rest, basis, work)
    except MissingError as e:
        return Decision("untold", str(e), np.empty(0))
    if answer == "nowhere":
        how = f"z3 found no input at which they differ, over {len(functions):,} rectifiers that one has and the other hasn't."
        return Decision("proven", how, np.empty(0))
    if answer == "somewhere":
        told = _checked(a, b, np.array([float(v) for v in point]), "an input that z3 found")
        if told is not None:
            return told
    return Decision(
        "untold",
        f"z3 came to no end within effort={work:g}, over {len(functions):,} rectifiers.",
        np.empty(0),
    )


def _beside(rest: Rows, basis: Basis, rng: np.random.Generator) -> Iterator[np.ndarray]:
    """Inputs, one of which shows that a sum of rectifiers of the inputs isn't 0.

    Three on a line across one rectifier's hyperplane, so near that no other hyperplane lies between: a function with one
    kink there isn't 0 at all three. Without a rectifier in it the sum is affine, and 0 at no input but of a plane.
    """
    n = basis.inputs
    strongest: tuple[int, int] | None = None
    for row in rest.rows:
        for k, c in row.items():
            if k > n and (strongest is None or abs(c) > strongest[1]):
                strongest = (k, abs(c))
    middle, size = _middle(basis)
    if strongest is None:
        row = next(row for row in rest.rows if row)
        yield np.full(n, middle)
        for k in row:
            if k != ONE:
                for step in (size, -size):
                    x = np.full(n, middle)
                    x[k - 1] += step
                    yield clipped(x, basis)
        return
    f = basis.function(strongest[0])
    assert f is not None
    w, constant = _floats(dict(f.sum), n)
    for _ in range(4):
        one, other = _ends(w, constant, basis, rng)
        for _ in range(HALVINGS):  # the hyperplane stays between the two
            half = (one + other) / 2
            if (w @ half + constant > 0) == (w @ other + constant > 0):
                other = half
            else:
                one = half
        ends = _ends(w, constant, basis, rng)
        direction = ends[1] - ends[0]
        for halved in range(2, HALVINGS, 6):
            for side in (1.0, -1.0, 0.0):
                x = one + side * direction * 2.0**-halved
                yield clipped(x, basis)


def _ends(
    w: np.ndarray, constant: float, basis: Basis, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Two inputs on either side of a hyperplane: at random, and beyond it as far as need be."""
    low, high = (None if v is None else float(v) for v in (basis.low, basis.high))
    start = rng.standard_normal(len(w)) if low is None or high is None else rng.uniform(low, high, len(w))
    reach = 1.0
    for _ in range(200):
        one, other = (clipped(start + sign * reach * np.sign(w), basis) for sign in (-1, 1))
        if w @ one + constant < 0 < w @ other + constant:
            break
        reach *= 2
    return one, other


def clipped(x: np.ndarray, basis: Basis) -> np.ndarray:
    """Inputs moved into the domain."""
    low, high = (
        (-np.inf if basis.low is None else float(basis.low)),
        (np.inf if basis.high is None else float(basis.high)),
    )
    return np.clip(x, low, high)


def _floats(row: Row, n: int) -> tuple[np.ndarray, float]:
    """A sum of inputs in floating point, scaled to a largest coefficient of 1."""
    largest = max(map(abs, row.values()))
    w = np.zeros(n)
    for k, c in row.items():
        if k != ONE:
            w[k - 1] = float(Fraction(c, largest))
    return w, float(Fraction(row.get(ONE, 0), largest))


def _middle(basis: Basis) -> tuple[float, float]:
    """An input's value inside the domain, and a step that stays in it."""
    low, high = (None if v is None else float(v) for v in (basis.low, basis.high))
    if low is not None and high is not None:
        return (low + high) / 2, (high - low) / 2
    return (low + 1.0 if low is not None else 0.0 if high is None else high - 1.0), 1.0
