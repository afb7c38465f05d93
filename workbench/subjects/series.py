"""Sequences in time."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from workbench.core.digest import digest
from workbench.core.errors import DataError
from workbench.core.rows import floats, frozen, owned, require_finite, row_table, table_digest
from workbench.core.subject import Rowed
from workbench.core.view import Rows
from workbench.subjects.points import Points

if TYPE_CHECKING:
    import pandas as pd
    from jaxtyping import Float, Int


@dataclass(frozen=True, eq=False)
class Series(Rows):
    """A sequence in time: ``values`` (T, c) floating point, finite, one row a time step."""

    needs: ClassVar[str] = "a sequence in time (T x c)"
    values: Float[np.ndarray, "T c"]
    ids: Int[np.ndarray, " T"]
    table: pd.DataFrame


class TimeSeries(Rowed):
    """A sequence in time: ``values`` (T, c), one row a step, channel names in ``channels``."""

    def __init__(
        self,
        values: np.ndarray,
        *,
        name: str = "series",
        table: pd.DataFrame | None = None,
        space: str | None = None,
    ):
        values = values[:, None] if values.ndim == 1 else values
        if values.ndim != 2:
            raise DataError(
                f"{name}: a series has the shape (steps, channels); this array has {values.shape}."
            )
        super().__init__(name, row_table(table, len(values), name), space)
        self.values = frozen(values)

    @cached_property
    def _content(self) -> str:
        return digest("series", self.values)

    @property
    def digest(self) -> str:
        return digest(self._content, table_digest(self.table))

    @property
    def holds(self) -> str:
        return f"a series of {self.values.shape[0]:,} steps in {self.values.shape[1]:,} channels"

    def _take(self, at: np.ndarray) -> TimeSeries:
        return TimeSeries(owned(self.values[at]), name=self.name, table=self.table.iloc[at], space=self.space)

    def drop_nonfinite(self) -> TimeSeries:
        """Return the steps without NaN or infinite values; those beside a gap then count as neighbours in time."""
        return self.select(np.isfinite(self.values).all(axis=1))

    def as_series(self) -> Series:
        require_finite(self.values, self.name)
        return Series(self.name, self.digest, self.space, self.ids, self.table, floats(self.values))

    def as_points(self) -> Points:
        require_finite(self.values, self.name)
        return Points(self.name, self.digest, self.space, self.ids, self.table, floats(self.values))
