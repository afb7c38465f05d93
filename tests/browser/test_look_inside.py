"""From points into the network: a token is selected, its text asked about, without leaving the explorer; and the page of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from chromium_for_tests import draw_around, watched
from notebooks_for_tests import notebook

from workbench.report import report

pytestmark = [pytest.mark.browser, pytest.mark.slow]

READ = (
    "import time\nfrom pathlib import Path\n"
    "import workbench as wb, widgets\n"
    "from workbench.subjects.reading import Reading\n"
    "made = Reading.example()\n"
    "acts = wb.capture(made.network, made.corpus, at='blocks.*', max_length=12)"
)
STEADY = (
    "from workbench.core.progress import track\n"
    "from workbench.core.registry import analysis\n"
    "from workbench.results.estimate import Estimate\n"
    "from workbench.subjects.reading import Tokens\n"
    "@analysis\n"
    "def steady(tokens: Tokens) -> Estimate:\n"
    "    '''Count for a minute, so that somebody may stop it.'''\n"
    "    for step in track(range(600), 'counting', 600):\n"
    "        time.sleep(0.1)\n"
    "    return Estimate.example()\n"
    "explorer = widgets.explore(acts, color='kind'); explorer"
)
ADDED = (
    "reading = wb.reading(acts)\n"
    "explorer = widgets.explore(acts, color='kind')\n"
    "explorer.add(wb.patch_map(reading, n_null=9))\n"
    "explorer",
    "explorer.add(*(getattr(wb, name)(reading, n_null=0) for name in ('attention_patterns', 'logit_lens', 'top_rows')))\n"
    "explorer.add(wb.spectral_clustering(acts.at('blocks.1'), n_null=9))",
)
IDLE = "window.jupyterapp?.shell.currentWidget?.sessionContext?.session?.kernel?.status === 'idle'"
TEXTS = ".widget-dropdown:has(label:text-is('text')) select"
ASK = ".widget-dropdown:has(label:text-is('ask')) select"


@pytest.fixture(scope="module")
def page(lab: Callable[..., Any], browser: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A notebook in JupyterLab whose second cell shows an explorer."""
    folder = tmp_path_factory.mktemp("inside-lab")
    with lab(folder, (READ, STEADY), folder / "cache") as address:
        page = watched(browser.new_page(viewport={"width": 1366, "height": 2400}), address.split("/lab/")[0])
        page.goto(address)
        page.wait_for_selector(".jp-Notebook .jp-CodeCell", timeout=120_000)
        page.wait_for_function(IDLE, timeout=120_000)
        page.evaluate("window.jupyterapp.commands.execute('notebook:run-all-cells'); 0")
        page.wait_for_selector(".wbp-facet", timeout=120_000)
        page.wait_for_function(IDLE, timeout=120_000)
        yield page
        page.close()


def listed(page: Any) -> list[str]:
    """The texts that can be asked about; JupyterLab puts spaces in that don't break."""
    return [t.replace("\xa0", " ") for t in page.locator(TEXTS).locator("option").all_inner_texts()]


def look(page: Any) -> Any:
    return page.locator("button.widget-button", has_text="Look inside")


def test_a_selected_token_leads_to_a_map_of_its_text_whose_sites_are_clicked(page: Any) -> None:
    assert look(page).is_disabled() and listed(page) == ["(select a row to look inside at its text)"]
    page.get_by_label("search", exact=True).fill("w17")
    page.get_by_label("search", exact=True).press("Enter")
    page.wait_for_function(
        "[...document.querySelectorAll('button')].some(b => b.textContent === 'Look inside' && !b.disabled)"
    )
    chosen = listed(page)[1]
    page.locator(TEXTS).select_option(index=1)
    look(page).press("Enter")
    page.wait_for_selector(".wbf-card", timeout=120_000)
    card = page.locator(".wbf-card")
    words = chosen.split(": ")[1].split()
    axis = page.evaluate(
        "[...document.querySelectorAll('.wbf-plot .xtick text')].map(t => t.textContent.trim())"
    )
    assert axis[: len(words) - 1] == words[:-1]  # the last is spelled [END]
    before = card.get_attribute("data-cell")
    card.get_by_role("button", name="←").or_(card.get_by_role("button", name="→")).first.focus()
    page.keyboard.press("ArrowRight" if before == "0" else "ArrowLeft")
    assert (
        card.get_attribute("data-cell") != before and "random changes of the same size" in card.inner_text()
    )
    assert page.problems == []


def test_another_question_of_the_text_opens_in_its_place(page: Any) -> None:
    page.locator(ASK).select_option(label="attention\xa0patterns")
    look(page).press("Enter")
    page.locator("text=/Attention patterns of/").locator("visible=true").first.wait_for(timeout=120_000)
    page.wait_for_function("!document.querySelector('.wbf-card')")
    assert page.problems == []


def test_what_takes_long_says_how_far_it_is_and_can_be_cancelled(page: Any) -> None:
    page.locator(ASK).select_option(label="steady")
    look(page).press("Enter")
    page.wait_for_selector("text=/counting: \\d+ of 600/", timeout=60_000)
    cancel = page.locator("button.widget-button:visible", has_text="Cancel")
    assert cancel.count() == 1
    cancel.press("Enter")
    page.wait_for_selector("text=/Stopped/", timeout=30_000)
    assert page.locator(".wbp-stage canvas").count() >= 1 and page.problems == []


def test_what_stands_beside_the_points_is_in_the_page_too_and_linked(browser: Any, tmp_path: Path) -> None:
    path = notebook(tmp_path / "n.ipynb", "# Inside", READ, *ADDED)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WORKBENCH_CACHE", str(tmp_path / "cache"))
        made = report(path, {}, tmp_path / "out" / "n.html")
    page = watched(
        browser.new_context(offline=True, viewport={"width": 1280, "height": 900}).new_page(), "file:"
    )
    page.goto(made.as_uri())
    for what in ("drawn", "points"):
        page.wait_for_function(f"document.documentElement.dataset.{what} === 'yes'", timeout=120_000)
    kinds = page.evaluate("[...document.querySelectorAll('.plot')].map(p => p.layout.meta.kind)")
    assert kinds == ["site_map", "attention_maps", "lens", "contexts", "partition"]
    assert page.locator(".wbf-card").count() == 1 and page.locator(".point-view").count() == 1
    draw_around(page, page.locator(".wbp-stage"))
    page.wait_for_function("Number(document.querySelector('.point-view').dataset.selected) > 100")
    lit = "[...document.querySelectorAll('.plot')].map(p => Math.max(...p._fullData.map(t => (t.selectedpoints || []).length)))"
    page.wait_for_function(f"(l => l[0] > 3 && l[1] > 3 && l[2] > 3)({lit})", timeout=30_000)
    assert page.problems == []
    page.context.close()
