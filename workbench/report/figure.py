"""One answer alone as a page: what a report's figure is, under the same policy."""

from __future__ import annotations

import html
from typing import TYPE_CHECKING

from workbench.report.inline import inert_json, plotly_script, policy
from workbench.report.markup import clean
from workbench.results.plotted import PLOTLY_MIME

if TYPE_CHECKING:
    from workbench.core.result import Result

# As in page.js: nothing that leaves the page.
DRAW = """"use strict";
const { data, layout } = JSON.parse(document.getElementById("figure-data").textContent);
Plotly.newPlot("figure", data, layout, { responsive: true, displaylogo: false, showSendToCloud: false, plotlyServerURL: "" });
"""


def page_of(result: Result) -> str:
    """Return an answer as one HTML file that loads nothing and sends nothing."""
    drawn = result.drawn()
    title = html.escape(result.title)
    if PLOTLY_MIME not in drawn:
        return _page(title, policy(), f"<h1>{title}</h1>{clean(drawn['text/html'])}")
    plotly = plotly_script()
    data = f'<script type="application/json" id="figure-data">{inert_json(drawn[PLOTLY_MIME])}</script>'
    body = f'<div id="figure"></div>\n{data}\n<script>{plotly}</script>\n<script>{DRAW}</script>'
    return _page(title, policy(plotly, DRAW), body)


def _page(title: str, allowed: str, body: str) -> str:
    return (
        f'<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{html.escape(allowed)}">\n'
        f"<title>{title}</title>\n</head>\n<body>\n{body}\n</body>\n</html>\n"
    )
