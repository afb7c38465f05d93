"""One answer alone as a page: what a report's figure is, under the same policy."""

from __future__ import annotations

import html
from typing import TYPE_CHECKING

from workbench.report.inline import inert_json, plotly_script, policy
from workbench.report.markup import clean
from workbench.report.points import asset, figure_script
from workbench.results.plotted import PLOTLY_MIME

if TYPE_CHECKING:
    from workbench.core.result import Result

DRAW = """
{
  const { PAPER, PRINTED, draw, refit, fail, tools } = figuresBy(Plotly);
  const plot = document.getElementById("figure"), figure = JSON.parse(document.getElementById("figure-data").textContent);
  const style = getComputedStyle(document.documentElement);
  const inks = () => Object.fromEntries(["ink", "soft", "paper"].map((name) => [name, style.getPropertyValue(`--${name}`).trim()]));
  const show = () => draw(plot, figure, inks()).catch((error) => fail(plot, error, show));
  let printing = false;
  plot.after(tools(() => (plot.data ? plot : figure)));
  show();
  new ResizeObserver(() => { if (!printing) refit(plot, inks()); }).observe(plot);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => refit(plot, inks()));
  addEventListener("beforeprint", () => { printing = true; refit(plot, PAPER, PRINTED); });
  addEventListener("afterprint", () => { printing = false; refit(plot, inks()); });
}
"""


def page_of(result: Result) -> str:
    """Return an answer as one HTML file that loads nothing and sends nothing."""
    drawn = result.drawn()
    title = html.escape(result.title)
    if PLOTLY_MIME not in drawn:
        return _page(title, policy(), f"<h1>{title}</h1>{clean(drawn['text/html'])}")
    plotly, script = plotly_script(), figure_script() + DRAW
    data = f'<script type="application/json" id="figure-data">{inert_json(drawn[PLOTLY_MIME])}</script>'
    body = (
        f'<div id="figure" class="plot"></div>\n{data}\n<script>{plotly}</script>\n<script>{script}</script>'
    )
    return _page(title, policy(plotly, script), body)


def _page(title: str, allowed: str, body: str) -> str:
    return (
        f'<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{html.escape(allowed)}">\n'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">\n<style>{asset("page.css") + asset("figure.css")}</style>\n'
        f"<title>{title}</title>\n</head>\n<body>\n{body}\n</body>\n</html>\n"
    )
