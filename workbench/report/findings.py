"""The findings of a page: which claims stand at the top, each with its figure, and how the others are listed."""

from __future__ import annotations

import copy
import html
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

from workbench.evidence.claims import ORDER
from workbench.evidence.pictured import by_verdict
from workbench.results.plotted import MENU

TOP = 3  # claims that stand at the top
AXES, COLUMN = 220, 300  # pixels that the axes of a figure take that stands in a column
SCENE = 300  # and of three axes, with their titles
FROM_AFAR = {
    "eye": {"x": 2.2, "y": 2.2, "z": 1.6},
    "center": {"x": 0, "y": 0, "z": -0.1},
}  # cuts none of these titles
CHARACTER = 8  # pixels of an axis' title
LEGEND_LINE, EDGE = 26, 20  # pixels, as `workbench.results.plotted` has them
TITLE, TITLE_LINE, SUBTITLE_LINE = 64, 22, 17


def leading(claims: Sequence[Mapping[str, Any]], figures: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The claims that stand at the top, each with the figure that shows it, which is drawn there and not in its place.

    Those that hold, the first of a figure; where none does, those that are nearest to it.
    """
    holding = [c for c in claims if c["verdict"] == ORDER[0]]
    top: list[dict[str, Any]] = []
    taken: set[str] = set()
    for claim in holding or [c for c in claims if c["bands"]]:
        figure = _figure_of(claim, figures)
        if len(top) < TOP and figure is not None and figure["id"] not in taken:
            taken.add(figure["id"])
            top.append({**claim, "figure": figure["id"], "anchor": f"finding-{len(top) + 1}"})
    for claim in top:
        figure = next(f for f in figures if f["id"] == claim["figure"])
        if figure["kind"] == "figure":
            claim["output"] = dict(figure, drawn=None, title="", json=_narrow(figure["drawn"]))
            figure["moved"] = claim
    return top


def instead(figures: Sequence[dict[str, Any]]) -> dict[str, Any] | None:
    """The first figure, which stands at the top where no claim does: a page begins with a picture. None without any."""
    if not figures:
        return None
    output = dict(figures[0])
    figures[0]["moved"] = {"claim": output.get("title") or "the picture", "anchor": "picture"}
    return output


def grouped(
    claims: Sequence[Mapping[str, Any]], top: Sequence[Mapping[str, Any]], figures: Sequence[dict[str, Any]]
) -> list[dict[str, Any]]:
    """The other claims by verdict, each linked to its figure."""
    shown = {(c["claim"], c["id"], c["of"]) for c in top}
    rest = [c for c in claims if (c["claim"], c["id"], c["of"]) not in shown]
    linked = [{**claim, "figure": (_figure_of(claim, figures) or {}).get("id", "")} for claim in rest]
    return by_verdict(linked)


def _figure_of(claim: Mapping[str, Any], figures: Sequence[dict[str, Any]]) -> dict[str, Any] | None:
    """The figure that draws the most of a claim's answers; where none does, the first of the same method."""
    keys = set(claim["keys"])
    drawn = [f for f in figures if f["keys"] & keys]
    if drawn:
        return max(drawn, key=lambda f: len(f["keys"] & keys))
    return next((f for f in figures if claim["method"] in f["methods"]), None)


def untitled(figure: Mapping[str, Any]) -> tuple[str, str, dict[str, Any]]:
    """A figure without its title, which the page writes over it, where it breaks as the page is wide.

    Returns
    -------
    tuple
        The title, what it says of a control that it doesn't beat, and the figure, lower by what they took.
    """
    made = {**figure, "layout": copy.deepcopy(dict(figure.get("layout", {})))}
    layout = made["layout"]
    title = layout.get("title") or {}
    lines = _lines(title.get("text")) if isinstance(title, Mapping) else []
    top = (layout.get("margin") or {}).get("t")
    if not lines or top is None or not layout.get("height"):
        return "", "", made
    doubt = (layout.get("meta") or {}).get("doubt", "") if isinstance(layout.get("meta"), Mapping) else ""
    said = _lines((title.get("subtitle") or {}).get("text"))
    taken = TITLE - EDGE + SUBTITLE_LINE * len(said) + TITLE_LINE * (len(lines) - 1)
    layout.pop("title")
    layout["margin"]["t"] = max(EDGE, top - taken)
    room = top - layout["margin"]["t"]
    layout["height"] -= room
    if isinstance(layout.get("meta"), dict):
        layout["meta"]["written"] = {"title": title, "room": room}  # a saved picture has it again
    return html.unescape(" ".join(lines)).removesuffix(doubt).strip(), doubt, made


def _broken(text: Any, width: int) -> str:
    """A title of an axis in lines that are no longer than the axis."""
    lines = textwrap.wrap(html.unescape(" ".join(_lines(text))), width)
    return "<br>".join(html.escape(line, quote=False) for line in lines)


def _lines(text: Any) -> list[str]:
    return [line for line in str(text or "").split("<br>") if line]


def _is_named(trace: Mapping[str, Any]) -> bool:
    return bool(trace.get("name")) and trace.get("showlegend") is not False


def _narrow(figure: Mapping[str, Any]) -> str:
    """The figure as it stands in a column of the findings: lower, with room for its legend's names one above the other."""
    from workbench.report.inline import inert_json

    layout = copy.deepcopy(figure["layout"])
    margin = layout.setdefault("margin", {})
    if not layout.get("height"):
        return inert_json(figure)
    flat = (layout.get("legend") or {}).get("orientation") == "h" and any(map(_is_named, figure["data"]))
    axes = layout["height"] - margin.get("t", 80) - margin.get("b", 80)
    # the page puts menus above a figure, and takes the room from it that plotly's own have
    margin["t"] = EDGE + (2 * LEGEND_LINE if flat else 0) + (MENU if layout.get("updatemenus") else 0)
    margin |= {"l": 48, "r": 8}
    if scenes := [name for name in layout if name.startswith("scene")]:
        margin |= {"t": margin["t"] - EDGE, "b": 0, "l": 4, "r": 4}
        layout["height"] = margin["t"] + SCENE
        for name in scenes:
            layout[name].setdefault("camera", FROM_AFAR)
        return inert_json({**figure, "layout": layout})
    # panels one above the other have the height of a panel each
    panels = {tuple(axis.get("domain") or ()) for name, axis in layout.items() if name.startswith("yaxis")}
    layout["height"] = margin["t"] + min(axes, AXES * max(1, len(panels))) + margin.get("b", 80)
    layout["font"] = {**layout.get("font", {}), "size": 12}
    for name, axis in layout.items():
        if name[1:5] == "axis" and isinstance(axis.get("title"), Mapping):
            room = COLUMN if name[0] == "x" else AXES
            axis["title"] = {**axis["title"], "text": _broken(axis["title"].get("text"), room // CHARACTER)}
    return inert_json({**figure, "layout": layout})
