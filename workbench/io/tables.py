"""Tables: csv, tsv, parquet and JSON lines, as the files have them; `workbench.subjects.coordinates` splits them.

What a file may take of memory is bounded by its size, before anything is allocated: cells that no byte stands for (lines
without the fields that are named above, keys that one line in a thousand has, one long text a million times) are few in
honest files and all there is in hostile ones.
"""

from __future__ import annotations

import csv
import json
import math
import mmap
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from workbench.core.errors import FormatError
from workbench.io.files import (
    TwiceError,
    broken,
    head,
    listed,
    once,
    repeated,
    require_text,
    shown,
    size_of,
    unreadable,
)
from workbench.io.held_images import named_images
from workbench.subjects.coordinates import named, split
from workbench.subjects.points import PointCloud
from workbench.subjects.spelling import STYLES, plain_numbers

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

MAX_TABLE = 4 << 30  # bytes: of a text file, or that a parquet file's cells take
MAX_COLUMNS = 1 << 16  # of a table in text; a column costs more than its numbers
EMPTY_CELLS = 1 << 20  # that a table may always have, and
EMPTY_BY_SIZE = 8  # for each byte of its file
EXPANDS_TO = 128 << 20  # bytes that a parquet file may always unpack to
EXPANDS_BY = 50  # times its own size that a larger one may
LISTS_AT_ONCE = 256  # rows of lists that are read before it is looked at what they take
_INDEX_COLUMN = "__index_level_0__"  # how pandas writes an index that has no name
_DELIMITERS = ";\t|,"  # a comma last: it may stand for decimals
_FIRST_LINE = 1 << 20  # bytes in which a csv's first line must end
_LOOKED_AT = 20  # lines from which the delimiter is seen


def read_table(path: Path, kind: str, *, texts: Sequence[str] = (), no_rows: bool = False) -> pd.DataFrame:
    """Read a table of the ``kind`` csv, parquet or jsonl, its rows numbered from 0.

    A csv may be separated by comma, semicolon, tab or bar, and need not have a line of names.

    Parameters
    ----------
    texts : columns that are read as they are written, though all that stands in them be numbers.
    no_rows : a table without rows is one too.

    Raises
    ------
    FormatError
        The file is damaged, isn't UTF-8, has no row where it must, has two columns of one name, or is larger than `MAX_TABLE` or would
        take much more memory than its size says.
    """
    size = size_of(path)
    if kind != "parquet" and size > MAX_TABLE:
        cause = f"its {size:,} bytes are more than the {MAX_TABLE:,} that are read at once"
        raise broken(path, kind, cause, "Split it, or save its numbers as npy.")
    try:
        if kind == "csv":
            table = _read_csv(path, texts)
        else:
            table = named_images(_read_parquet(path), path) if kind == "parquet" else _read_jsonl(path)
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
    if len(table) == 0 and not no_rows:
        raise broken(path, kind, "it has no row", "Add lines to it, or give another file.")
    return named(table, str(path))


def _read_csv(path: Path, texts: Sequence[str]) -> pd.DataFrame:
    import pandas as pd

    require_text(path, "csv")
    delimiter, names = _first_lines(path)
    with warnings.catch_warnings():
        # More fields in the lines than names above them: pandas would drop the last ones and warn.
        warnings.simplefilter("error", pd.errors.ParserWarning)
        try:
            table = pd.read_csv(
                path,
                sep=delimiter,
                header=None if names is None else 0,
                dtype=dict.fromkeys([c for c in texts if c in (names or ())], "str") or None,
                encoding="utf-8-sig",
                low_memory=False,
                skipinitialspace=True,
                index_col=False,
                keep_default_na=False,  # NA, null and None are words among words
                na_values=[""],
            )
        except pd.errors.ParserWarning:
            cause = "its lines have more fields than its first line has names"
            raise broken(path, "csv", cause, "Name every column, or remove what ends each line.") from None
    if table.shape[1] > len(table):
        # pandas left each column in a block of its own, and work for each block takes longer than copying.
        table = table.copy()
    table.columns = [f"c{c}" if names is None else str(c) for c in table.columns]
    worded = [c for c, kind in table.dtypes.items() if kind.kind not in "iufb" and c not in texts]
    read = {c: numbers for c in worded if (numbers := plain_numbers(table[c].tolist())) is not None}
    table = table.assign(**read) if read else table
    first = table.columns[0] if len(table.columns) else ""
    return (
        _without_count(table.rename(columns={first: "index"}), "index")
        if first.startswith("Unnamed: ")
        else table
    )


def _without_count(table: pd.DataFrame, column: str) -> pd.DataFrame:
    """The table without a column that only numbers its rows."""
    values = table[column].to_numpy()
    counts = values.dtype.kind in "iu" and bool((values == np.arange(len(values))).all())
    return table.drop(columns=column) if counts else table


def _first_lines(path: Path) -> tuple[str, list[str] | None]:
    """The delimiter, and the names in the first line; None where it holds none.

    It holds names if something in it isn't a number, unless they count the columns from 0 as pandas does for a table
    without names.

    Raises
    ------
    FormatError
        A name stands twice or most are empty, there are more than `MAX_COLUMNS`, or the lines below can't have all of them.
    """
    text = head(path, _FIRST_LINE).decode("utf-8-sig", "replace")
    lines = [line for line in text.splitlines()[: 2 * _LOOKED_AT] if line.strip()][:_LOOKED_AT]
    if not lines:
        raise broken(path, "csv", "it has no row", "Add lines to it, or give another file.")
    delimiter = _delimiter(lines)
    if lines[0].count(delimiter) >= MAX_COLUMNS:
        cause = f"its first line has {lines[0].count(delimiter) + 1:,} columns, and {MAX_COLUMNS:,} are read"
        raise broken(path, "csv", cause, "Save its numbers as npy.")
    try:
        names = [
            f.strip() for f in next(csv.reader([lines[0]], delimiter=delimiter, skipinitialspace=True), [])
        ]
    except csv.Error as e:
        raise broken(
            path, "csv", f"its first line is no line of names ({e})", "Write names above the columns."
        ) from None
    _require_full(path, len(names))
    if len(names) > 3 and sum(not n for n in names) * 2 > len(names):
        raise broken(path, "csv", f"most of its {len(names):,} columns have no name", "Name every column.")
    counted = len(names) > 1 and names == [str(k) for k in range(len(names))]
    if not counted and all(any(s.fullmatch(n) for s in STYLES.values()) for n in names):
        return delimiter, None
    if twice := [n for n in repeated(names) if n]:
        raise broken(
            path, "csv", f"several of its columns are called {listed(twice)}", "Rename them, each its own."
        )
    return delimiter, names


def _delimiter(lines: Sequence[str]) -> str:
    """What separates: it gives every line equally many fields, and a comma only where nothing else does; else the most frequent."""
    for delimiter in _DELIMITERS:
        try:
            counts = {len(fields) for fields in csv.reader(lines, delimiter=delimiter, skipinitialspace=True)}
        except csv.Error:  # a field beyond the length that a field may have
            continue
        if len(counts) == 1 and counts.pop() > 1:
            return delimiter
    return max(",;\t|", key=lines[0].count)


def _require_full(path: Path, columns: int) -> None:
    """Refuse a file whose lines, made as long as its first, would be much more than the file holds."""
    size = path.stat().st_size
    with path.open("rb") as f, mmap.mmap(f.fileno(), 0, access=mmap.ACCESS_READ) as text:
        lines = sum(bytes(text[k : k + (1 << 20)]).count(b"\n") for k in range(0, size, 1 << 20))
    _require_few_empty(path, "csv", columns, lines, size)


def _require_few_empty(path: Path, what: str, columns: int, lines: int, size: int) -> None:
    if columns * lines > EMPTY_CELLS + EMPTY_BY_SIZE * size:
        cause = f"{lines:,} lines of {columns:,} columns are far more than its {size:,} bytes hold, so that most cells are empty"
        raise broken(
            path, what, cause, "Write a value for every column in every line, or save the numbers as npy."
        )


def _read_jsonl(path: Path) -> pd.DataFrame:
    import pandas as pd

    require_text(path, "JSON lines")
    size = path.stat().st_size
    columns: dict[str, list[Any]] = {}
    lines = 0
    with path.open(encoding="utf-8-sig") as f:
        for number, line in enumerate(f, 1):
            if not line.strip():
                continue
            record = _record(line, number, path)
            for key, value in record.items():
                cells = columns.setdefault(key, [])
                cells.extend([None] * (lines - len(cells)))
                cells.append(value)
            lines += 1
            if len(columns) > MAX_COLUMNS or not lines % 256:
                _require_few_empty(path, "JSON lines", len(columns), lines, size)
    _require_few_empty(path, "JSON lines", len(columns), lines, size)
    for cells in columns.values():
        cells.extend([None] * (lines - len(cells)))
    # Nothing is guessed: a text that spells a number stays a text.
    return pd.DataFrame({key: _typed(cells) for key, cells in columns.items()}, index=pd.RangeIndex(lines))


def _record(line: str, number: int, path: Path) -> dict[str, Any]:
    try:
        record = json.loads(line, object_pairs_hook=once)
    except TwiceError as e:
        raise broken(
            path, "JSON lines", f"in line {number} {shown(e)} stands twice", "Rename one of them."
        ) from None
    except (ValueError, RecursionError) as e:
        cause = "too deeply nested" if isinstance(e, RecursionError) else shown(e)
        raise broken(
            path, "JSON lines", f"line {number} is damaged ({cause})", "Look at that line."
        ) from None
    if isinstance(record, list):
        return {"vector": record}
    if not isinstance(record, dict):
        cause = f"line {number} is {shown(record, 40)}, not an object with names"
        raise broken(path, "JSON lines", cause, 'Write {"text": ...} on each line.')
    return record


def _typed(cells: list[Any]) -> Any:
    """Cells of one kind of number as numpy has them, any others as they are."""
    import pandas as pd

    kinds = set(map(type, cells))
    if kinds == {bool}:
        return np.array(cells)
    if kinds == {int} and max(map(abs, cells)) < 2**63:
        return np.array(cells, np.int64)
    if kinds <= {int, float, type(None)} and float in kinds:
        return np.array([math.nan if c is None else c for c in cells], np.float64)
    return pd.Series(cells, dtype=object)


def _read_parquet(path: Path) -> pd.DataFrame:
    import pyarrow as pa
    import pyarrow.parquet as pq

    allowed = min(MAX_TABLE, max(EXPANDS_TO, EXPANDS_BY * path.stat().st_size))
    with pq.ParquetFile(path) as file:
        metadata, schema = file.metadata, file.schema_arrow
        # of each column apart the file is not asked: damaged statistics there end the process in C++
        stored = sum(metadata.row_group(i).total_byte_size for i in range(metadata.num_row_groups))
        cells = 8 * metadata.num_rows * metadata.num_columns
        _require_affordable(path, max(stored, cells), allowed)
        if len(set(schema.names)) < len(schema.names):
            raise broken(path, "parquet", "two of its columns have the same name", "Rename one of them.")
        leaves = [file.schema.column(i) for i in range(len(file.schema))]
        texts = [leaf.path for leaf in leaves if leaf.physical_type == "BYTE_ARRAY"]
        lists = any(leaf.max_repetition_level for leaf in leaves)
        # A thread is given one column after another, and short ones aren't worth that.
        threads = metadata.num_rows > metadata.num_columns
    # A text that stands in many rows is held once, until it is known what all of them take.
    with pq.ParquetFile(path, metadata=metadata, read_dictionary=texts) as file:
        table = _in_parts(file, path, allowed) if lists else file.read(use_threads=threads)
    columns: dict[str, pa.ChunkedArray] = {}
    for name, column in zip(table.column_names, table.columns, strict=True):
        texts_within = not pa.types.is_primitive(column.type)
        if texts_within and (needed := sum(map(_spread, column.chunks))) > 0:
            allowed -= needed
            _require_affordable(path, 1, allowed)
        columns[name] = _undictionaried(column) if texts_within else column
    index = (schema.pandas_metadata or {}).get("index_columns", ())
    first = [n for n in index if isinstance(n, str) and n in columns]
    ordered = {n: columns[n] for n in dict.fromkeys([*first, *columns])}
    # All columns at once: pandas takes longer over 20,000 short ones than their file does. Its notes on dtypes are left out,
    # so that a column is read alike whichever program wrote it.
    frame = pa.table(ordered).to_pandas(ignore_metadata=True, use_threads=threads)
    for numbers in index:
        if isinstance(numbers, dict):
            frame = frame.set_index(_range(numbers, len(frame)))
    if _INDEX_COLUMN in frame.columns and "index" not in frame.columns:
        frame = _without_count(frame.rename(columns={_INDEX_COLUMN: "index"}), "index")
    return frame


def _range(written: dict[str, Any], n: int) -> pd.RangeIndex:
    """An index of evenly spaced numbers, of which pandas writes only that it is one; else one that counts the rows."""
    import pandas as pd

    start, step, name = written.get("start"), written.get("step"), written.get("name")
    if type(start) is not int or type(step) is not int or not step or max(abs(start), abs(step) * n) >= 2**62:
        return pd.RangeIndex(n)
    return pd.RangeIndex(start, start + step * n, step, name=name if isinstance(name, str) else None)


def _in_parts(file: Any, path: Path, allowed: int) -> pa.Table:
    """Read a file with lists, whose length no count of rows tells, some rows at a time."""
    import pyarrow as pa

    parts, total = [], 0
    for part in file.iter_batches(batch_size=LISTS_AT_ONCE):
        total += sum(c.nbytes for c in part.columns if "dictionary" not in str(c.type))
        _require_affordable(path, total, allowed)
        parts.append(part)
    return pa.Table.from_batches(parts, file.schema_arrow if not parts else None)


def _require_affordable(path: Path, needed: int, allowed: int) -> None:
    if needed > allowed:
        cause = (
            "it unpacks to far more than a file of its size holds"
            if allowed < MAX_TABLE
            else "it is too large to be read at once"
        )
        raise broken(path, "parquet", cause, "Save fewer rows or columns, or the numbers as npy.")


def _undictionaried(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """The values of a column that are held once each, one in each row."""
    import pyarrow as pa

    return column.cast(column.type.value_type) if pa.types.is_dictionary(column.type) else column


def _spread(array: pa.Array) -> int:
    """Bytes that texts take where each row has its own, those inside of lists and structures included."""
    import pyarrow as pa
    import pyarrow.compute as pc

    kind = array.type
    if pa.types.is_struct(kind):
        return sum(_spread(array.field(i)) for i in range(kind.num_fields))
    if pa.types.is_map(kind):
        return _spread(array.keys) + _spread(array.items)
    if pa.types.is_nested(kind):
        return _spread(array.flatten()) if hasattr(array, "flatten") else 0
    if not pa.types.is_dictionary(kind) or not len(array.dictionary):
        return 0
    lengths = pc.call_function("binary_length", [array.dictionary]).to_numpy(zero_copy_only=False)
    used = array.indices.drop_null().to_numpy(zero_copy_only=False)
    return int(np.nan_to_num(lengths)[used].sum(dtype=np.int64)) + 8 * len(used)


def points(table: pd.DataFrame, path: Path, name: str, **chosen: Any) -> PointCloud:
    """Split a table into a cloud and its labels; ``columns``, ``labels``, ``id`` as `split` takes them."""
    parts = split(table, str(path), **chosen)
    return PointCloud(
        parts.values,
        name=name,
        table=parts.table,
        columns=parts.columns,
        note=parts.note,
        folder=path.absolute().parent,
    )
