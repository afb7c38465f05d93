"""Rows of numbers: the cloud that is opened, and the view of anything as rows in a vector space."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from workbench.core.digest import digest
from workbench.core.errors import DataError
from workbench.core.rows import (
    ROW_FILES,
    floats,
    frozen,
    owned,
    require_finite,
    row_table,
    save_rows,
    table_column,
    taken_for_rows,
)
from workbench.core.subject import FINITE, Rowed
from workbench.core.view import Rows
from workbench.subjects.coordinates import split
from workbench.subjects.in_order import said_of_order

if TYPE_CHECKING:
    import pandas as pd
    from jaxtyping import Float, Shaped


@dataclass(frozen=True, eq=False)
class Points(Rows):
    """Rows in a vector space.

    Attributes
    ----------
    values : (n, d) floating point, finite.
    ids : (n,) stable row ids.
    table : one line a row, indexed by id; may have no columns.
    """

    needs: ClassVar[str] = "rows of numbers (n x d)"
    in_columns: ClassVar[bool] = True
    values: Float[np.ndarray, "n d"]

    def notes(self, parameters: Mapping[str, Any]) -> tuple[str, ...]:
        """With what is to be said where distances may have been taken for rows, or rows of one text for independent ones."""
        taken = taken_for_rows(self.name, self.values, parameters)
        return *super().notes(parameters), *taken, *said_of_order(self, self.values, parameters)

    @cached_property
    def distinct(self) -> int:
        """How many rows differ."""
        from workbench.numerics.distinct import count_distinct

        return count_distinct(self.values)

    def column(self, name: str) -> Shaped[np.ndarray, " n"]:
        """One column of the row table, in row order; refused with the names that exist."""
        return table_column(self.table, name, self.name)


@dataclass(frozen=True, eq=False)
class Relation(Points):
    """Rows in a vector space whose coordinates have names, one of which, or a column of the table, may be of the others.

    Attributes
    ----------
    names : (d,) of the columns of ``values``.
    """

    needs: ClassVar[str] = "rows of numbers in named columns (n x d)"
    names: tuple[str, ...] = ()


class PointCloud(Rowed):
    """Rows of numbers with an optional table.

    Parameters
    ----------
    values : (n, d), any real dtype; kept as it is, so a memory-mapped array stays on disk. Rows of more dimensions than one,
        such as images (n, 3, height, width), count as rows of so many numbers, and their shape is kept in ``row_shape``.
    table : one line a row, indexed by row id; rows are numbered from 0 without one.
    truth : what is known of how it was made; see `Subject`.
    columns : of a table's coordinates, the name of each column to how many of the d it gives; empty where they have none.
    note : what was set aside when a table was split, in words.
    folder : where the table lies, from which paths in it are taken; None where nobody knows.
    """

    def __init__(
        self,
        values: np.ndarray,
        *,
        name: str = "points",
        table: pd.DataFrame | None = None,
        space: str | None = None,
        truth: Mapping[str, Any] | None = None,
        columns: Mapping[str, int] | None = None,
        note: str = "",
        folder: Path | None = None,
    ):
        values = frozen(values)
        values = values[:, None] if values.ndim == 1 else values
        if values.ndim == 0:
            raise DataError(f"{name}: a cloud has rows; this is a single number, of the shape ().")
        self.row_shape = values.shape[1:]
        values = values.reshape(len(values), math.prod(self.row_shape))
        if values.dtype.kind not in "fiub":
            raise DataError(f"{name}: a cloud holds real numbers; this array has the dtype {values.dtype}.")
        super().__init__(name, row_table(table, len(values), name), space)
        self.values = values
        self.truth = dict(truth or {})
        self.columns = MappingProxyType(dict(columns or {}))
        self.note = note
        self.folder = folder
        if self.columns and sum(self.columns.values()) != values.shape[1]:
            raise DataError(
                f"{name}: {dict(self.columns)} are {sum(self.columns.values())} columns, and the rows have {values.shape[1]} numbers."
            )

    @classmethod
    def example(cls, variant: int = 0) -> PointCloud:
        """Three groups of 32 rows in six dimensions, with labels, texts and tokens."""
        import pandas as pd

        rng = np.random.default_rng(0)
        group = np.repeat([0, 1, 2], 32)
        rows = rng.standard_normal((96, 6)) + 4 * rng.standard_normal((3, 6))[group]
        if variant:  # the same rows seen otherwise: turned, and noisy
            other = np.random.default_rng([0, variant])
            turned = rows @ np.linalg.qr(other.standard_normal((6, 6)))[0]
            rows = turned + 0.5 * other.standard_normal((96, 6))
        columns = {
            "kind": np.array(["a", "b", "c"])[group],
            "text_id": np.arange(96) // 4,
            "height": rows[:, 0],
            "token": [f"t{i % 9}" for i in range(96)],
            "size": rng.permuted(group),
        }
        return cls(rows.astype(np.float32), name="groups", table=pd.DataFrame(columns))

    takes: ClassVar[str] = "an array, a tensor or a table of rows"
    suffixes: ClassVar[tuple[str, ...]] = ROW_FILES
    typed: ClassVar[str] = "cloud.npy"

    @classmethod
    def of(cls, thing: Any) -> PointCloud | None:
        if isinstance(thing, np.ndarray) or hasattr(thing, "detach"):  # or a torch tensor
            return cls(thing)
        if hasattr(thing, "select_dtypes"):  # a pandas table, recognised without importing pandas
            return cls.from_table(thing)
        return None

    @classmethod
    def from_table(
        cls,
        table: pd.DataFrame,
        *,
        columns: Sequence[str] | None = None,
        labels: Sequence[str] | None = None,
        id: str | None = None,
        name: str = "table",
    ) -> PointCloud:
        """Make a cloud of a pandas table, as the same table in a file is read.

        Parameters
        ----------
        table : its index, where it has a name or doesn't count the rows, is its first column.
        columns : the coordinates. By default a column of vectors alone, else all columns of numbers but those that are
            ids, times or labels by their name.
        labels : the columns to keep in the row table, which then are no coordinates; None keeps all others.
        id : the column that names the rows. Unique whole numbers are the row ids.

        Raises
        ------
        MissingError
            There is no such column.
        FormatError
            No column is one of numbers, or one can be read in two ways or not at all.
        DataError
            Two columns have one name, ``id`` isn't unique, or a text is no valid Unicode.
        """
        parts = split(table, name, columns=columns, labels=labels, id=id)
        return cls(parts.values, name=name, table=parts.table, columns=parts.columns, note=parts.note)

    def with_columns(
        self,
        columns: Sequence[str] | None = None,
        labels: Sequence[str] | None = None,
        id: str | None = None,
    ) -> PointCloud:
        """Return the cloud with other coordinates, chosen among its columns and those of its row table; see `from_table`.

        Raises
        ------
        MissingError, FormatError, DataError
            As in `from_table`.
        """
        import pandas as pd

        whole = self.table
        starts = np.cumsum([0, *self.columns.values()])
        for (column, width), start in zip(self.columns.items(), starts, strict=False):
            block = self.values[:, start : start + width]
            cells = block[:, 0] if width == 1 else pd.Series(list(block), whole.index, dtype=object)
            whole[column] = cells
        ids = whole.index
        parts = split(whole.reset_index(drop=True), self.name, columns=columns, labels=labels, id=id)
        table = (
            parts.table if id is not None and id not in parts.table.columns else parts.table.set_index(ids)
        )
        made = PointCloud(
            parts.values, table=table, columns=parts.columns, note=parts.note, folder=self.folder
        )
        asked = {"columns": columns, "labels": labels, "id": id}
        asked = {k: tuple(v) if isinstance(v, list) else v for k, v in asked.items() if v is not None}
        return self.derived(made, "with_columns", ", ".join(parts.columns)[:60], asked)

    @cached_property
    def _content(self) -> str:
        return digest("points", self.values, *([self.row_shape] if len(self.row_shape) > 1 else []))

    @property
    def shaped(self) -> np.ndarray:
        """The rows in their own shape, (n, *row_shape)."""
        return self.values.reshape(len(self.values), *self.row_shape)

    @property
    def digest(self) -> str:
        return digest(self._content, self.table_digest)

    @property
    def holds(self) -> str:
        aside = f". {self.note.rstrip('.')}" if self.note else ""
        count = " × ".join(f"{size:,}" for size in self.row_shape)
        return f"{self.values.shape[0]:,} rows of {count} numbers{aside}"

    def _take(self, at: np.ndarray) -> PointCloud:
        return PointCloud(
            owned(self.values[at]).reshape(len(at), *self.row_shape),
            table=self.table.iloc[at],
            space=self.space,
            columns=self.columns,
            note=self.note,
            folder=self.folder,
        )

    def save(self, path: str | Path) -> Path:
        """Write the numbers (``.npy``), or these and the row table's columns (``.npz``)."""
        return save_rows(path, self.shaped, self.table)

    def drop_nonfinite(self) -> PointCloud:
        """Return the rows without NaN or infinite values."""
        return self.select(np.isfinite(self.values).all(axis=1), reason=FINITE)

    def as_points(self) -> Points:
        require_finite(self.values, self.name, self.columns)
        return Points(
            self.name,
            self._seen,
            self.space,
            self.ids,
            self.table,
            floats(self.values),
            note=self.note,
            grouped_by=self.grouped_by,
        )

    def as_relation(self) -> Relation:
        points = self.as_points()
        names = [f"{c}{i + 1}" if w > 1 else c for c, w in self.columns.items() for i in range(w)]
        names = names or [f"x{j + 1}" for j in range(points.values.shape[1])]
        shared = {f.name: getattr(points, f.name) for f in fields(points)}
        return Relation(**shared, names=tuple(names))
