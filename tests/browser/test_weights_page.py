"""The map of weights on a page: the menu colours it, the hover tells a matrix's numbers, and names stay text."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from chromium_for_tests import watched

from workbench.report.figure import page_of
from workbench.results.weight_map import WeightMap

pytestmark = pytest.mark.browser

EVIL = "<img src=x onerror=\"document.title='owned'\">"


@pytest.fixture(scope="module")
def page(browser: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    example = WeightMap.example()
    first = {**example.matrices[0], "name": EVIL, "role": EVIL, "tail": EVIL, "alpha": 2.0}
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


def test_the_menu_colours_the_map(page: Any) -> None:
    before = colours(page)
    assert len(before) == 5 and len(set(before)) == 5
    page.locator(".updatemenu-header").click()
    page.locator(".updatemenu-dropdown-button", has_text="rms of the entries").click()
    page.wait_for_function("document.querySelector('.updatemenu-header').textContent.includes('rms')")
    assert len(set(colours(page))) == 5
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
