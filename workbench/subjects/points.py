"""Rows of numbers: the cloud that is opened, and the view of anything as rows in a vector space."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
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
    table_digest,
)
from workbench.core.subject import Rowed
from workbench.core.view import Rows

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

    def column(self, name: str) -> Shaped[np.ndarray, " n"]:
        """One column of the row table, in row order; refused with the names that exist."""
        return table_column(self.table, name, self.name)


class PointCloud(Rowed):
    """Rows of numbers with an optional table.

    Parameters
    ----------
    values : (n, d), any real dtype; kept as it is, so a memory-mapped array stays on disk.
    table : one line a row, indexed by row id; rows are numbered from 0 without one.
    truth : what is known of how it was made; see `Subject`.
    """

    def __init__(
        self,
        values: np.ndarray,
        *,
        name: str = "points",
        table: pd.DataFrame | None = None,
        space: str | None = None,
        truth: Mapping[str, Any] | None = None,
    ):
        values = values[:, None] if values.ndim == 1 else values
        if values.ndim != 2:
            raise DataError(
                f"{name}: a cloud has two dimensions (rows, columns); this array has the shape {values.shape}."
            )
        if values.dtype.kind not in "fiub":
            raise DataError(f"{name}: a cloud holds real numbers; this array has the dtype {values.dtype}.")
        super().__init__(name, row_table(table, len(values), name), space)
        self.values = frozen(values)
        self.truth = dict(truth or {})

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
        if isinstance(thing, np.ndarray):
            return cls(thing)
        if hasattr(thing, "select_dtypes"):  # a pandas table, recognised without importing pandas
            numbers = thing.select_dtypes("number")
            rest = thing[[c for c in thing.columns if c not in numbers.columns]].reset_index(drop=True)
            return cls(numbers.to_numpy(), table=rest)
        if hasattr(thing, "detach"):  # a torch tensor
            return cls(thing.detach().cpu().numpy())
        return None

    @cached_property
    def _content(self) -> str:
        return digest("points", self.values)

    @property
    def digest(self) -> str:
        return digest(self._content, table_digest(self.table))

    @property
    def holds(self) -> str:
        return f"{self.values.shape[0]:,} rows of {self.values.shape[1]:,} numbers"

    def _take(self, at: np.ndarray) -> PointCloud:
        return PointCloud(owned(self.values[at]), table=self.table.iloc[at], space=self.space)

    def save(self, path: str | Path) -> Path:
        """Write the numbers (``.npy``), or these and the row table's columns (``.npz``)."""
        return save_rows(path, self.values, self.table)

    def drop_nonfinite(self) -> PointCloud:
        """Return the rows without NaN or infinite values."""
        return self.select(np.isfinite(self.values).all(axis=1))

    def as_points(self) -> Points:
        require_finite(self.values, self.name)
        return Points(self.name, self.digest, self.space, self.ids, self.table, floats(self.values))
