"""Results: a small closed set of frozen answers, each with one way to draw, tabulate, save and load."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from workbench.core.errors import FormatError
from workbench.core.evidence import Evidence, Outcome
from workbench.core.run import Run
from workbench.core.storage import writing

if TYPE_CHECKING:
    import pandas as pd
    import plotly.graph_objects as go
    from jaxtyping import Bool, Float, Int

KINDS: dict[str, type[Result]] = {}
RESULT_MIME = "application/vnd.workbench.result+json"


@dataclass(frozen=True, eq=False, kw_only=True, repr=False)
class Result:
    """Base of every answer.

    Attributes
    ----------
    title : what the figure is called; the run fills it in where a method leaves it empty.
    evidence : one entry a question asked, each with its control; see `Evidence`.
    outcome : how the run ended.
    run : what was asked of what; None for a result made by hand.
    space : the set of row ids that the result speaks of; "" when it speaks of none.
    """

    kind: ClassVar[str]
    title: str = ""
    evidence: tuple[Evidence, ...] = ()
    outcome: Outcome = field(default_factory=Outcome)
    caveat: str = ""
    run: Run | None = None
    space: str = ""
    rows: Any = field(default=None, repr=False, metadata={"stored": False})
    """The subject's row table, for hover and colour; not stored with the result."""

    def __init_subclass__(cls) -> None:
        KINDS[cls.kind] = cls

    def figure(self, **options: Any) -> go.Figure:
        """Draw the result as a plotly figure that carries row ids; options depend on the kind."""
        from workbench.core.figures import draw

        return draw(self, **options)

    def table(self) -> pd.DataFrame:
        """Return the result as a table."""
        raise NotImplementedError

    def sentences(self) -> list[str]:
        """The evidence in plain sentences, the outcome's advice and the caveat last."""
        said = [e.sentence() for e in self.evidence]
        return said + [s for s in (self.outcome.advice, self.caveat) if s]

    def save(self, path: str | Path) -> Path:
        """Write the result to a folder (``result.json`` and ``arrays.safetensors``), whole or not at all.

        Raises
        ------
        StorageError
            The folder can't be written; what was there before is untouched.
        """
        from safetensors.numpy import save

        arrays, rest = _split(self)
        path = Path(path)
        with writing(path) as temporary:
            temporary.mkdir()
            packed = save({n: np.ascontiguousarray(a) for n, a in arrays.items()})
            (temporary / "arrays.safetensors").write_bytes(packed)
            (temporary / "result.json").write_text(json.dumps(rest, indent=1), encoding="utf-8")
        return path

    def facts(self) -> dict[str, Any]:
        """Everything but the arrays, as JSON."""
        return _split(self)[1]

    def __repr__(self) -> str:
        arrays = (f"{n} {v.shape}" for n, v in vars(self).items() if isinstance(v, np.ndarray) and v.size)
        return (
            f"<{type(self).__name__} {self.title or 'without a title'}: {', '.join(arrays) or 'no arrays'}>"
        )

    def show(self, **options: Any) -> None:
        """Display the result in a notebook, drawn with ``options`` (see `figure`), its evidence with it."""
        from IPython.display import display

        display(self._bundle(**options), raw=True)

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, Any]:
        return self._bundle()

    def _bundle(self, **options: Any) -> dict[str, Any]:
        """What a notebook stores: the figure, the result's own facts, and plain text for everything else."""
        return {
            "application/vnd.plotly.v1+json": json.loads(self.figure(**options).to_json()),
            RESULT_MIME: self.facts(),
            "text/plain": "\n".join([self.title, *self.sentences()]),
        }


def load(path: str | Path) -> Result:
    """Read a result that `Result.save` wrote.

    Raises
    ------
    FormatError
        The folder isn't a result, or its parts don't fit together.
    """
    from safetensors.numpy import load_file

    path = Path(path)
    try:
        rest = json.loads((path / "result.json").read_text(encoding="utf-8"))
        arrays: dict[str, Any] = dict(load_file(path / "arrays.safetensors"))
        kind = KINDS[rest.pop("kind")]
        rest["evidence"] = tuple(Evidence.from_json(e) for e in rest["evidence"])
        rest["outcome"] = Outcome(**rest["outcome"])
        rest["run"] = Run.from_json(rest["run"]) if rest["run"] else None
        if "sources" in rest:
            rest["sources"] = tuple(Run.from_json(r) for r in rest["sources"])
        for f in dataclasses.fields(kind):
            if isinstance(rest.get(f.name), list):
                rest[f.name] = tuple(rest[f.name])
        return kind(**rest, **arrays)
    except Exception as e:
        raise FormatError(
            f"{path} is not a saved result ({type(e).__name__}: {e}). Compute it again and save it."
        ) from e


def _split(result: Result) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Arrays for safetensors, the rest for JSON."""
    arrays: dict[str, np.ndarray] = {}
    rest: dict[str, Any] = {"kind": result.kind}
    for f in dataclasses.fields(result):
        value = getattr(result, f.name)
        if not f.metadata.get("stored", True):
            continue
        if isinstance(value, np.ndarray):
            arrays[f.name] = value
        elif f.name == "evidence":
            rest["evidence"] = [e.to_json() for e in value]
        elif f.name == "outcome":
            rest["outcome"] = dataclasses.asdict(value)
        elif f.name == "run":
            rest["run"] = value.to_json() if value else None
        elif f.name == "sources":
            rest["sources"] = [r.to_json() for r in value]
        else:
            rest[f.name] = value
    return arrays, rest


@dataclass(frozen=True, eq=False, kw_only=True, repr=False)
class Embedding(Result):
    """Rows placed in few dimensions.

    Attributes
    ----------
    values : (n, k) coordinates. ids : (n,) row ids.
    quality : (n,) per-row quality in [0, 1] (1 best), or empty; ``quality_name`` says what it is.
    axes : one name an axis.
    frames : (t, n, k) the same rows in each of a sequence of layouts (layers), ``values`` being one of them, or
        empty; ``frame_names`` has one name a layout.
    """

    kind: ClassVar[str] = "embedding"
    values: Float[np.ndarray, "n k"]
    ids: Int[np.ndarray, " n"]
    quality: Float[np.ndarray, " n"] = field(default_factory=lambda: np.empty(0, np.float32))
    quality_name: str = ""
    axes: tuple[str, ...] = ()
    frames: Float[np.ndarray, "t n k"] = field(default_factory=lambda: np.empty((0, 0, 0), np.float32))
    frame_names: tuple[str, ...] = ()

    def displacement(self) -> Float[np.ndarray, "p n"]:
        """How far each row moves from each layout of ``frames`` to the next: (t - 1, n)."""
        return np.linalg.norm(np.diff(self.frames, axis=0), axis=2)

    def table(self) -> pd.DataFrame:
        import pandas as pd

        names = self.axes or tuple(f"x{i}" for i in range(self.values.shape[1]))
        out = pd.DataFrame(self.values, index=pd.Index(self.ids, name="row"), columns=list(names))
        if len(self.quality):
            out[self.quality_name or "quality"] = self.quality
        if len(self.frames):
            out["displacement"] = self.displacement().sum(axis=0)
        return out


@dataclass(frozen=True, eq=False, kw_only=True, repr=False)
class Partition(Result):
    """Rows put into groups.

    Attributes
    ----------
    labels : (n,) group of each row, from 0; -1 for none. ids : (n,) row ids.
    names : one name a group, or empty.
    spectrum : the numbers that chose the number of groups (eigenvalues), or empty.
    """

    kind: ClassVar[str] = "partition"
    labels: Int[np.ndarray, " n"]
    ids: Int[np.ndarray, " n"]
    names: tuple[str, ...] = ()
    spectrum: Float[np.ndarray, " k"] = field(default_factory=lambda: np.empty(0))

    @property
    def n_groups(self) -> int:
        """Number of groups, not counting -1."""
        return int(self.labels.max()) + 1 if len(self.labels) else 0

    def name_of(self, group: int) -> str:
        """A group's name, or its number."""
        return self.names[group] if self.names else str(group)

    def members(self, group: int) -> Int[np.ndarray, " m"]:
        """Row ids of a group."""
        return self.ids[self.labels == group]

    def table(self) -> pd.DataFrame:
        import pandas as pd

        names = [self.name_of(g) if g >= 0 else "" for g in self.labels]
        return pd.DataFrame({"group": self.labels, "name": names}, index=pd.Index(self.ids, name="row"))


@dataclass(frozen=True, eq=False, kw_only=True, repr=False)
class Diagram(Result):
    """A persistence diagram.

    Attributes
    ----------
    pairs : (m, 3) birth, death (may be infinite) and homology dimension, as giotto-tda orders them.
    cycle_ids, cycle_starts : row ids of each bar's representative, one bar after another, and where each
        starts (m + 1 entries); both empty where there are none.
    noise : (k,) per dimension, how long the longest bar is at most in 95 % of the null's draws, on this diagram's
        scale: its death for components, log(death / birth) beyond; NaN without a null.
    """

    kind: ClassVar[str] = "diagram"
    pairs: Float[np.ndarray, "m 3"]
    cycle_ids: Int[np.ndarray, " c"] = field(default_factory=lambda: np.empty(0, np.int64))
    cycle_starts: Int[np.ndarray, " s"] = field(default_factory=lambda: np.empty(0, np.int64))
    noise: Float[np.ndarray, " k"] = field(default_factory=lambda: np.empty(0))

    def bars(self, dimension: int) -> Float[np.ndarray, "b 2"]:
        """Births and deaths in one dimension, longest first."""
        bars = self.pairs[self.pairs[:, 2] == dimension, :2]
        return bars[np.argsort(bars[:, 0] - bars[:, 1], kind="stable")]

    def cycle(self, bar: int) -> Int[np.ndarray, " c"]:
        """Row ids of the representative of bar ``bar`` (a position in ``pairs``); empty if there is none."""
        if not len(self.cycle_starts):
            return self.cycle_ids
        return self.cycle_ids[self.cycle_starts[bar] : self.cycle_starts[bar + 1]]

    def table(self) -> pd.DataFrame:
        import pandas as pd

        out = pd.DataFrame(self.pairs, columns=["birth", "death", "dimension"]).astype({"dimension": int})
        return out.assign(persistence=out.death - out.birth)


@dataclass(frozen=True, eq=False, kw_only=True, repr=False)
class Spectrum(Result):
    """Numbers in descending order of importance, with the band that the null gives.

    Attributes
    ----------
    values : (k,). null_low, null_high : (k,) 95 % band under the null, or empty.
    quantity : what a value is, with unit. index : what the position is.
    """

    kind: ClassVar[str] = "spectrum"
    values: Float[np.ndarray, " k"]
    null_low: Float[np.ndarray, " k"] = field(default_factory=lambda: np.empty(0))
    null_high: Float[np.ndarray, " k"] = field(default_factory=lambda: np.empty(0))
    quantity: str = "value"
    index: str = "component"

    def table(self) -> pd.DataFrame:
        import pandas as pd

        out = pd.DataFrame(
            {self.quantity: self.values}, index=pd.RangeIndex(1, len(self.values) + 1, name=self.index)
        )
        if len(self.null_low):
            out["null, 2.5 %"], out["null, 97.5 %"] = self.null_low, self.null_high
        return out


@dataclass(frozen=True, eq=False, kw_only=True, repr=False)
class MatrixResult(Result):
    """A number for every pair of named things: ``values`` (r, c), ``low`` and ``high`` their intervals.

    Attributes
    ----------
    row_values, column_values : where rows and columns are places on two axes, named by ``row_title`` and ``column_title``;
        it is then drawn as a landscape, by contours or as a surface. Empty elsewhere.
    path : (p, 2) a path over it (column's axis first). path_ids, path_values : its row ids and its values.
    log : whether a landscape is coloured by its logarithm.
    """

    kind: ClassVar[str] = "matrix"
    values: Float[np.ndarray, "r c"]
    row_names: tuple[str, ...]
    column_names: tuple[str, ...]
    low: Float[np.ndarray, "r c"] = field(default_factory=lambda: np.empty((0, 0)))
    high: Float[np.ndarray, "r c"] = field(default_factory=lambda: np.empty((0, 0)))
    quantity: str = "value"
    row_values: Float[np.ndarray, " r"] = field(default_factory=lambda: np.empty(0))
    column_values: Float[np.ndarray, " c"] = field(default_factory=lambda: np.empty(0))
    row_title: str = ""
    column_title: str = ""
    path: Float[np.ndarray, "p 2"] = field(default_factory=lambda: np.empty((0, 2)))
    path_ids: Int[np.ndarray, " p"] = field(default_factory=lambda: np.empty(0, np.int64))
    path_values: Float[np.ndarray, " p"] = field(default_factory=lambda: np.empty(0))
    log: bool = False

    def table(self) -> pd.DataFrame:
        import pandas as pd

        return pd.DataFrame(self.values, index=list(self.row_names), columns=list(self.column_names))


@dataclass(frozen=True, eq=False, kw_only=True, repr=False)
class Curve(Result):
    """One or more quantities along an axis.

    Attributes
    ----------
    x : (n,) positions; ``x_names`` their names where they are things (layers).
    y : (n, m) one column a quantity, named by ``names``. low, high : (n, m) intervals, or empty.
    null_low, null_high : (n, m) band of the null, or empty.
    log : whether y is drawn on a logarithmic scale.
    spans : (s, 2) stretches of x that are shaded, named by ``span_names``.
    panels : one name a column, where columns are drawn in panels side by side; empty for one panel.
    frames : (t, n, m) y at each position of a slider, named by ``frame_names``, y being one of them; or empty.
    frame_marks : (t,) where on x each position's line is drawn, or empty.
    sources : the runs whose statistics are drawn, where they are those of other results; such a curve has no ``run``.
    """

    kind: ClassVar[str] = "curve"
    x: Float[np.ndarray, " n"]
    y: Float[np.ndarray, "n m"]
    names: tuple[str, ...]
    x_names: tuple[str, ...] = ()
    low: Float[np.ndarray, "n m"] = field(default_factory=lambda: np.empty((0, 0)))
    high: Float[np.ndarray, "n m"] = field(default_factory=lambda: np.empty((0, 0)))
    null_low: Float[np.ndarray, "n m"] = field(default_factory=lambda: np.empty((0, 0)))
    null_high: Float[np.ndarray, "n m"] = field(default_factory=lambda: np.empty((0, 0)))
    x_title: str = ""
    y_title: str = ""
    log: bool = False
    spans: Float[np.ndarray, "s 2"] = field(default_factory=lambda: np.empty((0, 2)))
    span_names: tuple[str, ...] = ()
    panels: tuple[str, ...] = ()
    frames: Float[np.ndarray, "t n m"] = field(default_factory=lambda: np.empty((0, 0, 0)))
    frame_names: tuple[str, ...] = ()
    frame_marks: Float[np.ndarray, " t"] = field(default_factory=lambda: np.empty(0))
    sources: tuple[Run, ...] = ()

    def table(self) -> pd.DataFrame:
        import pandas as pd

        index = pd.Index(list(self.x_names) or self.x, name=self.x_title or "x")
        out = pd.DataFrame(self.y, index=index, columns=list(self.names))
        if self.low.size:
            for j, name in enumerate(self.names):
                out[f"{name}, low"], out[f"{name}, high"] = self.low[:, j], self.high[:, j]
        return out


@dataclass(frozen=True, eq=False, kw_only=True, repr=False)
class Ranking(Result):
    """Things in order of a score.

    Attributes
    ----------
    names : one a thing. scores : (n,). low, high : (n,) intervals, or empty.
    ids : (n,) row ids where the things are rows, or empty.
    columns : (n, c) more numbers of each thing for the table, named by ``column_names``, or empty.
    paths : (n, t) how each score came to be over ``path_x``, with intervals, or empty; ``figure(paths=True)`` draws them.
    """

    kind: ClassVar[str] = "ranking"
    names: tuple[str, ...]
    scores: Float[np.ndarray, " n"]
    low: Float[np.ndarray, " n"] = field(default_factory=lambda: np.empty(0))
    high: Float[np.ndarray, " n"] = field(default_factory=lambda: np.empty(0))
    ids: Int[np.ndarray, " n"] = field(default_factory=lambda: np.empty(0, np.int64))
    quantity: str = "score"
    columns: Float[np.ndarray, "n c"] = field(default_factory=lambda: np.empty((0, 0)))
    column_names: tuple[str, ...] = ()
    paths: Float[np.ndarray, "n t"] = field(default_factory=lambda: np.empty((0, 0)))
    path_low: Float[np.ndarray, "n t"] = field(default_factory=lambda: np.empty((0, 0)))
    path_high: Float[np.ndarray, "n t"] = field(default_factory=lambda: np.empty((0, 0)))
    path_x: Float[np.ndarray, " t"] = field(default_factory=lambda: np.empty(0))
    path_title: str = ""

    def table(self) -> pd.DataFrame:
        import pandas as pd

        out = pd.DataFrame({"name": list(self.names), self.quantity: self.scores})
        if len(self.low):
            out["low"], out["high"] = self.low, self.high
        for j, name in enumerate(self.column_names):
            out[name] = self.columns[:, j]
        if len(self.ids):
            out.index = pd.Index(self.ids, name="row")
        return out.sort_values(self.quantity, ascending=False, kind="stable")


@dataclass(frozen=True, eq=False, kw_only=True, repr=False)
class GraphResult(Result):
    """A graph whose nodes stand for sets of rows.

    Attributes
    ----------
    positions : (n, 2) where to draw a node. edges : (m, 2) node positions in 0..n-1.
    member_ids, member_starts : row ids of each node, one node after another, and where each starts (n + 1).
    lines : (t, m) how strong each edge is at each position of a slider, or empty: then edges are all alike. ``strong``
        (t, m): whether that is beyond ``thresholds`` (t, m). ``lines_name`` says what it is, ``frame_names`` where.
    groups : (m,) which of ``group_names`` an edge belongs to, its colour.
    line_ids, line_starts : row ids behind each edge at each position, (t * m + 1) as for nodes; ``line_notes`` (t * m)
        say in words what is.
    node_names : one a node. column_names, row_names : of positions 0, 1, ... across and down, where nodes stand in a grid.
    """

    kind: ClassVar[str] = "graph"
    positions: Float[np.ndarray, "n 2"]
    edges: Int[np.ndarray, "m 2"]
    member_ids: Int[np.ndarray, " c"]
    member_starts: Int[np.ndarray, " s"]
    values: Float[np.ndarray, " n"] = field(default_factory=lambda: np.empty(0))
    values_name: str = ""
    lines: Float[np.ndarray, "t m"] = field(default_factory=lambda: np.empty((0, 0)))
    strong: Bool[np.ndarray, "t m"] = field(default_factory=lambda: np.empty((0, 0), bool))
    thresholds: Float[np.ndarray, "t m"] = field(default_factory=lambda: np.empty((0, 0)))
    lines_name: str = "strength"
    frame_names: tuple[str, ...] = ()
    groups: Int[np.ndarray, " m"] = field(default_factory=lambda: np.empty(0, np.int64))
    group_names: tuple[str, ...] = ()
    line_ids: Int[np.ndarray, " r"] = field(default_factory=lambda: np.empty(0, np.int64))
    line_starts: Int[np.ndarray, " q"] = field(default_factory=lambda: np.empty(0, np.int64))
    line_notes: tuple[str, ...] = ()
    node_names: tuple[str, ...] = ()
    column_names: tuple[str, ...] = ()
    row_names: tuple[str, ...] = ()

    def members(self, node: int) -> Int[np.ndarray, " c"]:
        """Row ids of a node."""
        return self.member_ids[self.member_starts[node] : self.member_starts[node + 1]]

    def behind(self, frame: int, edge: int) -> Int[np.ndarray, " r"]:
        """Row ids behind an edge at a position of the slider."""
        at = frame * len(self.edges) + edge
        return self.line_ids[self.line_starts[at] : self.line_starts[at + 1]]

    def table(self) -> pd.DataFrame:
        """One line an edge and position where edges have strengths, else one a node."""
        import pandas as pd

        if self.lines.size:
            t, m = self.lines.shape
            names = np.array(self.node_names, dtype=object)
            columns = {
                "at": np.repeat(list(self.frame_names), m),
                "of": [self.group_names[g] for g in self.groups] * t,
                "from": np.tile(names[self.edges[:, 0]], t),
                "to": np.tile(names[self.edges[:, 1]], t),
                self.lines_name: self.lines.ravel(),
                "threshold": self.thresholds.ravel(),
                "above": self.strong.ravel(),
                "behind": list(self.line_notes) or [""] * (t * m),
            }
            return pd.DataFrame(columns)
        degree = np.bincount(self.edges.ravel(), minlength=len(self.positions))
        return pd.DataFrame({"rows": np.diff(self.member_starts), "degree": degree})


@dataclass(frozen=True, eq=False, kw_only=True, repr=False)
class Estimate(Result):
    """One or more numbers, each with interval and null in ``evidence``, optionally one a row.

    Attributes
    ----------
    per_row : (n, m) the same quantities row by row, or empty; ``ids`` their rows, ``names`` their names.
    """

    kind: ClassVar[str] = "estimate"
    per_row: Float[np.ndarray, "n m"] = field(default_factory=lambda: np.empty((0, 0)))
    ids: Int[np.ndarray, " n"] = field(default_factory=lambda: np.empty(0, np.int64))
    names: tuple[str, ...] = ()

    def table(self) -> pd.DataFrame:
        import pandas as pd

        return pd.DataFrame(
            [
                {
                    "statistic": e.statistic,
                    "value": e.value,
                    "low": (e.interval or (np.nan, np.nan))[0],
                    "high": (e.interval or (np.nan, np.nan))[1],
                    "n": e.n,
                    "p": e.p_value,
                }
                for e in self.evidence
            ]
        )
