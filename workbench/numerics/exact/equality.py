"""Whether two networks are one function: proven, refuted by an input, or neither."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Literal

import numpy as np

from workbench.core.errors import DataError, MissingError
from workbench.numerics.exact.evaluation import difference_at
from workbench.numerics.exact.expansion import Basis, Rows, difference, expand
from workbench.numerics.exact.hunting import beside, hunt
from workbench.numerics.exact.reading import Program
from workbench.numerics.exact.settling import settled
from workbench.numerics.exact.solving import nonzero_somewhere, reachable

TRIES = 3  # of the sampled inputs at which outputs differ most, how many are checked exactly


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


def _suspected(
    a: Program, b: Program, suspects: Sequence[np.ndarray], where: str = "an input that was drawn at random"
) -> Decision | None:
    checked = (_checked(a, b, x, where) for x in suspects[:TRIES])
    return next((told for told in checked if told is not None), None)


def _checked(a: Program, b: Program, x: np.ndarray, where: str) -> Decision | None:
    output, least, apart = difference_at(a, b, x)
    if not least:
        return None
    return Decision("refuted", f"They differ at {where}, computed without rounding.", x, output, apart)


def _unequal(a: Program, b: Program, rest: Rows, basis: Basis, work: float, random_state: int) -> Decision:
    """What follows from other coefficients: of one layer of rectifiers that they differ, of more that one has to look."""
    functions = [f for k in reachable(rest.rows, basis) if (f := basis.function(k)) is not None]
    if any(f.kind != "relu" for f in functions):
        return Decision(
            "untold",
            "Their units can't all be matched up to order, sign and scale, and for smooth activations nothing else is tried.",
            np.empty(0),
        )
    if _is_one_layer(rest, basis):
        return _beside_a_kink(a, b, rest, basis, random_state)
    looked = hunt(rest, basis, random_state)
    if (told := _suspected(a, b, looked.suspects, "an input that a search found")) is not None:
        return told
    try:
        return _solved(a, b, rest, basis, looked.signs, work, random_state)
    except MissingError as e:
        return Decision("untold", str(e), np.empty(0))


def _solved(
    a: Program,
    b: Program,
    rest: Rows,
    basis: Basis,
    signs: Mapping[int, int],
    work: float,
    random_state: int,
) -> Decision:
    """What z3 says: first of single rectifiers, whether they always or never act, then of the whole difference."""
    rest, basis, gone = settled(rest, basis, signs, work)
    said = f"z3 proved {gone:,} rectifier{'s' * (gone > 1)} to act always or never. " if gone else ""
    if not any(rest.rows):
        return Decision("proven", f"{said}Without them, the two have the same coefficients.", np.empty(0))
    if _is_one_layer(rest, basis):
        return _beside_a_kink(a, b, rest, basis, random_state)
    left = len(reachable(rest.rows, basis))
    answer, point = nonzero_somewhere(rest, basis, work)
    if answer == "nowhere":
        how = f"{said}z3 found no input at which they differ, over {left:,} rectifiers that one has and the other hasn't."
        return Decision("proven", how, np.empty(0))
    if answer == "somewhere":
        told = _checked(a, b, np.array([float(v) for v in point]), "an input that z3 found")
        if told is not None:
            return told
    how = f"{said}z3 came to no end within effort={work:g}, over {left:,} rectifiers."
    return Decision("untold", how, np.empty(0))


def _is_one_layer(rest: Rows, basis: Basis) -> bool:
    functions = [basis.function(k) for k in reachable(rest.rows, basis)]
    return all(k <= basis.inputs for f in functions if f is not None for k, _ in f.sum)


def _beside_a_kink(a: Program, b: Program, rest: Rows, basis: Basis, random_state: int) -> Decision:
    """Distinct hyperplanes that cross the domain: the kink at one can't be made up for by others, so that they differ."""
    where = "an input beside a hyperplane at which only one of them has a kink"
    for x in beside(rest, basis, np.random.default_rng(random_state)):
        if (told := _checked(a, b, x, where)) is not None:
            return told
    return Decision(
        "untold",
        "They have other coefficients over distinct rectifiers, so that they differ; no floating point input was found that "
        "shows it.",
        np.empty(0),
    )
