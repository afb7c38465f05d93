"""Images that lie in a Parquet file: bytes in a column, alone or with a path beside them, as Hugging Face datasets write them.

A table has a name in place of each, ``file.parquet#column[row]``, which is short, stays right when rows are selected, and is
decoded only where a picture is shown.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workbench.core.errors import MissingError
from workbench.io.files import broken, shown, status

if TYPE_CHECKING:
    import pandas as pd

BYTES = "bytes"  # of a structure, the part that holds the image
ENDING = ".parquet"
MAX_HELD = 2 << 30  # bytes of one column of images
AT_ONCE = 64  # rows that are read before it is looked at what they take
LOOKED_AT = 100  # cells by which a column is recognised
_BEGINNINGS = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"GIF8", b"BM", b"II*\0", b"MM\0*")
_HELD = re.compile(r"(.+\.parquet)#(.+)\[(\d{1,12})\]", re.DOTALL)


def is_held(cell: str) -> bool:
    """Whether a cell is the name of an image in a table."""
    return cell.endswith("]") and _HELD.fullmatch(cell) is not None


def parts_of(cell: str) -> tuple[str, str, int]:
    """The file, column and row that such a name gives."""
    found = _HELD.fullmatch(cell)
    assert found is not None
    return found[1], found[2], int(found[3])


def named_images(table: pd.DataFrame, path: Path) -> pd.DataFrame:
    """The table of a Parquet file with a name in place of each image in it."""
    import pandas as pd

    out = table
    objects = [
        name for name, kind in zip(table.columns, table.dtypes.tolist(), strict=True) if str(kind) == "object"
    ]
    for column in objects if path.suffix == ENDING else ():
        if not _holds_images(table[column]):
            continue
        there = [_bytes(cell) is not None for cell in table[column]]
        names = [f"{path.name}#{column}[{i}]" if held else None for i, held in enumerate(there)]
        out = out.assign(**{str(column): pd.Series(names, table.index, dtype=object)})
    return out


def _holds_images(cells: pd.Series) -> bool:
    first = [b for b in map(_bytes, cells.head(LOOKED_AT)) if b is not None]
    return bool(first) and sum(_is_image(b) for b in first) >= 0.9 * len(first)


def _is_image(raw: bytes) -> bool:
    return raw.startswith(_BEGINNINGS) or (raw[:4] == b"RIFF" and raw[8:12] == b"WEBP")


def _bytes(cell: Any) -> bytes | None:
    raw = cell.get(BYTES) if isinstance(cell, dict) else cell
    return raw if isinstance(raw, bytes) and raw else None


def bytes_of(path: Path, column: str) -> list[bytes | None]:
    """The images of a column, as the bytes that they are in the file.

    Raises
    ------
    MissingError
        There is no such file or column.
    FormatError
        The file is damaged, or the column takes more than `MAX_HELD`.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    if status(path) != "file" or path.suffix != ENDING:
        raise MissingError(f"{path} is no Parquet file that images could be read from.")
    found: list[bytes | None] = []
    total = 0
    try:
        with pq.ParquetFile(path) as file:
            if column not in file.schema_arrow.names:
                raise MissingError(f"{path} has no column {column!r} any more.")
            for part in file.iter_batches(batch_size=AT_ONCE, columns=[column]):
                total += part.nbytes
                if total > MAX_HELD:
                    cause = f"its images take more than {MAX_HELD:,} bytes"
                    raise broken(path, "parquet", cause, "Save fewer of them, or smaller ones.")
                found += map(_bytes, part.column(0).to_pylist())
    except (OSError, pa.ArrowException) as e:
        raise broken(path, "parquet", shown(e)) from None
    return found
