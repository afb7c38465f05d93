"""The map of weights on a page: a choice colours it, a click shows a matrix, the hover tells its numbers, and names stay text."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from chromium_for_tests import watched

from workbench.report.figure import page_of
from workbench.results.head_map import HeadMap
from workbench.results.weight_map import WeightMap

pytestmark = pytest.mark.browser

EVIL = "<img src=x onerror=\"document.title='owned'\">"


@pytest.fixture(scope="module")
def page(browser: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    example = WeightMap.example()
    first = {**example.matrices[0], "name": EVIL, "role": EVIL, "tail": EVIL, "alpha": 2.0, "norm": 1.0}
    path: Path = tmp_path_factory.mktemp("weights") / "map.html"
    path.write_text(page_of(replace(example, matrices=(first, *example.matrices[1:]))), encoding="utf-8")
    context = browser.new_context(offline=True, viewport={"width": 800, "height": 900})
    page = watched(context.new_page(), "file:")
    page.goto(path.as_uri())
    page.wait_for_selector(".scatterlayer .points path", timeout=60_000)
    yield page
    context.close()


def colours(page: Any) -> list[str]:
    return page.evaluate(
        "Array.from(document.querySelectorAll('.scatterlayer .points path')).map(p => p.style.fill)"
    )


def click(page: Any, at: int) -> None:
    """Click a mark; a click counts where the mouse was seen to come, which a busy page may miss."""
    mark = page.locator(".scatterlayer .points path").nth(at)
    for _ in range(5):
        box = mark.bounding_box()
        page.mouse.move(box["x"] - 20, box["y"] - 20)
        page.wait_for_timeout(100)
        page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
        page.wait_for_timeout(200)
        page.mouse.down()
        page.mouse.up()
        page.wait_for_timeout(400)
        if page.locator(".wbf-card").get_attribute("data-cell") == str(at):
            return
    raise AssertionError(f"a click on mark {at} chose {page.locator('.wbf-card').get_attribute('data-cell')}")


def test_a_choice_that_keys_reach_colours_the_map(page: Any) -> None:
    before = colours(page)
    assert len(before) == 5 and len(set(before)) == 5
    assert page.locator(".updatemenu-header").count() == 0
    choice = page.get_by_label("colour")
    choice.focus()
    page.keyboard.press("ArrowDown")
    assert choice.evaluate("s => s.selectedOptions[0].text") == "rms of the entries"
    page.wait_for_function(
        "before => [...document.querySelectorAll('.scatterlayer .points path')].some((p, i) => p.style.fill !== before[i])",
        arg=before,
    )
    assert page.problems == []


def test_a_click_on_a_mark_shows_its_spectrum_beside_noise_and_its_numbers(page: Any) -> None:
    card = page.locator(".wbf-card")
    matrices = [
        m["name"] for m in sorted(WeightMap.example().matrices, key=lambda m: -m["rows"] * m["columns"])
    ]
    for at in (3, 1):
        click(page, at)
        assert card.locator("strong").inner_text() == matrices[at]
        line, band = (
            card.locator(f".wbf-spectrum {what}").get_attribute("points")
            for what in (".wbf-line", ".wbf-band")
        )
        assert len(line.split()) == 4 and len(band.split()) == 8
        assert "8 x 8, stored as F32" in card.inner_text()
    # the first value of this example lies above the band, the last in it
    heights = [[float(p.split(",")[1]) for p in points.split()] for points in (line, band)]
    assert heights[0][0] < heights[1][0] and heights[1][3] <= heights[0][3] <= heights[1][4]
    (ring,) = page.evaluate("document.querySelector('.plot').layout.shapes.map(s => [s.xanchor, s.yanchor])")
    x, y = page.evaluate("(t => [t.x[1], t.y[1]])(document.querySelector('.plot').data[0])")
    assert ring == [x, y]
    assert page.problems == []


def test_arrow_keys_go_to_the_mark_beside(page: Any) -> None:
    card = page.locator(".wbf-card")
    click(page, 1)  # query of layer 0
    card.get_by_role("button", name="→").focus()
    for key, name in (
        ("ArrowRight", "layer.1.query"),
        ("ArrowDown", "layer.1.key"),
        ("ArrowDown", "layer.1.key"),  # there is none below
        ("ArrowLeft", "layer.0.key"),
        ("ArrowUp", "layer.0.query"),
    ):
        page.keyboard.press(key)
        assert card.locator("strong").inner_text() == name
    assert page.problems == []


def test_names_stay_text_in_the_hover_and_beside_the_axis(page: Any) -> None:
    mark, said = page.locator(".scatterlayer .points path").first, page.locator(".hoverlayer .hovertext")
    # a mark is hovered over when the mouse comes to it, which a busy page may miss
    for off in (9, 0, 9, 0, 9, 0):
        box = mark.bounding_box()
        page.mouse.move(box["x"] + box["width"] / 2 + off, box["y"] + box["height"] / 2)
        page.wait_for_timeout(300)
        if off == 0 and said.count():
            break
    assert "<img" in page.locator(".hoverlayer").text_content()
    assert page.locator("img[src='x']").count() == 0 and "owned" not in page.title()
    assert page.problems == []


def test_each_menu_of_the_map_of_heads_changes_its_own_map(browser: Any, tmp_path: Path) -> None:
    path = tmp_path / "heads.html"
    example = HeadMap.example()
    heads = tuple({**h, "ov_norm": 1.0 + i} for i, h in enumerate(example.heads))
    path.write_text(page_of(replace(example, heads=heads)), encoding="utf-8")
    context = browser.new_context(offline=True, viewport={"width": 800, "height": 900})
    page = watched(context.new_page(), "file:")
    page.goto(path.as_uri())
    page.wait_for_selector(".wbf-menus select", timeout=60_000)

    def maps() -> list[Any]:
        return page.evaluate("document.querySelector('.plot').data.map(t => JSON.stringify(t.z))")

    assert [m.split("\n")[0].strip() for m in page.locator(".wbf-menus label").all_inner_texts()] == [
        "heads",
        "pairs",
    ]
    for label, choice, its_own in (
        ("heads", "norm of output-value", 0),
        ("pairs", "composition, by value", 1),
    ):
        before = maps()
        page.get_by_label(label).select_option(label=choice)
        page.wait_for_timeout(300)
        after = maps()
        assert after[its_own] != before[its_own] and after[1 - its_own] == before[1 - its_own]
    assert page.problems == []
    context.close()
