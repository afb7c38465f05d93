"""The findings of a report as a picture: drawn without a script, whole on a phone, read with the keyboard, sharp on paper."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
import pytest
from chromium_for_tests import watched
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook
from notebooks_for_tests import HOSTILE

from workbench.report import report

pytestmark = pytest.mark.browser
SIZES = [(1280, 800), (800, 1000), (390, 844)]
MADE = f"""
import numpy as np, workbench as wb
rng = np.random.default_rng(0)
flat = wb.pca(wb.circle(n=90, noise=0.05, dimensions=5), n_null=99, n_boot=19)
noise = wb.pca(wb.PointCloud(rng.standard_normal((90, 5)), name={HOSTILE!r}), n_null=99, n_boot=19)
bare = wb.pca(wb.circle(n=60, dimensions=4), n_null=0, n_boot=19)
"""
STATED = f"""
found = wb.Findings()
judge = lambda name, result, **how: found.judge(name + " lies {{}}", result, "variance_explained", less="lower", more="higher", **how)
judge("The circle", flat, meaning={HOSTILE!r}, beside={{"other clouds": [noise]}})
judge("Noise", noise)
judge("Nothing", bare)
found
"""


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("findings")
    cells = [
        new_markdown_cell("# Findings as a picture\n\nWhat is asked here, in a sentence."),
        new_code_cell(MADE),
        new_code_cell("flat"),
        new_markdown_cell("## More of it", metadata={"jp-MarkdownHeadingCollapsed": True}),
        new_code_cell("noise"),
        new_markdown_cell("## What was found"),
        new_code_cell(STATED),
    ]
    nbformat.write(new_notebook(cells=cells), folder / "found.ipynb")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WORKBENCH_CACHE", str(folder / "cache"))
        return report(folder / "found.ipynb", {}, folder / "out" / "found.html")


@pytest.fixture(scope="module")
def page(browser: Any, written: Path) -> Iterator[Any]:
    page = watched(browser.new_page(viewport={"width": 1280, "height": 800}), written.as_uri())
    page.goto(written.as_uri())
    page.wait_for_function("document.documentElement.dataset.drawn === 'yes'", timeout=60_000)
    yield page
    page.close()


@pytest.mark.parametrize(("width", "height"), SIZES)
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_first_screen_holds_a_picture_that_is_whole_without_a_script(
    browser: Any, written: Path, width: int, height: int, scheme: str
) -> None:
    context = browser.new_context(
        java_script_enabled=False, color_scheme=scheme, viewport={"width": width, "height": height}
    )
    page = context.new_page()
    page.goto(written.as_uri())
    box = page.locator(".leading .strip").first.bounding_box()
    assert box["y"] + box["height"] <= height
    assert all(
        b["x"] >= 0 and b["x"] + b["width"] <= width
        for b in (e.bounding_box() for e in page.locator(".strip, .strip text, .strip circle").all())
    )
    context.close()


def test_a_verdict_stands_once_and_what_holds_at_the_top_with_its_figure(page: Any) -> None:
    top = page.locator(".leading .claim")
    assert top.count() == 1 and top.locator("h3").inner_text() == "The circle lies higher"
    assert top.locator(".plot .main-svg").count() >= 1
    assert page.locator("main .plot").count() == 1  # the other's; the first stands at the top alone
    assert "At the top: The circle lies higher" in page.inner_text("main")
    headings = page.locator("#questions ~ h3").all_inner_texts()
    assert [h.split(" (")[0] for h in headings] == ["Could be chance", "Not tested"]
    assert page.locator(".claims .claim").count() == 2
    assert page.evaluate("document.documentElement.scrollWidth") == 1280
    assert page.problems == []


def test_the_rest_of_a_claim_is_read_by_mouse_and_by_keyboard_and_nothing_in_it_acts(page: Any) -> None:
    rest = page.locator(".leading .rest")
    assert not rest.is_visible()
    page.locator(".leading .claim h3").hover()
    assert rest.is_visible() and "95 % interval" in rest.inner_text() and HOSTILE in rest.inner_text()
    page.mouse.move(2, 2)
    page.locator(".leading .claim").focus()
    assert rest.is_visible()
    row = page.locator(".claims .claim").first
    row.locator("a").focus()
    assert row.locator(".rest").is_visible()
    assert page.evaluate("window.hacked") is None
    assert "95 % interval" in page.locator(".leading .strip").get_attribute("aria-label")
    assert page.problems == []


def test_a_claims_link_opens_the_fold_that_its_figure_is_in_and_the_figure_fills_it(page: Any) -> None:
    fold = page.locator("details.fold")
    assert fold.get_attribute("open") is None
    page.locator(".claims a", has_text="Noise").first.click()
    page.wait_for_function("document.querySelector('details.fold').open")
    page.wait_for_timeout(500)
    drawn, room = (
        page.locator(f"details.fold {s}").first.bounding_box() for s in (".main-svg", "figure.result")
    )
    assert room["width"] - 60 < drawn["width"] <= room["width"]


def test_findings_are_on_paper_with_their_figures_and_folds_open(page: Any) -> None:
    assert page.pdf(format="A4", print_background=True).startswith(b"%PDF")
    page.emulate_media(media="print")
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert page.locator("details.fold").get_attribute("open") is not None
    assert page.locator(".leading .strip").is_visible() and not page.locator(".leading .rest").is_visible()
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    page.emulate_media(media="screen")


def test_on_a_telephone_the_contents_and_the_facts_wait_to_be_opened_and_paper_has_the_facts(
    browser: Any, written: Path
) -> None:
    page = browser.new_page(viewport={"width": 390, "height": 844})
    page.goto(written.as_uri())
    page.wait_for_function("document.documentElement.dataset.drawn === 'yes'", timeout=60_000)
    contents, facts = page.locator("nav ol"), page.locator("details.facts dl")
    assert not contents.is_visible() and not facts.is_visible()
    page.locator("nav summary").click()
    assert contents.is_visible() and page.locator("nav a", has_text="How this was computed").is_visible()
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert facts.is_visible()
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    assert not facts.is_visible()
    page.set_viewport_size({"width": 1280, "height": 800})
    page.reload()
    assert page.locator("nav ol").is_visible()
    page.close()


def test_a_name_on_the_page_is_broken_between_its_parts(browser: Any) -> None:
    from workbench.evidence.pictured import pictured

    claim = {
        "claim": "Fewer directions hold embeddings.position_embeddings.weight than chance",
        "label": "stable rank",
        "verdict": "not tested",
        "numbers": ["1"],
        "meaning": "",
        "figure": "",
        "bands": [],
        "interval": None,
    }
    page = browser.new_page(viewport={"width": 240, "height": 800})
    page.set_content(pictured([claim], ""))
    ends = page.evaluate(
        """() => { const o = []; let last;
        const walk = document.createTreeWalker(document.querySelector('.claim span[tabindex]'), NodeFilter.SHOW_TEXT);
        for (let n = walk.nextNode(); n; n = walk.nextNode()) for (let i = 0; i < n.data.length; i++) {
          const r = document.createRange(); r.setStart(n, i); r.setEnd(n, i + 1);
          const top = r.getBoundingClientRect().top;
          if (last && top > last.top + 4) o.push(last.letter); last = { top, letter: n.data[i] }; }
        return o; }"""
    )
    page.close()
    assert len(ends) >= 2 and set(ends) <= {" ", ".", "_"}
