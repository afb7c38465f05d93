"""A page of what everyday notebooks hold: large row ids, many categories in three dimensions, formulas, and no way out."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from chromium_for_tests import watched
from notebooks_for_tests import notebook

from workbench.report import report
from workbench.report.figure import page_of
from workbench.results.embedding import Embedding
from workbench.results.head_map import HeadMap

pytestmark = pytest.mark.browser

FIRST = 1234567890123456789
CLOUD = (
    "import numpy as np, pandas as pd, workbench as wb\n"
    f"ids = {FIRST} + np.arange(64)\n"
    "table = pd.DataFrame({'kind': np.array(list('abcdefgh'), dtype=object)[np.arange(64) % 8]}, index=ids)\n"
    "cloud = wb.PointCloud(np.random.default_rng(0).normal(size=(64, 5)), name='cloud', table=table)"
)


@pytest.fixture(scope="module")
def page(browser: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    folder = tmp_path_factory.mktemp("kinds")
    path = notebook(
        folder / "n.ipynb",
        "# On $\\alpha$\n\n$$\\sum_i \\frac{x_i}{2}$$",
        CLOUD,
        "wb.pca(cloud, n_components=3, n_null=0, n_boot=0).show(color='kind')",
        "wb.pca(cloud, n_components=2, n_null=0, n_boot=0).show(color='kind')",
        "import widgets\nwidgets.explore(cloud)",
        "from workbench.results.partition import Partition\n"
        "Partition(labels=np.arange(64) % 3, ids=ids, spectrum=np.linspace(0, 1, 9))",
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WORKBENCH_CACHE", str(folder / "cache"))
        made = report(path, {}, folder / "out" / "n.html")
    context = browser.new_context(offline=True, viewport={"width": 1366, "height": 900})
    page = watched(context.new_page(), "file:")
    page.goto(made.as_uri())
    page.wait_for_function("document.documentElement.dataset.drawn === 'yes'", timeout=60_000)
    page.wait_for_function("document.documentElement.dataset.points === 'yes'", timeout=60_000)
    yield page
    context.close()


def test_all_is_drawn_without_an_error_or_a_request(page: Any) -> None:
    assert page.problems == []
    shown = page.evaluate(
        "document.getElementById('figure-1')._fullData.map(t => [t.type, t.marker.symbol, t.x.length])"
    )
    assert [(kind, n) for kind, _, n in shown] == [("scatter3d", 8)] * 8
    assert len({symbol for _, symbol, _ in shown}) == 8


def test_a_formula_takes_the_room_of_a_formula(page: Any) -> None:
    size = "m => (r => [r.width, r.height])(m.getBoundingClientRect())"
    width, height = page.locator("math[display=block]").first.evaluate(size)
    assert 20 < width < 1366 and 25 < height < 120  # a sum with limits and a fraction, on more than one line
    assert "$" not in page.inner_text("h1")


def test_two_of_many_large_ids_are_two(page: Any) -> None:
    select = (
        "ids => document.dispatchEvent(new CustomEvent('workbench:select', { detail: { ids, by: 'test', "
        "space: document.querySelector('.point-view').dataset.space } }))"
    )
    page.evaluate(select, [str(FIRST), str(FIRST + 9)])
    page.wait_for_function("document.querySelector('.point-view').dataset.selected === '2'")
    counted = "document.getElementById('figure-2')._fullData.map(t => (t.selectedpoints || []).length)"
    page.wait_for_function(f"{counted}.reduce((a, b) => a + b) === 2")
    assert page.evaluate(counted) == [1, 1, 0, 0, 0, 0, 0, 0]


def ways_out(page: Any) -> list[str]:
    """What of a page's buttons and links sends something or leads elsewhere."""
    titles = page.evaluate("[...document.querySelectorAll('.modebar-btn')].map(b => b.dataset.title || '')")
    assert len(titles) > 3
    links = page.evaluate("[...document.links].map(a => a.href)")
    return [t for t in titles if "hare" in t or "loud" in t] + [h for h in links if not h.startswith("file:")]


def test_no_button_and_no_link_leads_out(page: Any, tmp_path: Path) -> None:
    assert ways_out(page) == []
    (tmp_path / "figure.html").write_text(page_of(Embedding.example()))
    alone = watched(page.context.new_page(), "file:")
    alone.goto((tmp_path / "figure.html").as_uri())
    alone.wait_for_selector(".modebar-btn", state="attached")
    assert ways_out(alone) == []
    assert alone.problems == []


def test_two_panels_stand_one_above_the_other_where_each_would_be_narrow(page: Any) -> None:
    look = """() => { const plot = [...document.querySelectorAll('.plot')].find(p => p.layout.xaxis2);
      const { xaxis, xaxis2, yaxis, yaxis2, height } = plot.layout;
      return { beside: xaxis.domain[1] < xaxis2.domain[0], above: yaxis.domain[0] > yaxis2.domain[1], height }; }"""
    wide = page.evaluate(look)
    assert wide["beside"] and not wide["above"]
    for width, narrow in ((390, True), (1366, False), (390, True), (1366, False)):
        page.set_viewport_size({"width": width, "height": 900})
        page.wait_for_function(f"({look})().above === {str(narrow).lower()}", timeout=30_000)
        page.wait_for_timeout(300)
        now = page.evaluate(look)
        assert now["beside"] != narrow
        assert now["height"] > 1.5 * wide["height"] if narrow else now["height"] == wide["height"]


@pytest.mark.parametrize("width", [390, 1280])
def test_the_title_of_a_scale_is_broken_between_words_alone(browser: Any, tmp_path: Path, width: int) -> None:
    (tmp_path / "figure.html").write_text(page_of(HeadMap.example()))
    page = watched(browser.new_page(viewport={"width": width, "height": 900}), "file:")
    page.goto((tmp_path / "figure.html").as_uri())
    page.wait_for_function("[...document.querySelectorAll('.js-plotly-plot')].some(p => p._fullData)")
    page.wait_for_timeout(500)
    titles = page.evaluate(
        "document.querySelector('.js-plotly-plot')._fullData.map(t => t.colorbar && t.colorbar.title.text).filter(Boolean)"
    )
    words = [word for title in titles for word in title.replace("<br>", " ").split()]
    assert "composition" in words or "doublings" in words
    assert set(words) <= {"doublings", "beyond", "scale", "composition"}, titles
    assert page.problems == []
    page.close()
