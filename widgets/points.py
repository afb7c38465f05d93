"""The point layer: an embedding drawn by WebGL, with colour, lasso, search, a table and a slider over layouts.

The same ``points.js`` draws it in a report, where there is no kernel.
"""

from __future__ import annotations

from typing import Any

import anywidget
import numpy as np
import traitlets

from workbench.report import points
from workbench.results.embedding import Embedding
from workbench.results.layouts import Layouts

# Sent once, not back again: what the browser has just said needn't be told to it.
_UP = {"sync": True, "echo_update": False}


class PointView(anywidget.AnyWidget):
    """One view of an embedding's rows.

    Attributes
    ----------
    spec : what is shown: title, axes, names of the layouts, palettes.
    positions, columns : blocks of bytes; see `workbench.report.points`.
    color : name of the column that colours the points, or "".
    frame : which of the layouts is shown.
    picked : the selection, one bit a row.
    """

    _esm = points.asset("points.js")
    _css = points.asset("points.css")
    spec = traitlets.Dict().tag(sync=True)
    positions = traitlets.Dict().tag(sync=True)
    columns: Any = traitlets.List().tag(sync=True)
    color = traitlets.Unicode().tag(**_UP)
    frame = traitlets.Int().tag(**_UP)
    picked = traitlets.Bytes().tag(from_json=lambda bits, _: bytes(bits or b""), **_UP)

    def __init__(self, result: Embedding, note: str = ""):
        self.ids = result.ids
        self._note = note
        super().__init__(columns=_columns(result, None), **points.state(result, note))

    def show(self, result: Embedding, extra: dict[str, Any] | None = None) -> None:
        """Show another embedding, with ``extra`` columns; of the same rows, the points move."""
        same = np.array_equal(self.ids, result.ids)
        at = self.selected
        with self.hold_sync():
            self.ids = result.ids
            self.columns = _columns(result, extra)
            if self.color not in self.names:
                self.color = ""
            for name, value in points.state(result, self._note).items():
                setattr(self, name, value)
            if not same:
                self.mark(at)

    @property
    def names(self) -> list[str]:
        """Names of the columns."""
        return [block["name"] for block in self.columns]

    @property
    def selected(self) -> np.ndarray:
        """Row ids of the selection."""
        return self.ids[points.unpicked(self.picked, len(self.ids))]

    def mark(self, ids: np.ndarray) -> None:
        """Show these rows as selected."""
        self.picked = points.picked(np.flatnonzero(np.isin(self.ids, ids)), len(self.ids))

    def packed(self) -> dict[str, Any]:
        """The view as it stands, for a page."""
        names = ("spec", "positions", "columns", "color", "frame", "picked")
        return points.packed({name: getattr(self, name) for name in names})


def _columns(result: Embedding, extra: dict[str, Any] | None) -> list[dict[str, Any]]:
    import pandas as pd

    table = result.rows if result.rows is not None else pd.DataFrame(index=pd.Index(result.ids))
    added = {result.quality_name or "quality": result.quality} if len(result.quality) else {}
    if isinstance(result, Layouts):
        added["displacement"] = result.displacement().sum(axis=0)
    return points.columns(result.ids, table, {**added, **(extra or {})})
