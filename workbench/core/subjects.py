"""Subjects: what is opened. Immutable, with a name, a content digest and stable row ids.

A subject answers ``view(Points)`` and the like with what a method needs, or refuses and says what it
holds instead. Rows are selected with ``select`` (ids, a boolean mask or a query on the row table); the
selection is a subject too, with the same ids.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from workbench.core import views
from workbench.core.digest import digest
from workbench.core.errors import DataError, MissingError, ViewError, suggest
from workbench.core.parameters import require_integer
from workbench.core.patterns import matching

if TYPE_CHECKING:
    from typing import Self

    import pandas as pd
    from jaxtyping import Float, Int

V = TypeVar("V", bound=views.View)
Rows = "np.ndarray | list[int] | str"


class Subject:
    """Base of everything that is opened.

    Attributes
    ----------
    name : short, for titles; a file's stem or what the user gave.
    """

    name: str

    @property
    def digest(self) -> str:
        """Digest of the content: equal for equal content, wherever it was read from."""
        raise NotImplementedError

    @property
    def holds(self) -> str:
        """What is inside, in words, for messages."""
        raise NotImplementedError

    def view(self, kind: type[V]) -> V:
        """Return the view of the asked ``kind``, or raise `ViewError` saying what is held instead."""
        make = getattr(self, f"_as_{kind.__name__.lower()}", None)
        if make is None:
            raise ViewError(
                f"{self.name} is {self.holds}; this needs {kind.needs}. "
                f"It can give: {', '.join(self.gives) or 'no view'}."
            )
        return make()

    @property
    def gives(self) -> list[str]:
        """Names of the views that this subject can be asked for."""
        return [v.__name__ for v in views.VIEWS if hasattr(self, f"_as_{v.__name__.lower()}")]

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name}: {self.holds}>"


class Rowed(Subject):
    """A subject with rows: ids, a table that says which is which, and selection by either.

    Parameters
    ----------
    name : see `Subject`.
    table : one line a row. Its index gives the row ids (integers, unique).
    space : which set of ids these are; None makes a new one from the content.
    """

    def __init__(self, name: str, table: pd.DataFrame, space: str | None = None):
        self.name = name
        self.table = table
        self._space = space

    @property
    def space(self) -> str:
        """Which set of row ids this subject's rows belong to."""
        return self._space or self.digest

    @cached_property
    def ids(self) -> Int[np.ndarray, " n"]:
        """Row ids, (n,) int64."""
        return self.table.index.to_numpy(dtype=np.int64)

    def __len__(self) -> int:
        return len(self.table)

    def column(self, name: str) -> np.ndarray:
        """Return a column of the row table.

        Raises
        ------
        MissingError
            There is no such column; those that there are are named.
        """
        return views.table_column(self.table, name, self.name)

    def select(self, rows: Any) -> Self:
        """Return the chosen rows as a subject with the same ids.

        Parameters
        ----------
        rows : row ids (integers), a boolean mask (one a row), or a query on the row table in pandas'
            language, such as ``"label == 'noun' and position > 3"``.

        Raises
        ------
        MissingError
            An id that isn't there, or a query on a column that isn't there.
        DataError
            A mask of the wrong length, or no row left.
        """
        if isinstance(rows, str):
            try:
                mask = self.table.eval(rows).to_numpy(dtype=bool)
            except Exception as e:
                columns = ", ".join(map(str, self.table.columns))
                there = (
                    f"Columns: {columns}."
                    if columns
                    else "Its rows have no columns to ask about: select by row ids, or open it with a row table."
                )
                raise MissingError(
                    f"{self.name}: the query {rows!r} can't be answered ({e}). {there}"
                ) from None
            at = np.flatnonzero(mask)
        else:
            at = self._positions(np.asarray(rows))
        if len(at) == 0:
            raise DataError(f"{self.name}: the selection {rows!r} holds no row of {len(self):,}.")
        return self._take(at)

    def _positions(self, rows: np.ndarray) -> np.ndarray:
        if rows.dtype == bool:
            if len(rows) != len(self):
                raise DataError(f"{self.name}: the mask has {len(rows):,} entries for {len(self):,} rows.")
            return np.flatnonzero(rows)
        at = self.table.index.get_indexer(rows)
        if (at < 0).any():
            raise MissingError(
                f"{self.name} has no row {rows[at < 0][0].item()!r}; ids run from {self.ids.min()} to {self.ids.max()}."
            )
        return at

    def sample(self, n: int, random_state: int = 0) -> Self:
        """Return ``n`` rows drawn without replacement (all, if there are no more), in row order.

        Raises
        ------
        ParameterError
            ``n`` is not an integer of at least 1, or ``random_state`` no seed.
        """
        n = require_integer(n, "n", "sample", low=1)
        random_state = require_integer(random_state, "random_state", "sample", low=0)
        if n >= len(self):
            return self
        return self._take(np.sort(np.random.default_rng(random_state).choice(len(self), n, replace=False)))

    def _take(self, at: np.ndarray) -> Self:
        raise NotImplementedError


class PointCloud(Rowed):
    """Rows of numbers with an optional table.

    Parameters
    ----------
    values : (n, d), any real dtype; kept as it is, so a memory-mapped array stays on disk.
    table : one line a row, indexed by row id; rows are numbered from 0 without one.
    """

    def __init__(
        self,
        values: np.ndarray,
        *,
        name: str = "points",
        table: pd.DataFrame | None = None,
        space: str | None = None,
    ):
        values = values[:, None] if values.ndim == 1 else values
        if values.ndim != 2:
            raise DataError(
                f"{name}: a cloud has two dimensions (rows, columns); this array has the shape {values.shape}."
            )
        if values.dtype.kind not in "fiub":
            raise DataError(f"{name}: a cloud holds real numbers; this array has the dtype {values.dtype}.")
        super().__init__(name, _table(table, len(values), name), space)
        self.values = values

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
        return PointCloud(self.values[at], name=self.name, table=self.table.iloc[at], space=self.space)

    def drop_nonfinite(self) -> PointCloud:
        """Return the rows without NaN or infinite values."""
        return self.select(np.isfinite(self.values).all(axis=1))

    def _as_points(self) -> views.Points:
        views.require_finite(self.values, self.name)
        return views.Points(self.name, self.digest, self.space, floats(self.values), self.ids, self.table)


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
        super().__init__(name, _table(table, len(values), name), space)
        self.values = values

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
        return TimeSeries(self.values[at], name=self.name, table=self.table.iloc[at], space=self.space)

    def drop_nonfinite(self) -> TimeSeries:
        """Return the steps without NaN or infinite values; those beside a gap then count as neighbours in time."""
        return self.select(np.isfinite(self.values).all(axis=1))

    def _as_series(self) -> views.Series:
        views.require_finite(self.values, self.name)
        return views.Series(self.name, self.digest, self.space, floats(self.values), self.ids, self.table)

    def _as_points(self) -> views.Points:
        views.require_finite(self.values, self.name)
        return views.Points(self.name, self.digest, self.space, floats(self.values), self.ids, self.table)


class Activations(Rowed):
    """Captured arrays, one row a token or sample, with a table that says which.

    Parameters
    ----------
    sites : module name to an array (n, ...), usually memory-mapped; all with the same rows.
    table : one line a row (text, token, position, label ...), indexed by row id.
    content : digest of the captured content; None digests the arrays.
    rows : positions of the rows in ``sites`` that this subject has; None for all.
    """

    def __init__(
        self,
        sites: Mapping[str, np.ndarray],
        table: pd.DataFrame,
        *,
        name: str = "activations",
        content: str | None = None,
        space: str | None = None,
        rows: np.ndarray | None = None,
    ):
        super().__init__(name, table, space)
        self._arrays = dict(sites)
        self._content = content
        self._rows = rows
        if not self._arrays:
            raise DataError(f"{name}: no site was captured.")
        for site, array in self._arrays.items():
            if rows is None and len(array) != len(table):
                raise DataError(f"{name}: site {site} has {len(array):,} rows, the table {len(table):,}.")

    @property
    def sites(self) -> list[str]:
        """Names of the captured sites, in the network's order."""
        return list(self._arrays)

    @cached_property
    def _arrays_digest(self) -> str:
        return self._content or digest(*self._arrays.values())

    @property
    def digest(self) -> str:
        return digest("activations", self._arrays_digest, self.sites, table_digest(self.table))

    @property
    def space(self) -> str:
        return self._space or digest("rows of", self._arrays_digest)

    @property
    def holds(self) -> str:
        shown = ", ".join(self.sites[:3]) + (
            f" and {len(self.sites) - 3} more" if len(self.sites) > 3 else ""
        )
        return f"activations of {len(self):,} rows at {len(self.sites)} sites ({shown})"

    def at(self, *patterns: str) -> Activations:
        """Return the sites that match one of the patterns (``encoder.layer.*``); see `core.patterns`.

        Raises
        ------
        MissingError
            A pattern matches nothing; the sites that exist are listed.
        """
        for pattern in patterns:
            if not matching(self.sites, pattern):
                raise MissingError(f"{self.name} has no site {pattern!r}. {suggest(pattern, self.sites)}")
        found = {s: self._arrays[s] for s in matching(self.sites, patterns)}
        name = f"{self.name.split(' at ')[0]} at {next(iter(found))}" if len(found) == 1 else self.name
        return Activations(
            found, self.table, name=name, content=self._content, space=self.space, rows=self._rows
        )

    def _take(self, at: np.ndarray) -> Activations:
        rows = at if self._rows is None else self._rows[at]
        return Activations(
            self._arrays,
            self.table.iloc[at],
            name=self.name,
            content=self._content,
            space=self.space,
            rows=rows,
        )

    def array(self, site: str) -> np.ndarray:
        """One site's rows, (n, ...); a memory-mapped array unless rows were selected."""
        if site not in self._arrays:
            raise MissingError(f"{self.name} has no site {site!r}. {suggest(site, self.sites)}")
        array = self._arrays[site]
        return array if self._rows is None else array[self._rows]

    @property
    def values(self) -> Float[np.ndarray, "n d"]:
        """The rows at the only site, (n, d); sites with more dimensions are flattened.

        Raises
        ------
        ViewError
            There are several sites; choose one with ``at``.
        """
        if len(self._arrays) != 1:
            raise ViewError(
                f"{self.name} holds {len(self.sites)} sites and this needs one: choose with "
                f".at(name), for example .at({self.sites[-1]!r})."
            )
        return _flat(self.array(self.sites[0]))

    def drop_nonfinite(self) -> Activations:
        """Return the rows without NaN or infinite values at any site."""
        ok = [np.isfinite(_flat(self.array(s))).all(axis=1) for s in self.sites]
        return self.select(np.logical_and.reduce(ok))

    def _as_points(self) -> views.Points:
        values = floats(self.values)
        views.require_finite(values, self.name)
        return views.Points(self.name, self.digest, self.space, values, self.ids, self.table)

    def _as_aligned(self) -> views.Aligned:
        if len(self._arrays) < 2:
            raise ViewError(
                f"{self.name} holds one site and this needs several: widen the pattern given to .at()."
            )
        arrays = {s: floats(_flat(self.array(s))) for s in self.sites}
        for site, array in arrays.items():
            views.require_finite(array, f"{self.name} at {site}")
        return views.Aligned(self.name, self.digest, self.space, arrays, self.ids, self.table)


class Corpus(Rowed):
    """Texts with their labels: the table's column ``text``, and every other column a label.

    Parameters
    ----------
    table : one line a text. origin : where the texts come from and under which licence, in words.
    """

    def __init__(
        self, table: pd.DataFrame, *, name: str = "corpus", origin: str = "", space: str | None = None
    ):
        if "text" not in table.columns:
            raise MissingError(f"{name} has no column 'text'; columns: {', '.join(map(str, table.columns))}.")
        if len(table) == 0:
            raise DataError(f"{name} is empty: there is no text to read.")
        super().__init__(name, _table(table, len(table), name), space)
        self.origin = origin

    @cached_property
    def digest(self) -> str:
        return digest("corpus", self.ids, table_digest(self.table))

    @property
    def labels(self) -> list[str]:
        """Names of the label columns."""
        return [str(c) for c in self.table.columns if c != "text"]

    @property
    def holds(self) -> str:
        return f"{len(self):,} texts with {', '.join(self.labels) or 'no labels'}"

    def _take(self, at: np.ndarray) -> Corpus:
        return Corpus(self.table.iloc[at], name=self.name, origin=self.origin, space=self.space)


class GraphSubject(Rowed):
    """A weighted graph; `workbench.graph` makes one from edges.

    Parameters
    ----------
    edges : (m, 2) node positions. weights : (m,), or None for ones. table : one line a node.
    """

    def __init__(
        self,
        edges: np.ndarray,
        n: int,
        *,
        weights: np.ndarray | None = None,
        directed: bool = False,
        name: str = "graph",
        table: pd.DataFrame | None = None,
        space: str | None = None,
    ):
        edges = np.asarray(edges, dtype=np.int64).reshape(-1, 2)
        if len(edges) and (edges.min() < 0 or edges.max() >= n):
            raise DataError(
                f"{name}: edges name nodes from {edges.min()} to {edges.max()}; there are {n:,} (0 to {n - 1})."
            )
        super().__init__(name, _table(table, n, name), space)
        self.edges = edges
        self.weights = np.ones(len(edges)) if weights is None else np.asarray(weights, dtype=np.float64)
        self.directed = directed
        if len(self.weights) != len(edges):
            raise DataError(f"{name}: {len(self.weights):,} weights for {len(edges):,} edges.")

    @cached_property
    def digest(self) -> str:
        return digest("graph", self.edges, self.weights, self.directed, self.ids)

    @property
    def holds(self) -> str:
        return f"a graph of {len(self):,} nodes and {len(self.edges):,} edges"

    def _take(self, at: np.ndarray) -> GraphSubject:
        new = np.full(len(self), -1)
        new[at] = np.arange(len(at))
        keep = (new[self.edges] >= 0).all(axis=1)
        return GraphSubject(
            new[self.edges[keep]],
            len(at),
            weights=self.weights[keep],
            directed=self.directed,
            name=self.name,
            table=self.table.iloc[at],
            space=self.space,
        )

    def drop_nonfinite(self) -> GraphSubject:
        """Return the graph, all its nodes kept, without the edges whose weight is NaN or infinite."""
        keep = np.isfinite(self.weights)
        return GraphSubject(
            self.edges[keep],
            len(self),
            weights=self.weights[keep],
            directed=self.directed,
            name=self.name,
            table=self.table,
            space=self.space,
        )

    def _as_graph(self) -> views.Graph:
        views.require_finite(self.weights[:, None], f"{self.name} (edge weights)")
        return views.Graph(
            self.name, self.digest, self.space, self.edges, self.weights, self.ids, self.table, self.directed
        )


def as_subject(thing: Any) -> Subject:
    """Return a subject for what a user passes: a subject, or an array or table of rows.

    Raises
    ------
    ViewError
        It is none of these.
    """
    if isinstance(thing, Subject):
        return thing
    if isinstance(thing, np.ndarray):
        return PointCloud(thing)
    if hasattr(thing, "select_dtypes"):  # a pandas table, recognised without importing pandas
        numbers = thing.select_dtypes("number")
        rest = thing[[c for c in thing.columns if c not in numbers.columns]].reset_index(drop=True)
        return PointCloud(numbers.to_numpy(), table=rest)
    if hasattr(thing, "detach"):  # a torch tensor
        return PointCloud(thing.detach().cpu().numpy())
    if isinstance(thing, str):
        raise ViewError(f"{thing!r} is a name, not a subject: open it first with workbench.open({thing!r}).")
    raise ViewError(
        f"A method is asked of a subject (workbench.open, workbench.capture), an array or a table; {type(thing).__name__} is none of these."
    )


def _table(table: pd.DataFrame | None, n: int, name: str) -> pd.DataFrame:
    import pandas as pd

    if table is None:
        return pd.DataFrame(index=pd.RangeIndex(n))
    if len(table) != n:
        raise DataError(f"{name}: the table has {len(table):,} lines for {n:,} rows.")
    if not table.index.is_unique or table.index.dtype.kind not in "iu":
        raise DataError(f"{name}: the table's index must hold unique whole numbers, the row ids.")
    return table


def table_digest(table: pd.DataFrame) -> str:
    """Digest of a row table: ids, column names, what kind of values they hold, and the values."""
    import pandas as pd

    kinds = [
        [str(c), str(table[c].dtype), pd.api.types.infer_dtype(table[c], skipna=False)] for c in table.columns
    ]
    missing = table.isna().to_numpy(dtype=bool)
    return digest(kinds, missing, pd.util.hash_pandas_object(table.astype(object).astype(str)).to_numpy())


def _flat(array: np.ndarray) -> np.ndarray:
    return array.reshape(len(array), -1)


def floats(values: np.ndarray) -> np.ndarray:
    """float32 or float64 as it is, anything else (halves, integers) as float32."""
    return values if values.dtype in (np.float32, np.float64) else values.astype(np.float32)
