"""What stands beside each row of a view: its coordinates, what results say of it, a picture; and rows placed by two columns."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from workbench.core.errors import DataError, MissingError, ParameterError, suggest
from workbench.core.result import Result
from workbench.results.embedding import Embedding
from workbench.results.partition import Partition
from workbench.results.ranking import Ranking

if TYPE_CHECKING:
    import pandas as pd

MOST_COLUMNS = 24  # coordinates that are shown as columns too


def as_columns(subject: Any) -> dict[str, pd.Series]:
    """The columns that a table's coordinates were, where they are few."""
    import pandas as pd

    columns = getattr(subject, "columns", None)
    if not columns or len(columns) > MOST_COLUMNS or set(columns.values()) != {1}:
        return {}
    return {n: pd.Series(subject.values[:, j], index=subject.ids) for j, n in enumerate(columns)}


def coordinates(subject: Any, axes: tuple[str, ...]) -> Embedding:
    """Return a subject's rows placed by two of its columns; rows without a number in either are left out.

    Raises
    ------
    MissingError
        There is no such column.
    ParameterError
        A column holds no numbers.
    DataError
        No row has both.
    """
    placed = np.column_stack([_numbers(subject, name) for name in axes])
    there = np.isfinite(placed).all(axis=1)
    if not there.any():
        raise DataError(f"{subject.name}: no row has a number in both {axes[0]!r} and {axes[1]!r}.")
    return Embedding(
        values=placed[there].astype(np.float32),
        ids=subject.ids[there],
        title=f"{subject.name}: {axes[1]} by {axes[0]}",
        space=subject.space,
        rows=subject.table[there],
        axes=axes,
    )


def _numbers(subject: Any, name: str) -> np.ndarray:
    """A column of a row table, or of a table's coordinates."""
    columns = dict(getattr(subject, "columns", None) or {})
    if columns.get(name) == 1:
        starts = dict(zip(columns, np.cumsum([0, *columns.values()]), strict=False))
        return subject.values[:, starts[name]].astype(np.float64)
    if name not in subject.table.columns:
        known = [*columns, *map(str, subject.table.columns)]
        raise MissingError(f"{subject.name} has no column {name!r}. {suggest(name, known)}")
    column = subject.table[name]
    if column.dtype.kind not in "fiub":
        raise ParameterError(
            f"The column {name!r} of {subject.name} holds no numbers ({column.dtype}): x and y take columns of numbers, and "
            "color takes any."
        )
    return column.to_numpy(dtype=np.float64, na_value=np.nan)


def name_of(result: Result) -> str:
    """What the column of a result is called."""
    made = result.run.method if result.run else result.kind
    return (
        f"{made} cluster"
        if isinstance(result, Partition)
        else f"{made} {getattr(result, 'quantity', '')}".strip()
    )


def values_of(result: Result, ids: np.ndarray) -> np.ndarray:
    """What a result says of each of these rows."""
    if isinstance(result, Partition):
        of = dict(zip(result.ids.tolist(), result.labels.tolist(), strict=True))
        groups = (of.get(i, -2) for i in ids.tolist())
        names = [f"{g}: {name}" for g, name in enumerate(result.names)] or list(
            map(str, range(result.n_groups))
        )
        said = [names[g] if g >= 0 else ("none", "not asked")[-1 - g] for g in groups]
        return np.array(said, dtype=object)
    assert isinstance(result, Ranking)
    scores = dict(zip(result.ids.tolist(), result.scores.tolist(), strict=False))
    return np.array([scores.get(i, np.nan) for i in ids.tolist()], dtype=np.float32)
