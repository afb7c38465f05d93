"""What the explorer does without a kernel: charts that filter, queries, undo, pictures, saving, and the page's address."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from chromium_for_tests import FACTS, draw_around, watched
from nbformat.v4 import new_code_cell, new_notebook, new_output
from notebooks_for_tests import HOSTILE

import widgets
import workbench as wb
from workbench.core.errors import WorkbenchError
from workbench.core.query import matching
from workbench.report import points
from workbench.report.page import render

pytestmark = [pytest.mark.browser, pytest.mark.slow]

N = 240
TOKENS = ["the", "cat", "saw", "the", "dog", "run"]  # one of them twice


def rows() -> pd.DataFrame:
    """Tokens of texts, with classes, numbers, an image and a series each."""
    i = np.arange(N)
    rng = np.random.default_rng(0)
    text = " ".join(TOKENS)
    return pd.DataFrame(
        {
            "text_id": i // 6,
            "text": [f"{text} {k}" for k in i // 6],
            "token": np.array(TOKENS)[i % 6],
            "position": i % 6,
            "digit": i % 10,
            "kind": np.array([HOSTILE, "b", "c"])[i % 3],
            "score": rng.standard_normal(N).astype(np.float32),
            "picture": [np.full((8, 8), 25 * (k % 10), np.uint8) for k in i],
            "wave": [np.sin(np.arange(40) * 0.1 * (1 + k % 5)) for k in i],
        }
    )


def cloud() -> wb.PointCloud:
    """Three groups side by side, with two rows far away."""
    at = np.random.default_rng(1).standard_normal((N, 2)).astype(np.float32)
    at[:, 0] += 8 * (np.arange(N) % 3)
    at[7], at[8] = (900, 4), (-700, 1)
    return wb.PointCloud(at, name="rows", table=rows(), columns={"x": 1, "y": 1})


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A page of two explorers of the same rows; the second has places for some alone."""
    path = tmp_path_factory.mktemp("explorer") / "rows.html"
    whole = cloud()
    some = widgets.explore(whole, method="pca", sample=60, color="digit")
    views = [widgets.explore(whole, x="x", y="y", color="kind"), some]
    outputs = [new_output("display_data", data=v._repr_mimebundle_()) for v in views]
    path.write_text(render(new_notebook(cells=[new_code_cell("", outputs=outputs)]), FACTS), encoding="utf-8")
    return path


def opened(browser: Any, address: str, **context: Any) -> Any:
    context = {"viewport": {"width": 1280, "height": 900}, **context}
    page = watched(browser.new_context(offline=True, **context).new_page(), "file:")
    page.goto(address)
    page.wait_for_function(
        "(v => v.length === 2 && v.every(e => e.dataset.drawn && e.dataset.outside !== undefined))"
        "([...document.querySelectorAll('.point-view')])"
    )
    return page


@pytest.fixture(scope="module")
def shared(browser: Any, written: Path) -> Iterator[Any]:
    page = opened(browser, written.as_uri())
    yield page
    page.context.close()


@pytest.fixture
def page(shared: Any) -> Iterator[Any]:
    """One page for all tests that leave its frame as it was, with nothing chosen, searched or told."""
    yield shared
    assert shared.problems == []
    assert shared.evaluate("window.hacked") is None
    for at in (0, 1):
        view(shared, at).get_by_label("search", exact=True).fill("")
        view(shared, at).locator(".wbp-over").focus()
        shared.keyboard.press("Escape")
    selected(shared, 0, 0)


@pytest.fixture
def fresh(browser: Any, written: Path) -> Iterator[Any]:
    page = opened(browser, written.as_uri())
    yield page
    assert page.problems == []
    page.context.close()


def view(page: Any, at: int = 0) -> Any:
    return page.locator(".point-view").nth(at)


def selected(page: Any, *counts: int) -> None:
    page.wait_for_function(
        "wanted => [...document.querySelectorAll('.point-view')].map(e => e.dataset.selected).join() === wanted",
        arg=",".join(map(str, counts)),
    )


def facet(page: Any, column: str, at: int = 0) -> Any:
    return view(page, at).locator(f'.wbp-facet[data-column="{column}"]')


def saved(page: Any, name: str) -> bytes:
    """What a button hands to the browser's downloads."""
    with page.expect_download() as download:
        view(page).get_by_role("button", name=name, exact=True).click()
    return Path(download.value.path()).read_bytes()


def test_values_and_ranges_filter_every_view_and_every_chart(page: Any) -> None:
    facet(page, "kind").locator("> button", has_text="b").first.click()
    selected(page, 80, 80)
    counts = facet(page, "token").locator(".wbp-count").all_inner_texts()
    assert sum(int(c.split(" of ")[0]) for c in counts) == 80
    assert (
        facet(page, "kind").locator(".wbp-count").all_inner_texts() == ["80 of 80"] * 3
    )  # without its own filter
    low = facet(page, "text_id").locator("input").first
    low.fill("20")
    low.press("Enter")
    selected(page, 40, 40)
    assert "40 of 240 rows selected" in view(page).locator("[role=status]").inner_text()
    assert view(page).locator("tbody tr").count() == 40
    facet(page, "kind").get_by_role("button", name="Lift").press("Enter")
    selected(page, 120, 120)
    facet(page, "kind").locator("> button").nth(2).press("Enter")
    facet(page, "kind").locator("> button").nth(1).press("Enter")  # two values: either
    selected(page, 80, 80)


def test_a_brush_over_a_histogram_filters_while_it_moves(page: Any) -> None:
    canvas = facet(page, "score").locator("canvas")
    canvas.scroll_into_view_if_needed()
    box = canvas.bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + 20)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] - 1, box["y"] + 20, steps=6)
    page.wait_for_function("document.querySelector('.point-view').dataset.selected > 0")
    assert view(page, 1).get_attribute("data-selected") == "0"  # told when the brush is let go
    page.mouse.up()
    ends = [float(e.input_value()) for e in facet(page, "score").locator("input").all()]
    scores = rows()["score"].to_numpy()
    count = int(((scores >= ends[0] - 1e-3) & (scores <= ends[1] + 1e-3)).sum())
    assert 0 < count < N
    shown = int(view(page).get_attribute("data-selected") or 0)
    assert abs(shown - count) <= 2
    selected(page, shown, shown)


def test_a_lasso_and_filters_meet_and_every_step_can_be_undone(page: Any) -> None:
    facet(page, "digit").locator("> button").first.click()
    selected(page, 24, 24)
    draw_around(page, view(page).locator(".wbp-stage"), 0.02, 0.4)
    page.wait_for_function("document.querySelector('.point-view').dataset.selected < 24")
    inside = int(view(page).get_attribute("data-selected") or 0)
    assert 0 < inside < 24
    view(page).get_by_role("button", name="Undo").click()
    selected(page, 24, 24)
    page.keyboard.press("Control+z")
    selected(page, 0, 0)
    page.keyboard.press("Control+Shift+Z")
    page.keyboard.press("Control+y")
    selected(page, inside, inside)
    assert view(page).get_by_role("button", name="Redo").get_attribute("aria-disabled") == "true"
    view(page).locator(".wbp-over").focus()
    page.keyboard.press("Escape")
    selected(page, 0, 0)
    view(page, 1).get_by_role("button", name="Undo").click()  # a choice of the other view is a step here too
    selected(page, inside, inside)


def test_a_query_selects_and_what_is_none_is_refused_with_what_is(page: Any) -> None:
    where = view(page).get_by_label("where", exact=True)
    where.fill("position > 2 and kind == 'b'")
    where.press("Enter")
    selected(page, 40, 40)
    where.fill("positoin > 2")
    where.press("Enter")
    refusal = view(page).locator(".wbp-wrong")
    assert "no column “positoin”" in refusal.inner_text() and "position" in refusal.inner_text()
    where.fill("window.hacked(1)")
    where.press("Enter")
    assert "can't be" in refusal.inner_text()
    selected(page, 40, 40)
    where.fill("")
    selected(page, 0, 0)
    assert refusal.is_hidden()


def test_rows_without_a_place_are_searched_counted_and_shown(page: Any) -> None:
    other = view(page, 1)
    assert "60 of 240 rows of rows are placed" in other.inner_text()
    other.locator("input[type=search]").first.fill("39")  # six rows of a text, and row 39
    page.wait_for_function(
        "document.querySelectorAll('.wbp [role=status]')[1].textContent.startsWith('7 of 240')"
    )
    other.locator("input[type=search]").first.press("Enter")
    selected(page, 7, 7)
    other.locator("tbody tr").last.click()
    assert "not among the points" in other.locator(".wbp-tip").inner_text()


def test_a_token_is_marked_where_it_stands_also_where_it_comes_twice(page: Any) -> None:
    where = view(page).get_by_label("where", exact=True)
    where.fill("text_id == 3 and token == 'the'")
    where.press("Enter")
    selected(page, 2, 2)
    before = "e => [...e.querySelectorAll('mark')].map(m => m.previousSibling.textContent)"
    assert view(page).locator("tbody").evaluate(before) == ["", "the cat saw "]
    view(page).locator("tbody tr").nth(1).press("Enter")
    assert view(page).locator(".wbp-tip mark").evaluate("m => m.nextSibling.textContent") == " dog run 3"


def test_pictures_stand_in_table_tooltip_and_gallery(page: Any) -> None:
    facet(page, "digit").locator("> button").nth(4).click()
    selected(page, 24, 24)
    assert view(page).locator(".wbp-gallery canvas").count() == 24
    grey = "c => [...c.getContext('2d').getImageData(3, 3, 1, 1).data]"
    assert view(page).locator("tbody canvas").first.evaluate(grey) == [100, 100, 100, 255]
    line = view(page).locator("tbody svg path").first.get_attribute("d") or ""
    assert line.startswith("M") and line.count("L") == 39
    view(page).locator(".wbp-gallery button").nth(2).press("Enter")
    tip = view(page).locator(".wbp-tip")
    assert tip.locator("canvas").count() == 1 and tip.locator("svg").count() == 1
    image, words = tip.locator("canvas").bounding_box(), tip.locator("div").first.bounding_box()
    assert image["y"] + image["height"] <= words["y"], "the image covers no words"
    assert image["width"] == pytest.approx(image["height"])
    assert tip.locator("div").count() <= 12
    assert "row 24" in (view(page).locator(".wbp-gallery button").nth(2).get_attribute("title") or "")


def test_whole_numbers_that_are_few_are_classes(page: Any) -> None:
    facet(page, "digit", 1).scroll_into_view_if_needed()
    names = view(page, 1).locator('.wbp-facet[data-column="digit"] .wbp-name').all_inner_texts()
    assert names == [str(i) for i in range(10)]
    inks = view(page, 1).locator('.wbp-facet[data-column="digit"] .wbp-dot')
    assert len(set(inks.evaluate_all("all => all.map(e => e.style.background)"))) == 10


def test_far_points_dont_set_the_frame_and_are_said_and_reached(fresh: Any) -> None:
    page = fresh
    assert view(page).get_attribute("data-outside") == "2"
    assert "2 points outside" in view(page).inner_text()
    view(page).locator(".wbp-over").focus()
    page.keyboard.press("0")
    page.wait_for_function("document.querySelector('.point-view').dataset.outside === '0'")
    assert "points outside" not in view(page).inner_text()


def test_the_address_keeps_the_view_and_its_choice(fresh: Any, browser: Any, written: Path) -> None:
    page = fresh
    facet(page, "digit").locator("> button").nth(1).click()
    draw_around(page, view(page).locator(".wbp-stage"), 0.02, 0.4)
    page.wait_for_function("document.querySelector('.point-view').dataset.selected < 24")
    inside = int(view(page).get_attribute("data-selected") or 0)
    view(page).locator("select").select_option("score")
    view(page).get_by_role("button", name="+", exact=True).click()
    page.wait_for_function("location.hash.startsWith('#view/figure-1/')")
    page.wait_for_timeout(800)  # the address is written when the view rests
    again = opened(browser, page.url)
    selected(again, inside, inside)
    assert view(again).locator("select").input_value() == "score"
    assert facet(again, "digit").locator("> button").nth(1).get_attribute("aria-pressed") == "true"
    shown = "document.querySelector('.wbp-points').toDataURL()"
    again.wait_for_function(f"picture => {shown} === picture", arg=page.evaluate(shown))
    assert view(again).get_attribute("data-outside") == view(page).get_attribute("data-outside")
    assert again.problems == []
    again.context.close()


@pytest.mark.parametrize(
    "forged",
    [
        "#view/figure-1/bm90IGpzb24",
        "#view/figure-1/eyJjb2xvciI6ImNvbnN0cnVjdG9yIiwibG9vayI6eyJmaWx0ZXJzIjpbeyJuYW1lIjoiX19wcm90b19fIn1dfX0",
        "#view/figure-9/e30/x",
    ],
)
def test_an_address_of_somebody_elses_does_nothing(browser: Any, written: Path, forged: str) -> None:
    page = opened(browser, written.as_uri() + forged)
    selected(page, 0, 0)
    assert page.problems == []
    page.context.close()


def test_what_is_selected_is_saved_as_csv_and_as_code(page: Any) -> None:
    facet(page, "kind").locator("> button", has_text="b").first.click()
    selected(page, 80, 80)
    table = list(csv.DictReader(io.StringIO(saved(page, "CSV").decode())))
    assert [int(r["row"]) for r in table] == list(range(1, N, 3))
    assert {r["kind"] for r in table} == {"b"}
    assert [np.float32(r["score"]) for r in table] == rows()["score"][1::3].tolist()
    view(page).get_by_role("button", name="Code").click()
    told = view(page).locator(".wbp-code").inner_text()
    assert "widgets.explore(subject, x='x', y='y', color='kind')" in told
    query = re.search(r'select\("(.*)"\)', told)
    assert query is not None
    assert cloud().select(query.group(1)).ids.tolist() == list(range(1, N, 3))
    draw_around(page, view(page).locator(".wbp-stage"), 0.02, 0.98)
    page.wait_for_function("document.querySelector('.wbp-code').textContent.includes('select([')")
    ids = json.loads(re.search(r"select\((\[.*?\])\)", view(page).locator(".wbp-code").inner_text()).group(1))  # type: ignore[union-attr]
    assert len(ids) == int(view(page).get_attribute("data-selected") or 0)
    assert set(ids) <= set(range(1, N, 3))


def test_the_points_are_saved_at_print_size(page: Any) -> None:
    from xml.etree import ElementTree

    picture = saved(page, "PNG")
    assert picture[:8] == b"\x89PNG\r\n\x1a\n"
    width, height = (int.from_bytes(picture[at : at + 4], "big") for at in (16, 20))
    assert width == 2400 and height > 1000
    drawing = ElementTree.fromstring(saved(page, "SVG"))
    assert drawing.get("width") == "8in"
    dots = drawing.findall(".//{http://www.w3.org/2000/svg}circle")
    assert len(dots) == N - 2 + 3  # those in the frame, and the legend's
    texts = [t.text or "" for t in drawing.iter("{http://www.w3.org/2000/svg}text")]
    assert "rows: y by x" in texts and any(t.startswith("<script>") for t in texts)
    assert any("2 points outside" in t for t in texts)


def test_it_fills_the_screen_and_comes_back(page: Any) -> None:
    before = view(page).locator(".wbp-stage").bounding_box()["height"]
    button = view(page).get_by_role("button", name="Full screen")
    button.press("Enter")
    page.wait_for_function("document.fullscreenElement?.className === 'wbp'")
    page.wait_for_function(f"document.querySelector('.wbp-stage').clientHeight > {before} + 50")
    view(page).get_by_role("button", name="Leave full screen").press("Enter")
    page.wait_for_function("!document.fullscreenElement")


def test_on_a_telephone_everything_is_inside_and_in_reach(browser: Any, written: Path) -> None:
    page = opened(browser, written.as_uri(), viewport={"width": 390, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    assert view(page).locator(".wbp-facets").is_hidden()
    view(page).get_by_role("button", name="Columns").press("Enter")
    facet(page, "digit").locator("> button").first.press("Enter")
    selected(page, 24, 24)
    reach = "[...document.querySelector('.wbp').querySelectorAll('button, input, select')].filter(e => e.offsetParent)"
    outside = f"{reach}.filter(e => e.getBoundingClientRect().right > 391 && !e.closest('.wbp-table')).map(e => e.textContent)"
    assert page.evaluate(outside) == []
    assert page.problems == []
    page.context.close()


QUERIES = [
    "position > 2",
    "position >= 2 and kind == 'b'",
    "kind in ['b', 'c'] or score < -1.5",
    "not (digit == 3 or digit == 4)",
    "1 < position <= 3",
    "kind != \"b\" and token not in ('the', 'dog')",
    "(digit % 3 == 1) & (position + digit > 5) | (digit // 4 == 2)",
    "-score > 0.5",
    "score == None",
    "gap == None",
    "gap != 'u'",
    "gap < 'v'",
    "gap in ['u', 'w']",
    "`two words` > 1e1",
    "odd",
    "not odd and odd == False",
    "index < 7",
    "token < kind",
    "kind == 3",
    "kind != 3",
    "tenth == 0.1",
    "tenth > 0.1",
    "half != 0.5",
    "half == None",
    "position in [1, 2.0, 9]",
    "{x}",
    "digit =",
    "kind < 3",
    "digit",
    "len(kind) > 2",
    "kind.str.len() > 2",
    "digit[0] == 1",
    "digit ** 2 > 4",
    "nothing > 2",
    "position > 2 position",
    "'a' in kind",
    "kind in 'abc'",
    "digit is 3",
    "digit is not None",
    "True",
    "lambda: 1",
    "kind == '\\'q\\''",
]


def test_queries_mean_here_what_they_mean_in_python(browser: Any) -> None:
    i = np.arange(N)
    table = (
        rows()
        .drop(columns=["picture", "wave"])
        .assign(
            **{
                "two words": i,
                "odd": i % 2 == 1,
                "gap": [("u", None, "w")[k % 3] for k in i],
                "tenth": (i / 10).astype(np.float64),
                "half": np.where(i % 4 == 0, np.nan, i % 3 / 2),
            }
        )
    )
    expected = []
    for query in QUERIES:
        try:
            expected.append(np.flatnonzero(matching(table, query, "rows")).tolist())
        except WorkbenchError:
            expected.append(None)
    assert sum(e is None for e in expected) >= 10 and sum(bool(e) for e in expected) >= 15
    blocks = [
        {**block, "data": list(block["data"])} for block in points.columns(table.index.to_numpy(), table)
    ]
    page = browser.new_page()
    page.add_script_tag(
        content=points.script().replace(
            "export default { render };", "window.matching = matching; window.readColumn = readColumn;"
        )
    )
    answered = page.evaluate(
        """([blocks, queries, n]) => {
      const columns = blocks.map((b) => readColumn({ ...b, data: new DataView(Uint8Array.from(b.data).buffer) }));
      const answer = (query) => { const { rows } = matching(query, columns, n); return [...rows.keys()].filter((i) => rows[i]); };
      return queries.map((query) => { try { return answer(query); } catch (e) { return e.constructor === Error ? null : String(e); } });
    }""",
        [blocks, QUERIES, N],
    )
    page.close()
    different = {q: (a, e) for q, a, e in zip(QUERIES, answered, expected, strict=True) if a != e}
    assert different == {}


def test_without_webgl_the_picture_is_saved_too(chromium: Callable[..., Any], written: Path) -> None:
    page = opened(chromium("--disable-gpu", "--disable-3d-apis"), written.as_uri())
    assert saved(page, "PNG")[:4] == b"\x89PNG"
    assert page.problems == []
    page.context.close()
