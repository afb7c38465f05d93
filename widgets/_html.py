"""The little HTML that widgets show: every text from outside is escaped."""

from __future__ import annotations

import html
from collections.abc import Iterable
from importlib.resources import files
from typing import TYPE_CHECKING, Any

import anywidget
import ipywidgets
import traitlets

from workbench.report.points import STILL_MIME

if TYPE_CHECKING:
    from workbench.core.result import Result

CELL_CHARACTERS = 120
# plotly writes its colours into its figures; in a dark JupyterLab those of a cell would be dark on dark. Ours have the theme's.
STYLE = """
[data-jp-theme-light="false"] .js-plotly-plot:not(.wbf-plot) text:not(.bartext) { fill: var(--jp-ui-font-color1) !important; }
.js-plotly-plot:not(.wbf-plot) .modebar-group { background: transparent !important; }
.js-plotly-plot:not(.wbf-plot) .hoverlayer text { fill: inherit !important; }
.widget-html-content th, .widget-html-content td { text-align: left; padding: 2px 8px 2px 0; }
.jupyter-widgets :focus-visible, .jupyter-widgets:focus-visible {
  outline: 2px solid var(--jp-brand-color1, #1976d2) !important; outline-offset: 1px;
}
.wbn-notice { margin: 4px 0; padding: 4px 12px; border-left: 4px solid var(--jp-warn-color1, #b26a00);
  background: var(--jp-layout-color2, #f5f6f8); color: var(--jp-ui-font-color1, #23272f); }
.wbn-notice[hidden] { display: none; }
"""
ENDED = "This was live. Its kernel has ended: run the notebook again to have it back."
ERROR = ".jp-OutputArea-output.jupyter-widgets"  # as JupyterLab marks an output whose widget is gone
EXPORTED = ":is(body.jp-Notebook, .output_subarea)"  # nbconvert's pages, in its two styles
STILL_STYLE = f"""<style>
.workbench-still, .jp-OutputArea:not(:has({ERROR})) > .jp-OutputArea-child:has(> * > .workbench-still) {{ display: none; }}
.jp-OutputArea:has({ERROR}) .workbench-still, {EXPORTED} .workbench-still {{ display: block; }}
body.jp-Notebook .jp-OutputArea > .jp-OutputArea-child:has(> * > .workbench-still) {{ display: flex; }}
.jp-OutputArea:has({ERROR}) .workbench-still::before {{ content: "{ENDED}"; font-style: italic; }}
.jp-OutputArea:has(.workbench-still) {ERROR} {{ display: none; }}
div.workbench-still th, div.workbench-still td {{ text-align: left; }}
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
    aligned = result.run.aligned if result.run else ""
    rows = f"<p>Rows were brought together {text(aligned)}.</p>" if aligned else ""
    return f"<p><b>{text(result.title)}</b></p>{rows}<ul>{''.join(asked)}</ul>{''.join(told)}"


def status(said: str, *, wrong: bool = False) -> str:
    """Return a line that a screen reader says when it changes; ``said`` is HTML already."""
    colour = ' style="color:var(--jp-error-color1,#b3261e)"' if wrong else ""
    return f'<div role="{"alert" if wrong else "status"}"{colour}>{said}</div>' if said else ""


class Notice(anywidget.AnyWidget):
    """What makes figures readable in every theme; shows nothing but that the kernel is gone, and then what to do."""

    _esm = files("widgets").joinpath("notice.js").read_text(encoding="utf-8")
    _css = STYLE
    beacon = traitlets.Unicode().tag(sync=True)
    """Id of a model of which the page knows whether its kernel still has it."""

    def __init__(self) -> None:
        self._beacon = ipywidgets.Widget()
        super().__init__(beacon=self._beacon.model_id)


class Static(ipywidgets.VBox):
    """A box that also says something where no kernel runs.

    JupyterLab shows a widget of an ended kernel as an error, whatever else its output holds. So what is said then is an
    output of its own, in sight only beside such an error.
    """

    def __repr__(self) -> str:
        held = getattr(self, "subjects", None) or [getattr(self, "subject", None)]
        of = " and ".join(thing.name for thing in held if hasattr(thing, "name"))
        return f"<{type(self).__name__}{f' of {of}' if of else ''}, live where a kernel runs>"

    def static_html(self) -> str:
        """What an exported page shows."""
        raise NotImplementedError

    def static_result(self) -> Result | None:
        """The answer whose figure an exported page shows, if there is one."""
        return None

    def restate(self) -> None:
        """Say anew, in every output, what stays when the kernel ends."""
        for output in getattr(self, "_outputs", ()):
            output.update(self._still(), raw=True)

    def _repr_mimebundle_(self, **kwargs: Any) -> dict[str, Any]:
        bundle = super()._repr_mimebundle_(**kwargs) or {}
        result = self.static_result()
        bundle["text/plain"] = f"{type(self).__name__}, live where a kernel runs"
        return {**bundle, **(result._repr_mimebundle_() if result else {}), "text/html": self.static_html()}

    def _ipython_display_(self, **kwargs: Any) -> None:
        from IPython.display import display

        live = {k: v for k, v in self._repr_mimebundle_(**kwargs).items() if k != "text/html"}
        display({**live, STILL_MIME: {}}, raw=True)
        output = display(self._still(), raw=True, display_id=True)
        if output is not None:
            self._outputs = [*getattr(self, "_outputs", ()), output]

    def _still(self) -> dict[str, Any]:
        said = f'{STILL_STYLE}<div class="workbench-still">{self.static_html()}</div>'
        return {"text/html": said, "text/plain": "", STILL_MIME: {}}
