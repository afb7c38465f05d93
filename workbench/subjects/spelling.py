"""Numbers that a table spells in its own way: decimal commas, thousands apart, percent, vectors as text, words for a gap.

A spelling is read where it can mean one thing only. ``1,234`` alone can be a thousand or a little more than one: another
column of the same table that leaves no choice (``0,5``, ``1,234.5``) decides for it, and without one it is refused.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import pandas as pd

GAPS = frozenset(
    {"", "na", "n/a", "#n/a", "<na>", "nan", "-nan", "null", "none", "nil", "nat", "?", "-", "--", "."}
)
"""What stands for a missing number, in lower case. In a column of words these are words."""
SAMPLED = 2000  # cells of a column of texts that are looked at before all of them are
_EXPONENT = r"(?:[eE][+-]?\d+)?"
_SPACES = "\u0020\u00a0\u202f\u2009'’"  # what stands between thousands beside the comma and the point
_CODE = re.compile(r"[+-]?0\d+")  # 007 and 02134 name something
_PLAIN = re.compile(rf"[+-]?(?:\d+\.?\d*|\.\d+){_EXPONENT}|[+-]?inf(?:inity)?", re.IGNORECASE)


def _style(point: str, group: str) -> re.Pattern[str]:
    """Numbers with this decimal sign, whose thousands may stand apart by ``group`` or a space."""
    thousands = rf"[1-9]\d{{0,2}}(?:([{group}{_SPACES}])\d{{3}})(?:\1\d{{3}})*"
    sign = re.escape(point)
    return re.compile(
        rf"[+-]?(?:(?:{thousands}|\d+)(?:{sign}\d*)?|{sign}\d+){_EXPONENT}|[+-]?inf(?:inity)?", re.IGNORECASE
    )


STYLES: dict[str, re.Pattern[str]] = {".": _style(".", ","), ",": _style(",", ".")}
"""Decimal sign to what numbers spelled with it look like."""


@dataclass(frozen=True)
class Spelled:
    """A column of texts that are numbers.

    Attributes
    ----------
    readings : decimal sign to the numbers (n,), NaN for gaps; several where the texts can be read so and so.
    wrong : texts that are no number in any one spelling, where most of the column is; then there is no reading.
    example : a text of it.
    """

    readings: dict[str, np.ndarray]
    wrong: tuple[str, ...]
    example: str

    @property
    def ambiguous(self) -> bool:
        several = list(self.readings.values())
        return len(several) > 1 and not np.array_equal(several[0], several[1], equal_nan=True)

    @property
    def sign(self) -> str:
        """The only decimal sign that it can be read with; "" where both or none are possible."""
        return next(iter(self.readings)) if len(self.readings) == 1 else ""


def plain_numbers(texts: Sequence[Any]) -> np.ndarray | None:
    """Texts that are all numbers as programs write them, or gaps, as float64 (n,); None where one is a word or none is a number."""
    numbers = np.full(len(texts), np.nan)
    any_number = False
    for i, text in enumerate(texts):
        stripped = text.strip() if isinstance(text, str) else ""
        if stripped.lower() in GAPS:
            continue
        if not _PLAIN.fullmatch(stripped) or _CODE.fullmatch(stripped):
            return None
        numbers[i], any_number = float(stripped), True
    return numbers if any_number else None


def spelled(column: pd.Series) -> Spelled | None:
    """Read a column of texts as numbers; None where it is one of words or codes (``007``)."""
    texts = [str(t).strip().replace("\u2212", "-") if isinstance(t, str) else "" for t in column.tolist()]
    there = [t for t in texts if t.lower() not in GAPS]
    some = there[:: max(1, len(there) // SAMPLED)]
    if not there or sum(map(_numeric, some)) * 2 <= len(some) or any(map(_CODE.fullmatch, there)):
        return None
    percent = all(t.endswith("%") for t in there)
    if percent:
        texts = [t.removesuffix("%").rstrip() for t in texts]
        there = [t.removesuffix("%").rstrip() for t in there]
    readings = {
        sign: _read(texts, sign) / (100 if percent else 1)
        for sign, style in STYLES.items()
        if all(map(style.fullmatch, there))
    }
    wrong = () if readings else _misfits(there)
    return Spelled(readings, wrong, next((t for t in there if not _PLAIN.fullmatch(t)), there[0]))


def _numeric(text: str) -> bool:
    text = text.removesuffix("%").rstrip()
    return any(style.fullmatch(text) for style in STYLES.values())


def _misfits(texts: Sequence[str]) -> tuple[str, ...]:
    """Some texts that stand against one spelling for all: words first, else one of each spelling."""
    words = [t for t in texts if not any(style.fullmatch(t) for style in STYLES.values())]
    if words:
        return tuple(dict.fromkeys(words))[:3]
    return tuple(next(t for t in texts if not style.fullmatch(t)) for style in STYLES.values())


def _read(texts: Sequence[str], sign: str) -> np.ndarray:
    drop = str.maketrans(dict.fromkeys(("," if sign == "." else ".") + _SPACES))
    return np.array(
        [np.nan if t.lower() in GAPS else float(t.translate(drop).replace(",", ".")) for t in texts]
    )


def vectors(cells: Sequence[Any]) -> tuple[np.ndarray | None, str]:
    """Read a column whose cells are lists, arrays or texts of numbers (``[0.1, 0.2]``) as a matrix.

    Returns
    -------
    (n, d) or None, str
        Missing cells are rows of NaN. Without a matrix: why a column that looks like vectors is none, "" for any other.
    """
    first = next((c for c in cells if not _missing(c)), None)
    if isinstance(first, str):
        if not _looks_like_vector(first):
            return None, ""
        read = _of_text
    elif isinstance(first, list | tuple | np.ndarray):
        read = _of_list
    else:
        return None, ""
    rows: list[np.ndarray | None] = []
    width = None
    for i, cell in enumerate(cells):
        if _missing(cell):
            rows.append(None)
            continue
        row = read(cell)
        if row is not None and not len(row):
            rows.append(None)
            continue
        if row is None or (width is not None and len(row) != width):
            if row is not None:
                return None, f"row {i} has {len(row)} numbers and those before it {width}"
            bracketed = not isinstance(first, str) or first.strip()[0] in "[("
            return None, f"row {i} is no list of numbers" if bracketed else ""
        width = len(row)
        rows.append(row)
    if not width:
        return None, "all of its lists are empty"
    gap = np.full(
        width, np.nan, np.float32 if all(r is None or r.dtype == np.float32 for r in rows) else None
    )
    return np.stack([gap if row is None else row for row in rows]), ""


def _missing(cell: Any) -> bool:
    return (
        cell is None
        or (isinstance(cell, float) and cell != cell)
        or (isinstance(cell, str) and not cell.strip())
    )


def _looks_like_vector(text: str) -> bool:
    text = text.strip()
    if text[:1] + text[-1:] in ("[]", "()"):
        return any(c.isdigit() for c in text)
    return len(text.split()) > 2 and _of_text(text) is not None


def _of_text(cell: Any) -> np.ndarray | None:
    if not isinstance(cell, str):
        return None
    inside = cell.strip()
    if inside[:1] + inside[-1:] in ("[]", "()"):
        inside = inside[1:-1]
    try:
        return np.array(inside.replace(",", " ").replace(";", " ").replace("null", "nan").split(), np.float64)
    except ValueError:
        return None


def _of_list(cell: Any) -> np.ndarray | None:
    try:
        row = np.asarray(cell)
        if row.dtype == object:  # gaps in a list
            row = np.array([np.nan if v is None else v for v in row.tolist()])
    except (ValueError, TypeError):
        return None
    if row.ndim != 1 or row.dtype.kind not in "fiu":
        return None
    return row
