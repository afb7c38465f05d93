"""What a report shows before anybody scrolls: a picture, also where nothing could be tested."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from chromium_for_tests import FACTS, watched
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

import widgets
import workbench as wb
from workbench.report.page import render
from workbench.results.curve import Curve

pytestmark = pytest.mark.browser
NOTHING = {"claims": [], "questions": [], "counted": ""}


def points(x: Any, column: str) -> dict[str, Any]:
    """An explorer of as many rows, coloured by a column of these numbers."""
    import pandas as pd

    at = np.random.default_rng(0).standard_normal((len(x), 2))
    cloud = wb.PointCloud(at, name="rows", table=pd.DataFrame({column: x}))
    explorer = widgets.explore(cloud, method="pca", color=column)
    return dict(explorer._repr_mimebundle_())


def opened(browser: Any, folder: Path, data: dict[str, Any], width: int = 1280, height: int = 900) -> Any:
    cells = [
        new_markdown_cell("# Mine\n\nWhat was given is drawn first."),
        new_markdown_cell("## A picture of it"),
        new_code_cell("it", outputs=[new_output("display_data", data=data)]),
        new_markdown_cell("## More\n\nWords."),
    ]
    path = folder / "own.html"
    path.write_text(render(new_notebook(cells=cells), FACTS | {"findings": NOTHING}), encoding="utf-8")
    page = watched(browser.new_page(viewport={"width": width, "height": height}), "file:")
    page.goto(path.as_uri())
    page.wait_for_function("document.documentElement.dataset.drawn === 'yes'", timeout=60_000)
    return page


@pytest.mark.parametrize(("width", "height"), [(1280, 800), (390, 844)])
def test_a_report_in_which_nothing_can_be_tested_begins_with_its_picture(
    browser: Any, tmp_path: Path, width: int, height: int
) -> None:
    curve = Curve(title="six steps", x=np.arange(6.0), y=np.arange(12.0).reshape(6, 2), names=("a", "b"))
    page = opened(browser, tmp_path, curve.drawn(), width, height)
    box = page.locator(".findings .plot .main-svg").first.bounding_box()
    assert box["y"] + box["height"] <= height
    assert page.locator(".plot").count() == 1, "the picture stands once"
    fold = page.locator("details.fold > summary")
    assert fold.all_inner_texts() == ["A picture of it"]
    fold.click()
    assert page.locator("details.fold a").get_attribute("href") == "#picture"
    assert page.problems == []
    page.close()


@pytest.mark.parametrize(
    ("values", "scale"),
    [
        (np.array([3.67, 4.02, 4.19, 4.36, 4.55]), True),
        (np.array([3, 4, 5, 6, 7]), False),
        (np.array([0.5, 1.5, 0.5, 1.5, 0.5, 1.5]), False),
    ],
    ids=["measured", "whole", "repeated"],
)
def test_the_picture_may_be_points_and_what_is_measured_has_a_scale(
    browser: Any, tmp_path: Path, values: np.ndarray, scale: bool
) -> None:
    page = opened(browser, tmp_path, points(values, "loss"))
    page.wait_for_function("document.querySelector('.findings .point-view')?.dataset.drawn > 0")
    assert page.locator(".wbp-key .wbp-ramp").count() == scale
    assert page.locator(".wbp-key button").count() == (0 if scale else len(set(values)))
    assert page.problems == []
    page.close()
