"""Captured stores: a folder with one raw binary file a site, a manifest, and the row table as Parquet.

What `writing.Unfinished` writes lies under a name that ends in ``.partial`` until it is whole; this file says
how a store is laid out, and opens a finished one without believing what it says of itself.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from workbench.core.digest import SAMPLED_ABOVE
from workbench.core.errors import FormatError, MissingError
from workbench.core.lineage import step
from workbench.core.progress import tell
from workbench.core.stored import are_sampled, read_json, unsealed
from workbench.subjects.activations import Activations

if TYPE_CHECKING:
    import pandas as pd

FORMAT = "workbench capture 2"
MANIFEST, TABLE, PARTIAL = "manifest.json", "rows.parquet", ".partial"
DTYPES = ("float16", "float32", "float64")
_MAX_MANIFEST = 16 << 20  # bytes; the manifest of 100,000 sites is smaller
_MAX_DIMENSIONS = 16
_FILE = re.compile(r"site\d{1,6}\.bin")


@dataclass(frozen=True)
class Layout:
    """What lies where in a store.

    Attributes
    ----------
    key : digest of everything that the content depends on.
    sites : site to the shape of one row.
    rows : rows of every site.
    dtype : of all sites, one of `DTYPES`.
    """

    key: str
    sites: dict[str, tuple[int, ...]]
    rows: int
    dtype: str

    def file(self, site: str) -> str:
        """Name of a site's file; the site's own name may hold what a file's name may not."""
        return f"site{list(self.sites).index(site):03d}.bin"

    def row_bytes(self, site: str) -> int:
        """Bytes of one row."""
        return math.prod(self.sites[site]) * np.dtype(self.dtype).itemsize

    @property
    def nbytes(self) -> int:
        """Bytes of all sites."""
        return self.rows * sum(map(self.row_bytes, self.sites))

    def to_json(self) -> dict[str, Any]:
        """Plain dictionary, as the manifest stores it."""
        sites = [{"name": s, "file": self.file(s), "shape": list(shape)} for s, shape in self.sites.items()]
        return {"format": FORMAT, "key": self.key, "rows": self.rows, "dtype": self.dtype, "sites": sites}


@step
def open_store(path: str | Path) -> Activations:
    """Open a finished store, its arrays memory-mapped.

    Raises
    ------
    MissingError
        There is no store, or only an unfinished one.
    FormatError
        The store is damaged, its parts contradict each other, or a file isn't the one that was stored: all of them are
        read and digested, files beyond 2 GiB in samples.
    """
    return read_store(Path(path), checked=False)


def read_store(path: Path, *, checked: bool) -> Activations:
    """Open a store; with ``checked``, one that this process has just digested, so that it isn't read again."""
    manifest = _manifest(path)
    arrays = {s["name"]: _mapped(path, s["file"], tuple(s["shape"]), manifest) for s in manifest["sites"]}
    if not checked:
        _check_files(path, manifest)
    table = _read_table(path / TABLE, manifest["rows"])
    about = {"name": manifest["name"], "note": manifest.get("note", "")}
    return Activations(arrays, table, content=manifest["key"], space=manifest["space"], **about)


def key_of(path: Path) -> str:
    """The key of a finished store."""
    return _manifest(path)["key"]


def caveat_of(path: Path) -> str:
    """What a finished store is to be read with; "" for most."""
    return _manifest(path)["caveat"]


def _manifest(path: Path) -> dict[str, Any]:
    """The manifest, checked field by field."""
    file = path / MANIFEST
    if path.name.endswith(PARTIAL):
        raise MissingError(
            f"{path} is an unfinished capture. Run the same capture again: it goes on where it stopped."
        )
    if not file.is_file():
        raise MissingError(f"{path} is not a captured store: it has no {MANIFEST}.")
    try:
        found = read_json(file, _MAX_MANIFEST)
    except (OSError, FormatError) as e:
        raise _damaged(path, f"its manifest can't be read ({e})") from None
    if found.get("format") != FORMAT:
        raise _damaged(path, f"its manifest is not of the format {FORMAT!r}")
    for name in ("key", "name", "space", "dtype", "caveat"):
        if not isinstance(found.get(name), str):
            raise _damaged(path, f"its manifest's {name} is not a text")
    if not isinstance(found.get("note", ""), str):  # captures of earlier versions have none
        raise _damaged(path, "its manifest's note is not a text")
    if found["dtype"] not in DTYPES:
        raise _damaged(path, f"its dtype is none of {', '.join(DTYPES)}")
    if type(found.get("rows")) is not int or found["rows"] < 1:
        raise _damaged(path, "its number of rows is not a positive whole number")
    sites = found.get("sites")
    if not isinstance(sites, list) or not sites or not all(map(_is_site, sites)):
        raise _damaged(path, "its manifest doesn't say which sites it has and what shape they are")
    if len({s["name"] for s in sites}) < len(sites) or len({s["file"] for s in sites}) < len(sites):
        raise _damaged(path, "a site stands in its manifest twice")
    return found


def _check_files(path: Path, manifest: dict[str, Any]) -> None:
    """Compare the manifest and the files that it speaks of with what they were when they were stored."""
    files = manifest.get("files")
    if not isinstance(files, dict) or set(files) != {TABLE, *(s["file"] for s in manifest["sites"])}:
        raise _damaged(path, "its manifest doesn't say what its files digest to")
    try:
        unsealed(manifest, path)
    except (OSError, FormatError) as e:
        raise _damaged(path, str(e)) from None
    if are_sampled(manifest):
        tell(
            f"{path.name}: of files beyond {SAMPLED_ABOVE >> 30} GiB, samples are compared with what was stored"
        )


def _is_site(said: Any) -> bool:
    if not isinstance(said, dict) or not isinstance(said.get("name"), str):
        return False
    file, shape = said.get("file"), said.get("shape")
    if not isinstance(file, str) or not _FILE.fullmatch(file):  # so that none leads out of the folder
        return False
    if not isinstance(shape, list) or not 0 < len(shape) <= _MAX_DIMENSIONS:
        return False
    return all(type(n) is int and n > 0 for n in shape)


def _mapped(path: Path, file: str, shape: tuple[int, ...], manifest: dict[str, Any]) -> np.ndarray:
    dtype = np.dtype(manifest["dtype"]).newbyteorder("<")
    needed = manifest["rows"] * math.prod(shape) * dtype.itemsize
    target = path / file
    held = target.stat().st_size if target.is_file() else None
    if held != needed:
        said = "is missing" if held is None else f"has {held:,} bytes"
        raise _damaged(path, f"{file} {said} and its manifest needs {needed:,}")
    return np.memmap(target, dtype, "r", shape=(manifest["rows"], *shape)).view(np.ndarray)


def _read_table(file: Path, rows: int) -> pd.DataFrame:
    import pandas as pd
    import pyarrow as pa
    import pyarrow.parquet as pq

    if not file.is_file():  # a pipe would be waited for
        raise _damaged(file.parent, f"{file.name} is missing")
    try:
        with pq.ParquetFile(file) as parquet:
            held = parquet.metadata.num_rows
            if held != rows:
                raise _damaged(file.parent, f"its row table has {held:,} lines for {rows:,} rows")
            table = parquet.read().to_pandas()
    except (OSError, ValueError, KeyError, pa.ArrowException) as e:
        if isinstance(e, FormatError):
            raise
        raise _damaged(file.parent, f"its row table can't be read ({type(e).__name__})") from None
    if not isinstance(table, pd.DataFrame) or table.index.dtype.kind not in "iu" or not table.index.is_unique:
        raise _damaged(file.parent, "its row ids are not unique whole numbers")
    return table


def _damaged(path: Path, cause: str) -> FormatError:
    return FormatError(
        f"{path} can't be opened as a captured store: {cause}. Remove the folder and capture again."
    )
