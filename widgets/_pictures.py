"""Rows as people see them: which picture and which line belongs to each row of a view."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from workbench.core.errors import ParameterError
from workbench.core.subject import Rowed
from workbench.io.image_files import column_of_paths, read_images
from workbench.report.pictures import is_image
from workbench.subjects.points import PointCloud

if TYPE_CHECKING:
    import pandas as pd

MOST = 10_000  # pictures of a view; where there are more rows, those that have a place have one
SAMPLE = "sample"  # the column that says which of what a network was run on a row belongs to


@dataclass(frozen=True, eq=False)
class Pictures:
    """What was given as pictures of rows; see `widgets.explore`."""

    images: Any = None
    series: Any = None

    def of(self, subject: Any, placed: np.ndarray) -> tuple[dict[str, pd.Series], str]:
        """Return a column of images and one of series, those that there are, and what is to be said of them.

        Parameters
        ----------
        placed : ids of the rows that have a place.

        Raises
        ------
        ParameterError
            They are not as many as rows, or no pictures.
        MissingError
            There is no such column.
        """
        out: dict[str, pd.Series] = {}
        note = ""
        ids = subject.ids if len(subject) <= MOST else placed[np.isin(placed, subject.ids)][:MOST]
        if isinstance(self.images, str) or self.images is None:
            column = self.images or column_of_paths(subject.table)
            if self.images is None and isinstance(subject, PointCloud) and is_image(subject.row_shape):
                out["image"] = _by_id(subject.shaped, subject, "image", ids)
            elif column:
                found, note = _read(subject, column, ids[np.isin(ids, placed)], anywhere=bool(self.images))
                name = "image" if column != "image" else "picture"
                out |= {name: found} if found is not None else {}
        else:
            out["image"] = _by_id(self.images, subject, "image", ids)
        if self.series is not None:
            out["series"] = _by_id(self.series, subject, "series", ids)
        return out, note

    def code(self) -> dict[str, str]:
        """As arguments in Python."""
        given = {"images": self.images, "series": self.series}
        return {n: repr(v) if isinstance(v, str) else "..." for n, v in given.items() if v is not None}


def _by_id(given: Any, subject: Any, name: str, ids: np.ndarray) -> pd.Series:
    """One array a row, by row id: of arrays in the subject's order, of samples, or of rows with ids of their own."""
    import pandas as pd

    samples = subject.table[SAMPLE].to_numpy() if SAMPLE in subject.table.columns else None
    at = subject.table.index.get_indexer(ids)
    if isinstance(given, Rowed) and hasattr(given, "shaped"):
        arrays, own = given.shaped, given.ids
        asked = ids if samples is None else samples[at]
        of = pd.Series(np.arange(len(own)), index=own).reindex(asked).to_numpy(dtype=float)
        places = np.where(np.isnan(of), -1, of).astype(np.int64)
    else:
        arrays = np.asarray(given.detach().cpu() if hasattr(given, "detach") else given)
        by_sample = arrays.ndim > 0 and samples is not None and max(samples) < len(arrays) != len(subject)
        places = samples[at].astype(np.int64) if samples is not None and by_sample else at
        _require(arrays, name, subject, fits=by_sample or (arrays.ndim > 0 and len(arrays) == len(subject)))
    kept, which = np.unique(places[places >= 0], return_inverse=True)
    cells = np.full(len(ids), None, dtype=object)
    held = [arrays[i] for i in kept.tolist()]  # rows of one sample share its picture
    for i, j in zip(np.flatnonzero(places >= 0).tolist(), which.tolist(), strict=True):
        cells[i] = held[j]
    return pd.Series(cells, index=ids, dtype=object)


def _require(arrays: np.ndarray, name: str, subject: Any, *, fits: bool) -> None:
    ranks = (3, 4) if name == "image" else (2,)
    if arrays.ndim in ranks and arrays.dtype.kind in "fiub" and fits:
        return
    wanted = (
        "images are (n, height, width) or (n, height, width, channels)"
        if name == "image"
        else "series are (n, steps)"
    )
    raise ParameterError(
        f"explore: {wanted} numbers, one for each of the {len(subject):,} rows of {subject.name}; this array has the "
        f"shape {arrays.shape} and dtype {arrays.dtype}."
    )


def _read(subject: Any, column: str, ids: np.ndarray, *, anywhere: bool) -> tuple[pd.Series | None, str]:
    """The images that a column names, and what is to be said; None where none can be shown."""
    import pandas as pd

    subject.column(column)  # a column that isn't there is refused here
    folder: Path | None = getattr(subject, "folder", None)
    paths = subject.table[column].loc[ids].tolist()
    pixels, note = read_images(paths, folder, anywhere=anywhere)
    if not any(p is not None for p in pixels):
        return None, f"Column {column!r}: {note}" if note else ""
    cells = np.full(len(ids), None, dtype=object)
    for i, image in enumerate(pixels):
        cells[i] = image
    return pd.Series(cells, index=ids, dtype=object), note
