"""What is inside a network, in a report that is opened from disk with the network blocked: linked by row ids to the points."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from chromium_for_tests import watched
from notebooks_for_tests import HOSTILE, notebook

from workbench.report import report

pytestmark = [pytest.mark.browser, pytest.mark.slow]

READ = (
    "import workbench as wb, widgets\n"
    "from workbench.subjects.reading import Reading, encode_words\n"
    "from workbench.subjects.network import Network\n"
    "def encode(lines, most):\n"
    "    batch = encode_words(lines, most)\n"
    f"    batch.rows['token'] = batch.rows['token'].replace('w5', {HOSTILE!r})\n"
    "    return batch\n"
    "made = Reading.example()\n"
    "network = Network('made up', made.network.digest, made.module, encode=encode)\n"
    "reading = wb.reading(network, made.corpus, max_length=12)\n"
    "acts = wb.capture(network, made.corpus, at='blocks.*', max_length=12)"
)
ASK = "(reading, n_null=0)"


@pytest.fixture(scope="module")
def page(browser: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    folder = tmp_path_factory.mktemp("inside")
    path = notebook(
        folder / "n.ipynb",
        "# Inside",
        READ,
        "widgets.explore(acts)",
        "wb.attention_patterns(reading, n_null=0, n_untrained=0)",
        *(f"wb.{name}{ASK}" for name in ("logit_lens", "top_rows", "attention_flow", "site_ablation")),
        "wb.patch_map(reading, n_null=19)",
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WORKBENCH_CACHE", str(folder / "cache"))
        made = report(path, {}, folder / "out" / "n.html")
    page = watched(
        browser.new_context(offline=True, viewport={"width": 1280, "height": 900}).new_page(), "file:"
    )
    page.goto(made.as_uri())
    for what in ("drawn", "points"):
        page.wait_for_function(f"document.documentElement.dataset.{what} === 'yes'", timeout=120_000)
    yield page
    page.context.close()


def test_all_is_drawn_inert_and_without_a_request(page: Any) -> None:
    assert page.problems == []
    assert page.evaluate("window.hacked") is None
    kinds = page.evaluate("[...document.querySelectorAll('.plot')].map(p => p.layout.meta.kind)")
    assert kinds == ["attention_maps", "lens", "contexts", "attention_maps", "estimate", "site_map"]


def test_tokens_that_are_chosen_among_the_points_are_lit_in_every_figure_of_their_text(page: Any) -> None:
    page.evaluate(
        "document.dispatchEvent(new CustomEvent('workbench:select', { detail: { ids: [2, 4], by: 'test', "
        "space: document.querySelector('.point-view').dataset.space } }))"
    )
    lit = (
        "[...document.querySelectorAll('.plot')].slice(0, 2).flatMap(p => p._fullData.filter(t => t.type === 'scatter')"
        ".map(t => [...(t.selectedpoints || [])].join()))"
    )
    page.wait_for_function(f"{lit}.every(s => s === '2,4')", timeout=30_000)
    assert len(page.evaluate(lit)) == 4 + 1  # a strip a head, and that of the lens


def test_marks_of_a_figure_choose_tokens_among_the_points(page: Any) -> None:
    asked = page.evaluate(
        "(() => { const p = document.querySelectorAll('.plot')[2], t = p._fullData[0]; window.heard = [];"
        " document.addEventListener('workbench:select', (e) => window.heard.push([...e.detail.ids].map(String)));"
        " p.emit('plotly_selected', { points: [0, 1].map(i => ({ customdata: t.customdata[i] })) });"
        " return [0, 1].map(i => String(t.customdata[i])); })()"
    )
    page.wait_for_function("document.querySelector('.point-view').dataset.selected === '2'", timeout=30_000)
    assert len(set(asked)) == 2 and set(page.evaluate("window.heard.at(-1)")) == set(asked)


def test_a_cell_says_from_which_token_to_which(page: Any) -> None:
    plot, said = page.locator(".plot").first, page.locator(".plot .hoverlayer .hovertext")
    plot.scroll_into_view_if_needed()
    tokens = 7
    for off in (
        0.4,
        0.5,
    ) * 4:  # a cell is hovered over when the mouse comes to it, which a busy page may miss
        box = plot.locator(".hm image").first.bounding_box()
        page.mouse.move(
            box["x"] + box["width"] * (1 + off) / tokens, box["y"] + box["height"] * (3 + off) / tokens
        )
        page.wait_for_timeout(300)
        if any("from 3 " in text for text in said.all_text_contents()):
            break
    (text,) = (text for text in said.all_text_contents() if "from 3 " in text)
    assert "to 1 " in text


def test_a_click_on_a_site_shows_what_it_did_its_control_and_the_words_before_and_after(page: Any) -> None:
    card, plot = page.locator(".wbf-card"), page.locator(".plot").last
    assert card.count() == 1
    plot.scroll_into_view_if_needed()
    page.wait_for_timeout(300)
    box = plot.locator(".hm image").first.bounding_box()
    tokens, layers = 7, 2
    page.mouse.click(box["x"] + box["width"] * 2.5 / tokens, box["y"] + box["height"] * 0.5 / layers)
    page.wait_for_function(f"document.querySelector('.wbf-card').dataset.cell === '{tokens + 2}'")
    said = card.inner_text()
    assert "layer 1, token 2:" in said and "bits by which the next word moves" in said
    assert "19 random changes of the same size" in said and "corrected for all 14 sites" in said
    assert card.locator(".wbf-band").count() == 1 and card.locator(".wbf-list tr").count() == 10
    outline = page.evaluate(
        "[...document.querySelectorAll('.plot')].at(-1).layout.shapes.map(s => [s.x0, s.y0])"
    )
    assert outline == [[1.5, 0.5]]
    card.get_by_role("button", name="↓").focus()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowRight")
    assert card.get_attribute("data-cell") == "3" and "layer 0, token 3:" in card.inner_text()
    page.keyboard.press("ArrowDown")  # there is none below
    assert card.get_attribute("data-cell") == "3"
    assert page.evaluate("window.hacked") is None and page.problems == []
