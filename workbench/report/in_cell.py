"""Buttons under an answer in a notebook's cell that save its figure, as a report's figures have them.

JupyterLab draws what a cell holds with a plotly of its own, whose one button saves a PNG.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from workbench.report.points import asset
from workbench.results.in_cell import screen

if TYPE_CHECKING:
    from workbench.results.plotted import Plotted


def show(result: Plotted) -> None:
    """Display an answer, and the buttons in an output of their own.

    Raises
    ------
    NotImplementedError
        Nobody looks on; IPython then shows the answer as if this weren't there.
    """
    if screen() is None:
        raise NotImplementedError
    from IPython.display import display

    result.show()
    cards, style = "", ""
    if result.has_cards:
        cards, style = asset("cards.js"), f"<style>{asset('figure.css')}</style>"
    line = f'{style}<div style="text-align: right"></div><script>(() => {{ {cards}\n{asset("in_cell.js")} }})();</script>'
    display({"text/html": line, "text/plain": ""}, raw=True)
