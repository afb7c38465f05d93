"""Views: what a method needs of a subject. The annotation of a method's first argument chooses one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from workbench.core.errors import DataError

if TYPE_CHECKING:
    import pandas as pd
    from jaxtyping import Float, Int, Shaped


@dataclass(frozen=True, eq=False)
class View:
    """What every view carries beside its arrays.

    Attributes
    ----------
    name : the subject's, for titles and messages.
    digest : of the content; part of a run's key.
    space : which set of row ids ``ids`` belongs to; figures with the same space share a selection.
    """

    needs: ClassVar[str] = ""
    name: str
    digest: str
    space: str


@dataclass(frozen=True, eq=False)
class Points(View):
    """Rows in a vector space.

    Attributes
    ----------
    values : (n, d) floating point, finite.
    ids : (n,) stable row ids.
    table : one line a row, indexed by id; may have no columns.
    """

    needs: ClassVar[str] = "rows of numbers (n x d)"
    values: Float[np.ndarray, "n d"]
    ids: Int[np.ndarray, " n"]
    table: pd.DataFrame

    @property
    def n(self) -> int:
        """Number of rows."""
        return len(self.values)

    def column(self, name: str) -> Shaped[np.ndarray, " n"]:
        """One column of the row table, in row order; refused with the names that exist."""
        return table_column(self.table, name, self.name)


@dataclass(frozen=True, eq=False)
class Series(View):
    """A sequence in time: ``values`` (T, c) floating point, finite, one row a time step."""

    needs: ClassVar[str] = "a sequence in time (T x c)"
    values: Float[np.ndarray, "T c"]
    ids: Int[np.ndarray, " T"]
    table: pd.DataFrame


@dataclass(frozen=True, eq=False)
class Matrix(View):
    """One weight matrix: ``values`` (n, m) float32, finite; ``noise`` says what quantization did to it, or is empty."""

    needs: ClassVar[str] = "one weight matrix (n x m)"
    values: Float[np.ndarray, "n m"]
    noise: str = ""


@dataclass(frozen=True, eq=False)
class Aligned(View):
    """Two or more arrays with the same rows: layers of one network, or the same rows in two networks.

    Attributes
    ----------
    arrays : name to (n, d_i) floating point, finite; at least two.
    ids : (n,) row ids that all arrays share.
    """

    needs: ClassVar[str] = "two or more arrays with the same rows (several layers)"
    arrays: dict[str, Float[np.ndarray, "n _"]]
    ids: Int[np.ndarray, " n"]
    table: pd.DataFrame


@dataclass(frozen=True, eq=False)
class Graph(View):
    """A weighted graph.

    Attributes
    ----------
    edges : (m, 2) node positions, 0 to n - 1.
    weights : (m,) finite.
    ids : (n,) row ids of the nodes.
    directed : whether an edge runs only from its first node to its second.
    """

    needs: ClassVar[str] = "a graph (weighted edges)"
    edges: Int[np.ndarray, "m 2"]
    weights: Float[np.ndarray, " m"]
    ids: Int[np.ndarray, " n"]
    table: pd.DataFrame
    directed: bool = False

    @property
    def n(self) -> int:
        """Number of nodes."""
        return len(self.ids)


VIEWS: tuple[type[View], ...] = (Points, Series, Matrix, Aligned, Graph)


def require_finite(values: np.ndarray, name: str) -> None:
    """Refuse NaN and infinite values, counted, with the choice to leave their rows out.

    Raises
    ------
    DataError
        With the counts, the first rows that have them, and `drop_nonfinite`.
    """
    rows_ok = (
        np.isfinite(values).reshape(len(values), -1).all(axis=1)
        if values.size
        else np.ones(len(values), bool)
    )
    if rows_ok.all():
        return
    bad = values[~rows_ok]
    first = ", ".join(str(i) for i in np.flatnonzero(~rows_ok)[:5])
    raise DataError(
        f"{name} has {int(np.isnan(bad).sum()):,} NaN and {int(np.isinf(bad).sum()):,} infinite values in "
        f"{int((~rows_ok).sum()):,} of {len(values):,} rows (first: {first}). Leave those rows out with "
        f"subject.drop_nonfinite(), or --drop-nonfinite at the command line."
    )


def table_column(table: pd.DataFrame, name: str, owner: str) -> Any:
    """Return a column as an array, or refuse with the columns that exist."""
    from workbench.core.errors import MissingError, suggest

    if name not in table.columns:
        raise MissingError(f"{owner} has no column {name!r}. {suggest(name, map(str, table.columns))}")
    return table[name].to_numpy()
