"""Files of images as small pictures: what a table's paths name, of untrusted origin.

A file is decoded only after its format, its bytes and its pixels have been bounded, and only the pixels of a small picture
are kept: no metadata, no animation, nothing that a browser would have to decode again.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any

import numpy as np

from workbench.core.errors import FormatError, MissingError, WorkbenchError
from workbench.core.progress import track
from workbench.io.files import broken, need, size_of, status
from workbench.io.held_images import bytes_of, is_held, parts_of

if TYPE_CHECKING:
    import pandas as pd
    from jaxtyping import UInt8

ENDINGS = (".png", ".jpg", ".jpeg", ".gif", ".webp", ".bmp", ".tif", ".tiff")
FORMATS = ("PNG", "JPEG", "GIF", "WEBP", "BMP", "TIFF")
SIDE = 64  # pixels of the longer side that are kept
MAX_BYTES = 64 << 20  # of one file
MAX_PIXELS = 50_000_000  # of one image
LOOKED_AT = 100  # cells by which a column is recognised
THREADS = 2


def column_of_paths(table: pd.DataFrame) -> str:
    """The first column of texts nearly all of which end as files of images do, or are names of images in a table; or ""."""
    for name in map(str, table.columns):
        cells = [c for c in table[name].head(LOOKED_AT) if isinstance(c, str)]
        if cells and sum(c.lower().endswith(ENDINGS) or is_held(c) for c in cells) >= 0.9 * len(cells):
            return name
    return ""


def read_image(path: Path, side: int = SIDE) -> UInt8[np.ndarray, "h w c"]:
    """Return the image in a file, at most ``side`` pixels wide and high, in 1 (grey), 3 or 4 channels.

    Raises
    ------
    MissingError
        There is no such file, or Pillow isn't installed.
    FormatError
        It is none of `FORMATS`, damaged, or larger than `MAX_BYTES` or `MAX_PIXELS`.
    """
    if status(path) != "file":
        raise MissingError(f"{path} is no file.")
    return decoded(path, path, size_of(path), side)


def decoded(source: Any, path: Path, size: int, side: int = SIDE) -> UInt8[np.ndarray, "h w c"]:
    """Return the image in a file, or in the bytes of one, as `read_image` does.

    Parameters
    ----------
    source : what Pillow opens. path : of the file that it comes from, for refusals. size : its bytes.

    Raises
    ------
    FormatError
        As in `read_image`.
    """
    image = need("PIL.Image", "Reading images")
    if size > MAX_BYTES:
        raise broken(path, "image", f"its {size:,} bytes are more than {MAX_BYTES:,}", "Make it smaller.")
    try:
        with image.open(source, formats=FORMATS) as opened:
            width, height = opened.size
            if width * height > MAX_PIXELS:
                cause = f"its {width:,} × {height:,} pixels are more than {MAX_PIXELS:,}"
                raise broken(path, "image", cause, "Make it smaller.")
            opened.draft("RGB", (2 * side, 2 * side))  # of a JPEG only as much is decoded as is needed
            return _small(opened, side)
    except FormatError:
        raise
    except Exception as e:  # whatever a decoder says of damaged bytes
        legal = ", ".join(FORMATS)
        raise broken(path, "image", f"{type(e).__name__}: {e}", f"Images are read from {legal}.") from None


def _small(opened: Any, side: int) -> np.ndarray:
    ops = need("PIL.ImageOps", "Reading images")
    if opened.mode.startswith(("I", "F")):  # numbers beyond 8 bits, as in scientific images
        numbers = np.asarray(opened, dtype=np.float64)
        low, high = np.nanmin(numbers), np.nanmax(numbers)
        opened = need("PIL.Image", "Reading images").fromarray(
            np.uint8(255 * np.nan_to_num((numbers - low) / ((high - low) or 1)))
        )
    transparent = "A" in opened.getbands() or "transparency" in opened.info
    opened = opened.convert("RGBA" if transparent else "L" if opened.mode in ("1", "L") else "RGB")
    opened.thumbnail((side, side))
    pixels = np.asarray(ops.exif_transpose(opened), dtype=np.uint8)
    return pixels[:, :, None] if pixels.ndim == 2 else pixels


def read_images(
    paths: Sequence[Any], folder: Path | None, *, anywhere: bool = False
) -> tuple[list[np.ndarray | None], str]:
    """Return the images that cells of a table name, None for each that can't be shown, and what is to be said of those.

    Parameters
    ----------
    paths : texts; relative ones start at ``folder`` (None: the current one).
    anywhere : whether files outside of the folder are read too. A table that somebody sent may name any file of this machine,
        whose picture would then be sent on with a page.
    """
    base = (folder or Path()).resolve()
    held = Held()
    wrong: dict[str, int] = {}

    def one(cell: Any) -> tuple[np.ndarray | None, str]:
        if not isinstance(cell, str) or not cell:
            return None, ""
        try:
            if is_held(cell):
                return held.image(cell, lambda file: _place(file, base, anywhere)), ""
            return read_image(_place(cell, base, anywhere)), ""
        except WorkbenchError as e:  # a page that is sent on doesn't tell where its author's files lie
            return None, str(e).replace(f"{base}/", "")

    with warnings.catch_warnings(), ThreadPoolExecutor(THREADS) as threads:
        warnings.simplefilter("ignore")  # of oversized or odd files; their size is looked at above
        found = list(track(threads.map(one, paths), "reading the images", len(paths)))
    for _, why in found:
        if why:
            wrong[why] = wrong.get(why, 0) + 1
    n = sum(wrong.values())
    if not n:
        return [pixels for pixels, _ in found], ""
    note = f"{n:,} of {len(paths):,} images can't be shown; the first: {next(iter(wrong))}"
    return [pixels for pixels, _ in found], note


class Held:
    """Images that lie in tables: each column is read once, for all of its cells."""

    def __init__(self) -> None:
        self._columns: dict[tuple[Path, str], list[bytes | None]] = {}
        self._reading = Lock()

    def image(self, cell: str, place: Callable[[str], Path]) -> UInt8[np.ndarray, "h w c"] | None:
        """The image that a cell names; None where that cell of the table is empty.

        Raises
        ------
        FormatError, MissingError
            The table or the image can't be read, or there is no such row.
        """
        file, column, row = parts_of(cell)
        path = place(file)
        with self._reading:
            if (path, column) not in self._columns:
                self._columns[path, column] = bytes_of(path, column)
        cells = self._columns[path, column]
        if row >= len(cells):
            raise MissingError(f"{path} has no row {row:,} any more.")
        found = cells[row]
        return None if found is None else decoded(BytesIO(found), path, len(found))


def _place(cell: str, base: Path, anywhere: bool) -> Path:
    if "://" in cell:
        raise MissingError(f"{cell[:100]} is an address, and nothing here reads from the web.")
    try:
        path = (base / Path(cell).expanduser()).resolve()
    except (OSError, RuntimeError, ValueError) as e:
        raise MissingError(f"{cell[:100]!r} is no path: {e}.") from None
    if not anywhere and not path.is_relative_to(base):
        raise MissingError(
            f"{cell[:100]} lies outside of the table's folder, from where images are read; naming the column (images=) reads them "
            "from anywhere."
        )
    return path
