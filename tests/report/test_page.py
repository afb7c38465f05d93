"""What of a cell stands in a page: as its tags say, formulas drawn, nothing that acts or sends."""

from __future__ import annotations

import html
import json
import re
from typing import Any

import numpy as np
import pandas as pd
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_output

from workbench.core.result import RESULT_MIME
from workbench.report.figure import page_of
from workbench.report.inline import policy
from workbench.report.markup import formula, inline, latex, markdown
from workbench.report.page import COLLAPSED, _Body, _calibrated, _said
from workbench.report.points import columns, packed, picked, state
from workbench.results.embedding import Embedding
from workbench.results.theme import SYMBOLS_3D

FACTS: dict[str, Any] = {"notebook": "n.ipynb", "results": [], "findings": None}
FAR = 2**53 + 1 + np.arange(40)


def body(*cells: Any) -> _Body:
    made = _Body(FACTS)
    for cell in cells:
        made.add(cell)
    made.close()
    return made


def tagged(*tags: str) -> Any:
    outputs = [new_output("stream", text="printed"), new_output("stream", name="stderr", text="warned")]
    return new_code_cell("SECRET = 1", outputs=outputs, metadata={"tags": list(tags)})


@pytest.mark.parametrize(
    ("tag", "there", "gone"),
    [
        ("remove-cell", "", "SECRET printed warned"),
        ("remove_cell", "", "SECRET printed warned"),
        ("remove-input", "printed warned", "SECRET"),
        ("remove_input", "printed warned", "SECRET"),
        ("remove-output", "SECRET", "printed warned"),
        ("remove-stdout", "SECRET warned", "printed"),
        ("remove-stderr", "SECRET printed", "warned"),
        ("hide-input", "SECRET printed warned", ""),
        ("hide-output", "SECRET printed warned", ""),
        ("anything", "SECRET printed warned", ""),
    ],
)
def test_what_tags_remove_is_nowhere_in_the_page(tag: str, there: str, gone: str) -> None:
    text = json.dumps(body(new_code_cell("first"), tagged(tag)).blocks)
    assert all(word in text for word in there.split())
    assert not any(word in text for word in gone.split())


@pytest.mark.parametrize(
    ("given", "shown"),
    [("", ""), ({"tuple": []}, ""), (0, "0"), (False, "False"), ({"tuple": ["a"]}, "('a',)"), ("x", "x")],
    ids=str,
)
def test_a_parameter_that_is_nothing_stands_in_no_page(given: Any, shown: str) -> None:
    assert _said(given) == shown


def test_what_an_answer_was_asked_stands_under_its_first_figure_alone() -> None:
    run = {"key": "k", "verb": "analysis", "method": "pca", "inputs": [], "parameters": {}}
    result = {"run": run, "evidence": [], "outcome": {"status": "converged", "advice": ""}}
    drawn = {"application/vnd.plotly.v1+json": {}, RESULT_MIME: result}
    cell = new_code_cell("r.show()", outputs=[new_output("display_data", data=drawn)])
    other = {**drawn, RESULT_MIME: {**result, "run": {**run, "key": "other"}}}
    figures = body(cell, new_code_cell("", outputs=[new_output("display_data", data=other)]), cell).blocks
    above = [o["result"]["above"] for b in figures for o in b.get("outputs", [])]
    assert above == ["", "", "figure-1"]


def test_a_removed_text_is_neither_title_nor_contents() -> None:
    made = body(new_markdown_cell("# Secret\n\n## Part", metadata={"tags": ["remove-cell"]}), tagged())
    assert (made.title, made.contents, made.lead) == ("n", [], [])


@pytest.mark.parametrize("tag", ["hide-cell", "hide-output"])
def test_what_tags_hide_is_folded(tag: str) -> None:
    assert [block["folded"] for block in body(tagged(), tagged(tag)).blocks] == [False, True]


def test_a_section_whose_heading_is_collapsed_is_folded_until_the_next_of_its_level() -> None:
    folded = new_markdown_cell("### More\n\nText.", metadata={COLLAPSED: True})
    cells = [new_markdown_cell("## One"), folded, tagged(), new_markdown_cell("#### Under it"), tagged()]
    assert [b["kind"] for b in body(*cells, new_markdown_cell("## Two")).blocks] == [
        *("markdown", "fold", "markdown", "code", "markdown", "code", "unfold", "markdown")
    ]
    kinds = [b["kind"] for b in body(*cells).blocks]
    assert kinds.count("fold") == kinds.count("unfold") == 1 and kinds[-1] == "unfold"


def test_code_that_shows_nothing_stands_with_what_is_shown_next() -> None:
    first, second = body(
        new_code_cell("a = 1"), new_code_cell("b = 2"), tagged(), new_code_cell("c = 3")
    ).blocks
    assert (first["source"], second["source"]) == ("a = 1\n\nb = 2\n\nSECRET = 1", "c = 3")
    assert second["outputs"] == []


@pytest.mark.parametrize(
    ("tex", "part"),
    [
        (r"\alpha^2", "<msup><mi>α</mi><mn>2</mn></msup>"),
        (r"a<b", "<mo>&lt;</mo>"),
        (r"\text{a<b & c}", "<mtext>a&lt;b"),
        (r"\begin{aligned}a&=b\\c&=d\end{aligned}", '<mtr><mtd columnalign="right"><mi>c</mi></mtd>'),
        (r"\begin{equation}x\end{equation}", "<mi>x</mi>"),
    ],
)
def test_a_formula_is_mathml(tex: str, part: str) -> None:
    drawn = formula(tex, display=True)
    assert drawn.startswith("<math") and part in drawn
    assert "&amp;</mi>" not in drawn


@pytest.mark.parametrize("tex", [r"\nosuchcommand{x}", "", r"x^", "{" * 5_000, "x" * 10_001, "a & b"])
def test_what_cannot_be_drawn_is_shown_as_it_was_written(tex: str) -> None:
    assert formula(tex, display=False) == f"<code>{html.escape(tex)}</code>"


@pytest.mark.parametrize(
    "tex",
    [r"\href{javascript:alert(1)}{x}", r"\text{<script>alert(1)</script>}", r"\text{<img src=x onerror=1>}"],
)
def test_nothing_in_a_formula_acts(tex: str) -> None:
    for drawn in (
        formula(tex, display=False),
        latex(f"${tex}$"),
        markdown(f"${tex}$")[0],
        inline(f"${tex}$"),
    ):
        assert not re.search(r"<script|<img|<[^>]+(href|onerror)=", drawn)


def test_formulas_stand_in_text_titles_and_outputs_and_money_is_none() -> None:
    shown, headings = markdown(
        "## On $\\beta$\n\nIt costs $5 or `$z` $10, and $e^{i\\pi}$, $ x $.\n\n$$x$$\n\n`$y$`"
    )
    assert shown.count("<math") == 4
    assert "costs $5 or <code>$z</code> $10, and" in shown and "<code>$y$</code>" in shown
    assert headings[0][2].startswith("On <") and "<math" in headings[0][2]
    data = {"text/plain": "<Math object>", "text/latex": r"$\displaystyle \alpha^2$"}
    made = body(new_code_cell("1"), new_code_cell("2", outputs=[new_output("display_data", data)]))
    (output,) = made.blocks[0]["outputs"]
    assert 'display="block"' in output["html"] and "Math object" not in output["html"]
    assert latex(r"If $x$ then \[y\] & <b>").count("<math") == 2


def test_a_policy_closes_what_sends() -> None:
    drawn = page_of(Embedding.example())
    for allowed in (policy(), policy("1"), html.unescape(drawn)):
        assert "default-src 'none'; base-uri 'none'; form-action 'none'" in allowed
    assert "script-src" not in policy()
    assert re.search(r"showSendToCloud: false, plotlyServerURL: \"\"", drawn)


def test_rows_with_large_ids_are_told_apart() -> None:
    table = pd.DataFrame({"big": np.uint64(2**63) + np.arange(40, dtype=np.uint64)}, index=FAR)
    row, big = columns(FAR, table)
    assert [row["labels"][i] for i in np.frombuffer(row["data"], row["dtype"])] == [str(i) for i in FAR]
    assert len(big["labels"]) == 40
    near = FAR - 60
    exact = columns(near, pd.DataFrame(index=near))[0]
    assert np.frombuffer(exact["data"], exact["dtype"]).tolist() == near.tolist()
    small = columns(np.arange(40), pd.DataFrame(index=np.arange(40)))[0]
    assert (small["dtype"], "labels" in small) == ("i4", False)


def test_the_ids_stay_in_a_page_that_has_no_room_for_columns() -> None:
    result = Embedding(title="t", values=np.zeros((40, 2), np.float32), ids=FAR)
    shown = {**state(result), "columns": columns(FAR, pd.DataFrame({"a": range(40)}, index=FAR)), "color": ""}
    kept = packed({**shown, "picked": picked(np.array([1]), 40)}, limit=1)["columns"]
    assert [block["name"] for block in kept] == ["row"]


def test_a_figures_marks_are_ids_that_a_page_can_tell_apart() -> None:
    ids = np.array([3, 2**53 - 1, 2**53, -(2**53) - 1])
    result = Embedding(title="t", values=np.zeros((4, 2), np.float32), ids=ids)
    marks = json.loads(result.figure().to_json())["data"][0]["customdata"]
    assert marks == [3, 2**53 - 1, str(2**53), str(-(2**53) - 1)]


def test_more_categories_than_three_dimensions_have_of_two_dimensions_symbols() -> None:
    kinds = np.array(list("abcdefghij"), dtype=object)[np.arange(60) % 10]
    result = Embedding(title="t", values=np.random.default_rng(0).normal(size=(60, 3)), ids=np.arange(60))
    figure = result.figure(color=kinds)
    assert [t.marker.symbol for t in figure.data[:8]] == list(SYMBOLS_3D)
    assert sum(len(t.x) for t in figure.data) == 60


def test_a_tested_number_has_its_rate_beside_it_or_that_none_was_measured() -> None:
    tested = {"id": "variance_explained", "groups": "24 texts", "null_values": [0.1, 0.2]}
    untested = {"id": "other", "groups": "", "null_values": []}
    run = {"method": "pca", "version": "earlier"}
    (said,) = _calibrated({"run": run, "evidence": [tested, untested]})
    assert said["id"] == "variance_explained" and "claimed what wasn't there in at most" in said["said"]
    assert said["said"].endswith("It was measured with earlier code.")
    (never,) = _calibrated({"run": {"method": "renormalize"}, "evidence": [{**tested, "id": "ends_lower"}]})
    assert never["said"] == "How often it claims what isn't there was never measured."
