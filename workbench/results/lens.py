"""What a language model would say at each layer and token of a text, if it stopped there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np

from workbench.results import theme
from workbench.results.by_token import lay_out
from workbench.results.plotted import Plotted, safe

if TYPE_CHECKING:
    from typing import Self

    import pandas as pd
    import plotly.graph_objects as go
    from jaxtyping import Float, Int

LONGEST = 7  # characters of a word in a cell
_COLOUR = {"rank": "rank of the true next token", "probability": "probability of the word"}


@dataclass(frozen=True, eq=False, kw_only=True, repr=False)
class Lens(Plotted):
    """What is read off at each layer and token: the likeliest next token, and how the true one stands.

    Attributes
    ----------
    layers : names, from the first. tokens : (t,) of the text, as they are spelled. ids : (t,) their row
        ids; empty where the text is none of a subject's.
    words : one a layer and token, layer by layer: the likeliest next token.
    probability : (l, t) of that word. rank : (l, t) of the token that does come next, from 1; 0 where none is known.
    true_probability : (l, t) of the token that does come next; 0 where none is known.
    """

    kind: ClassVar[str] = "lens"
    layers: tuple[str, ...]
    tokens: tuple[str, ...]
    ids: Int[np.ndarray, " t"]
    words: tuple[str, ...]
    probability: Float[np.ndarray, "l t"]
    rank: Int[np.ndarray, "l t"]
    true_probability: Float[np.ndarray, "l t"]

    @classmethod
    def example(cls, variant: int = 0) -> Self:
        """Two layers over three tokens."""
        chance = np.array([[0.2, 0.3, 0.1], [0.9, 0.8 - 0.1 * variant, 0.6]])
        return cls(
            title="two layers",
            layers=("layer 0", "layer 1"),
            tokens=("a", "cat", "sat"),
            ids=np.arange(3),
            words=("the", "dog", "on", "cat", "sat", "on"),
            probability=chance,
            rank=np.array([[4, 9, 0], [1, 1, 0]]),
            true_probability=np.array([[0.1, 0.05, 0], [0.9, 0.8, 0]]),
        )

    def table(self) -> pd.DataFrame:
        """One line a layer and token."""
        import pandas as pd

        n, t = self.rank.shape
        return pd.DataFrame(
            {
                "layer": np.repeat(list(self.layers), t),
                "row": np.tile(self.ids if len(self.ids) else np.arange(t), n),
                "token": list(self.tokens) * n,
                "likeliest next": list(self.words),
                "probability": self.probability.ravel(),
                "rank of the true next": self.rank.ravel(),
                "probability of the true next": self.true_probability.ravel(),
            }
        )

    def draw(
        self, *, colour: Literal["rank", "probability"] = "rank", start: int = 0, tokens: int = 12
    ) -> go.Figure:
        """A cell a layer and token, the last layer on top, with the likeliest next word in it.

        Parameters
        ----------
        colour : ``rank`` of the true next token, or the ``probability`` of the likeliest.
        start, tokens : which tokens are shown: so many from this position on.
        """
        import plotly.graph_objects as go

        n, t = self.rank.shape
        part = slice(min(max(start, 0), t - 1), min(max(start, 0) + max(tokens, 1), t))
        words = np.array(self.words, dtype=object).reshape(n, t)[:, part]
        rank = self.rank[:, part]
        places = np.arange(t)[part]
        follows = [safe(self.tokens[p + 1], width=30) if p + 1 < t else "" for p in places]
        hover = [[self._hover(i, p, follows[k]) for k, p in enumerate(places)] for i in range(n)]
        z = -np.log10(np.maximum(rank, 1)) if colour == "rank" else self.probability[:, part]
        z = np.where(rank > 0, z, np.nan) if colour == "rank" else z
        deepest = int(np.ceil(-np.nanmin(z))) if colour == "rank" and np.isfinite(z).any() else 1
        bar = {
            "tickvals": list(range(-deepest, 1)),
            "ticktext": [_round(10**k) for k in range(deepest, -1, -1)],
        }
        cells = {
            "x": places,
            "y": np.arange(n),
            "xgap": 1,
            "ygap": 1,
            "texttemplate": "%{text}",
            "hovertext": hover,
            "hovertemplate": "%{hovertext}<extra></extra>",
        }
        text, blank = np.array([[_in_cell(w) for w in line] for line in words], dtype=object), np.isnan(z)
        figure = go.Figure(
            go.Heatmap(
                **cells,
                z=z,
                text=np.where(blank, "", text),
                zmin=-max(deepest, 1) if colour == "rank" else 0,
                zmax=0 if colour == "rank" else 1,
                colorscale=theme.SEQUENTIAL,
                colorbar={**(bar if colour == "rank" else {}), "thickness": 8, "outlinewidth": 0},
            )
        )
        if blank.any():  # words after which nothing follows have a ground that they can be read on
            figure.add_trace(
                go.Heatmap(
                    **cells,
                    z=np.where(blank, 0.0, np.nan),
                    text=np.where(blank, text, ""),
                    colorscale=[[0, theme.NULL], [1, theme.NULL]],
                    showscale=False,
                )
            )
        lay_out(
            figure,
            self.layers,
            places,
            [safe(self.tokens[p], width=20) for p in places],
            self.ids[part],
            title=f"colour: {_COLOUR[colour]}",
            room=170,
        )
        return figure

    def _hover(self, layer: int, place: int, follows: str) -> str:
        said = f"{safe(self.layers[layer])}, after <b>{safe(self.tokens[place], width=40)}</b>"
        word = safe(self.words[layer * len(self.tokens) + place], width=40)
        said += f"<br>reads {word} ({self.probability[layer, place]:.3f})"
        if self.rank[layer, place]:
            true = self.true_probability[layer, place]
            said += f"<br>next is {follows}: rank {self.rank[layer, place]:,} ({true:.3g})"
        return said


def _in_cell(word: str) -> str:
    """As much of a word as a cell has room for; a space is seen."""
    word = word.strip() or ("␣" if word else "")
    return safe(word if len(word) <= LONGEST else word[: LONGEST - 1] + "…")


def _round(number: int) -> str:
    """A power of ten in few characters."""
    return f"{number // 1000}k" if number >= 1000 else str(number)
