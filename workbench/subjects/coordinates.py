"""Which columns of a table are coordinates, and what becomes of the others.

One rule for every table, from whatever file or program: a column of vectors alone is the coordinates. Where there is none,
all columns of numbers are, but those that by their name are ids, times or labels (`names_rows`), and whole numbers beyond
2^53, which floating point can't tell apart. ``columns``, ``labels`` and ``id`` decide otherwise. The others are the row
table, in one form whatever they came from, so that the same table has the same digest.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any

import numpy as np

from workbench.core.errors import DataError, FormatError, MissingError, suggest
from workbench.subjects.spelling import Spelled, spelled, vectors

if TYPE_CHECKING:
    import pandas as pd

_NAMES = frozenset(
    "id ids uid uuid guid key index idx label labels target class cluster category fold split".split()  # noqa: SIM905 - a list of words
    + "time times timestamp date datetime year".split()  # noqa: SIM905
)
_ENDINGS = frozenset("id ids uuid label labels class cluster timestamp date mask at".split())  # noqa: SIM905
_EXACT = 2**53  # whole numbers beyond it are rounded as coordinates
MAX_TEXTS = 1000  # columns that aren't numbers
_SHOWN = 6  # columns that are named in a sentence
_BYTES = 32  # of a cell, that are shown
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}(?:[T ]\d{2}:\d{2}(?::\d{2}(?:\.\d+)?)?(?:Z|[+-]\d{2}:?\d{2})?)?")


@dataclass(frozen=True, eq=False)
class Split:
    """A table, split.

    Attributes
    ----------
    values : (n, d) coordinates, floating point; NaN for gaps.
    columns : name of each column to how many coordinates it gives, more than one for vectors.
    table : the other columns, indexed by row id.
    note : what of the numbers was set aside, in words; "" where nothing was.
    """

    values: np.ndarray
    columns: dict[str, int]
    table: pd.DataFrame
    note: str


def names_rows(name: str) -> bool:
    """Whether a column of this name says which row it is, or when, or of which class: ``id``, ``user_id``, ``label``, ``year``."""
    words = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name).lower()
    parts = [w for w in re.split(r"[^a-z0-9]+", words) if w]
    return bool(parts) and (
        (len(parts) == 1 and parts[0] in _NAMES) or (len(parts) > 1 and parts[-1] in _ENDINGS)
    )


def split(
    given: pd.DataFrame,
    owner: str,
    *,
    columns: Sequence[str] | None = None,
    labels: Sequence[str] | None = None,
    id: str | None = None,
) -> Split:
    """Split a table into coordinates and the row table.

    Parameters
    ----------
    owner : whose table it is, for messages.
    columns : the coordinates; None for the rule above.
    labels : the columns to keep in the row table, which then are no coordinates; None keeps all others.
    id : the column that names the rows. Unique whole numbers are the row ids; unique texts stay in the row table.

    Raises
    ------
    MissingError
        There is no such column.
    FormatError
        No column is one of numbers; or one spells its numbers so that they can't be read, or can be read in two ways.
    DataError
        Two columns have one name, or ``id`` isn't unique.
    """
    import pandas as pd

    table = named(given, owner)
    for asked in [*(columns or ()), *(labels or ()), *([] if id is None else [id])]:
        if asked not in table.columns:
            raise MissingError(f"{owner} has no column {asked!r}. {suggest(asked, table.columns)}")
    if columns is not None and not len(columns):
        raise MissingError(f"{owner}: columns is empty. Name one or more of: {_listed(list(table.columns))}.")
    if labels is None:
        require_few_texts(table, owner)
    apart = {*(labels or ()), *([] if id is None else [id])}
    refusals: list[str] = []
    if columns is not None:
        chosen = {c: _chosen(table[c], owner) for c in dict.fromkeys(columns)}
    else:
        chosen = _by_rule(table, apart, owner, refusals)
    parts = _decided(chosen, table, owner)
    rest = [c for c in table.columns if c not in parts]
    note = _note(table, parts, rest, refusals) if columns is None else ""
    kept = rest if labels is None else [c for c in dict.fromkeys(labels) if c not in parts]
    if id is not None and id not in kept:
        kept = [id, *kept]
    rows = pd.DataFrame({c: label(table[c], owner) for c in kept}, index=table.index)
    widths = {name: 1 if part.ndim == 1 else part.shape[1] for name, part in parts.items()}
    return Split(
        _together(list(parts.values())), widths, rows if id is None else _identified(rows, id, owner), note
    )


def named(given: pd.DataFrame, owner: str) -> pd.DataFrame:
    """The table with texts for names, each once, rows from 0, and its index, where that says something, as the first column.

    Raises
    ------
    DataError
        Two columns have one name.
    """
    import pandas as pd

    table = given.copy(deep=False)
    table.columns = pd.Index([str(c) for c in given.columns], dtype=object)
    index = table.index
    says_nothing = index.nlevels == 1 and index.name is None and _counts(index.to_numpy())
    if not says_nothing:
        levels = [
            str(n) if n is not None else ("index" if index.nlevels == 1 else f"index_{k}")
            for k, n in enumerate(index.names)
        ]
        for k, name in reversed(list(enumerate(levels))):
            if name not in table.columns:
                table.insert(0, name, index.get_level_values(k).to_numpy())
    if not table.columns.is_unique:
        twice = list(dict.fromkeys(table.columns[table.columns.duplicated()]))
        raise DataError(
            f"{owner} has several columns of one name: {_listed(twice)}. Rename them, each its own."
        )
    return table.reset_index(drop=True)


def require_few_texts(table: pd.DataFrame, owner: str) -> None:
    """Refuse more columns of other things than numbers than any table of texts has: each takes a while to look at.

    Raises
    ------
    FormatError
        There are more than `MAX_TEXTS`.
    """
    n = table.shape[1] - len(numeric_columns(table))
    if n > MAX_TEXTS:
        raise FormatError(
            f"{owner} has {n:,} columns that hold no numbers, and {MAX_TEXTS:,} are read. Say which are labels, "
            f"{_how('labels', str(table.columns[0]))}, or save fewer."
        )


def _counts(index: np.ndarray) -> bool:
    return index.dtype.kind in "iu" and bool((index == np.arange(len(index))).all())


def _by_rule(
    table: pd.DataFrame, apart: set[str], owner: str, refusals: list[str]
) -> dict[str, np.ndarray | Spelled]:
    """The columns that can be coordinates: vectors where there are any, else numbers; why others are none goes to ``refusals``."""
    able = [c for c in table.columns if c not in apart and not names_rows(c)]
    numeric = set(numeric_columns(table))
    words = [c for c in able if c not in numeric]
    matrices: dict[str, np.ndarray] = {}
    for column in words:
        matrix, why = vectors(_cells(table[column]))
        if matrix is not None:
            matrices[column] = matrix
        elif why:
            refusals.append(f"the column {column!r} looks like vectors, but {why}")
    if floating := {c: m for c, m in matrices.items() if m.dtype.kind == "f"}:
        matrices = floating
    if len(matrices) > 1:
        raise FormatError(
            f"{owner} has {len(matrices)} columns of vectors ({_listed(list(matrices))}): say which are the coordinates, "
            f"{_how('columns', next(iter(matrices)))}."
        )
    if matrices:
        return dict(matrices)
    plain = _plain_numbers(table, [c for c in able if c in numeric])
    spelled_so = {c: part for c in words if (part := _spelled(table[c])) is not None}
    chosen = {c: plain[c] if c in plain else spelled_so[c] for c in able if c in plain or c in spelled_so}
    if not chosen:
        why = f" {'; '.join(refusals)}." if refusals else ""
        raise FormatError(
            f"{owner} has no column of numbers to be coordinates (columns: {_listed(list(table.columns), 12)}).{why} "
            f"Numbers that are ids, times or labels by their name can be chosen, {_how('columns', 'NAME')}. If it holds "
            f"texts, a network reads them: open it with kind='corpus', or name it with --corpus at the command line."
        )
    return chosen


def _plain_numbers(table: pd.DataFrame, names: Sequence[str]) -> dict[str, np.ndarray]:
    """Numeric columns, but those without any number and whole numbers that floating point can't tell apart."""
    kinds = table.dtypes
    held = [
        c for c in names if isinstance(kinds[c], np.dtype)
    ]  # all at once: a table may have many thousands
    single = bool(held) and all(kinds[c].kind == "f" and kinds[c].itemsize <= 4 for c in held)
    block = table[held].to_numpy(np.float32 if single else np.float64)
    whole = np.array([kinds[c].kind in "iu" for c in held], bool)
    usable = ~np.isnan(block).all(axis=0) & ~(whole & (np.abs(block) > _EXACT).any(axis=0))
    parts = {c: block[:, k] for k, c in enumerate(held) if usable[k]}
    for name in set(names).difference(held):
        numbers = _numbers(table[name])
        if not np.isnan(numbers).all() and not (
            "int" in str(kinds[name]).lower() and (np.abs(numbers) > _EXACT).any()
        ):
            parts[name] = numbers
    return parts


def _chosen(column: pd.Series, owner: str) -> np.ndarray | Spelled:
    """A column that was asked for as coordinates."""
    if _is_numeric(column.dtype):
        return _numbers(column)
    matrix, why = vectors(_cells(column))
    part = matrix if matrix is not None else _spelled(column)
    if part is None:
        text = next((c for c in column.tolist() if c is not None and c == c), None)
        said = why or f"it holds such as {str(text)[:40]!r}"
        raise FormatError(
            f"{owner}: the column {column.name!r} can't be coordinates: {said}. Choose columns of numbers."
        )
    return part


def _decided(
    chosen: dict[str, np.ndarray | Spelled], table: pd.DataFrame, owner: str
) -> dict[str, np.ndarray]:
    """Numbers of every column: those that can be read in two ways as the rest of the table is spelled."""
    texts = {c: part for c, part in chosen.items() if isinstance(part, Spelled)}
    for column, text in texts.items():
        if text.wrong:
            raise FormatError(
                f"{owner}: the column {column!r} holds numbers, but also {_listed(text.wrong)}. Correct or empty those cells, or "
                f"say that it is no coordinate, {_how('labels', column)}."
            )
    signs = {part.sign for part in texts.values() if part.sign}
    numbers = {c: p for c, p in chosen.items() if texts and isinstance(p, np.ndarray) and p.ndim == 1}
    fractions = [c for c, p in numbers.items() if _fractional(p)]
    if "," in signs and (fractions or "." in signs):
        comma = next(c for c, p in texts.items() if p.sign == ",")
        point = next((c for c, p in texts.items() if p.sign == "."), None) or fractions[0]
        raise FormatError(
            f"{owner} spells numbers in two ways: the column {comma!r} has decimal commas ({texts[comma].example}) and {point!r} "
            f"decimal points. Write all with a point, or choose, {_how('columns', point)}."
        )
    if fractions:
        signs.add(".")
    parts: dict[str, np.ndarray] = {}
    for column, part in chosen.items():
        if isinstance(part, np.ndarray):
            parts[column] = part
        elif not part.ambiguous:
            parts[column] = next(iter(part.readings.values()))
        elif "." in part.readings and "," not in signs and "," not in part.example:
            parts[column] = part.readings["."]  # 1.234 as programs write it
        elif len(signs) == 1:
            parts[column] = part.readings[next(iter(signs))]
        else:
            raise FormatError(
                f"{owner}: the column {column!r} holds numbers such as {part.example}, which can be read in two ways (a comma for "
                f"decimals, or between thousands). Write them with a decimal point and without thousands, or say that it is no "
                f"coordinate, {_how('labels', column)}."
            )
    return parts


def _fractional(numbers: np.ndarray) -> bool:
    there = numbers[np.isfinite(numbers)]
    return bool((there != np.floor(there)).any())


def numeric_columns(table: pd.DataFrame) -> list[str]:
    """The columns of real numbers, by their dtype."""
    return [c for c, kind in table.dtypes.items() if _is_numeric(kind)]


def _is_numeric(kind: Any) -> bool:
    import pandas as pd

    if isinstance(kind, np.dtype):
        return kind.kind in "iuf"
    return pd.api.types.is_numeric_dtype(kind) and not pd.api.types.is_bool_dtype(kind)


def _cells(column: pd.Series) -> list[Any]:
    return [] if column.dtype.kind in "bM" else column.tolist()


def _numbers(column: pd.Series) -> np.ndarray:
    """A numeric column as floating point, gaps as NaN; float32 as it is."""
    kind = str(column.dtype).lower()
    to = (
        np.float32
        if "float32" in kind or kind.startswith(("float16", "half")) or "float[" in kind
        else np.float64
    )
    return column.to_numpy(dtype=to, na_value=np.nan)


def _spelled(column: pd.Series) -> np.ndarray | Spelled | None:
    """A column of other things as numbers, where it is one of numbers: texts, decimals, objects."""
    cells = _cells(column)
    gaps = column.isna().tolist()
    there = [c for c, gap in zip(cells, gaps, strict=False) if not gap]
    if there and all(isinstance(c, Real | Decimal) and not isinstance(c, bool) for c in there):
        return np.array([np.nan if gap else _float(c) for c, gap in zip(cells, gaps, strict=True)])
    return spelled(column) if any(isinstance(c, str) for c in there) else None


def _float(number: Any) -> float:
    try:
        return float(number)
    except OverflowError:  # a whole number of hundreds of digits
        return np.inf if number > 0 else -np.inf


def _together(parts: list[np.ndarray]) -> np.ndarray:
    kind = np.float32 if all(p.dtype.kind == "f" and p.itemsize <= 4 for p in parts) else np.float64
    if len(parts) == 1 and parts[0].dtype == kind:
        return parts[0][:, None] if parts[0].ndim == 1 else parts[0]
    return np.column_stack([p.astype(kind, copy=False) for p in parts])


def _identified(rows: pd.DataFrame, id: str, owner: str) -> pd.DataFrame:
    import pandas as pd

    column = rows[id]
    if column.isna().any() or not column.is_unique:
        twice = column[column.isna() | column.duplicated()]
        raise DataError(
            f"{owner}: the column {id!r} doesn't name the rows: {twice.iloc[0]!r} in row {twice.index[0]} is missing or stands "
            "there twice. Choose a column with a value of its own in each row."
        )
    if column.dtype.kind not in "iu":
        return rows
    if int(column.max()) > np.iinfo(np.int64).max:
        raise DataError(f"{owner}: the column {id!r} has ids beyond 2^63. Store them as texts.")
    table = rows.drop(columns=id)
    table.index = pd.Index(column.to_numpy(np.int64))
    return table


def label(column: pd.Series, owner: str) -> pd.Series:
    """A column of the row table in the one form that it has whatever file or program it comes from.

    Whole numbers are int64, other numbers float64 (gaps NaN), truth values bool, dates datetime64 in UTC, all else texts;
    an empty text is a gap, and bytes that are no text are written in hexadecimal.

    Raises
    ------
    DataError
        A text is no valid Unicode.
    """
    import pandas as pd

    kind = column.dtype
    if isinstance(kind, pd.CategoricalDtype):
        column = column.astype(kind.categories.dtype)
        kind = column.dtype
    gaps = column.isna()
    if pd.api.types.is_bool_dtype(kind):
        return column.astype(object).where(~gaps, None) if gaps.any() else column.astype(bool)
    if pd.api.types.is_integer_dtype(kind) and not gaps.any():
        return column if kind == np.uint64 else column.astype(np.int64)
    if pd.api.types.is_numeric_dtype(kind) and not pd.api.types.is_complex_dtype(kind):
        return pd.Series(column.to_numpy(np.float64, na_value=np.nan), column.index, name=column.name)
    if pd.api.types.is_datetime64_any_dtype(kind) or str(kind).startswith(("timestamp", "date")):
        return _utc(column)
    cells = column.tolist()
    there = [c for c, gap in zip(cells, gaps, strict=True) if not gap]
    if there and all(isinstance(c, bool) for c in there):
        return column.astype(bool) if not gaps.any() else column.astype(object).where(~gaps, None)
    if there and all(isinstance(c, Real) for c in there):  # numbers that stand in a column of objects
        whole = not gaps.any() and all(isinstance(c, Integral) and abs(int(c)) < 2**63 for c in there)
        if whole:
            return column.astype(np.int64)
        numbers = np.array([np.nan if gap else _float(c) for c, gap in zip(cells, gaps, strict=True)])
        return pd.Series(numbers, column.index, name=column.name)
    if there and all(hasattr(c, "isoformat") or (isinstance(c, str) and _DATE.fullmatch(c)) for c in there):
        try:
            return _utc(column)
        except (ValueError, TypeError, OverflowError):
            pass  # 2024-13-45 is a text
    return as_texts(column, owner)


def as_texts(column: pd.Series, owner: str) -> pd.Series:
    """A column as texts, in the dtype "str", gaps and empty texts missing.

    Raises
    ------
    DataError
        One is no valid Unicode: half of a character that takes two codes.
    """
    import pandas as pd

    texts = [None if gap else _text(c) for c, gap in zip(column.tolist(), column.isna(), strict=True)]
    bad = next((i for i, t in enumerate(texts) if t and not t.isascii() and _broken(t)), None)
    if bad is not None:
        text = texts[bad] or ""
        raise DataError(
            f"{owner}: the column {column.name!r} has half a character (a lone surrogate) in row {bad}: {text[:60]!a}. "
            "Replace it, for example: text.encode('utf-8', 'replace').decode()."
        )
    return pd.Series([t or None for t in texts], column.index, name=column.name, dtype=object).astype("str")


def _utc(column: pd.Series) -> pd.Series:
    import pandas as pd

    texts = pd.api.types.is_string_dtype(column.dtype)
    times = pd.to_datetime(
        column if texts else column.astype(object), utc=True, format="ISO8601" if texts else None
    )
    return times.dt.tz_localize(None).astype("datetime64[us]")


def _text(cell: Any) -> str:
    if isinstance(cell, bytes):
        try:
            text = cell.decode()
            if text.isprintable():
                return text
        except UnicodeDecodeError:
            pass
        shown = "0x" + cell[:_BYTES].hex()
        return shown if len(cell) <= _BYTES else f"{shown}… ({len(cell):,} bytes)"
    if isinstance(cell, dict):
        cell = {k: _text(v) if isinstance(v, bytes) else v for k, v in cell.items()}
    return str(cell.tolist() if isinstance(cell, np.ndarray) else cell)


def _broken(text: str) -> bool:
    return any("\ud800" <= c <= "\udfff" for c in text)


def _note(
    table: pd.DataFrame, parts: dict[str, np.ndarray], rest: Sequence[str], refusals: Sequence[str]
) -> str:
    """What of the numbers is no coordinate."""
    aside = numeric_columns(table[list(rest)])
    said = [f"{r[0].upper()}{r[1:]}." for r in refusals]
    if aside:
        chosen = f"Coordinates: {_listed(list(parts))}; set aside as labels: {_listed(aside)}"
        said.append(f"{chosen} ({_how('columns', aside[0])} chooses otherwise).")
    return " ".join(said)


def _how(keyword: str, name: str) -> str:
    return f"{keyword}=[{name!r}] or --{keyword} {name}"


def _listed(names: Sequence[str], limit: int = _SHOWN) -> str:
    more = f" and {len(names) - limit} more" if len(names) > limit else ""
    return ", ".join(repr(n) if len(n) <= 40 else repr(n[:39] + "…") for n in names[:limit]) + more
