"""Series that come as a table: which column says when, and a pandas Series, whose index may."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from workbench.subjects.coordinates import named, names_rows, split
from workbench.subjects.series import TimeSeries

if TYPE_CHECKING:
    import pandas as pd

TIME = "time"  # what an index of times without a name is called


def is_series(thing: Any) -> bool:
    """Whether it is a pandas Series, recognised without importing pandas."""
    return hasattr(thing, "to_frame") and hasattr(thing, "index") and not hasattr(thing, "select_dtypes")


def holds_texts(given: pd.Series) -> bool:
    """Whether it is a Series of texts, which may have gaps."""
    there = given.dropna()
    return len(there) > 0 and all(isinstance(cell, str) for cell in there)


def series_of(given: pd.Series, name: str | None = None) -> TimeSeries:
    """Make a sequence in time of a pandas Series of numbers.

    Dates, periods and durations in its index are the times, as are numbers that only grow. Anything else there is kept as a
    label, and the steps stay in their order.

    Raises
    ------
    FormatError
        It doesn't hold numbers.
    """
    value = str(given.name) if given.name is not None else "value"
    table = given.to_frame(value)
    if table[value].dtype == bool:
        table[value] = table[value].astype(np.float64)
    index = table.index
    if index.nlevels == 1:
        if hasattr(index, "to_timestamp"):  # periods
            index = index.to_timestamp()
        elif hasattr(index, "total_seconds"):  # durations
            index = index.total_seconds()
        grows = index.dtype.kind in "iuf" and index.is_monotonic_increasing and index.is_unique
        counts = grows and np.array_equal(index, np.arange(len(index)))
        table.index = index.rename(TIME) if grows and not counts else index
    return series(named(table, value), value, name or value, columns=[value])


def series(table: pd.DataFrame, owner: str, name: str, **chosen: Any) -> TimeSeries:
    """Coordinates as channels, rows in the order of time if the first column is one; keywords as `split` takes them."""
    parts = split(table, owner, **chosen)
    times = _times(table)
    values, rows = parts.values, parts.table
    if times is not None:
        order = np.argsort(times, kind="stable")
        values, rows, times = values[order], rows.iloc[order], times[order]
    channels = [c if width == 1 else f"{c}.{k}" for c, width in parts.columns.items() for k in range(width)]
    return TimeSeries(values, name=name, channels=channels, interval=_interval(times), table=rows)


def _times(table: pd.DataFrame) -> np.ndarray | None:
    """The first column as times, if it is one: seconds where it holds dates, its numbers where it is so called; else None."""
    import pandas as pd

    dates = time_column(table)
    if dates is not None:
        return (dates - dates.min()).dt.total_seconds().to_numpy()
    first = table.iloc[:, 0]
    numeric = pd.api.types.is_numeric_dtype(first.dtype) and not first.hasnans
    in_time = any(word in str(first.name).lower() for word in ("time", "date", "year"))
    return first.to_numpy(np.float64) if numeric and in_time and names_rows(str(first.name)) else None


def _interval(times: np.ndarray | None) -> float:
    """From one step to the next, where times are evenly spaced (to a thousandth); else 1, which is not known."""
    if times is None or len(times) < 2:
        return 1.0
    gaps = np.diff(times)
    middle = float(np.median(gaps))
    return middle if middle > 0 and np.abs(gaps - middle).max() <= 1e-3 * middle else 1.0


def time_column(table: pd.DataFrame) -> pd.Series | None:
    """The first column as times (UTC), if it is one: dates, or ISO 8601 texts in every row; else None."""
    import pandas as pd

    first = table.iloc[:, 0]
    if pd.api.types.is_datetime64_any_dtype(first):
        return None if first.hasnans else first
    if not (pd.api.types.is_string_dtype(first) or first.dtype == object) or first.hasnans:
        return None
    try:
        times = pd.to_datetime(first, format="ISO8601", utc=True)
    except (ValueError, TypeError, OverflowError):  # the first value that is no date ends it
        return None
    return times.dt.tz_localize(None)
