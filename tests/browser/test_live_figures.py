"""The module that draws a panel's figure, in a bare page: another host than JupyterLab, with the states that the kernel sends."""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from chromium_for_tests import draw_around, watched

from widgets._html import Notice
from widgets._live import Figure, _library
from workbench.results.embedding import Embedding
from workbench.results.site_map import SiteMap

pytestmark = pytest.mark.browser

SLOWER = 12  # times
# What a manager of widgets is to a module: models by their ids, whose values the kernel sets, and which send messages to it.
HOST = """
const modelOf = (values) => {
  const heard = [];
  return {
    sent: [], comm_live: true, get: (name) => values[name],
    set(name, value) { values[name] = value; heard.forEach(([event, act]) => event === `change:${name}` && act()); },
    save_changes() {}, send(message) { this.sent.push(message); }, on(event, act) { heard.push([event, act]); }, off() {},
    trigger(event) { heard.forEach(([name, act]) => name === event && act()); },
  };
};
const signal = () => {
  const acts = [];
  return { connect: (act) => acts.push(act), disconnect() {}, emit: () => acts.forEach((act) => act()) };
};
window.kernel = {
  status: "idle", connectionStatus: "connected", isDisposed: false,
  statusChanged: signal(), connectionStatusChanged: signal(), disposed: signal(),
  reconnect: async () => { window.kernel.connectionStatus = "connected"; window.kernel.connectionStatusChanged.emit(); },
};
window.show = async (source, values, models) => {
  const { default: module } = await import(URL.createObjectURL(new Blob([source], { type: "text/javascript" })));
  window.models = Object.fromEntries(Object.entries(models).map(([id, held]) => [id, modelOf(held)]));
  const manager = { kernel: window.kernel, get_model: async (id) => window.models[id] };
  const el = document.body.appendChild(document.createElement("div"));
  window.end = module.render({ model: { ...modelOf(values), widget_manager: manager }, el });
};
window.bytes = (text) => new DataView(Uint8Array.from(atob(text), (c) => c.charCodeAt(0)).buffer);
"""
LIT = "document.querySelector('.wbf-plot')._fullData.flatMap(t => t.selectedpoints || []).length"
DRAWN = "document.querySelectorAll('.wbf-plot .scatterlayer .point').length > 0"


@pytest.fixture
def page(browser: Any, tmp_path: Path) -> Any:
    (tmp_path / "host.html").write_text(
        f'<!doctype html><meta charset="utf-8"><body><script>{HOST}</script></body>'
    )
    page = watched(browser.new_page(viewport={"width": 900, "height": 800}), "file:")
    page.goto((tmp_path / "host.html").as_uri())
    yield page
    page.close()


def show(page: Any, figure: Figure, *, plotly: bool = True) -> None:
    state = figure.state
    drawing = {"figure": state.figure, "selected": state.selected, "view": state.view}
    packed = base64.b64encode(_library().source).decode() if plotly else ""
    values = {"width": figure.width, "drawing": "drawing", "library": "library"}
    page.evaluate(
        "([source, values, drawing, packed]) => window.show(source, values, "
        "{ drawing, library: { version: '1', source: packed && bytes(packed) } })",
        [str(figure._esm), values, drawing, packed],
    )


def test_it_is_drawn_on_a_slow_machine_and_selects_both_ways(page: Any) -> None:
    figure = Figure(replace(Embedding.example(), space="rows of this test"))
    page.context.new_cdp_session(page).send("Emulation.setCPUThrottlingRate", {"rate": SLOWER})
    show(page, figure)
    assert page.locator(".wbf-plot [role=status]").inner_text() == "Drawing …"
    page.wait_for_function(DRAWN, timeout=60_000)
    page.context.new_cdp_session(page).send("Emulation.setCPUThrottlingRate", {"rate": 1})
    page.wait_for_selector(".wbf-tools button")
    draw_around(page, page.locator(".nsewdrag").first)
    page.wait_for_function("window.models.drawing.sent.length > 0")
    told = page.evaluate("window.models.drawing.sent.at(-1)")
    assert len(told["picked"]) == len(figure.plotted.data[0].x)
    figure.state._handle_custom_msg(json.loads(json.dumps(told)), [])
    assert [len(marks) for marks in figure.state.selected] == [len(figure.plotted.data[0].x)]
    page.evaluate("window.models.drawing.set('selected', [[1, 2, 3]])")
    page.wait_for_function(f"{LIT} === 3")
    page.evaluate("window.models.drawing.set('selected', [null])")
    page.wait_for_function(f"{LIT} === 0")
    assert page.problems == []


def test_another_answer_keeps_the_view_that_the_kernel_keeps(page: Any) -> None:
    figure = Figure(Embedding.example())
    show(page, figure)
    page.wait_for_selector(".wbf-plot[data-live]")
    plot = "document.querySelector('.wbf-plot')"
    page.locator(".wbf-plot").hover()
    page.locator('[data-title="Zoom in"]').click()
    page.wait_for_function("'xaxis.range' in window.models.drawing.get('view')")
    view = page.evaluate("window.models.drawing.get('view')")
    figure.show(Embedding.example(1), as_seen=True)
    page.evaluate("figure => window.models.drawing.set('figure', figure)", figure.state.figure)
    page.wait_for_function(
        f"{plot}.data[0].x.bdata === JSON.parse(window.models.drawing.get('figure')).data[0].x.bdata"
    )
    page.wait_for_function(f"Math.abs({plot}._fullLayout.xaxis.range[0] - ({view['xaxis.range'][0]})) < 0.1")
    assert page.problems == []


def test_a_site_that_is_clicked_shows_its_card_until_another_kind_is_drawn(page: Any) -> None:
    figure = Figure(SiteMap.example())
    show(page, figure)
    page.wait_for_selector(".wbf-plot[data-live]")
    card = page.locator(".wbf-card")
    assert "layer 0, token 1: cat" in card.inner_text()  # the largest change
    box = page.locator(".wbf-plot .hm image").bounding_box()
    page.mouse.click(box["x"] + box["width"] * 5 / 6, box["y"] + box["height"] / 4)
    page.wait_for_function("document.querySelector('.wbf-card').dataset.cell === '5'")
    assert "layer 1, token 2: sat" in card.inner_text() and "beyond chance" in card.inner_text()
    figure.show(Embedding.example())
    page.evaluate("figure => window.models.drawing.set('figure', figure)", figure.state.figure)
    page.wait_for_function("!document.querySelector('.wbf-card')")
    assert page.problems == []


def test_what_cannot_be_drawn_says_so_and_is_drawn_again(page: Any) -> None:
    show(page, Figure(Embedding.example()), plotly=False)
    said = page.locator(".wbf-plot [role=alert]")
    said.wait_for()
    assert "could not be drawn here: plotly is not in this notebook; run the cell again." in said.inner_text()
    packed = base64.b64encode(_library().source).decode()
    page.evaluate("packed => window.models.library.set('source', bytes(packed))", packed)
    said.get_by_role("button", name="Draw again").press("Enter")
    page.wait_for_function(DRAWN)
    assert page.locator(".wbf-plot [role=alert]").count() == 0
    assert page.problems == []


def test_a_panel_says_what_became_of_its_kernel(page: Any) -> None:
    page.evaluate("source => window.show(source, { beacon: 'b' }, { b: {} })", str(Notice._esm))
    line = page.locator(".wbn-notice")
    assert not line.is_visible()
    page.evaluate("kernel.connectionStatus = 'disconnected'; kernel.connectionStatusChanged.emit()")
    assert "connection to the kernel is lost" in line.inner_text()
    page.get_by_role("button", name="Reconnect").press("Enter")
    page.wait_for_function("document.querySelector('.wbn-notice').hidden")
    page.evaluate("models.b.comm_live = false; models.b.trigger('comm_live_update')")
    assert "The kernel was restarted" in line.inner_text() and "Run this cell again" in line.inner_text()
    page.evaluate("kernel.status = 'dead'; kernel.statusChanged.emit()")
    assert "The kernel has ended" in line.inner_text()
    assert page.problems == []
