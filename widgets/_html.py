"""The little HTML that widgets show: every text from outside is escaped."""

from __future__ import annotations

import html
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import ipywidgets

if TYPE_CHECKING:
    from workbench.core.results import Result

CELL_CHARACTERS = 120
# plotly writes its colours into its figures; in a dark JupyterLab they would be dark on dark
STYLE = """<style>
[data-jp-theme-light="false"] .js-plotly-plot text:not(.bartext) { fill: var(--jp-ui-font-color1) !important; }
.js-plotly-plot .modebar-group { background: transparent !important; }
.widget-html-content th, .widget-html-content td { text-align: left; padding: 2px 8px 2px 0; }
.js-plotly-plot .hoverlayer text { fill: inherit !important; }
</style>"""


def text(value: Any, limit: int = 0) -> str:
    """Escape a text, cut at ``limit`` characters if that is given."""
    said = "".join(c if c.isprintable() or c == "\n" else " " for c in str(value))
    return html.escape(said[: limit - 1] + "…" if limit and len(said) > limit else said)


def table(header: Iterable[Any], rows: Iterable[Iterable[Any]]) -> str:
    """Return a table; cells are escaped and cut."""
    head = "".join(f'<th scope="col">{text(h)}</th>' for h in header)
    body = "".join(
        "<tr>" + "".join(f"<td>{text(c, CELL_CHARACTERS)}</td>" for c in row) + "</tr>" for row in rows
    )
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def answer(result: Result) -> str:
    """Return a result's title and its evidence, question by question."""
    asked = [f"<li><b>{text(e.question)}</b><br>{text(e.sentence())}</li>" for e in result.evidence]
    told = [f"<p>{text(s)}</p>" for s in (result.outcome.advice, result.caveat) if s]
    return f"<p><b>{text(result.title)}</b></p><ul>{''.join(asked)}</ul>{''.join(told)}"


def status(said: str, *, wrong: bool = False) -> str:
    """Return a line that a screen reader says when it changes; ``said`` is HTML already."""
    colour = ' style="color:var(--jp-error-color1,#b3261e)"' if wrong else ""
    return f'<div role="{"alert" if wrong else "status"}"{colour}>{said}</div>' if said else ""


def style() -> ipywidgets.HTML:
    """What makes figures readable in every theme; it shows nothing itself."""
    return ipywidgets.HTML(STYLE, layout={"display": "none"})


class Static(ipywidgets.VBox):
    """A box that also says something where no kernel runs."""

    def static_html(self) -> str:
        """What an exported page shows."""
        raise NotImplementedError

    def static_result(self) -> Result | None:
        """The answer whose figure an exported page shows, if there is one."""
        return None

    def _repr_mimebundle_(self, **kwargs: Any) -> dict[str, Any]:
        bundle = super()._repr_mimebundle_(**kwargs) or {}
        result = self.static_result()
        bundle["text/plain"] = f"{type(self).__name__}, live where a kernel runs"
        return {**bundle, **(result._repr_mimebundle_() if result else {}), "text/html": self.static_html()}
