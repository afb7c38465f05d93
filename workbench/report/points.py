"""What a view of many points needs, as binary columns: raw for the widget, packed for a page.

``points.js`` draws it in both. A column of text is its distinct values and a number a row, so that a text that
stands behind each of its tokens travels once. Rows that have a place come first; a sample's others follow, so that search,
colours and counts cover them too.
"""

from __future__ import annotations

import base64
import gzip
import json
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

import numpy as np

from workbench.core.run import now
from workbench.report import pictures
from workbench.results import theme
from workbench.results.layouts import Layouts
from workbench.results.plotted import LARGEST_EXACT

if TYPE_CHECKING:
    import pandas as pd

    from workbench.results.embedding import Embedding

POINTS_MIME = "application/vnd.workbench.points+json"
STILL_MIME = "application/vnd.workbench.still+json"
"""Marks both outputs of a widget of ours: the live one, and what is said in its place without a kernel."""
BESIDE_MIME = "application/vnd.workbench.beside+json"
"""The figures that stand beside a view of points, for a page without a kernel: ``outputs``, each a MIME bundle."""
MAX_AXES = 3
EXACT = 500_000  # numbers; more positions than that are packed as 16-bit steps, finer than a screen shows
PAGE_BYTES = (
    30_000_000  # what one view may take of a page; columns that don't fit stay out, and the view says so
)
SCALE_STOPS = 11
CLASSES = (*theme.CATEGORICAL, "#999933", "#CC6677", "#44AA99", "#AA4499")
"""Colours of classes: the eight of every figure, and four of Tol's muted ones for what has up to twelve (digits, months)."""
PARTS = (
    "data",
    "painter",
    "camera",
    "geometry",
    "query",
    "choice",
    "controls",
    "rows",
    "listing",
    "facets",
    "saving",
    "hand",
)


def asset(name: str) -> str:
    """The text of a file that ships with the package, such as ``points.css``."""
    return files("workbench.report").joinpath(name).read_text(encoding="utf-8")


def figure_script() -> str:
    """What draws a plotly figure, on a page and in JupyterLab."""
    return asset("menus.js") + asset("cards.js") + asset("figure.js")


@cache
def script() -> str:
    """The view of points as one module: a page can't import another without fetching it."""
    return "".join(asset(f"view/{part}.js") for part in PARTS) + asset("points.js")


def state(
    result: Embedding, note: str = "", n: int | None = None, code: dict[str, Any] | None = None
) -> dict[str, Any]:
    """Return what the view shows of an embedding: ``spec``, ``positions`` and ``frame``.

    Parameters
    ----------
    note : stands below the points.
    n : rows in all, those of the embedding first; its own without it.
    code : how the view and a selection of it are made in Python: ``subject`` (its name), ``arguments`` of
        ``widgets.explore`` behind it, the ``columns`` that `select` can ask about, and ``before``, which makes the subject.
    """
    placed = len(result.values)
    k = min(result.values.shape[1], MAX_AXES)
    frames, names = (
        (result.frames, result.frame_names) if isinstance(result, Layouts) else (result.values[None], ())
    )
    shown = next((t for t, y in enumerate(frames) if np.array_equal(y, result.values)), 0)
    spec = {
        "title": ". ".join(filter(None, [result.title, result.doubt])),
        "space": result.space,
        "n": placed if n is None else n,
        "placed": placed,
        "k": k,
        "frames": list(names),
        "note": note,
        "axes": list(result.axes[:k]) or [f"axis {j + 1}" for j in range(k)],
        "palette": list(CLASSES),
        "other": theme.OTHER,
        "scale": _stops(),
        "code": code,
    }
    positions = np.ascontiguousarray(frames[:, :, :k], dtype="<f4")
    return {"spec": spec, "frame": shown, "positions": {"dtype": "f4", "data": positions.tobytes()}}


def columns(
    ids: np.ndarray, table: pd.DataFrame, extra: dict[str, Any] | None = None
) -> list[dict[str, Any]]:
    """Return the row ids, the row table's columns and ``extra`` ones as blocks of bytes.

    A column of arrays is pictures: see `workbench.report.pictures`.
    """
    import pandas as pd

    same = len(table) == len(ids) and np.array_equal(table.index.to_numpy(), ids)
    rows = table if same or not len(table.columns) else table.loc[ids]
    out = [_column("row", pd.Series(ids))]
    out += [_column(str(name), rows.iloc[:, j]) for j, name in enumerate(rows.columns)]
    taken = {block["name"] for block in out}
    out += [_column(name, v) for name, v in (extra or {}).items() if name not in taken]
    return out


def _column(name: str, values: Any) -> dict[str, Any]:
    import pandas as pd

    if (drawn := pictures.block(name, values)) is not None:
        return drawn
    values = values if isinstance(values, pd.Series) else pd.Series(values)
    kind = values.dtype.kind
    low, high = (int(values.min()), int(values.max())) if kind in "iu" and len(values) else (0, 0)
    if kind in "iuf" and max(-low, high) <= LARGEST_EXACT:  # beyond it, ids are told apart as text
        numbers = values.to_numpy()
        small = kind in "iu" and low >= -(2**31) and high < 2**31
        dtype = "i4" if small else "f8" if kind in "iu" else "f4"
        return {"name": name, "dtype": dtype, "data": numbers.astype(f"<{dtype}").tobytes()}
    try:
        codes, distinct = pd.factorize(values)
    except TypeError:  # lists and the like can't be compared, but can be read
        codes, distinct = pd.factorize(values.map(str))
    spelled = [str(v) for v in distinct] + [""] * bool((codes < 0).any())  # what is missing is coded as -1
    place = {text: i for i, text in enumerate(dict.fromkeys(spelled))}
    codes = np.array([place[text] for text in spelled], dtype=np.int64)[codes]
    dtype = "u1" if len(place) <= 2**8 else "u2" if len(place) <= 2**16 else "u4"
    block = {"name": name, "dtype": dtype, "labels": list(place), "data": codes.astype(f"<{dtype}").tobytes()}
    # what queries compare labels as: a label of something else (a date) is only read
    kinds = set(map(type, distinct.tolist() if hasattr(distinct, "tolist") else distinct))
    block["type"] = "bool" if kinds <= {bool, np.bool_} and kinds else "text" if kinds <= {str} else ""
    return {**block, "missing": place[""]} if len(spelled) > len(distinct) else block


def picked(at: np.ndarray, n: int) -> bytes:
    """A selection, given as positions of rows, as one bit a row; empty where nothing is selected."""
    if not len(at):
        return b""
    chosen = np.zeros(n, dtype=bool)
    chosen[at] = True
    return np.packbits(chosen, bitorder="little").tobytes()


def unpicked(bits: bytes, n: int) -> np.ndarray:
    """Positions of the rows that `picked` says are selected."""
    if not bits:
        return np.empty(0, dtype=np.int64)
    return np.flatnonzero(np.unpackbits(np.frombuffer(bits, dtype=np.uint8), count=n, bitorder="little"))


def packed(shown: dict[str, Any], limit: int = PAGE_BYTES) -> dict[str, Any]:
    """Return a view's state as JSON for a page: blocks compressed, as base64, within ``limit`` bytes."""
    positions = _coarse(shown["positions"], shown["spec"])
    fixed = {**positions, "data": _pack(positions["data"])}
    blocks = [_packed_column(block) for block in shown["columns"]]
    sizes = [
        len(b["data"]) + len(b.get("labels", "")) + len(b.get("which", {}).get("data", "")) for b in blocks
    ]
    room, kept = (
        limit - len(fixed["data"]) - sizes[0],
        {0},
    )  # the rows' ids, by which views are linked, always
    for j in np.argsort(sizes, kind="stable").tolist():  # the small ones first, so that most of them fit
        if j and sizes[j] <= room:
            room -= sizes[j]
            kept.add(j)
    left = [b["name"] for j, b in enumerate(blocks) if j not in kept]
    note = f"Left out, since the page would grow by too much: {', '.join(left)}." if left else ""
    spec = {**shown["spec"], "note": " ".join(filter(None, [shown["spec"]["note"], note]))}
    return {
        "spec": spec,
        "frame": shown["frame"],
        "color": "" if shown["color"] in left else shown["color"],
        "look": shown.get("look", {}),
        "made": now(),
        "positions": fixed,
        "columns": [b for j, b in enumerate(blocks) if j in kept],
        "picked": _pack(shown["picked"]),
    }


def _packed_column(block: dict[str, Any]) -> dict[str, Any]:
    out = {**block, "data": _pack(block["data"])}
    if "labels" in block:
        out["labels"] = _pack(json.dumps(block["labels"]).encode())
    if "which" in block:
        out["which"] = {**block["which"], "data": _pack(block["which"]["data"])}
    return out


def _pack(data: bytes) -> str:
    return base64.b64encode(gzip.compress(data, 6, mtime=0)).decode()


def _coarse(positions: dict[str, Any], spec: dict[str, Any]) -> dict[str, Any]:
    """Positions in 16 bits where there are many."""
    values = np.frombuffer(positions["data"], dtype="<f4").reshape(-1, spec["k"])
    if values.size <= EXACT:
        return positions
    low, high = values.min(axis=0), values.max(axis=0)
    step = np.where(high > low, (high - low) / 65535, 1).astype(np.float64)
    return {
        "dtype": "u2",
        "low": low.tolist(),
        "step": step.tolist(),
        "data": np.round((values - low) / step).astype("<u2").tobytes(),
    }


def _stops() -> list[str]:
    from plotly.colors import sample_colorscale, unlabel_rgb

    colours = sample_colorscale(theme.SEQUENTIAL, np.linspace(0, 1, SCALE_STOPS).tolist())
    return ["#" + "".join(f"{round(v):02x}" for v in unlabel_rgb(c)) for c in colours]
