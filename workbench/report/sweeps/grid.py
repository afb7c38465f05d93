"""From ``layer=0,1,2`` and ``n_neighbors=5..50:5`` to the runs of a sweep."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any

from workbench.core.errors import ParameterError
from workbench.report.parameters import Typed, split, to_json

MAX_RUNS = 10_000
_NUMBER = r"[+-]?\d+(?:\.\d+)?(?:[eE][+-]?\d{1,3})?"
_RANGE = re.compile(rf"\s*({_NUMBER})\s*\.\.\s*({_NUMBER})\s*(?::\s*({_NUMBER})\s*)?")
LEGAL = "Write NAME=VALUE,VALUE,... or NAME=FIRST..LAST or NAME=FIRST..LAST:STEP, as in layer=0,1,2 or n_neighbors=5..50:5"


def literal(text: str) -> Typed:
    """Return a value as it was typed; its parameter's default says whether ``2024`` is a number or a text."""
    return Typed(text)


def parse(pairs: Iterable[str]) -> dict[str, list[Any]]:
    """Read what was typed for a sweep's parameters: each name's values, in order.

    Values stand between commas, outside brackets and quotation marks; a range includes its last value, and is of numbers.
    What else was typed is read when the type of the parameter's default is known.

    Raises
    ------
    ParameterError
        No name, no value, a name twice, a range that goes nowhere, or more than 10,000 runs.
    """
    grid: dict[str, list[Any]] = {}
    for pair in pairs:
        name, equals, text = pair.partition("=")
        name = name.strip()
        if not equals or not name.isidentifier():
            raise ParameterError(f"-p {pair!r} names no parameter and its values. {LEGAL}.")
        if name in grid:
            raise ParameterError(
                f"-p {name} is given twice: write all its values in one, as in {name}=1,2,3."
            )
        pieces = [p.strip() for p in split(text)]
        if "" in pieces:
            raise ParameterError(f"-p {pair!r} has an empty value. {LEGAL}; '' is the empty text.")
        grid[name] = [v for piece in pieces for v in _values(piece, pair)]
    return grid


def distinct(values: Iterable[Any]) -> list[Any]:
    """Each value once; 1 and 1.0 are two."""
    return list({json.dumps(to_json(value)): value for value in values}.values())


def product(grid: Mapping[str, Sequence[Any]]) -> list[dict[str, Any]]:
    """Every combination of the values, the last name changing fastest.

    Raises
    ------
    ParameterError
        There are more than 10,000.
    """
    many = 1
    for name, values in grid.items():
        many *= len(values)
        if many > MAX_RUNS:
            raise ParameterError(
                f"This is more than {MAX_RUNS:,} runs (with {name}'s {len(values):,} values): give fewer values, or a larger step."
            )
    return [dict(zip(grid, values, strict=True)) for values in itertools.product(*grid.values())]


def _values(piece: str, pair: str) -> Iterable[Any]:
    found = _RANGE.fullmatch(piece)
    if found is None:
        return [literal(piece)]
    # decimal, so that 0..1:0.1 gives 0.3 and not 0.30000000000000004
    first, last = Decimal(found[1]), Decimal(found[2])
    step = Decimal(found[3]) if found[3] else Decimal(1 if last >= first else -1)
    if step == 0 or (last - first) * step < 0:
        raise ParameterError(
            f"-p {pair!r}: no value lies on the way from {first} to {last} in steps of {step}. A step leads from the "
            f"first value to the last, as in {min(first, last)}..{max(first, last)}:{abs(step) or 1}."
        )
    steps = (last - first) / step
    if steps >= MAX_RUNS:
        raise ParameterError(
            f"-p {pair!r} has {steps:.4g} values; a sweep has at most {MAX_RUNS:,} runs: give a larger step."
        )
    whole = all(re.fullmatch(r"[+-]?\d+", t) for t in (found[1], found[2], found[3] or "1"))
    return [int(first + k * step) if whole else float(first + k * step) for k in range(int(steps) + 1)]
