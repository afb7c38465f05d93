"""Figures: one way to draw each kind of result, carrying row ids so that a selection holds across a page.

Every mark's ``customdata`` is the row id, or list of row ids, that it stands for; ``layout.meta`` has the
set of ids (``space``) that they belong to. Text from data is escaped: plotly reads a little HTML.
"""

from __future__ import annotations

import functools
import html
import textwrap
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from workbench.core import theme
from workbench.core.errors import MissingError, ParameterError
from workbench.core.results import (
    Curve,
    Diagram,
    Embedding,
    Estimate,
    GraphResult,
    MatrixResult,
    Partition,
    Ranking,
    Result,
    Spectrum,
)
from workbench.core.views import table_column

if TYPE_CHECKING:
    import plotly.graph_objects as go

R = TypeVar("R", bound=Result)
_DRAW: dict[type[Result], Callable[..., Any]] = {}
MAX_CATEGORIES = len(theme.CATEGORICAL)
WEBGL_ABOVE = 5000  # marks; below it SVG is crisp, prints, and needs no graphics driver
HOVER_CHARACTERS = 220
MANY, OUTLYING, FAR = (
    100,
    0.01,
    3,
)  # of so many rows, this share on either side may lie so many times as far as the rest spread
SLIDER = 76  # pixels under the axis
MARKED = 80  # points of a curve; more are drawn as a line alone
LEGEND_WIDTH = 660  # pixels
SUBTITLE_SENTENCES = 2  # what stands under a figure's title; the rest is in the result


def draw(result: Result, **options: Any) -> go.Figure:
    """Draw a result as its kind is drawn; `Result.figure` calls this.

    Raises
    ------
    ParameterError
        The kind has no such option.
    """
    function = _DRAW[type(result)]
    known = function.__kwdefaults__ or {}
    for name in options:
        if name not in known:
            legal = ", ".join(known) or "none"
            raise ParameterError(f"A figure of kind {result.kind} has no option {name!r}. Options: {legal}.")
    figure = function(result, **options)
    said = [
        line
        for e in result.evidence[:SUBTITLE_SENTENCES]
        for line in textwrap.wrap(_unbroken(e.sentence()), 116)
    ]
    for axis in (*figure.select_xaxes(), *figure.select_yaxes()):  # also those beside the first pair
        axis.update({k: v for k, v in theme.AXIS.items() if axis[k] is None})
    above = 17 * len(said) + _legend_height(figure)
    figure.update_layout(
        title={
            "text": safe(result.title),
            "subtitle": {"text": "<br>".join(map(safe, said)), "font": {"size": 12}},
        },
        margin={"t": 64 + above},
        height=figure.layout.height + above,
        meta={"space": result.space, "kind": result.kind},
    )
    return figure


def _legend_height(figure: go.Figure) -> int:
    """Pixels that a legend above the axes takes, in as many lines as its names need on a page."""
    if figure.layout.legend.orientation != "h":
        return 0
    names = [t.name for t in figure.data if t.name and t.showlegend is not False]
    return 26 * max(1, -(-sum(48 + 7 * len(n) for n in names) // LEGEND_WIDTH))


def _unbroken(sentence: str) -> str:
    """With the numbers kept on the line of what they are of."""
    return sentence.replace(" = ", "\u00a0=\u00a0").replace("95 %", "95\u00a0%")


def safe(text: Any, *, width: int = 0) -> str:
    """Return text that plotly shows as it is: escaped, without control characters, wrapped at ``width``."""
    return _safe(str(text), width)


@functools.lru_cache(maxsize=100_000)  # a text stands behind each of its tokens
def _safe(text: str, width: int) -> str:
    clean = "".join(c if c.isprintable() else " " for c in text)
    if width:
        if len(clean) > HOVER_CHARACTERS:
            clean = clean[: HOVER_CHARACTERS - 1] + "…"
        return "<br>".join(html.escape(line, quote=False) for line in textwrap.wrap(clean, width)) or " "
    return html.escape(clean, quote=False)


def _draws(kind: type[R]) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    def register(function: Callable[..., Any]) -> Callable[..., Any]:
        _DRAW[kind] = function
        return function

    return register


def hover(result: Result, ids: np.ndarray) -> list[str]:
    """One hover text a row: its id and what the row table says of it."""
    if result.rows is None or not len(result.rows.columns):
        return [f"row {i}" for i in ids]
    rows = result.rows.reindex(ids)
    columns = list(rows.columns)
    texts = []
    for i, values in zip(ids, rows.itertuples(index=False, name=None), strict=True):
        lines = [f"<b>{safe(c)}</b> {safe(v, width=60)}" for c, v in zip(columns, values, strict=True)]
        texts.append("<br>".join([f"row {i}", *lines]))
    return texts


@_draws(Embedding)
def _embedding(result: Embedding, *, color: Any = None, size: float | None = None) -> go.Figure:
    """Scatter in two or three dimensions.

    ``color`` is a column of the row table, ``"quality"``, ``"displacement"`` (of a sequence of layouts), a
    Partition, or an array of one value a row. A sequence of layouts gets a slider, rows moving between them.
    """
    import plotly.graph_objects as go

    n, k = result.values.shape
    three = k >= 3
    kind = go.Scatter3d if three else go.Scattergl if n > WEBGL_ABOVE else go.Scatter
    size = size or (2.5 if three else float(np.clip(90 / np.sqrt(n + 1), 2, 8)))
    texts = np.array(hover(result, result.ids), dtype=object)
    columns = [result.values[:, j] if j < k else np.zeros(n) for j in range(3 if three else 2)]
    figure = go.Figure()
    name, values = _colour(result, color)
    groups = _groups(name, values, n)
    for label, mask, marker in groups:
        xyz = dict(zip("xyz", (c[mask] for c in columns), strict=False))
        figure.add_trace(
            kind(
                **xyz,
                mode="markers",
                name=safe(label),
                customdata=result.ids[mask],
                hovertext=texts[mask],
                hoverinfo="text",
                showlegend=bool(label),
                marker={"size": size, "opacity": 0.8, **marker},
            )
        )
    axes = result.axes or tuple(f"axis {j + 1}" for j in range(k))
    if three:
        scene = {f"{a}axis": {"title": safe(t)} for a, t in zip("xyz", axes, strict=False)}
        figure.update_layout(**theme.layout(height=560, scene=scene, legend={"title": {"text": safe(name)}}))
    else:
        figure.update_layout(
            **theme.layout(
                height=520,
                xaxis={"title": safe(axes[0])},
                dragmode="lasso",
                legend={"title": {"text": safe(name)}},
                yaxis={"title": safe(axes[1]) if k > 1 else "", "scaleanchor": "x", "showticklabels": k > 1},
            )
        )
        _look_at_most(figure, result, safe(axes[0]))
    if len(result.frames):
        _slide(figure, result, [mask for _, mask, _ in groups], redraw=kind is not go.Scatter)
    return figure


def _look_at_most(figure: go.Figure, result: Embedding, title: str) -> None:
    """Where a few rows lie so far out that the others shrink to a dot, begin with a view of the others, and say so."""
    xy = result.values[:, :2].astype(np.float64)
    if xy.shape[1] < 2 or len(xy) < MANY:
        return
    low, high = np.quantile(xy, [OUTLYING, 1 - OUTLYING], axis=0)
    if not (np.ptp(xy, axis=0) > FAR * (high - low)).any() or not (high > low).all():
        return
    near = ((xy > low - (high - low) / 2) & (xy < high + (high - low) / 2)).all(axis=1)
    low, high = xy[near].min(axis=0), xy[near].max(axis=0)
    room = 0.05 * (high - low)
    out = int((~near).sum())
    figure.update_xaxes(
        range=[low[0] - room[0], high[0] + room[0]],
        title=f"{title} ({out} of {len(xy):,} rows lie far outside: a double click shows them)",
    )
    figure.update_yaxes(range=[low[1] - room[1], high[1] + room[1]])


def _slide(figure: go.Figure, result: Embedding, masks: list[np.ndarray], *, redraw: bool) -> None:
    """Add a slider over a sequence of layouts.

    Its steps carry the positions themselves, since pages and widgets keep a figure's data and layout, not its frames.
    """
    k = result.values.shape[1]
    shown = next((t for t, y in enumerate(result.frames) if np.array_equal(y, result.values)), 0)
    moving = {
        "frame": {"duration": 400, "redraw": redraw},
        "transition": {"duration": 0 if redraw else 400},
        "mode": "immediate",
    }
    steps = []
    for name, y in zip(result.frame_names, result.frames.astype(np.float32), strict=True):
        columns = [y[:, j] for j in range(min(k, 3))]
        traces = [dict(zip("xyz", (c[mask] for c in columns), strict=False)) for mask in masks]
        frame = {"data": traces, "traces": list(range(len(masks)))}
        steps.append({"label": safe(name), "method": "animate", "args": [frame, moving]})
    figure.update_layout(
        sliders=[
            {
                "active": shown,
                "steps": steps,
                "pad": {"t": 56},
                "x": 0,
                "len": 1,
                "ticklen": 4,
                "currentvalue": {"prefix": "", "xanchor": "left"},
                "bordercolor": "#9aa0a8",
                "borderwidth": 1,
            }
        ],
        height=figure.layout.height + SLIDER,
        margin_b=56 + SLIDER,
    )
    low, high = result.frames.min(axis=(0, 1)).astype(float), result.frames.max(axis=(0, 1)).astype(float)
    room = 0.04 * (high - low) + 1e-6
    ranges = [[float(a - r), float(b + r)] for a, b, r in zip(low, high, room, strict=True)]
    if k >= 3:
        figure.update_scenes({f"{a}axis": {"range": r} for a, r in zip("xyz", ranges, strict=False)})
        return
    figure.update_xaxes(range=ranges[0])
    figure.update_yaxes(range=ranges[1] if k > 1 else [-1, 1])


def _colour(result: Embedding, color: Any) -> tuple[str, np.ndarray | None]:
    if color is None:
        return "", None
    if isinstance(color, Partition):
        by_id = dict(zip(color.ids.tolist(), color.labels.tolist(), strict=True))
        groups = (by_id.get(i, -1) for i in result.ids.tolist())
        return "cluster", np.array(
            [_group_name(color, g) if g >= 0 else "not asked" for g in groups], dtype=object
        )
    if isinstance(color, str):
        if color == "quality" and len(result.quality):
            return result.quality_name, result.quality
        if color == "displacement" and len(result.frames):
            return color, result.displacement().sum(axis=0)
        if result.rows is None:
            raise MissingError(
                f"This result was loaded without its subject, so there is no column {color!r} to colour by."
            )
        return color, table_column(result.rows.reindex(result.ids), color, result.title)
    values = np.asarray(color)
    if values.shape != result.ids.shape:
        raise ParameterError(
            f"color has the shape {values.shape}; it takes one value for each of {len(result.ids):,} rows."
        )
    return "", values


def _group_name(partition: Partition, group: int) -> str:
    """Its number, and its name where it has one: two groups may have the same."""
    return f"{group}: {partition.name_of(group)}" if partition.names else str(group)


def _groups(name: str, values: np.ndarray | None, n: int) -> list[tuple[str, np.ndarray, dict[str, Any]]]:
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
        (str(v), labels == v, {"color": theme.CATEGORICAL[i], "symbol": theme.SYMBOLS[i]})
        for i, v in enumerate(kept)
    ]
    others = ~np.isin(labels, kept)
    if others.any():
        out.append(
            (f"{len(found) - len(kept)} more", others, {"color": theme.OTHER, "symbol": "circle-open"})
        )
    return out


@_draws(Partition)
def _partition(result: Partition) -> go.Figure:
    """One bar a group, its rows behind it; the numbers that chose how many stand beside."""
    import plotly.graph_objects as go
    from plotly.subplots import make_subplots

    groups = range(result.n_groups)
    members = [result.members(g) for g in groups]
    names = [safe(result.name_of(g), width=40) for g in groups]
    columns = 2 if len(result.spectrum) else 1
    figure = make_subplots(
        rows=1, cols=columns, column_widths=[0.62, 0.38][:columns], horizontal_spacing=0.12
    )
    figure.add_trace(
        go.Bar(
            x=[len(m) for m in members],
            y=[f"{g}" for g in groups],
            orientation="h",
            customdata=[m.tolist() for m in members],
            text=names,
            textposition="auto",
            textangle=0,
            hovertext=[f"{n}: {len(m)} rows" for n, m in zip(names, members, strict=True)],
            hoverinfo="text",
            marker={"color": [theme.CATEGORICAL[g % MAX_CATEGORIES] for g in groups]},
            showlegend=False,
        ),
        row=1,
        col=1,
    )
    figure.update_layout(**theme.layout(height=max(320, 90 + 34 * len(members))))
    figure.update_xaxes(title="rows in it", row=1, col=1)
    figure.update_yaxes(title="cluster, largest first", type="category", autorange="reversed", row=1, col=1)
    if columns == 2:
        k = np.arange(1, len(result.spectrum) + 1)
        colours = [theme.ACCENT if i <= result.n_groups else theme.NULL for i in k]
        figure.add_trace(
            go.Scatter(
                x=k,
                y=result.spectrum,
                mode="markers",
                marker={"color": colours, "size": 8},
                showlegend=False,
                hovertemplate="eigenvalue %{x}: %{y:.4f}<extra></extra>",
            ),
            row=1,
            col=2,
        )
        figure.update_xaxes(title="which eigenvalue, smallest first", row=1, col=2)
        figure.update_yaxes(title="Laplacian eigenvalue", row=1, col=2)
    return figure


@_draws(Diagram)
def _diagram(result: Diagram, *, max_bars: int = 60) -> go.Figure:
    """Barcodes, longest bars of each dimension first; across each a tick where 95 % of the null's longest have ended.

    A bar without an end is dotted to the edge and has no tick: how long it is isn't known.
    """
    import plotly.graph_objects as go

    figure = go.Figure()
    longest = [_longest(result, k, max_bars) for k in np.unique(result.pairs[:, 2]).astype(int)]
    end = 1.04 * max([_reach(result, rows) for rows, _ in longest], default=0.0) or 1.0
    at = 0
    for rows, note in longest:
        dimension = int(result.pairs[rows[0], 2])
        births, deaths = result.pairs[rows, :2].T
        heights = np.arange(at, at + len(rows))
        cycles: list[list[int]] = [result.cycle(int(bar)).tolist() for bar in rows]
        said = [
            f"H{dimension}: {b:.4g} to {f'{d:.4g}' if np.isfinite(d) else 'no end'}"
            + (f", cycle of {len(ids)} rows" if ids else "")
            for (b, d), ids in zip(result.pairs[rows, :2].tolist(), cycles, strict=True)
        ]
        colour = theme.CATEGORICAL[dimension % MAX_CATEGORIES]
        for which, name, dash in (
            (np.isfinite(deaths), f"{_kind_of_bar(dimension)}{note}", "solid"),
            (~np.isfinite(deaths), f"H{dimension}, without end", "dot"),
        ):
            if not which.any():
                continue
            x, y = _segments(births[which], np.minimum(deaths[which], end), heights[which])
            few = np.flatnonzero(which)
            figure.add_trace(
                go.Scatter(
                    x=x,
                    y=y,
                    mode="lines",
                    line={"width": 3, "color": colour, "dash": dash},
                    name=name,
                    customdata=[c for i in few for c in (cycles[i], cycles[i], [])],
                    hovertext=[t for i in few for t in (said[i], said[i], "")],
                    hoverinfo="text",
                )
            )
        ticks = _null_ends(result, rows)
        if len(ticks):
            figure.add_trace(
                go.Scatter(
                    x=ticks,
                    y=heights[np.isfinite(deaths)],
                    mode="markers",
                    name="95 % of the null's longest bars end before",
                    legendgroup="null",
                    showlegend=not at,
                    hoverinfo="skip",
                    marker={"symbol": "line-ns-open", "size": 7, "color": theme.NULL, "line": {"width": 2}},
                )
            )
        at += len(rows) + 2
    figure.update_layout(
        **theme.layout(
            height=480,
            xaxis={"title": "distance", "range": [0, end]},
            legend=theme.LEGEND_ABOVE,
            yaxis={
                "title": "one line a bar, longest first",
                "showticklabels": False,
                "ticks": "",
                "autorange": "reversed",
            },
        )
    )
    return figure


def _kind_of_bar(dimension: int) -> str:
    return f"H{dimension}" + ("", ": pieces", ": loops", ": voids")[dimension + 1 if dimension < 3 else 0]


def _longest(result: Diagram, dimension: int, most: int) -> tuple[np.ndarray, str]:
    """Positions of a dimension's longest bars, and a note where there are more."""
    rows = np.flatnonzero(result.pairs[:, 2] == dimension)
    order = rows[np.argsort(result.pairs[rows, 0] - result.pairs[rows, 1], kind="stable")][:most]
    return order, f" (longest {len(order)} of {len(rows)})" if len(rows) > len(order) else ""


def _null_ends(result: Diagram, rows: np.ndarray) -> np.ndarray:
    """Where each bar with an end would end, were it as long as the null's; empty without a null."""
    births, deaths = result.pairs[rows, :2].T.astype(np.float64)
    dimension = int(result.pairs[rows[0], 2])
    if dimension >= len(result.noise) or not np.isfinite(result.noise[dimension]):
        return np.empty(0)
    births = births[np.isfinite(deaths)]
    noise = float(result.noise[dimension])
    return births + noise if dimension == 0 else births * np.exp(noise)


def _reach(result: Diagram, rows: np.ndarray) -> float:
    """How far to the right bars need room: their ends, and the null's at the longest of them."""
    deaths = result.pairs[rows, 1]
    return float(max(deaths[np.isfinite(deaths)].max(initial=0), _null_ends(result, rows)[:1].max(initial=0)))


def _segments(start: np.ndarray, stop: np.ndarray, heights: np.ndarray) -> tuple[list[Any], list[Any]]:
    """Horizontal lines as one trace: two ends and a gap each."""
    x = [v for a, b in zip(start.tolist(), stop.tolist(), strict=True) for v in (a, b, None)]
    return x, [v for h in heights.tolist() for v in (h, h, None)]


def _band(
    figure: Any,
    x: Any,
    low: np.ndarray,
    high: np.ndarray,
    colour: str,
    name: str,
    *,
    legend: bool = True,
    edge_colour: str = "",
) -> None:
    """Fill between two curves, under the ones that come after; edges are dotted, where they have a colour."""
    import plotly.graph_objects as go

    line = {"width": 1, "dash": "dot", "color": edge_colour} if edge_colour else {"width": 0}
    edge = {"x": x, "mode": "lines", "line": line, "hoverinfo": "skip", "legendgroup": name}
    figure.add_trace(go.Scatter(y=high, showlegend=False, **edge))
    fill = f"rgba({int(colour[1:3], 16)},{int(colour[3:5], 16)},{int(colour[5:7], 16)},0.22)"
    figure.add_trace(
        go.Scatter(y=low, fill="tonexty", fillcolor=fill, name=safe(name), showlegend=legend, **edge)
    )


@_draws(Spectrum)
def _spectrum(result: Spectrum, *, log: bool = False) -> go.Figure:
    import plotly.graph_objects as go

    k = np.arange(1, len(result.values) + 1)
    figure = go.Figure()
    if len(result.null_low):
        _band(figure, k, result.null_low, result.null_high, theme.NULL, "null, 95 %")
    figure.add_trace(
        go.Scatter(
            x=k,
            y=result.values,
            mode="lines+markers",
            marker={"size": 6, "color": theme.ACCENT},
            line={"color": theme.ACCENT},
            name=safe(result.quantity),
        )
    )
    figure.update_layout(
        **theme.layout(
            xaxis={"title": safe(result.index)},
            yaxis={"title": safe(result.quantity), "type": "log" if log else "linear"},
        )
    )
    return figure


@_draws(MatrixResult)
def _matrix(result: MatrixResult, *, surface: bool = False) -> go.Figure:
    """A heat map; places on two axes as contours, or with ``surface`` in three dimensions."""
    import plotly.graph_objects as go

    if len(result.column_values):
        from workbench.core.surfaces import landscape

        return landscape(result, three=surface)
    scale = _scale(result.values)
    columns, rows = [safe(n) for n in result.column_names], [safe(n) for n in result.row_names]
    figure = go.Figure(
        go.Heatmap(
            z=result.values,
            x=columns,
            y=rows,
            colorscale=theme.SEQUENTIAL,
            **scale,
            colorbar={"title": {"text": safe(result.quantity)}, "thickness": 12, "outlinewidth": 0},
            hovertemplate="%{y} and %{x}: %{z:.3f}<extra></extra>",
        )
    )
    places: dict[str, Any] = {
        "xaxis": {"type": "category"},
        "yaxis": {"type": "category", "autorange": "reversed"},
    }
    if 0 < result.values.size <= 400:
        # A trace of its own: a heat map's text is white or dark grey as plotly has it, faint on the middle of the scale.
        figure.add_trace(
            go.Scatter(
                x=columns * len(rows),
                y=[r for r in rows for _ in columns],
                mode="text",
                hoverinfo="skip",
                showlegend=False,
                text=[f"{v:.2f}" for v in result.values.ravel()],
                textfont={"color": theme.ink_on(result.values.ravel(), **scale)},
            )
        )
        # which would leave a margin around the cells
        places = {
            "xaxis": {"type": "category", "range": [-0.5, len(columns) - 0.5]},
            "yaxis": {"type": "category", "range": [len(rows) - 0.5, -0.5]},
        }
    figure.update_layout(**theme.layout(height=max(380, 120 + 38 * len(rows)), **places))
    return figure


def _scale(values: np.ndarray) -> dict[str, float]:
    """From 0 to 1 where all values lie there (but for what scatters around 0), else as the values have it."""
    finite = values[np.isfinite(values)]
    if len(finite) and finite.min() >= -0.1 and 0.5 < finite.max() <= 1 + 1e-6:
        return {"zmin": 0.0, "zmax": 1.0}
    return {}


@_draws(Curve)
def _curve(result: Curve) -> go.Figure:
    """Lines with their intervals in their own colour; nulls' bands in grey, edged like the line where there are several."""
    import plotly.graph_objects as go

    if result.panels:
        from workbench.core.panels import panels

        return panels(result)
    figure = go.Figure()
    x = [safe(n) for n in result.x_names] if result.x_names else result.x
    mode = "lines+markers" if len(result.x) <= MARKED else "lines"
    nulls = [
        j
        for j in range(len(result.names))
        if result.null_low.size and np.isfinite(result.null_low[:, j]).any()
    ]
    for j in nulls:
        low, high = result.null_low[:, j], result.null_high[:, j]
        own = theme.CATEGORICAL[j % MAX_CATEGORIES] if len(nulls) > 1 else ""  # which curve's it is
        said = "nulls, 95 %, dotted in the line's colour" if own else "null, 95 %"
        _band(figure, x, low, high, theme.NULL, said, legend=j == nulls[0], edge_colour=own)
    for j, name in enumerate(result.names):
        colour = theme.CATEGORICAL[j % MAX_CATEGORIES]
        if result.low.size:
            _band(
                figure, x, result.low[:, j], result.high[:, j], colour, f"{name}: 95 % interval", legend=False
            )
        figure.add_trace(
            go.Scatter(
                x=x,
                y=result.y[:, j],
                mode=mode,
                name=safe(name),
                line={"color": colour},
                marker={"size": 7, "symbol": theme.SYMBOLS[j % len(theme.SYMBOLS)]},
            )
        )
    for (start, stop), name in zip(result.spans, result.span_names, strict=True):
        figure.add_vrect(
            x0=start,
            x1=stop,
            fillcolor=theme.NULL,
            opacity=0.22,
            line_width=0,
            layer="below",
            annotation={"text": safe(name), "font": {"size": 11}},
            annotation_position="top left",
        )
    scale = theme.log_axis(result.y) if result.log else {}
    figure.update_layout(
        **theme.layout(
            xaxis={"title": safe(result.x_title), **({"type": "category"} if result.x_names else {})},
            yaxis={"title": safe(result.y_title), **scale},
            legend=theme.LEGEND_ABOVE,
        )
    )
    return figure


@_draws(Ranking)
def _ranking(result: Ranking, *, top: int = 20, paths: bool = False) -> go.Figure:
    import plotly.graph_objects as go

    order = np.argsort(-result.scores, kind="stable")[:top]
    if paths and len(result.paths):
        from workbench.core.ranking_paths import ranking_paths

        return ranking_paths(result, order)
    error = None
    if len(result.low):
        error = {
            "type": "data",
            "symmetric": False,
            "array": (result.high - result.scores)[order],
            "arrayminus": (result.scores - result.low)[order],
            "color": theme.NULL,
        }
    figure = go.Figure(
        go.Bar(
            x=result.scores[order],
            y=[f"{i + 1}. {safe(result.names[j], width=40)}" for i, j in enumerate(order)],
            orientation="h",
            error_x=error,
            marker={"color": theme.ACCENT},
            hoverinfo="x+y",
            customdata=result.ids[order] if len(result.ids) else None,
        )
    )
    figure.update_layout(
        **theme.layout(
            height=max(320, 90 + 24 * len(order)),
            xaxis={"title": safe(result.quantity)},
            yaxis={"autorange": "reversed"},
        )
    )
    return figure


@_draws(GraphResult)
def _graph(result: GraphResult) -> go.Figure:
    import plotly.graph_objects as go

    if result.lines.size:
        from workbench.core.weighted_lines import weighted_lines

        return weighted_lines(result)
    x, y = result.positions.T if len(result.positions) else (np.empty(0), np.empty(0))
    gap = np.full(len(result.edges), np.nan)
    lines = [np.column_stack([c[result.edges[:, 0]], c[result.edges[:, 1]], gap]).ravel() for c in (x, y)]
    members = [result.members(i).tolist() for i in range(len(x))]
    sizes = np.array([len(m) for m in members], dtype=float)
    values = result.values if len(result.values) else sizes
    name = result.values_name or "rows"
    figure = go.Figure()
    figure.add_trace(
        go.Scatter(
            x=lines[0],
            y=lines[1],
            mode="lines",
            line={"width": 1, "color": theme.NULL},
            hoverinfo="skip",
            showlegend=False,
        )
    )
    figure.add_trace(
        go.Scatter(
            x=x,
            y=y,
            mode="markers",
            customdata=members,
            showlegend=False,
            hoverinfo="text",
            hovertext=[
                f"node {i}: {len(m)} rows, {safe(name)} {v:.3g}"
                for i, (m, v) in enumerate(zip(members, values, strict=True))
            ],
            marker={
                "size": 7 + 18 * np.sqrt(sizes / max(sizes.max(initial=1), 1)),
                "color": values,
                "colorscale": theme.SEQUENTIAL,
                "colorbar": {"title": {"text": safe(name)}, "thickness": 12, "outlinewidth": 0},
                "line": {"width": 1, "color": "white"},
            },
        )
    )
    hidden = {"visible": False, "showgrid": False}
    figure.update_layout(**theme.layout(height=520, xaxis=hidden, yaxis={**hidden, "scaleanchor": "x"}))
    return figure


@_draws(Estimate)
def _estimate(result: Estimate) -> go.Figure:
    """One line a statistic: the value with its interval, the null's draws in grey behind it."""
    import plotly.graph_objects as go

    figure = go.Figure()
    names = [safe(e.statistic) for e in result.evidence]
    for name, e in zip(names, result.evidence, strict=True):
        if e.null_values:
            figure.add_trace(
                go.Scatter(
                    x=e.null_values,
                    y=[name] * len(e.null_values),
                    mode="markers",
                    showlegend=False,
                    marker={"color": theme.NULL, "symbol": "line-ns-open", "size": 12, "opacity": 0.6},
                    hovertemplate="null: %{x:.4g}<extra></extra>",
                )
            )
    value = [e.value for e in result.evidence]
    low = [v - e.interval[0] if e.interval else 0 for v, e in zip(value, result.evidence, strict=True)]
    high = [e.interval[1] - v if e.interval else 0 for v, e in zip(value, result.evidence, strict=True)]
    figure.add_trace(
        go.Scatter(
            x=value,
            y=names,
            mode="markers",
            marker={"size": 11, "color": theme.ACCENT},
            showlegend=False,
            error_x={"type": "data", "symmetric": False, "array": high, "arrayminus": low, "thickness": 2},
            hovertemplate="%{y}: %{x:.4g}<extra></extra>",
        )
    )
    figure.update_layout(
        **theme.layout(
            height=170 + 44 * len(names),
            yaxis={"autorange": "reversed", "type": "category"},
            xaxis={"title": "value with its 95 % interval (grey ticks: draws of the null)"},
        )
    )
    return figure
