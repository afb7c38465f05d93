"""The page: an executed notebook as one HTML file that needs no kernel and no network.

Nothing in a notebook's outputs is trusted. Text is escaped, Markdown is rendered with raw HTML off, HTML
tables are cleaned, figures travel as JSON, and a content security policy lets the page run its own two
scripts and nothing else, and fetch nothing.
"""

from __future__ import annotations

import base64
import html
import re
from datetime import datetime
from typing import TYPE_CHECKING, Any

from workbench.calibrating.ledger import quoted
from workbench.core.lineage import code
from workbench.core.markup import breakable
from workbench.core.result import RESULT_MIME
from workbench.core.run import Run
from workbench.evidence import FINDINGS_MIME
from workbench.evidence.pictured import written
from workbench.evidence.strips import hatch, strip
from workbench.numerics.controls import ENOUGH
from workbench.report.findings import grouped, instead, leading, untitled
from workbench.report.inline import inert_json, plotly_script, policy
from workbench.report.markup import clean, inline, latex, markdown
from workbench.report.parameters import DECLARED, INJECTED, from_json, shown
from workbench.report.points import BESIDE_MIME, POINTS_MIME, STILL_MIME, asset, figure_script
from workbench.report.points import script as points_script
from workbench.report.widgets import WIDGET_VIEW, held, states
from workbench.results.plotted import PLOTLY_MIME

if TYPE_CHECKING:
    import nbformat

STEP_CHARACTERS = 160  # of one parameter of a step; a selection may have thousands of ids
# Kinds that an output is drawn by; a widget that has none of them is shown as what it holds.
DRAWN = {FINDINGS_MIME, POINTS_MIME, STILL_MIME, PLOTLY_MIME, "text/html", "text/markdown", "text/latex"}
COLLAPSED = "jp-MarkdownHeadingCollapsed"
"""What JupyterLab notes at a heading whose section is collapsed."""
_ANSI = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")


def render(executed: nbformat.NotebookNode, facts: dict[str, Any]) -> str:
    """Return the page as HTML.

    Parameters
    ----------
    executed : the notebook after its run.
    facts : what `manifest.describe` says of it.
    """
    from jinja2 import Environment, FunctionLoader, select_autoescape

    body = _Body(facts, states(executed))
    for cell in executed.cells:
        body.add(cell)
    body.close()
    claims = (facts.get("findings") or {}).get("claims", [])
    top = leading(claims, body.figures)
    picture = instead(body.figures) if facts.get("findings") and not top else None
    blocks = _without_figures_folded(body.blocks)
    script, style, points = (
        figure_script() + asset("page.js"),
        asset("page.css") + written("claims.css") + asset("figure.css"),
        "",
    )
    if body.has_points:  # a module can't be imported without being fetched, so its host is written under it
        points, style = points_script() + asset("host.js"), style + asset("points.css")
    plotly = plotly_script()
    templates = Environment(autoescape=select_autoescape(default=True), loader=FunctionLoader(_template))
    templates.filters["breakable"] = breakable
    return templates.get_template("page.html.j2").render(
        title=body.title,
        heading=inline(body.title),
        subtitle=body.subtitle,
        lead=body.lead,
        contents=body.contents,
        blocks=blocks,
        findings=facts.get("findings"),
        top=top,
        picture=picture,
        groups=grouped(claims, top, body.figures),
        strip=strip,
        hatch=hatch(),
        facts=facts,
        parameters={name: text for name, value in facts["parameters"].items() if (text := _said(value))},
        when=when(facts["started"]),
        computed=_computed(facts),
        questions=_questions(facts),
        floors=_floors(_questions(facts)),
        plotly=plotly,
        script=script,
        style=style,
        points=points,
        beside=_beside(facts),
        policy=policy(plotly, script, *([points] if points else [])),
    )


def _without_figures_folded(blocks: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The blocks, with each section folded whose figures all stand at the top: what is left of it is text about them."""
    made: list[dict[str, Any]] = []
    sections = _sections(blocks)
    end: list[dict[str, Any]] = [{}]
    for section, after in zip(sections, [*sections[1:], end], strict=True):
        level, title = section[0].get("heading") or (0, "")
        outputs = [o for b in section if b["kind"] == "code" for o in b["outputs"]]
        has_others = (after[0].get("heading") or (0,))[0] > level
        if level and not has_others and outputs and all(o.get("moved") for o in outputs):
            section = [{"kind": "fold", "html": inline(title)}, *section, {"kind": "unfold"}]
        made += section
    return made


def _sections(blocks: list[dict[str, Any]]) -> list[list[dict[str, Any]]]:
    """Blocks from one heading to the next; what is folded already, and a heading with others under it, stand alone."""
    sections: list[list[dict[str, Any]]] = [[]]
    folded = False
    for block in blocks:
        folded = folded or block["kind"] == "fold"
        if folded or block.get("heading"):
            sections.append([])
        sections[-1].append(block)
        if block["kind"] == "unfold":
            folded = False
            sections.append([])
    return [s for s in sections if s]


def _template(name: str) -> str:
    return written(name) if name == "claims.html.j2" else asset(name)


class _Body:
    """Collects the page's blocks in the notebook's order.

    What stands before the first section is the ``lead``. A cell that is tagged ``title`` displays Markdown: its heading
    becomes the page's title, the rest what stands under it. What a cell's tags remove (``remove-cell``,
    ``remove-input``, ``remove-output``, ``remove-stdout``, ``remove-stderr``) is nowhere in the page; what they hide
    (``hide-cell``, ``hide-output``) is folded, as all code is, and so is a section whose heading is collapsed in JupyterLab.
    The code of cells that show nothing stands with that of the next one that does.

    Parameters
    ----------
    models : the states of the notebook's widgets.
    """

    def __init__(self, facts: dict[str, Any], models: dict[str, Any] | None = None):
        self._models = models or {}
        self.title = facts["notebook"].removesuffix(".ipynb")
        self.subtitle = ""
        self.lead: list[str] = []
        self.contents: list[tuple[int, str, str]] = []
        self.blocks: list[dict[str, Any]] = []
        self.figures: list[dict[str, Any]] = []  # with the keys and methods of the runs that each draws
        self._outputs = 0
        self._unshown: list[str] = []  # code of cells that showed nothing
        self._folded = 0  # level of the heading that a fold was begun by
        self._drawn: dict[str, str] = {}  # which figure an answer was drawn in first
        self.has_points = False
        self._files = {r["run"]["key"]: r.get("files") for r in facts["results"]}
        questions = (facts.get("findings") or {}).get("questions", [])
        self._q = {(q["key"], q["id"], q["of"]): q for q in questions}
        self._first_heading = True

    def add(self, cell: Any) -> None:
        tags = {tag.replace("_", "-") for tag in cell.metadata.get("tags", [])}
        if "remove-cell" in tags or {DECLARED, INJECTED} & tags:
            return
        if cell.cell_type == "markdown":
            self._fold(cell)
            self._markdown(cell.source, folded="hide-cell" in tags)
        elif cell.cell_type == "code":
            self._code(cell, tags)

    def _code(self, cell: Any, tags: set[str]) -> None:
        shown = [] if "remove-output" in tags else cell.outputs
        shown = [
            o for o in shown if f"remove-{o.get('name')}" not in tags
        ]  # a stream has one: stdout or stderr
        if "title" in tags:
            self._entitle(shown)
            shown = []
        held = [inner for o in _settled(shown) for inner in self._held(o)]
        outputs = [b for o in held if (b := self._output(o)) is not None]
        if outputs and all(b["kind"] == "pointer" for b in outputs):  # what it says stands at the top
            outputs = []
            self._drop_heading()
        if "remove-input" not in tags and cell.source.strip():
            self._unshown.append(cell.source)
        if outputs:
            self._show(outputs, folded=bool({"hide-cell", "hide-output"} & tags))

    def _show(self, outputs: list[dict[str, Any]], *, folded: bool = False) -> None:
        source = "\n\n".join(self._unshown)
        self._unshown.clear()
        if outputs or source:
            self.blocks.append({"kind": "code", "source": source, "outputs": outputs, "folded": folded})

    def close(self) -> None:
        """Show what code is left, and end what is folded."""
        self._show([])
        self._unfold()

    def _fold(self, cell: Any) -> None:
        """End a fold at a heading that isn't under its own, and begin one at a heading that is collapsed."""
        first = cell.source.lstrip().split("\n")[0]
        level = len(first) - len(first.lstrip("#"))
        if not level:
            return
        if level <= self._folded:
            self._unfold()
        if cell.metadata.get(COLLAPSED) and not self._folded:
            self.blocks.append({"kind": "fold", "html": inline(first.lstrip("# "))})
            self._folded = level

    def _unfold(self) -> None:
        if self._folded:
            self.blocks.append({"kind": "unfold"})
        self._folded = 0

    def _held(self, output: Any) -> list[Any]:
        """What a widget holds, where it isn't drawn otherwise; any other output itself."""
        data = output.get("data", {})
        return (
            [output]
            if WIDGET_VIEW not in data or DRAWN & set(data)
            else held(output, self._models) or [output]
        )

    def _markdown(self, source: str, *, folded: bool) -> None:
        lines = source.split("\n")
        if self._first_heading and lines and lines[0].startswith("# "):
            self.title = lines[0][2:].strip()
            self._first_heading = False
            source = "\n".join(lines[1:])
        text, headings = markdown(source, start=len(self.contents))
        self.contents += headings
        if not self.contents and not self.blocks and not folded and not self._folded:
            self.lead.append(text)
        else:
            self.blocks.append(
                {
                    "kind": "markdown",
                    "html": text,
                    "heading": _heading(source),
                    "bare": _is_heading(source),
                    "folded": folded,
                }
            )

    def _entitle(self, outputs: list[Any]) -> None:
        for output in outputs:
            heading, _, rest = _text(output.get("data", {}).get("text/markdown", "")).partition("\n")
            if heading.startswith("# "):
                self.title, self._first_heading = heading[2:].strip(), False
                self.subtitle = markdown(rest, start=10_000)[0]

    def _drop_heading(self) -> None:
        if self.blocks and self.blocks[-1].get("bare"):
            self.blocks.pop()
            self.contents.pop()

    def _output(self, output: Any) -> dict[str, Any] | None:
        if output.output_type == "stream":
            return (
                None
                if not output.text.strip()
                else {"kind": "text", "text": _ANSI.sub("", output.text), "stderr": output.name == "stderr"}
            )
        if output.output_type == "error":
            # only where the author expects it: a cell that is not tagged so ends the report
            return {"kind": "text", "text": f"{output.ename}: {output.evalue}", "stderr": False}
        data = output.data
        if FINDINGS_MIME in data:
            return {"kind": "pointer"}
        if POINTS_MIME in data:
            self.has_points = True
            return self._figure("points", data, {"json": inert_json(data[POINTS_MIME])})
        if PLOTLY_MIME in data:
            title, doubt, figure = untitled(data[PLOTLY_MIME])
            drawn = {"title": title, "doubt": doubt, "drawn": figure, "json": inert_json(figure)}
            return self._figure("figure", data, {**drawn, "alt": _text(data.get("text/plain", ""))})
        if "text/html" in data:
            found = self._result(data.get(RESULT_MIME))
            return {"kind": "html", "html": clean(_text(data["text/html"])), "result": found}
        if "text/markdown" in data:
            self._outputs += 1
            text = markdown(_text(data["text/markdown"]), start=10_000 * self._outputs)[0]
            return {"kind": "prose", "html": text}
        if "text/latex" in data:
            return {"kind": "prose", "html": latex(_text(data["text/latex"]))}
        for mime in ("image/png", "image/jpeg"):
            if mime in data:
                return {
                    "kind": "image",
                    "mime": mime,
                    "data": re.sub(r"[^A-Za-z0-9+/=]", "", _text(data[mime])),
                }
        if "image/svg+xml" in data:  # as a picture: a script in it does not run there
            packed = base64.b64encode(_text(data["image/svg+xml"]).encode()).decode()
            return {"kind": "image", "mime": "image/svg+xml", "data": packed}
        if "text/plain" in data:
            return {"kind": "text", "text": _text(data["text/plain"]), "stderr": False}
        return None

    def _figure(self, kind: str, data: Any, drawn: dict[str, Any]) -> dict[str, Any]:
        """A figure of the page, and which runs' answers it draws."""
        id = f"figure-{len(self.figures) + 1}"
        result = data.get(RESULT_MIME)
        run = (result or {}).get("run")
        runs = _behind(Run.from_json(run)) if run else []
        behind = {"keys": {r.key for r in runs}, "methods": {r.method for r in runs}}
        self.figures.append({"kind": kind, "id": id, **drawn, **behind, "result": self._result(result, id)})
        return self.figures[-1]

    def _result(self, result: dict[str, Any] | None, figure: str = "") -> dict[str, Any] | None:
        if not result:
            return None
        key = (result.get("run") or {}).get("key", "")
        first = self._drawn.setdefault(key, figure) if key and figure else figure
        asked = [self._q.get((key, e["id"], e["of"])) for e in result["evidence"]]
        asked = [a for a in asked if a is not None]
        return {
            **result,
            "files": self._files.get(key),
            "asked": asked,
            "above": first if first != figure else "",
            "calibrated": _calibrated(result),
            **_computed_how(result.get("run")),
        }


def _calibrated(result: dict[str, Any]) -> list[dict[str, str]]:
    """What the ledger says of the questions of a result that were tested, each once."""
    method = (result.get("run") or {}).get("method", "")
    tested = {e["id"]: bool(e.get("groups")) for e in result["evidence"] if e.get("null_values")}
    said = {id: quoted(method, id, grouped=grouped) for id, grouped in tested.items()}
    return [{"id": id, "said": s} for id, s in said.items() if s]


def _settled(outputs: list[Any]) -> list[Any]:
    """A cell's outputs with one of each widget of ours: its figure, or what it says where it has none, and what is beside it."""
    from nbformat.v4 import new_output

    kept: list[Any] = []
    drawn = False
    for output in outputs:
        data = output.get("data", {})
        if STILL_MIME in data:
            live = "text/html" not in data
            drawn = bool({POINTS_MIME, PLOTLY_MIME} & set(data)) if live else drawn
            if live == drawn:
                kept.append(output)
            kept += [
                new_output("display_data", each) for each in data.get(BESIDE_MIME, {}).get("outputs", ())
            ]
        else:
            kept.append(output)
    return kept


def _computed_how(said: dict[str, Any] | None) -> dict[str, Any]:
    """How an answer came to be: the steps that led to it, the Python that makes it again, or what several runs share."""
    if not said:
        return {}
    run = Run.from_json(said)
    how = {"steps": [_step(link) for link in run.chain()][:-1], "code": code(run)}
    if run.verb == "analysis":
        return how
    asked = [{**r.to_json(), "subject": r.subject} for r in _behind(run)]
    return {**how, "run": None, "together": _together(asked)}


def _behind(run: Run) -> list[Run]:
    """The runs whose answers a result draws: its own, or those that it was put together from, untrained networks' too."""
    if run.verb != "arms":
        return list(run.asked())
    return [r for given in run.inputs if given.run is not None for r in _behind(given.run)]


def _step(link: Run) -> dict[str, Any]:
    """One step of a lineage for the page: what was done, with what."""
    values = {n: link.parameters[n] for n in link.chosen if n in link.parameters}
    shown = [repr(v) for v in values.pop("*", ())] + [f"{k}={v!r}" for k, v in values.items()]
    cut = [s if len(s) <= STEP_CHARACTERS else f"{s[:STEP_CHARACTERS]}…" for s in shown]
    return {"method": link.method, "of": link.subject, "parameters": cut, "version": link.version}


def _together(runs: list[dict[str, Any]]) -> dict[str, Any]:
    """What the runs behind one figure have in common, and which parameters differ."""
    parameters = [r["parameters"] for r in runs]
    names = dict.fromkeys(n for each in parameters for n in each)
    differing = [n for n in names if any(each.get(n) != parameters[0].get(n) for each in parameters)]
    return {
        "runs": runs,
        "differing": differing,
        "parameters": {n: parameters[0][n] for n in names if n not in differing},
        "methods": list(dict.fromkeys(f"{r['method']} (version {r['version']})" for r in runs)),
        "devices": list(dict.fromkeys(r["device"] for r in runs)),
    }


def _heading(source: str) -> tuple[int, str] | None:
    """The level and the words of the heading that a text begins with."""
    first = source.lstrip().split("\n")[0]
    words = first.lstrip("#")
    return (len(first) - len(words), words.strip()) if words.startswith(" ") and words != first else None


def _is_heading(source: str) -> bool:
    lines = [line for line in source.split("\n") if line.strip()]
    return len(lines) == 1 and lines[0].startswith("#")


def when(iso: str) -> str:
    """A time in ISO 8601 as people write it."""
    try:
        at = datetime.fromisoformat(iso)
    except ValueError:
        return iso
    return f"{at.day} {at:%B %Y, %H:%M} {at.tzname() or ''}".strip()


def _beside(facts: dict[str, Any]) -> list[str]:
    """Names of what lies beside a page: files, and the folder that holds the results."""
    folders = {f"{name.split('/')[0]}/" for name in facts.get("files", {}) if "/" in name}
    return [*(name for name in facts.get("files", {}) if "/" not in name), "manifest.json", *sorted(folders)]


def _said(parameter: Any) -> str:
    """A parameter as the page shows it; nothing where nothing was given, as where ``inputs`` are none."""
    value = from_json(parameter)
    return "" if value in ("", (), []) else shown(value)


def _computed(facts: dict[str, Any]) -> str:
    """How long it took, and how much of what is shown came from the cache."""
    results = facts.get("results", [])
    kept = [r["run"]["started"] for r in results if r["run"]["started"] < facts["started"]]
    took = f"took {facts['seconds']:.0f} s"
    if not kept:
        return f"{took}, computed anew"
    many = f"all {len(results)}" if len(kept) == len(results) else f"{len(kept)} of {len(results)}"
    return f"{took}: {many} results shown are from the cache, computed on {when(min(kept))} or later"


def _floors(questions: list[dict[str, Any]]) -> list[tuple[int, float]]:
    """Numbers of draws, and the least p that each allows; not of draws that stopped early, since p was large."""
    tested = [q for q in questions if q["p"] is not None]
    draws = {q["draws"] for q in tested if q["p"] * (q["draws"] + 1) - 1 < ENOUGH}
    return [(n, 1 / (n + 1)) for n in sorted(draws)]


def _questions(facts: dict[str, Any]) -> list[dict[str, Any]]:
    """Every question, corrected where there are findings; those of shown results that they don't count last."""
    counted = (facts.get("findings") or {}).get("questions", [])
    known = {(q["key"], q["id"], q["of"]) for q in counted}
    rest = [
        {**e, "title": r["title"], "draws": len(e["null_values"]), "p": None, "q": None, "found": False}
        for r in facts.get("results", [])
        for e in r["evidence"]
        if (r["run"]["key"], e["id"], e["of"]) not in known
    ]
    return counted + rest


def _text(value: str | list[str]) -> str:
    return value if isinstance(value, str) else "".join(value)


def escape(text: Any) -> str:
    """Escape text for HTML."""
    return html.escape(str(text))
