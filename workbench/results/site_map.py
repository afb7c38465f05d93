"""What each layer and position of a text does to a network's answer: a cell a site, and a click that shows all of one."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from workbench.results import theme
from workbench.results.by_token import lay_out
from workbench.results.plotted import Plotted, safe

if TYPE_CHECKING:
    from typing import Self

    import pandas as pd
    import plotly.graph_objects as go
    from jaxtyping import Float, Int

LEVEL = 0.05
WIDEST = 24  # tokens that are shown, of more


@dataclass(frozen=True, eq=False, kw_only=True, repr=False)
class SiteMap(Plotted):
    """How far a network's answer goes by one layer and position of a text at a time.

    Attributes
    ----------
    layers : names, from the first. tokens : (t,) of the text, as they are spelled. ids : (t,) their row ids; empty where the
        text is none of a subject's.
    others : (t,) the tokens of the text that it was set beside; empty where there is none.
    values : (l, t) how far the answer goes with the site changed, in what ``quantity`` says.
    low, high : (l, t) 95 % of controls of the same size; empty without. p : (l, t) p-values, corrected for all sites; empty
        without.
    control : what the controls are, in a few words.
    words, chances : k likeliest next words a site, layer by layer, and (l, t, k) their probabilities; empty where the network
        foretells none. words_before, chances_before : (k,) those of the network without a change.
    """

    kind: ClassVar[str] = "site_map"
    has_cards: ClassVar[bool] = True
    layers: tuple[str, ...]
    tokens: tuple[str, ...]
    ids: Int[np.ndarray, " t"]
    values: Float[np.ndarray, "l t"]
    quantity: str = "change of the answer"
    others: tuple[str, ...] = ()
    low: Float[np.ndarray, "l t"] = field(default_factory=lambda: np.empty((0, 0)))
    high: Float[np.ndarray, "l t"] = field(default_factory=lambda: np.empty((0, 0)))
    p: Float[np.ndarray, "l t"] = field(default_factory=lambda: np.empty((0, 0)))
    control: str = ""
    words: tuple[str, ...] = ()
    chances: Float[np.ndarray, "l t k"] = field(default_factory=lambda: np.empty((0, 0, 0)))
    words_before: tuple[str, ...] = ()
    chances_before: Float[np.ndarray, " k"] = field(default_factory=lambda: np.empty(0))

    @classmethod
    def example(cls, variant: int = 0) -> Self:
        """Two layers over three tokens, of which one carries the answer."""
        values = np.array([[0.1, 0.9, 0.0], [0.0, 0.2, 0.7 - 0.1 * variant]])
        return cls(
            title="two layers",
            layers=("layer 0", "layer 1"),
            tokens=("a", "cat", "sat"),
            ids=np.arange(3),
            values=values,
            low=np.full((2, 3), -0.1),
            high=np.full((2, 3), 0.15),
            p=np.array([[1, 0.02, 1], [1, 0.4, 0.02]]),
            control="49 random directions",
            words=("on", "up") * 6,
            chances=np.full((2, 3, 2), 0.4),
            words_before=("on", "in"),
            chances_before=np.array([0.8, 0.1]),
        )

    def table(self) -> pd.DataFrame:
        """One line a site."""
        import pandas as pd

        n, t = self.values.shape
        columns: dict[str, Any] = {
            "layer": np.repeat(list(self.layers), t),
            "row": np.tile(self.ids if len(self.ids) else np.arange(t), n),
            "token": list(self.tokens) * n,
            self.quantity: self.values.ravel(),
        }
        if self.low.size:
            columns |= {"control, from": self.low.ravel(), "to": self.high.ravel()}
        if self.p.size:
            columns["p, corrected"] = self.p.ravel()
        if self.words:
            columns["likeliest next"] = [self.words[i] for i in range(0, len(self.words), self._many)]
        return pd.DataFrame(columns)

    def figure(self, **options: Any) -> go.Figure:
        """Draw the map as a plotly figure; a page shows all of a site that is clicked (``layout.meta.cards``)."""
        made = super().figure(**options)
        shown = self._shown(options.get("start", 0), options.get("tokens", WIDEST))
        made.layout.meta = {**made.layout.meta, "cards": self._cards(shown)}
        return made

    def draw(self, *, start: int = 0, tokens: int = WIDEST) -> go.Figure:
        """A cell a layer and token, the last layer on top; a ring where its control is left behind.

        Parameters
        ----------
        start, tokens : which tokens are shown: so many from this position on.
        """
        import plotly.graph_objects as go

        places = self._shown(start, tokens)
        values = self.values[:, places]
        n = len(self.layers)
        scale = {"zmin": min(0.0, float(self.values.min())), "zmax": max(float(self.values.max()), 1e-12)}
        figure = go.Figure(
            go.Heatmap(
                z=values,
                x=places,
                y=np.arange(n),
                **scale,
                colorscale=theme.SEQUENTIAL,
                xgap=1,
                ygap=1,
                hovertext=[[self._hover(i, int(p)) for p in places] for i in range(n)],
                hovertemplate="%{hovertext}<extra></extra>",
                colorbar={"thickness": 8, "outlinewidth": 0},
            )
        )
        beyond = np.argwhere(self.p[:, places] <= LEVEL) if self.p.size else np.empty((0, 2), np.int64)
        if len(beyond):
            ink = theme.ink_on(values[beyond[:, 0], beyond[:, 1]], **scale)
            figure.add_trace(
                go.Scatter(
                    x=places[beyond[:, 1]],
                    y=beyond[:, 0],
                    mode="markers",
                    marker={"size": 7, "symbol": "circle-open", "color": ink, "line": {"width": 2}},
                    hoverinfo="skip",
                    showlegend=False,
                )
            )
        ring = "; rings: beyond its control, corrected for all" if self.p.size else ""
        lay_out(
            figure,
            self.layers,
            places,
            [self._token(int(p), 20) for p in places],
            self.ids[places] if len(self.ids) else self.ids,
            title=f"colour: {safe(self.quantity)}{ring}",
            room=190,
        )
        return figure

    def _shown(self, start: int, tokens: int) -> np.ndarray:
        t = len(self.tokens)
        return np.arange(t)[min(max(start, 0), t - 1) : min(max(start, 0) + max(tokens, 1), t)]

    @property
    def _many(self) -> int:
        """How many words there are a site."""
        return len(self.words_before)

    def _spelled(self, place: int) -> str:
        """The token at a position, and where another stood there, that one."""
        own, other = self.tokens[place], self.others[place] if self.others else self.tokens[place]
        return own if own == other else f"{own} (not {other})"

    def _token(self, place: int, width: int) -> str:
        return safe(self._spelled(place), width=width)

    def _hover(self, layer: int, place: int) -> str:
        said = [f"{safe(self.layers[layer])}, <b>{self._token(place, 40)}</b>"]
        said += map(safe, self._lines(layer, place))
        if self.words:
            word = self.words[(layer * len(self.tokens) + place) * self._many]
            said.append(f"then next: {safe(word, width=40)} ({self.chances[layer, place, 0]:.3g})")
        return "<br>".join(said)

    def _lines(self, layer: int, place: int) -> list[str]:
        """What a site did, and its control, in words."""
        said = [f"{self.quantity}: {self.values[layer, place]:.3g}"]
        if self.low.size:
            low, high = self.low[layer, place], self.high[layer, place]
            said.append(f"{self.control}: {low:.3g} to {high:.3g}")
        if self.p.size:
            p = self.p[layer, place]
            verdict = "beyond chance" if p <= LEVEL else "could be chance"
            said.append(f"{verdict} (p = {p:.2g}, corrected for all {self.values.size} sites)")
        return said

    def _cards(self, places: np.ndarray) -> dict[str, Any]:
        """What a page shows of each cell of the first trace, row by row; the largest change in front."""
        values = self.values[:, places]
        before = _listed(self.words_before, self.chances_before)
        usual = "next word after the corrupted text" if self.others else "next word, unchanged"
        cards = []
        for layer, place in np.ndindex(values.shape):
            at = int(places[place])
            card: dict[str, Any] = {
                "title": f"{self.layers[layer]}, token {at}: {self._spelled(at)}",
                "lines": self._lines(layer, at),
                "value": float(values[layer, place]),
            }
            if self.low.size:
                card["band"] = [float(self.low[layer, at]), float(self.high[layer, at])]
            if self.words:
                first = (layer * len(self.tokens) + at) * self._many
                after = _listed(self.words[first : first + self._many], self.chances[layer, at])
                card["lists"] = [[usual, before], ["with this site changed", after]]
            cards.append(card)
        ends = [self.values, *(a for a in (self.low, self.high) if a.size)]
        return {
            "what": "Site",
            "columns": len(places),
            "first": int(values.argmax()),
            "axis": [min(0.0, *(float(a.min()) for a in ends)), max(float(a.max()) for a in ends)],
            "cells": cards,
        }


def _listed(words: tuple[str, ...], chances: np.ndarray) -> list[list[Any]]:
    return [[word, round(float(p), 4)] for word, p in zip(words, chances, strict=True)]
