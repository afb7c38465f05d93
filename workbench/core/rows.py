"""Rows: arrays of numbers and the tables that say which row is which."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from workbench.core.digest import digest
from workbench.core.errors import DataError, MissingError, ParameterError, suggest
from workbench.core.storage import writing

if TYPE_CHECKING:
    import pandas as pd


ROW_FILES = (".npz", ".npy")
BLOCK_CELLS = 1 << 22


def frozen(given: Any) -> np.ndarray:
    """Return an array (or tensor) that nobody can write to: the same one where that holds already, else a copy.

    An array of a file that is only read stays on disk. What a caller still holds is copied, since he may write to it.
    """
    if hasattr(given, "detach"):  # a torch tensor; bfloat16 is none of numpy's types
        given = given.detach().cpu()
        given = given.float() if given.is_floating_point() and given.element_size() < 4 else given
    array = np.asarray(given)
    base: object = array
    while isinstance(base, np.ndarray):
        if base.flags.writeable:
            return owned(array.copy())
        base = base.base
    return array


def owned(array: np.ndarray) -> np.ndarray:
    """Return an array that was just made and that nobody else holds, so that it can't be written to, without a copy."""
    array.flags.writeable = False
    return array


def require_finite(values: np.ndarray, name: str, columns: Mapping[str, int] | None = None) -> None:
    """Refuse NaN and infinite values, counted, with the choice to leave their rows out.

    Parameters
    ----------
    columns : where they have names: each to how many of the values it gives.

    Raises
    ------
    DataError
        With the counts, the first rows and columns that have them, and `drop_nonfinite`.
    """
    if all_finite(values):
        return
    rows_ok = np.isfinite(values).reshape(len(values), -1).all(axis=1)
    bad = values[~rows_ok]
    first = ", ".join(str(i) for i in np.flatnonzero(~rows_ok)[:5])
    where = _columns_of(~np.isfinite(bad).reshape(len(bad), -1).all(axis=0), columns) if columns else ""
    raise DataError(
        f"{name} has {int(np.isnan(bad).sum()):,} NaN and {int(np.isinf(bad).sum()):,} infinite values in "
        f"{int((~rows_ok).sum()):,} of {len(values):,} rows (first: {first}){where}. Leave those rows out with "
        f"subject.drop_nonfinite(), or --drop-nonfinite at the command line."
    )


def all_finite(values: np.ndarray) -> bool:
    """Whether no value is NaN or infinite.

    A sum that is finite says so in a tenth of the time that looking at each takes; where it isn't, they are looked at.
    """
    return all(by_blocks(_all_finite, values))


def _all_finite(block: np.ndarray) -> bool:
    if block.dtype.kind not in "fc":
        return block.dtype.kind in "iub" or bool(np.isfinite(block).all())
    with np.errstate(over="ignore", invalid="ignore"):
        total = block.sum()
    return bool(np.isfinite(total)) or bool(np.isfinite(block).all())


def by_blocks(function: Callable[[np.ndarray], Any], values: np.ndarray) -> list[Any]:
    """Return what a function gives for each few rows of an array, in threads where there are many."""
    step = max(1, BLOCK_CELLS * len(values) // max(values.size, 1))
    blocks = [values[start : start + step] for start in range(0, len(values), step)]
    if len(blocks) < 4:
        return [function(b) for b in blocks]
    with ThreadPoolExecutor(min(16, os.cpu_count() or 1)) as threads:
        return list(threads.map(function, blocks))


def are_distances(values: np.ndarray) -> bool:
    """Whether (n, d) numbers look like distances between n rows: square, symmetric, zero on the diagonal alone, else positive."""
    n = len(values)
    if n < 3 or values.shape != (n, n) or values.dtype.kind not in "fiu" or values.diagonal().any():
        return False
    for start in range(0, n, 1024):
        block, across = values[start : start + 1024], values[:, start : start + 1024].T
        if not (block >= 0).all() or not np.allclose(block, across, rtol=1e-5, atol=0):
            return False
    return bool(values.any())


def taken_for_rows(name: str, values: np.ndarray, parameters: Mapping[str, Any]) -> tuple[str, ...]:
    """What is to be said where distances may have been taken for rows: nothing, or a sentence."""
    as_such = any(str(value).startswith("precomputed") for value in parameters.values())
    if as_such or not are_distances(values):
        return ()
    n = len(values)
    return (
        f"{name} looks like a matrix of distances (square, symmetric, zeros on the diagonal) and was taken for {n:,} "
        f"rows of {n:,} numbers: methods that have metric='precomputed' take it as distances.",
    )


def _columns_of(bad: np.ndarray, columns: Mapping[str, int]) -> str:
    """The names of those columns in which some value is bad, as an end of a sentence."""
    starts = np.cumsum([0, *columns.values()])[:-1]
    named = [n for n, some in zip(columns, np.logical_or.reduceat(bad, starts), strict=True) if some]
    more = f" and {len(named) - 5} more columns" if len(named) > 5 else ""
    return f", in {', '.join(map(repr, named[:5]))}{more}"


def save_rows(path: str | Path, values: np.ndarray, table: pd.DataFrame) -> Path:
    """Write rows to a file: ``.npy`` the numbers alone, ``.npz`` with the row table's columns beside them.

    Raises
    ------
    ParameterError
        Another ending.
    """
    path = Path(path)
    if path.suffix not in ROW_FILES:
        raise ParameterError(
            f"{path} ends in {path.suffix or 'nothing'!r}; rows are written as {' or '.join(ROW_FILES)}."
        )
    with writing(path) as temporary:
        if path.suffix == ".npy":
            np.save(temporary, values)
        else:
            columns = {str(c): table[c].to_numpy() for c in table.columns}
            columns = {c: v.astype(str) if v.dtype.hasobject else v for c, v in columns.items()}
            np.savez(temporary, **{"values": values, **columns})
    return path


def table_column(table: pd.DataFrame, name: str, owner: str) -> np.ndarray:
    """Return a column as an array, or refuse with the columns that exist."""
    if name not in table.columns:
        raise MissingError(f"{owner} has no column {name!r}. {suggest(name, map(str, table.columns))}")
    return table[name].to_numpy()


GROUPS = ("text_id", "sample", "group")
"""Columns that say which rows belong together, by their name; the first that is there and repeats a value counts."""


def codes(values: pd.Series) -> np.ndarray:
    """Number values from 0 in order of appearance, (n,) int64; each that is missing has a number of its own."""
    import pandas as pd

    found = pd.factorize(values)[0].astype(np.int64)
    missing = found < 0
    found[missing] = found.max(initial=-1) + 1 + np.arange(int(missing.sum()))
    return np.unique(found, return_inverse=True)[1] if missing.any() else found


def group_column(table: pd.DataFrame) -> str | None:
    """The column by which a row table's rows belong together, or None; see `GROUPS`."""
    return next((c for c in GROUPS if c in table.columns and not table[c].is_unique), None)


def row_table(table: pd.DataFrame | None, n: int, name: str) -> pd.DataFrame:
    """A row table of n lines: the one given, checked, or one without columns."""
    import pandas as pd

    if table is None:
        return pd.DataFrame(index=pd.RangeIndex(n))
    if len(table) != n:
        raise DataError(f"{name}: the table has {len(table):,} lines for {n:,} rows.")
    if not table.index.is_unique or table.index.dtype.kind not in "iu":
        raise DataError(f"{name}: the table's index must hold unique whole numbers, the row ids.")
    return table


def table_digest(table: pd.DataFrame) -> str:
    """Digest of a row table: ids, column names, what kind of values they hold, and the values.

    Raises
    ------
    DataError
        Two columns have one name, so that no one of them can be asked for.
    """
    import pandas as pd

    if not table.columns.is_unique:
        twice = ", ".join(repr(str(c)) for c in dict.fromkeys(table.columns[table.columns.duplicated()]))
        raise DataError(f"The row table has several columns called {twice}. Rename them, each its own.")

    kinds = [
        [str(c), str(table[c].dtype), pd.api.types.infer_dtype(table[c], skipna=False)] for c in table.columns
    ]
    missing = table.isna().to_numpy(dtype=bool)
    return digest(kinds, missing, pd.util.hash_pandas_object(table.astype(object).astype(str)).to_numpy())


def flat(array: np.ndarray) -> np.ndarray:
    """Rows with more than one dimension each as (n, d)."""
    return array.reshape(len(array), -1)


def require_real(values: np.ndarray, name: str) -> None:
    """Refuse complex numbers where real ones are taken: half of each would be lost.

    Raises
    ------
    DataError
        They are complex.
    """
    if np.iscomplexobj(values):
        raise DataError(
            f"{name} holds complex numbers ({values.dtype}), and this takes real ones. Give their real and imaginary parts as "
            f"columns (np.hstack([x.real, x.imag])), or their absolute values."
        )


def floats(values: np.ndarray) -> np.ndarray:
    """float32 or float64 as it is, anything else (halves, integers) as the smaller of the two that holds each of its values.

    Complex numbers are refused.
    """
    require_real(values, "The array")
    if values.dtype in (np.float32, np.float64):
        return values
    return values.astype(np.float32 if values.dtype.itemsize <= 2 else np.float64)
