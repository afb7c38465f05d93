"""Rows placed in few dimensions."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from workbench.core.errors import MissingError, ParameterError
from workbench.core.evidence import Evidence
from workbench.core.rows import floats, group_column, table_column
from workbench.results import theme
from workbench.results.partition import Partition
from workbench.results.plotted import MAX_CATEGORIES, TITLE_WIDTH, Plotted, hover, safe
from workbench.subjects.points import Points

if TYPE_CHECKING:
    from typing import Self

    import pandas as pd
    import plotly.graph_objects as go
    from jaxtyping import Float, Int

LEVEL = 0.05
DIFFERENCES = ("beyond_one_lump",)
"""Answers that are a difference from the control: at 0 or below it isn't beaten, also where too few were drawn for a test."""
TITLE_LINE = 22  # pixels
WEBGL_ABOVE = 5000  # marks; below it SVG is crisp, prints, and needs no graphics driver
MANY, OUTLYING, FAR = (
    100,
    0.01,
    3,
)  # of so many rows, this share on either side may lie so many times as far as the rest spread


@dataclass(frozen=True, eq=False, kw_only=True, repr=False)
class Embedding(Plotted):
    """Rows placed in few dimensions.

    Attributes
    ----------
    values : (n, k) coordinates. ids : (n,) row ids.
    quality : (n,) per-row quality in [0, 1] (1 best), or empty; ``quality_name`` says what it is.
    axes : one name an axis.
    """

    kind: ClassVar[str] = "embedding"
    rowwise: ClassVar[tuple[str, ...]] = ("values", "quality")
    values: Float[np.ndarray, "n k"]
    ids: Int[np.ndarray, " n"]
    quality: Float[np.ndarray, " n"] = field(default_factory=lambda: np.empty(0, np.float32))
    quality_name: str = ""
    axes: tuple[str, ...] = ()

    @classmethod
    def example(cls, variant: int = 0) -> Self:
        """96 rows in a plane."""
        values = np.random.default_rng(variant).standard_normal((96, 2)).astype(np.float32)
        return cls(title="a plane", values=values, ids=np.arange(96))

    def as_points(self) -> Points:
        """The rows as they are placed, to ask the next question of."""
        import pandas as pd

        table = self.rows.reindex(self.ids) if self.rows is not None else pd.DataFrame(index=self.ids)
        return Points(
            self.called,
            self.digest,
            self.space,
            self.ids,
            table,
            floats(self.values),
            grouped_by=group_column(table),
        )

    def table(self) -> pd.DataFrame:
        import pandas as pd

        names = self.axes or tuple(f"x{i}" for i in range(self.values.shape[1]))
        out = pd.DataFrame(self.values, index=pd.Index(self.ids, name="row"), columns=list(names))
        if len(self.quality):
            out[self.quality_name or "quality"] = self.quality
        return out

    def coloured(self, color: Any) -> tuple[str, np.ndarray | None]:
        """What rows are coloured by: its name, and one value a row or None."""
        if color is None:
            return "", None
        if isinstance(color, Partition):
            by_id = dict(zip(color.ids.tolist(), color.labels.tolist(), strict=True))
            groups = (by_id.get(i, -1) for i in self.ids.tolist())
            return "cluster", np.array(
                [_group_name(color, g) if g >= 0 else "not asked" for g in groups], dtype=object
            )
        if isinstance(color, str):
            if color == "quality" and len(self.quality):
                return self.quality_name, self.quality
            if self.rows is None:
                raise MissingError(
                    f"This self was loaded without its subject, so there is no column {color!r} to colour by."
                )
            return color, table_column(self.rows.reindex(self.ids), color, self.title)
        values = np.asarray(color)
        if values.shape != self.ids.shape:
            raise ParameterError(
                f"color has the shape {values.shape}; it takes one value for each of {len(self.ids):,} rows."
            )
        return "", values

    @property
    def doubt(self) -> str:
        """What it isn't told from, in the words of its evidence; "" where every test says it is, or none was made."""
        kept = [e.hypothesis or e.null for e in self.evidence if _isnt_told(e)]
        return f"This layout alone doesn't rule out “{'”, “'.join(dict.fromkeys(kept))}”" if kept else ""

    def figure(self, **options: Any) -> go.Figure:
        """As of every kind; a layout that doesn't beat its control says so in its title."""
        figure = super().figure(**options)
        if self.doubt:
            lines = [safe(line) for line in textwrap.wrap(self.doubt, TITLE_WIDTH)]
            above = TITLE_LINE * len(lines)
            figure.update_layout(
                title_text="<br>".join([figure.layout.title.text, *lines]),
                margin_t=figure.layout.margin.t + above,
                height=figure.layout.height + above,
                meta={**figure.layout.meta, "doubt": self.doubt},
            )
        return figure

    def draw(self, *, color: Any = None, size: float | None = None) -> go.Figure:
        """Scatter in two or three dimensions.

        ``color`` is a column of the row table, ``"quality"``, a Partition, or an array of one value a row.
        """
        import plotly.graph_objects as go

        n, k = self.values.shape
        three = k >= 3
        kind = go.Scatter3d if three else go.Scattergl if n > WEBGL_ABOVE else go.Scatter
        size = size or (2.5 if three else float(np.clip(90 / np.sqrt(n + 1), 2, 8)))
        texts = np.array(hover(self, self.ids), dtype=object)
        columns = [self.values[:, j] if j < k else np.zeros(n) for j in range(3 if three else 2)]
        figure = go.Figure()
        name, values = self.coloured(color)
        groups = _groups(name, values, n, theme.SYMBOLS_3D if three else theme.SYMBOLS)
        for label, mask, marker in groups:
            xyz = dict(zip("xyz", (c[mask] for c in columns), strict=False))
            figure.add_trace(
                kind(
                    **xyz,
                    mode="markers",
                    name=safe(label),
                    customdata=self.ids[mask],
                    hovertext=texts[mask],
                    hoverinfo="text",
                    showlegend=bool(label),
                    marker={"size": size, "opacity": 0.8, **marker},
                )
            )
        axes = self.axes or tuple(f"axis {j + 1}" for j in range(k))
        if three:
            scene = {f"{a}axis": {"title": safe(t)} for a, t in zip("xyz", axes, strict=False)}
            figure.update_layout(
                **theme.layout(height=560, scene=scene, legend={"title": {"text": safe(name)}})
            )
        else:
            figure.update_layout(
                **theme.layout(
                    height=520,
                    xaxis={"title": safe(axes[0])},
                    dragmode="lasso",
                    legend={"title": {"text": safe(name)}},
                    yaxis={
                        "title": safe(axes[1]) if k > 1 else "",
                        "scaleanchor": "x",
                        "showticklabels": k > 1,
                    },
                )
            )
            _look_at_most(figure, self, safe(axes[0]))
        return figure


def _isnt_told(answer: Evidence) -> bool:
    """Whether a test that could have rejected its null doesn't, or a difference from the control is none."""
    if answer.p_value is None:
        return answer.id in DIFFERENCES and bool(answer.hypothesis) and answer.value <= 0
    sides = 2 if answer.alternative == "two-sided" else 1
    return answer.p_value > max(LEVEL, sides / (len(answer.null_values) + 1))


def near(values: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray] | None:
    """Where most rows lie, where a few lie so far out that the others would shrink to a dot.

    Parameters
    ----------
    values : (n, k) places.

    Returns
    -------
    tuple or None
        Which rows are near, and the least and greatest of them on each axis; None where none is far out.
    """
    places = values.astype(np.float64)
    if len(places) < MANY:
        return None
    low, high = np.quantile(places, [OUTLYING, 1 - OUTLYING], axis=0)
    if not (np.ptp(places, axis=0) > FAR * (high - low)).any() or not (high > low).all():
        return None
    inside = ((places > low - (high - low) / 2) & (places < high + (high - low) / 2)).all(axis=1)
    return inside, places[inside].min(axis=0), places[inside].max(axis=0)


def _look_at_most(figure: go.Figure, result: Embedding, title: str) -> None:
    """Where a few rows lie far out, begin with a view of the others, and say so."""
    view = near(result.values[:, :2]) if result.values.shape[1] > 1 else None
    if view is None:
        return
    inside, low, high = view
    room = 0.05 * (high - low)
    figure.update_xaxes(range=[low[0] - room[0], high[0] + room[0]], title=f"{title} ({_far(~inside)})")
    figure.update_yaxes(range=[low[1] - room[1], high[1] + room[1]])


def _far(outside: np.ndarray) -> str:
    return f"{int(outside.sum())} of {len(outside):,} rows lie far outside: a double click shows them"


def _group_name(partition: Partition, group: int) -> str:
    """Its number, and its name where it has one: two groups may have the same."""
    return f"{group}: {partition.name_of(group)}" if partition.names else str(group)


def _groups(
    name: str, values: np.ndarray | None, n: int, symbols: tuple[str, ...]
) -> list[tuple[str, np.ndarray, dict[str, Any]]]:
    """Split marks into traces: one for numbers (a colour scale), one a category otherwise."""
    everything = np.ones(n, bool)
    if values is None:
        return [("", everything, {"color": theme.ACCENT})]
    if values.dtype.kind == "f" or (values.dtype.kind in "iu" and len(np.unique(values)) > MAX_CATEGORIES):
        bar = {"title": {"text": safe(name)}, "thickness": 12, "outlinewidth": 0}
        return [("", everything, {"color": values, "colorscale": theme.SEQUENTIAL, "colorbar": bar})]
    labels = np.array([str(v) for v in values], dtype=object)
    found, counts = np.unique(labels, return_counts=True)
    kept = found[np.argsort(-counts, kind="stable")][:MAX_CATEGORIES]
    out = [
        (str(v), labels == v, {"color": theme.CATEGORICAL[i], "symbol": symbols[i]})
        for i, v in enumerate(kept)
    ]
    others = ~np.isin(labels, kept)
    if others.any():
        out.append(
            (f"{len(found) - len(kept)} more", others, {"color": theme.OTHER, "symbol": "circle-open"})
        )
    return out
