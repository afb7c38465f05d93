"""The page as a colleague opens it: from disk, the network blocked."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def page(browser: Any, small_report: Path) -> Iterator[Any]:
    context = browser.new_context(offline=True, viewport={"width": 1366, "height": 900})
    page = context.new_page()
    page.problems = []
    page.on("console", lambda m: page.problems.append(m.text) if m.type == "error" else None)
    page.on("pageerror", lambda e: page.problems.append(str(e)))
    page.on(
        "request",
        lambda r: None if r.url.startswith(("file:", "data:", "blob:")) else page.problems.append(r.url),
    )
    page.goto(small_report.as_uri())
    page.wait_for_function("document.documentElement.dataset.drawn === 'yes'", timeout=60_000)
    yield page
    context.close()


def selected(page: Any, figure: str) -> int:
    script = "id => document.getElementById(id)._fullData.map(t => (t.selectedpoints || []).length).reduce((a, b) => a + b, 0)"
    return page.evaluate(script, figure)


def test_draws_every_figure_without_an_error_or_a_request(page: Any) -> None:
    assert page.locator(".plot .main-svg").count() >= 2
    assert page.evaluate("document.querySelectorAll('.plot').length") == 2
    assert page.problems == []


def test_questions_stand_beside_their_verdicts_also_where_they_wrap(browser: Any, small_report: Path) -> None:
    narrow = browser.new_page(viewport={"width": 700, "height": 900})
    narrow.goto(small_report.as_uri())
    narrow.evaluate("document.querySelectorAll('details.how').forEach(fold => { fold.open = true; })")
    lines = narrow.evaluate(
        "[...document.querySelectorAll('.asked li')].map(li => [...li.children].map(e => "
        "(r => [r.left, r.top, r.right, r.bottom])(e.getBoundingClientRect())))"
    )
    narrow.close()
    assert any(said[3] - said[1] > 30 for _, said in lines)  # one does wrap
    assert all(said[0] >= verdict[2] for verdict, said in lines)


def test_text_from_data_does_not_act(page: Any) -> None:
    page.locator("#figure-1").hover(position={"x": 400, "y": 150})
    assert page.evaluate("window.hacked") is None
    assert "<script>window.hacked=1</script>" in page.inner_text("main")


def test_lasso_in_one_figure_selects_the_same_rows_in_the_other(page: Any) -> None:
    page.locator("#figure-1").scroll_into_view_if_needed()
    box = page.locator("#figure-1 .nsewdrag").first.bounding_box()
    left, top, right, bottom = (
        box["x"] + 5,
        box["y"] + 5,
        box["x"] + box["width"] / 2,
        box["y"] + box["height"] - 5,
    )
    page.mouse.move(left, top)
    page.mouse.down()
    for x, y in ((right, top), (right, bottom), (left, bottom), (left, top + 2)):
        page.mouse.move(x, y, steps=4)
    page.mouse.up()
    page.wait_for_function("!document.getElementById('selection').hidden")
    page.wait_for_timeout(300)
    here, there = selected(page, "figure-1"), selected(page, "figure-2")
    assert 0 < here < 90
    assert here == there
    assert f"{here} rows selected" in page.inner_text("#selection")
    page.keyboard.press("Escape")
    page.wait_for_function("document.getElementById('selection').hidden")


def test_reads_in_the_dark(browser: Any, small_report: Path) -> None:
    page = browser.new_page(color_scheme="dark")
    page.goto(small_report.as_uri())
    page.wait_for_function("document.documentElement.dataset.drawn === 'yes'", timeout=60_000)
    ink = page.evaluate("document.getElementById('figure-1')._fullLayout.font.color")
    paper = page.evaluate("getComputedStyle(document.body).backgroundColor")
    page.close()
    assert ink == "#e6e9ee"
    assert paper == "rgb(21, 24, 29)"


def test_a_table_is_sorted_by_its_headers_and_a_row_shows_its_point(page: Any) -> None:
    table = page.locator("main .cell table")
    ids = "t => [...t.tBodies[0].rows].map(r => r.cells[0].textContent)"
    assert table.evaluate(ids) == ["0", "1", "2"]
    first = table.locator("th button").first
    first.focus()
    page.keyboard.press("Enter")
    assert table.locator("th").first.get_attribute("aria-sort") == "ascending"
    page.keyboard.press("Space")
    assert table.locator("th").first.get_attribute("aria-sort") == "descending"
    assert table.evaluate(ids) == ["2", "1", "0"]
    assert table.locator("[aria-sort=none]").count() == table.locator("th[aria-sort]").count() - 1
    table.locator("tbody tr").first.click()
    shown = """[...document.querySelectorAll('.plot')].map(
      p => (p.layout.annotations || []).filter(a => a.name === 'workbench:shown').map(a => a.text).join())"""
    page.wait_for_timeout(300)
    assert page.evaluate(shown) == ["row 2", "row 2"]
    page.evaluate("document.querySelector('#figure-1').scrollIntoView()")
    page.evaluate("""() => {
      const { space } = document.getElementById('figure-1').layout.meta;
      document.dispatchEvent(new CustomEvent('workbench:select', {detail: {space, ids: [1], by: 'test'}}));
    }""")
    assert table.locator("tr.selected").evaluate_all("rows => rows.map(r => r.dataset.row)") == ["1"]
    first.click()
    assert table.locator("tr.selected td, tr.selected th").first.inner_text() == "1"
    page.keyboard.press("Escape")
    page.wait_for_timeout(300)
    assert page.evaluate(shown) == ["", ""]
    assert table.locator("tr.selected").count() == 0
    assert page.problems == []


def test_numbers_are_sorted_as_numbers_and_what_is_missing_stays_last(page: Any) -> None:
    page.evaluate("document.querySelectorAll('section details').forEach(fold => { fold.open = true; })")
    table = page.locator("section .wide table")
    values = "t => [...t.tBodies[0].rows].map(r => r.cells[2].textContent.trim()).filter(Boolean).map(Number)"
    for order in (sorted, lambda v: sorted(v, reverse=True)):
        table.locator("th button", has_text="value").click()
        found = table.evaluate(values)
        assert len(found) >= 2
        assert found == order(found)


def test_every_figure_is_saved_at_print_size_on_white(page: Any, tmp_path: Path) -> None:
    from PIL import Image

    assert page.locator(".wbf-tools").count() == page.locator(".plot").count() == 2
    for kind in ("PNG", "SVG"):
        with page.expect_download() as begun:
            page.locator("#figure-1 + .wbf-tools button", has_text=kind).press("Enter")
        begun.value.save_as(tmp_path / f"figure.{kind}")
        assert begun.value.suggested_filename.endswith(f".{kind.lower()}")
    with (tmp_path / "figure.PNG").open("rb") as file:
        assert struct.unpack(">II", file.read(24)[16:])[0] == 3 * 820
    picture = Image.open(tmp_path / "figure.PNG").convert("RGB")
    assert (
        picture.getpixel((3, 3))
        == picture.getpixel((picture.width - 3, picture.height - 3))
        == (255, 255, 255)
    )
    svg = (tmp_path / "figure.SVG").read_text(encoding="utf-8")
    assert ('width="820"' in svg and "#23272f" in svg.lower()) or "rgb(35, 39, 47)" in svg
    assert "Principal components of circle" in svg
    assert page.problems == []


def test_a_figure_that_cannot_be_drawn_says_so_and_is_drawn_again(browser: Any, small_report: Path) -> None:
    page = browser.new_page()
    # as where memory is short
    page.add_init_script(
        "const whole = SVGElement.prototype.setAttributeNS; window.mend = () => { SVGElement.prototype.setAttributeNS = whole; };"
        "SVGElement.prototype.setAttributeNS = () => { throw new Error('there is no memory'); };"
    )
    page.goto(small_report.as_uri())
    page.wait_for_function("document.documentElement.dataset.drawn === 'yes'", timeout=60_000)
    said = page.locator("#figure-1 [role=alert]")
    assert "could not be drawn here: there is no memory." in said.inner_text()
    page.evaluate("window.mend()")
    said.get_by_role("button", name="Draw again").press("Enter")
    page.wait_for_function("document.querySelectorAll('#figure-1 .main-svg').length > 0")
    assert page.locator("#figure-1 [role=alert]").count() == 0
    page.close()


def test_titles_are_whole_on_a_telephone_and_on_a_wide_screen(browser: Any, small_report: Path) -> None:
    cut = """[...document.querySelectorAll('.plot')].flatMap(plot => { const box = plot.getBoundingClientRect();
      return [...plot.querySelectorAll('.gtitle, .gtitle-subtitle, .xtitle, .ytitle, .legendtext')].filter(e => {
        const r = e.getBoundingClientRect(); return r.left < box.left - 1 || r.right > box.right + 1; }).map(e => e.textContent); })"""
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    page.goto(small_report.as_uri())
    page.wait_for_function("document.documentElement.dataset.drawn === 'yes'", timeout=60_000)
    for width in (1280, 390, 800):  # also where it changes
        page.set_viewport_size({"width": width, "height": 900})
        page.wait_for_timeout(500)
        assert page.evaluate(cut) == []
        assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.close()


def test_prints_dark_on_white_whatever_the_theme_and_nothing_cut(browser: Any, small_report: Path) -> None:
    page = browser.new_page(color_scheme="dark", viewport={"width": 1366, "height": 900})
    page.goto(small_report.as_uri())
    page.wait_for_function("document.documentElement.dataset.drawn === 'yes'", timeout=60_000)
    # printing as Chromium does it, seen from within: what the page is when the print begins and when it is over
    page.evaluate("""() => {
      const look = () => {
        const { font, width } = document.getElementById('figure-1')._fullLayout;
        return {ink: font.color, width, open: document.querySelectorAll('details.how[open]').length};
      };
      addEventListener('beforeprint', () => { window.begun = look(); });
      addEventListener('afterprint', () => setTimeout(() => { window.over = look(); }, 500));
    }""")
    assert page.pdf(format="A4", print_background=True).startswith(b"%PDF")
    page.wait_for_function("window.over")
    begun, over = page.evaluate("[window.begun, window.over]")
    assert (begun["ink"], begun["width"], begun["open"]) == ("#23272f", 820, 2)
    assert (over["ink"], over["open"]) == ("#e6e9ee", 0)
    assert over["width"] > 820
    # what stands on paper: light, nothing to press, nothing wider than the page's 680 pixels
    page.emulate_media(media="print", color_scheme="dark")
    page.set_viewport_size({"width": 680, "height": 1000})
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    page.wait_for_timeout(300)
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert page.evaluate("getComputedStyle(document.querySelector('main p')).color") == "rgb(0, 0, 0)"
    for control in ("nav", ".modebar", "details.code", "#selection"):
        assert not any(e.is_visible() for e in page.locator(control).all()), control
    assert page.evaluate("document.documentElement.scrollWidth") <= 680
    wide = (
        "[...document.querySelectorAll('.plot .main-svg')].every(e => e.getBoundingClientRect().right <= 680)"
    )
    assert page.evaluate(wide)
    assert all(e.is_visible() for e in page.locator("details.how dl").all())
    page.close()
