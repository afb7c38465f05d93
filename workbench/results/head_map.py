"""Attention heads: a line of numbers each, and how far each takes up what earlier ones write."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from workbench.core.errors import ParameterError
from workbench.results import theme
from workbench.results.plotted import Plotted, safe

if TYPE_CHECKING:
    from typing import Self

    import pandas as pd
    import plotly.graph_objects as go
    from jaxtyping import Float, Int

    from workbench.subjects.graph import Graph

SIDES = ("query", "key", "value")
LEVEL = 0.05
QUANTITIES = {
    "copying": "copies (1) or negates (-1)",
    "matching": "looks for like (1) or unlike (-1)",
    "ov_norm": "norm of output-value",
    "ov_stable_rank": "stable rank of output-value",
    "qk_norm": "norm of query-key",
    "qk_stable_rank": "stable rank of query-key",
}
"""What heads can be coloured by, and how it is called."""
MOST = 300  # heads of which every pair has a cell of its own
_SIGNED = ("copying", "matching")
_PAIRS = "all ways", *(f"by {side}" for side in SIDES)


@dataclass(frozen=True, eq=False, kw_only=True, repr=False)
class HeadMap(Plotted):
    """One line a head, and one a pair of an earlier and a later head.

    Attributes
    ----------
    heads : facts of each by name, plain numbers and words. ``name``, ``stack``, ``layer``, ``head`` and what `QUANTITIES` names
        are always there.
    ov_values, qk_values : (n, r) singular values of the output-value and the query-key circuits, descending.
    earlier, later : (p,) positions of the heads of each pair.
    scores : (p, 3) composition by queries, keys and values, 0 to 1. by_scale : (p, 3) what the scales of the stream's
        coordinates alone would give. p : (p, 3) p-values, corrected for all pairs; empty without a control.
    """

    kind: ClassVar[str] = "head_map"
    heads: tuple[dict[str, Any], ...]
    ov_values: Float[np.ndarray, "n r"]
    qk_values: Float[np.ndarray, "n r"]
    earlier: Int[np.ndarray, " p"]
    later: Int[np.ndarray, " p"]
    scores: Float[np.ndarray, "p 3"]
    by_scale: Float[np.ndarray, "p 3"]
    p: Float[np.ndarray, "p 3"]

    @classmethod
    def example(cls, variant: int = 0) -> Self:
        """Two layers of two heads, of which one feeds another's keys."""
        names = [(i, h) for i in range(2) for h in range(2)]
        earlier, later = np.array([0, 1, 0, 1]), np.array([2, 2, 3, 3])
        scores, p = np.full((4, 3), 0.2), np.ones((4, 3))
        scores[1, 1], p[1, 1] = 0.6 + 0.1 * variant, 0.01
        return cls(
            title="four heads",
            heads=tuple(
                {
                    "name": f"layer {i}, head {h}",
                    "stack": "",
                    "layer": i,
                    "head": h,
                    **dict.fromkeys(QUANTITIES, 0.5 * (i - h)),
                }
                for i, h in names
            ),
            ov_values=np.tile([2.0, 1.0], (4, 1)),
            qk_values=np.tile([3.0, 1.0], (4, 1)),
            earlier=earlier,
            later=later,
            scores=scores,
            by_scale=np.full((4, 3), 0.2),
            p=p,
        )

    def table(self) -> pd.DataFrame:
        """One line a head."""
        import pandas as pd

        return pd.DataFrame(list(self.heads)).set_index("name")

    def pairs(self) -> pd.DataFrame:
        """One line a pair and way of composing, those farthest beyond the scales of coordinates first."""
        import pandas as pd

        names = np.array([h["name"] for h in self.heads])
        columns = {
            "earlier": np.repeat(names[self.earlier], 3),
            "later": np.repeat(names[self.later], 3),
            "by": np.tile(SIDES, len(self.earlier)),
            "score": self.scores.ravel(),
            "by scale": self.by_scale.ravel(),
            "beyond scale": self._ratio.ravel(),
        }
        if self.p.size:
            columns["p, corrected"] = self.p.ravel()
        by = ["p, corrected", "beyond scale"] if self.p.size else ["beyond scale"]
        return pd.DataFrame(columns).sort_values(by, ascending=[True, False][-len(by) :], kind="stable")

    def as_graph(self) -> Graph:
        """Heads, and an edge from an earlier one to a later one that takes up what it writes beyond chance, by any way.

        An edge weighs what the strongest such way scores. Without a control every pair is one.
        """
        import pandas as pd

        from workbench.subjects.graph import Graph

        there = self.p <= LEVEL if self.p.size else np.ones(self.scores.shape, bool)
        weights = np.where(there, self.scores, 0).max(axis=1, initial=0)
        kept = there.any(axis=1) & (weights > 0)
        ids = np.arange(len(self.heads))
        table = pd.DataFrame([{k: h[k] for k in ("name", "layer", "head")} for h in self.heads], index=ids)
        edges = np.stack([self.earlier[kept], self.later[kept]], axis=1)
        return Graph(
            self.called, self.digest, self.digest, edges, weights[kept].astype(np.float64), ids, table, True
        )

    @property
    def _ratio(self) -> np.ndarray:
        """Scores over what the scales of coordinates give."""
        return np.divide(self.scores, self.by_scale, out=np.ones_like(self.scores), where=self.by_scale > 0)

    def draw(self, *, colour: str = "copying", by: str = "all ways") -> go.Figure:
        """Two maps: heads by layer, and below how far each takes up what earlier ones write; a menu for each.

        Parameters
        ----------
        colour : what heads are coloured by, one of `QUANTITIES`. by : a way of composing ("by key"), or "all ways".

        Raises
        ------
        ParameterError
            It is none of these.
        """
        from plotly.subplots import make_subplots

        if colour not in QUANTITIES:
            raise ParameterError(
                f"Heads can't be coloured by {colour!r}. It takes one of {', '.join(QUANTITIES)}."
            )
        if by not in _PAIRS:
            raise ParameterError(f"Heads don't compose by {by!r}. It takes one of {', '.join(_PAIRS)}.")
        layers = list(dict.fromkeys(_layer(h) for h in self.heads))
        two = len(self.earlier) > 0
        high = 60 + 22 * len(layers)
        room = (min(max(high, 160), 420), 380)
        figure = make_subplots(
            rows=1 + two,
            cols=1,
            row_heights=list(room) if two else None,
            vertical_spacing=0.2 if two else None,
        )
        figure.add_trace(self._heads_trace(layers, colour), row=1, col=1)
        figure.update_xaxes(
            title_text="head", row=1, col=1, dtick=max(1, 1 + max(h["head"] for h in self.heads) // 16)
        )
        figure.update_yaxes(
            title_text="layer",
            autorange="reversed",
            row=1,
            col=1,
            tickvals=_some(layers)[0],
            ticktext=_some(layers)[1],
        )
        menus = [self._heads_menu(layers, colour)]
        if two:
            figure.add_trace(self._pairs_trace(by), row=2, col=1)
            where, names = self._ticks()
            figure.update_xaxes(
                title_text="written by", row=2, col=1, tickvals=where, ticktext=names, tickangle=0
            )
            figure.update_yaxes(
                title_text="read by", row=2, col=1, tickvals=where, ticktext=names, autorange="reversed"
            )
            menus.append(self._pairs_menu(by, room))
        figure.update_layout(
            **theme.layout(
                height=sum(room) + 200 if two else room[0] + 140, margin={"l": 20, "r": 16, "t": 90}
            ),
            updatemenus=menus,
        )
        figure.update_xaxes(theme.AXIS | {"showgrid": False})
        figure.update_yaxes(theme.AXIS | {"showgrid": False})
        return figure

    def _heads_trace(self, layers: list[str], colour: str) -> go.Heatmap:
        import plotly.graph_objects as go

        texts = [["" for _ in range(self._widest)] for _ in layers]
        for h in self.heads:
            said = [f"{title}: {h[q]:.3g}" for q, title in QUANTITIES.items()]
            texts[layers.index(_layer(h))][h["head"]] = "<br>".join(
                [f"<b>{safe(h['name'])}</b>", *map(safe, said)]
            )
        return go.Heatmap(
            z=self._grid(layers, colour),
            hovertext=texts,
            hovertemplate="%{hovertext}<extra></extra>",
            hoverongaps=False,
            xgap=1,
            ygap=1,
            **_scale(colour),
            colorbar=_bar("", 1.0),
        )

    @property
    def _widest(self) -> int:
        return 1 + max(h["head"] for h in self.heads)

    def _grid(self, layers: list[str], quantity: str) -> list[list[float | None]]:
        grid: list[list[float | None]] = [[None] * self._widest for _ in layers]
        for h in self.heads:
            grid[layers.index(_layer(h))][h["head"]] = h[quantity]
        return grid

    def _heads_menu(self, layers: list[str], colour: str) -> dict[str, Any]:
        buttons = []
        for quantity, title in QUANTITIES.items():
            scale = {key: [value] for key, value in _scale(quantity).items()}
            change = {"z": [self._grid(layers, quantity)], **scale, "zauto": [quantity not in _SIGNED]}
            buttons.append({"label": title, "method": "restyle", "args": [change, [0]]})
        return _menu("heads", buttons, list(QUANTITIES).index(colour), 1.0)

    def _cells(self, by: str) -> tuple[np.ndarray, np.ndarray]:
        """(later, earlier) how far a head composes beyond the scales of coordinates, in doublings; and which pair it is.

        What could be chance is NaN. Of many heads a cell is two layers, and the share of their pairs that compose.
        """
        columns = range(3) if by == _PAIRS[0] else [_PAIRS.index(by) - 1]
        ratio = np.log2(np.maximum(self._ratio[:, columns], 1e-6))
        beyond = self.p[:, columns] <= LEVEL if self.p.size else np.ones(ratio.shape, bool)
        n = len(self.heads)
        if n > MOST:
            names = [_layer(h) for h in self.heads]
            order = list(dict.fromkeys(names))
            at = np.array([order.index(name) for name in names])
            sums, many = np.zeros((2, len(order), len(order)))
            np.add.at(sums, (at[self.later], at[self.earlier]), beyond.any(axis=1))
            np.add.at(many, (at[self.later], at[self.earlier]), 1)
            return np.divide(sums, many, out=np.full_like(sums, np.nan), where=many > 0), np.empty((0, 0))
        strongest = np.where(beyond, ratio, -np.inf).max(axis=1)
        cells, pair = np.full((n, n), np.nan), np.full((n, n), -1)
        cells[self.later, self.earlier] = np.where(np.isfinite(strongest), strongest, np.nan)
        pair[self.later, self.earlier] = np.arange(len(self.earlier))
        return cells, pair

    def _pairs_trace(self, by: str) -> go.Heatmap:
        import plotly.graph_objects as go

        cells, pair = self._cells(by)
        title = "share of pairs that compose" if len(self.heads) > MOST else "doublings beyond scale"
        hover: dict[str, Any] = {"hovertemplate": "%{z:.3g}<extra></extra>"}
        if pair.size:
            texts = [[self._pair_said(int(i)) if i >= 0 else "" for i in row] for row in pair]
            hover = {"hovertext": texts, "hovertemplate": "%{hovertext}<extra></extra>"}
        return go.Heatmap(
            z=_with_gaps(cells),
            **hover,
            hoverongaps=False,
            colorscale=theme.SEQUENTIAL,
            **_most(cells),
            colorbar=_bar(title, 0.0),
        )

    def _pairs_menu(self, by: str, room: tuple[int, int]) -> dict[str, Any]:
        buttons = []
        for way in _PAIRS:
            cells = self._cells(way)[0]
            args = [{"z": [_with_gaps(cells)]}, [1]]
            buttons.append({"label": f"composition, {way}", "method": "restyle", "args": args})
        return _menu("pairs", buttons, _PAIRS.index(by), 0.8 * room[1] / sum(room))

    def _pair_said(self, pair: int) -> str:
        read, written = self.heads[self.later[pair]]["name"], self.heads[self.earlier[pair]]["name"]
        said = [f"<b>{safe(read)}</b> reads <b>{safe(written)}</b>"]
        for j, side in enumerate(SIDES):
            p = f", p = {self.p[pair, j]:.2g}" if self.p.size else ""
            said.append(f"by {side}: {self.scores[pair, j]:.3g}, by scale {self.by_scale[pair, j]:.3g}{p}")
        return "<br>".join(said)

    def _ticks(self) -> tuple[list[float], list[str]]:
        """The middles of layers on an axis of heads, or each layer where a cell is one."""
        names = [_layer(h) for h in self.heads]
        layers = list(dict.fromkeys(names))
        where, shown = _some(layers)
        if len(self.heads) > MOST:
            return [float(i) for i in where], shown
        return [
            float(np.mean([j for j, name in enumerate(names) if name == layers[i]])) for i in where
        ], shown


def _most(cells: np.ndarray) -> dict[str, float]:
    """A scale from zero to the 98th per cent, so that one pair doesn't take it."""
    held = cells[np.isfinite(cells)]
    return (
        {"zmin": 0.0, "zmax": float(np.quantile(held, 0.98)) or 1.0}
        if len(held)
        else {"zmin": 0.0, "zmax": 1.0}
    )


def _with_gaps(cells: np.ndarray) -> np.ndarray:
    """As plotly takes them: None where there is no number."""
    made = cells.astype(object)
    made[np.isnan(cells)] = None
    return made


def _layer(head: dict[str, Any]) -> str:
    return f"{head['stack']} {head['layer']}" if head["stack"] else str(head["layer"])


def _some(layers: list[str]) -> tuple[list[int], list[str]]:
    """At most a dozen of the layers: their places and their last words."""
    every = max(1, len(layers) // 12)
    return list(range(0, len(layers), every)), [safe(name.rsplit(" ", 1)[-1]) for name in layers[::every]]


def _scale(quantity: str) -> dict[str, Any]:
    if quantity in _SIGNED:
        return {"colorscale": theme.DIVERGING, "zmin": -1, "zmax": 1}
    return {"colorscale": theme.SEQUENTIAL, "zmin": None, "zmax": None}


def _bar(title: str, y: float) -> dict[str, Any]:
    top = y > 0.5
    return {
        "title": {"text": title, "side": "right"},
        "y": y,
        "yanchor": "top" if top else "bottom",
        "len": 0.36 if top else 0.46,
        "thickness": 10,
        "outlinewidth": 0,
        "nticks": 5,
    }


def _menu(name: str, buttons: list[dict[str, Any]], active: int, y: float) -> dict[str, Any]:
    return {
        "name": name,
        "buttons": buttons,
        "active": active,
        "x": 0,
        "xanchor": "left",
        "y": y,
        "yanchor": "bottom",
        "pad": {"b": 6},
        "bgcolor": "#e8ebef",
        "bordercolor": "#9aa0a8",
        "font": {"color": "#1c2026", "size": 12},
    }
