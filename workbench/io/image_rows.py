"""Rows that are the images of a Parquet file's column."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from workbench.core.errors import FormatError
from workbench.io.held_images import is_held
from workbench.io.image_files import SIDE, read_images
from workbench.subjects.coordinates import label
from workbench.subjects.points import PointCloud

if TYPE_CHECKING:
    import pandas as pd
    from jaxtyping import UInt8

MAX_ROWS_OF = 1 << 30  # bytes that all pixels of the rows take
COLOURS = 3


def column_of_images(table: pd.DataFrame) -> str:
    """The first column of names of images in the table's own file, or ""."""
    for name, kind in zip(table.columns, table.dtypes.tolist(), strict=True):
        there = table[name].dropna().head(1).tolist() if kind == np.dtype(object) else []
        if there and isinstance(there[0], str) and is_held(there[0]):
            return str(name)
    return ""


def image_rows(table: pd.DataFrame, column: str, path: Path, name: str) -> PointCloud:
    """Return the images of a column as rows of pixels, with the other columns as labels; rows without an image are left out.

    An image larger than `SIDE` pixels is made smaller; where they differ in shape, each stands in the middle of a black frame.

    Raises
    ------
    FormatError
        None can be read, or together they take more than `MAX_ROWS_OF`.
    """
    import pandas as pd

    if (most := len(table) * SIDE * SIDE * COLOURS) > MAX_ROWS_OF:
        raise FormatError(
            f"{path}: {len(table):,} images may take {most:,} bytes as rows, and {MAX_ROWS_OF:,} are read. Save fewer rows."
        )
    pixels, note = read_images(table[column].tolist(), path.parent)
    there = [i for i, image in enumerate(pixels) if image is not None]
    if not there:
        raise FormatError(f"{path}: no image in the column {column!r} can be read. {note}".rstrip())
    rows = framed([image for image in pixels if image is not None])
    kept = table.iloc[there]
    labels = pd.DataFrame({c: label(kept[c], str(path)) for c in map(str, kept.columns)}, index=kept.index)
    said = []
    if max(rows.shape[1:3]) == SIDE:
        said.append(f"Images are read at most {SIDE} pixels wide and high.")
    if len(there) < len(table):
        said.append(f"Rows without an image that is read are left out: {len(table) - len(there):,}.")
    return PointCloud(
        rows, name=name, table=labels, note=" ".join(filter(None, [*said, note])), folder=path.parent
    )


def framed(
    images: list[UInt8[np.ndarray, "h w c"]],
) -> UInt8[np.ndarray, "n h w c"] | UInt8[np.ndarray, "n h w"]:
    """Images in one array: grey ones (n, height, width), else in red, green and blue; how opaque a pixel is is left out."""
    grey = all(image.shape[2] == 1 for image in images)
    high, wide = (max(image.shape[axis] for image in images) for axis in (0, 1))
    out = np.zeros((len(images), high, wide, 1 if grey else COLOURS), np.uint8)
    for i, image in enumerate(images):
        h, w = image.shape[:2]
        top, left = (high - h) // 2, (wide - w) // 2
        out[i, top : top + h, left : left + w] = image[:, :, :COLOURS]
    return out[..., 0] if grey else out
