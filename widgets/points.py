"""The point layer: an embedding drawn by WebGL, with colours, lasso, filters, search, a table and a slider over layouts.

The same ``points.js`` draws it in a report, where there is no kernel.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import anywidget
import numpy as np
import traitlets

from workbench.report import points
from workbench.results.embedding import Embedding
from workbench.results.layouts import Layouts

if TYPE_CHECKING:
    import pandas as pd

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
    look : what a person has made of the view: where it looks, and the filters of its columns.
    ids : row ids in the order of the columns; those that have a place come first.
    """

    _esm = points.script()
    _css = points.asset("points.css")
    spec = traitlets.Dict().tag(sync=True)
    positions = traitlets.Dict().tag(sync=True)
    columns: Any = traitlets.List().tag(sync=True)
    color = traitlets.Unicode().tag(**_UP)
    frame = traitlets.Int().tag(**_UP)
    picked = traitlets.Bytes().tag(from_json=lambda bits, _: bytes(bits or b""), **_UP)
    look = traitlets.Dict().tag(**_UP)

    def __init__(self, shown: Shown):
        self.ids, columns = _rows(shown)
        super().__init__(columns=columns, **points.state(shown.result, shown.note, len(self.ids), shown.code))

    def show(self, shown: Shown) -> None:
        """Show another embedding, or other columns; of the same rows, the points move."""
        at = self.selected
        before = self.ids
        with self.hold_sync():
            self.ids, self.columns = _rows(shown)
            if self.color not in self.names:
                self.color = ""
            for name, value in points.state(shown.result, shown.note, len(self.ids), shown.code).items():
                setattr(self, name, value)
            if not np.array_equal(before, self.ids):
                self.mark(at)

    @property
    def names(self) -> list[str]:
        """Names of the columns that can colour."""
        return [block["name"] for block in self.columns if "kind" not in block]

    @property
    def selected(self) -> np.ndarray:
        """Row ids of the selection."""
        return self.ids[points.unpicked(self.picked, len(self.ids))]

    def mark(self, ids: np.ndarray) -> None:
        """Show these rows as selected; filters that chose others are lifted."""
        picked = points.picked(np.flatnonzero(np.isin(self.ids, ids)), len(self.ids))
        if picked != self.picked:
            if self.look.get("filters"):
                self.look = {**self.look, "filters": []}
            self.picked = picked

    def packed(self) -> dict[str, Any]:
        """The view as it stands, for a page."""
        names = ("spec", "positions", "columns", "color", "frame", "picked", "look")
        return points.packed({name: getattr(self, name) for name in names})


@dataclass(frozen=True, eq=False)
class Shown:
    """What a view is to show.

    Attributes
    ----------
    result : the embedding.
    table : the row table of all rows that search, colours and counts cover; None for the embedding's own rows.
    extra : further columns, by name to one value a row id.
    note, code : see `workbench.report.points.state`.
    """

    result: Embedding
    table: pd.DataFrame | None = None
    extra: dict[str, pd.Series] = field(default_factory=dict)
    note: str = ""
    code: dict[str, Any] | None = None


def _rows(shown: Shown) -> tuple[np.ndarray, list[dict[str, Any]]]:
    """The row ids, placed ones first, and their columns."""
    import pandas as pd

    result, table = shown.result, shown.table
    if table is None:
        table = result.rows if result.rows is not None else pd.DataFrame(index=pd.Index(result.ids))
    ids = result.ids
    if not np.array_equal(table.index.to_numpy(), ids):
        every = table.index.to_numpy(dtype=np.int64)
        ids = np.concatenate([ids, every[~np.isin(every, ids)]])
        table = table.reindex(ids)
    added: dict[str, np.ndarray] = {}
    if len(result.quality):
        added[result.quality_name or "quality"] = result.quality
    if isinstance(result, Layouts):
        added["displacement"] = result.displacement().sum(axis=0)
    extra = {name: pd.Series(values, index=result.ids) for name, values in added.items()} | shown.extra
    return ids, points.columns(ids, table, {name: values.reindex(ids) for name, values in extra.items()})
