"""Tables: csv, tsv, parquet and JSON lines, read by pandas, and split into numbers and labels."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from workbench.core.errors import FormatError
from workbench.io.files import broken, head, listed, shown, size_of, unreadable
from workbench.subjects.points import PointCloud
from workbench.subjects.series import TimeSeries

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

MAX_TABLE = 4 << 30  # bytes: of a text file, or that a parquet file's cells take
# Numbers in these columns name the row or its class; as coordinates they would answer the question.
LABEL_COLUMNS = frozenset({"id", "index", "label", "labels", "target", "class", "cluster"})
_INDEX_COLUMNS = ("Unnamed: ", "__index_level_")  # how pandas writes an index that has no name
_DELIMITERS = ",;\t|"
_FIRST_LINE = 1 << 20  # bytes in which a csv's first line must end


def read_table(path: Path, kind: str) -> pd.DataFrame:
    """Read a table of the ``kind`` csv, parquet or jsonl, its rows numbered from 0.

    A csv may be separated by comma, semicolon, tab or bar, and need not have a line of names.

    Raises
    ------
    FormatError
        The file is damaged, isn't UTF-8, has no row, or is larger than `MAX_TABLE`.
    """
    size = size_of(path)
    if kind != "parquet" and size > MAX_TABLE:
        cause = f"its {size:,} bytes are more than the {MAX_TABLE:,} that are read at once"
        raise broken(path, kind, cause, "Split it, or save its numbers as npy.")
    read = {"csv": _read_csv, "parquet": _read_parquet, "jsonl": _read_jsonl}[kind]
    try:
        table = read(path)
    except FormatError:
        raise
    except UnicodeDecodeError as e:
        advice = f"Convert it, for example: iconv -f latin1 -t utf-8 {path.name} > new{path.suffix}"
        raise broken(path, kind, f"byte {e.object[e.start]:#04x} in it is not UTF-8 text", advice) from None
    except OSError as e:
        if e.errno is not None:
            raise unreadable(path, e) from None
        raise broken(path, kind, shown(e)) from None  # pyarrow's way to say that a file is damaged
    except (ValueError, TypeError, LookupError, ArithmeticError, RuntimeError, MemoryError) as e:
        raise broken(path, kind, shown(e), "Look at that place in the file, or export it again.") from None
    if len(table) == 0:
        raise broken(path, kind, "it has no row", "Add lines to it, or give another file.")
    return table.reset_index(drop=True)


def _read_csv(path: Path) -> pd.DataFrame:
    import pandas as pd

    delimiter, names = _first_line(path)
    with warnings.catch_warnings():
        # More fields in the lines than names above them: pandas would drop the last ones and warn.
        warnings.simplefilter("error", pd.errors.ParserWarning)
        try:
            table = pd.read_csv(
                path,
                sep=delimiter,
                header=0 if names else None,
                encoding="utf-8-sig",
                low_memory=False,
                skipinitialspace=True,
                index_col=False,
            )
        except pd.errors.ParserWarning:
            cause = "its lines have more fields than its first line has names"
            raise broken(path, "csv", cause, "Name every column, or remove what ends each line.") from None
    table.columns = [str(c) if names else f"c{c}" for c in table.columns]
    return table


def _first_line(path: Path) -> tuple[str, bool]:
    """The delimiter, and whether the first line holds names.

    It does if something in it isn't a number, or if it counts the columns from 0 as pandas does for a
    table without names.
    """
    lines = head(path, _FIRST_LINE).decode("utf-8-sig", "replace").splitlines()
    line = next((text for text in lines if text.strip()), "")
    delimiter = max(_DELIMITERS, key=line.count)
    fields = [f.strip().strip('"') for f in line.split(delimiter)]
    counted = len(fields) > 1 and fields == [str(k) for k in range(len(fields))]
    return delimiter, counted or not all(_is_number(f) for f in fields)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _read_jsonl(path: Path) -> pd.DataFrame:
    import pandas as pd

    # Without types that are guessed, a text that spells a number stays a text.
    as_it_is: dict[str, Any] = {
        "dtype": False,
        "convert_axes": False,
        "convert_dates": False,
        "precise_float": True,
    }
    table = pd.read_json(path, lines=True, encoding="utf-8", **as_it_is)
    return table.rename(columns=str)


def _read_parquet(path: Path) -> pd.DataFrame:
    import pandas as pd
    import pyarrow.parquet as pq

    with pq.ParquetFile(path) as file:
        metadata = file.metadata
        stored = sum(metadata.row_group(i).total_byte_size for i in range(metadata.num_row_groups))
        if max(8 * metadata.num_rows * metadata.num_columns, stored) > MAX_TABLE:
            cause = f"its {metadata.num_rows:,} rows of {metadata.num_columns:,} columns exceed {MAX_TABLE:,} bytes"
            raise broken(path, "parquet", cause, "Save fewer columns, or the numbers as npy.")
        table = file.read()
    if len(set(table.column_names)) < table.num_columns:
        raise broken(path, "parquet", "two of its columns have the same name", "Rename one of them.")
    columns: dict[str, pd.Series] = {}
    for name, column in zip(table.column_names, table.columns, strict=True):
        vectors = _vectors(column)
        if vectors is None:
            columns[name] = column.to_pandas()
        else:
            columns.update({f"{name}.{k}": pd.Series(vectors[:, k]) for k in range(vectors.shape[1])})
    return pd.DataFrame(columns)


def _vectors(column: pa.ChunkedArray) -> np.ndarray | None:
    """A column of equally long lists of floats (embeddings) as a matrix; None for any other column."""
    import pyarrow as pa
    import pyarrow.compute as pc

    kind = column.type
    if not (pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)):
        return None
    if not pa.types.is_floating(kind.value_type) or column.null_count or len(column) == 0:
        return None
    if len(pc.call_function("list_value_length", [column]).unique()) > 1:
        return None
    return column.combine_chunks().flatten().to_numpy(zero_copy_only=False).reshape(len(column), -1)


def points(table: pd.DataFrame, path: Path, name: str) -> PointCloud:
    """Numeric columns as coordinates, all others as labels.

    Columns of numbers that name a row or class (`LABEL_COLUMNS`, and an index without a name) are labels.
    """
    values, rest = _split(table, path)
    return PointCloud(values.to_numpy(), name=name, table=rest)


def series(table: pd.DataFrame, path: Path, name: str) -> TimeSeries:
    """Numeric columns as channels, rows in the order of time if the first column is one."""
    times = time_column(table)
    if times is not None:
        first = str(table.columns[0])
        table = table.assign(**{first: times}).sort_values(first, kind="stable")
    values, rest = _split(table, path)
    return TimeSeries(
        values.to_numpy(), name=name, channels=list(values.columns), interval=_interval(times), table=rest
    )


def _interval(times: pd.Series | None) -> float:
    """Seconds from one step to the next, where times are evenly spaced (to a thousandth); else 1, which is not known."""
    if times is None or len(times) < 2:
        return 1.0
    gaps = times.sort_values().diff().dropna().dt.total_seconds().to_numpy()
    middle = float(np.median(gaps))
    return middle if middle > 0 and np.abs(gaps - middle).max() <= 1e-3 * middle else 1.0


def time_column(table: pd.DataFrame) -> pd.Series | None:
    """The first column as times (UTC), if it is one: dates, or ISO 8601 texts in every row; else None."""
    import pandas as pd

    first = table.iloc[:, 0]
    if pd.api.types.is_datetime64_any_dtype(first):
        return None if first.hasnans else first
    if not (pd.api.types.is_string_dtype(first) or first.dtype == object) or first.hasnans:
        return None
    try:
        times = pd.to_datetime(first, format="ISO8601", utc=True)
    except (ValueError, TypeError, OverflowError):  # the first value that is no date ends it
        return None
    return times.dt.tz_localize(None)


def _split(table: pd.DataFrame, path: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    kept = [c for c in table if c.lower() not in LABEL_COLUMNS and not c.startswith(_INDEX_COLUMNS)]
    numbers = table[kept].select_dtypes("number")
    if numbers.shape[1] == 0:
        raise FormatError(
            f"{path} has no column of numbers to be coordinates (columns: {listed(list(table), 12)}). If it holds "
            f"texts, a network reads them: open it with kind='corpus', or name it with --corpus at the command line."
        )
    rest = table.drop(columns=numbers.columns)
    if not all(isinstance(t, np.dtype) for t in numbers.dtypes):  # pandas' own integers, which know gaps
        numbers = numbers.astype(np.float64)
    return numbers, rest
