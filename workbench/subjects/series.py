"""Sequences in time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from workbench.core.digest import digest
from workbench.core.errors import DataError, MissingError, suggest
from workbench.core.rows import (
    ROW_FILES,
    floats,
    frozen,
    owned,
    require_finite,
    row_table,
    save_rows,
)
from workbench.core.subject import FINITE, Rowed
from workbench.core.view import Rows
from workbench.subjects.points import Points

if TYPE_CHECKING:
    import pandas as pd
    from jaxtyping import Float


_UNITS = {"day": 86_400, "hour": 3600, "minute": 60, "second": 1}


@dataclass(frozen=True, eq=False)
class Series(Rows):
    """A sequence in time: ``values`` (T, c) floating point, finite, one row a time step.

    Attributes
    ----------
    channels : (c,) names of the channels.
    interval : time from one step to the next, in whatever unit the subject has (seconds, days, updates); 1 where it
        isn't known, which makes frequencies those per step.
    """

    needs: ClassVar[str] = "a sequence in time (T x c)"
    values: Float[np.ndarray, "T c"]
    channels: tuple[str, ...]
    interval: float = 1.0

    def channel(self, name: str) -> Float[np.ndarray, " T"]:
        """One channel by its name.

        Raises
        ------
        MissingError
            There is none of that name; those that there are are named.
        """
        if name not in self.channels:
            raise MissingError(f"{self.name} has no channel {name!r}. {suggest(name, self.channels)}")
        return self.values[:, self.channels.index(name)]


class TimeSeries(Rowed):
    """A sequence in time, one row a step.

    Parameters
    ----------
    values : (T, c) or (T,), any real dtype.
    channels : (c,) names, each its own; their numbers without them.
    interval : time from one step to the next, above 0; 1 where it isn't known.
    truth : what is known of how it was made; see `Subject`.

    Raises
    ------
    DataError
        Another shape, names that are not as many as channels or not unique, or an interval that is no length of time.
    """

    def __init__(
        self,
        values: np.ndarray,
        *,
        name: str = "series",
        channels: Sequence[str] = (),
        interval: float = 1.0,
        table: pd.DataFrame | None = None,
        space: str | None = None,
        truth: Mapping[str, Any] | None = None,
    ):
        values = values[:, None] if values.ndim == 1 else values
        if values.ndim != 2:
            raise DataError(
                f"{name}: a series has the shape (steps, channels); this array has {values.shape}."
            )
        if not (np.isfinite(interval) and interval > 0):
            raise DataError(
                f"{name}: interval={interval!r} is no time between steps; it is a number above 0."
            )
        names = tuple(map(str, channels)) or tuple(str(j) for j in range(values.shape[1]))
        if len(names) != values.shape[1] or len(set(names)) < len(names):
            raise DataError(
                f"{name}: {len(names)} names ({len(set(names))} of them different) for {values.shape[1]} channels; each "
                "channel has a name of its own."
            )
        super().__init__(name, row_table(table, len(values), name), space)
        self.values = frozen(values)
        self.channels = names
        self.interval = float(interval)
        self.truth = dict(truth or {})

    typed: ClassVar[str] = "series.csv"

    suffixes: ClassVar[tuple[str, ...]] = ROW_FILES

    @cached_property
    def _content(self) -> str:
        return digest("series", self.values, self.channels, self.interval)

    @property
    def digest(self) -> str:
        return digest(self._content, self.table_digest)

    @property
    def holds(self) -> str:
        shown = ", ".join(self.channels[:4]) + (" …" if len(self.channels) > 4 else "")
        return f"a series of {len(self):,} steps{self._every()} in {len(self.channels):,} channels ({shown})"

    def _every(self) -> str:
        """How often there is a step, in words; where the table has dates, the interval is in seconds."""
        if self.interval == 1:
            return ""
        if not any(t.kind == "M" for t in self.table.dtypes):
            return f", one every {self.interval:g}"
        unit, size = next((u, s) for u, s in _UNITS.items() if self.interval % s == 0 or s == 1)
        many = self.interval / size
        return f", one every {unit}" if many == 1 else f", one every {many:g} {unit}s"

    @classmethod
    def example(cls, variant: int = 0) -> TimeSeries:
        """Two channels of two sines with a little noise, 240 steps."""
        t = np.arange(240) * 0.13
        noise = 0.05 * np.random.default_rng(variant).standard_normal((240, 2))
        left = np.sin(t) + 0.3 * np.sin((2.7 + variant) * t)
        right = np.sin(t - 0.5) + 0.3 * np.sin(1.9 * t)
        waves = np.stack([left, right], axis=1) + noise
        return cls(waves, name="waves", channels=("left", "right"), interval=0.13)

    def _take(self, at: np.ndarray) -> TimeSeries:
        return TimeSeries(
            owned(self.values[at]),
            channels=self.channels,
            interval=self.interval,
            table=self.table.iloc[at],
            space=self.space,
        )

    def save(self, path: str | Path) -> Path:
        """Write the numbers (``.npy``), or these and the row table's columns (``.npz``)."""
        return save_rows(path, self.values, self.table)

    def drop_nonfinite(self) -> TimeSeries:
        """Return the steps without NaN or infinite values; those beside a gap then count as neighbours in time."""
        return self.select(np.isfinite(self.values).all(axis=1), reason=FINITE)

    def as_series(self) -> Series:
        require_finite(self.values, self.name)
        return Series(
            self.name,
            self.digest,
            self.space,
            self.ids,
            self.table,
            floats(self.values),
            self.channels,
            self.interval,
        )

    def as_points(self) -> Points:
        require_finite(self.values, self.name)
        return Points(
            self.name, self.digest, self.space, self.ids, self.table, floats(self.values), grouped_by=""
        )
