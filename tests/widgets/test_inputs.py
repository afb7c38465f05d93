"""Panels of several inputs: a chooser for each, a network captured by itself, a notebook's own variables."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import two_inputs_for_tests

import widgets
import workbench as wb
from workbench.core.errors import Cancelled, ParameterError, ViewError
from workbench.core.registry import analysis
from workbench.results.estimate import Estimate
from workbench.subjects.points import Points


@pytest.fixture(autouse=True)
def defined() -> None:
    two_inputs_for_tests.define()


@pytest.fixture
def notebook() -> Iterator[dict[str, Any]]:
    """The variables of a notebook that this process is the kernel of."""
    from IPython.core.interactiveshell import InteractiveShell

    yield InteractiveShell.instance().user_ns
    InteractiveShell.clear_instance()


def layers() -> wb.Activations:
    values = np.random.default_rng(0).standard_normal((20, 3)).astype(np.float32)
    import pandas as pd

    return wb.Activations({"a": values, "b": values + 2}, pd.DataFrame(index=pd.RangeIndex(20)), name="acts")


def few(panel: widgets.Panel, **values: Any) -> widgets.Panel:
    """Run a panel on few texts, or with few draws."""
    for name, value in values.items():
        {**panel.controls, **panel.reading}[name].value = value
    panel.run()
    assert panel.wait(120)
    return panel


def test_each_input_has_its_chooser_and_how_rows_were_aligned_is_shown() -> None:
    acts = layers()
    panel = widgets.panel("apart", acts, acts)
    x, y = panel.inputs["x"].dropdown, panel.inputs["y"].dropdown
    assert x is not None and y is not None
    assert (x.description, y.description, x.value, y.value) == ("x at", "y at", "b", "b")
    x.value = "a"
    few(panel)
    assert panel.result.evidence[0].value == pytest.approx(4)
    assert "Rows were brought together by row id, 20 rows in common" in panel.shown.children[1].value
    assert "Rows were brought together" in panel.static_html()
    label = panel.history.options[0][0]
    assert "acts · a and acts · b" in label and "power" not in label
    assert "acts · a and acts · b" in widgets.panel("apart", acts.at("a"), acts.at("b")).static_html()


def test_an_array_and_a_result_are_inputs() -> None:
    cloud = wb.planted_clusters(n=60)
    groups = wb.spectral_clustering(cloud, n_clusters=3, n_null=0)
    panel = few(widgets.panel("spread_within", cloud, groups))
    assert panel.result.evidence[0].value == wb.spread_within(cloud, groups).evidence[0].value
    rows = np.ones((5, 2))
    assert few(widgets.panel("apart", rows, rows + 3)).result.evidence[0].value == pytest.approx(9)
    assert few(widgets.panel("counted", rows)).result.evidence[0].value == 5


def test_what_is_missing_or_does_not_suit_is_refused_with_what_to_pass() -> None:
    acts = layers()
    with pytest.raises(ParameterError, match=r"variable here can be y: widgets\.panel\('apart', x, y\)"):
        widgets.panel("apart", acts)
    with pytest.raises(ViewError, match=r"One comes from: .*spectral_clustering"):
        widgets.panel("spread_within", acts, acts)
    with pytest.raises(ViewError, match="a result of kind partition as groups"):
        widgets.panel("spread_within", acts, wb.pca(wb.circle(n=30), n_null=0, n_boot=0))
    with pytest.raises(ParameterError, match="3 things were given"):
        widgets.panel("counted", acts, acts, acts)


def test_a_missing_input_is_chosen_among_the_notebooks_variables(notebook: dict[str, Any]) -> None:
    cloud = wb.planted_clusters(n=60)
    notebook["acts"] = layers()
    notebook["clusters"] = few(
        widgets.panel("spectral_clustering", cloud), n_clusters=3, n_null=0, n_neighbors=10
    )
    notebook["_hidden"] = wb.spectral_clustering(cloud, n_clusters=2, n_null=0)
    notebook["number"] = 3
    chooser = widgets.panel("spread_within", cloud).inputs["groups"]
    assert chooser.dropdown is not None and len(chooser.dropdown.options) == 1
    assert chooser.chosen.thing is notebook["clusters"].result, "what a panel answered"
    panel = widgets.panel("apart", notebook["acts"].at("a"))
    y = panel.inputs["y"].dropdown
    assert y is not None and list(y.options) == ["acts at b", "acts at a"]
    assert few(panel).result.evidence[0].value == pytest.approx(4)
    y.index = 1
    assert few(panel).result.evidence[0].value == 0
    optional = widgets.panel("counted", cloud).inputs["other"]
    assert optional.chosen.thing is None
    assert optional.dropdown is not None and optional.dropdown.options[0] == "(left out)"
    assert widgets.panel("pca").inputs["points"].dropdown is not None


def test_a_network_is_captured_by_its_panel() -> None:
    net = wb.open("minilm")
    panel = widgets.panel("pca", net)
    chooser = panel.inputs["points"].dropdown
    assert chooser is not None
    assert list(chooser.options) == [f"encoder.layer.{i}" for i in range(6)]
    assert chooser.value == "encoder.layer.5"
    few(panel, max_texts=6, sample=50, n_null=0, n_boot=0)
    acts = wb.capture(net, wb.corpus(max_texts=6))
    asked = wb.pca(acts.at("encoder.layer.5").sample(50), n_null=0, n_boot=0)
    np.testing.assert_array_equal(panel.result.values, asked.values)
    assert panel.result.run.subject == asked.run.subject
    chooser.value = "encoder.layer.0"
    few(panel)
    other = wb.pca(acts.at("encoder.layer.0").sample(50), n_null=0, n_boot=0)
    np.testing.assert_array_equal(panel.result.values, other.values)
    several = widgets.panel("cka", net)
    assert several.inputs["aligned"].dropdown is None and several.reading
    weight = widgets.panel("singular_values", net)
    assert weight.reading == {} and weight.inputs["matrix"].dropdown is not None
    assert widgets.panel("pca", acts).reading == {}


def test_a_capture_is_shown_and_can_be_cancelled_and_its_settings_are_held_to_what_is_legal() -> None:
    panel = widgets.panel("pca", wb.open("minilm"))
    panel.reading["max_texts"].field.value = 0
    assert panel.run_button.disabled and "at least 1" in panel.reading["max_texts"].error
    panel.reading["max_texts"].value = 300
    panel.run()
    until = time.monotonic() + 60
    while "capture" not in panel.work.label.value and time.monotonic() < until:
        time.sleep(0.01)
    assert "capture" in panel.work.label.value
    panel.cancel()
    assert panel.wait(2)
    assert isinstance(panel.error, Cancelled) and panel.results == []


def test_the_catalogue_lists_what_can_be_asked_of_several_and_a_cells_method_at_once() -> None:
    acts = layers()
    catalogue = widgets.browse(acts, acts)
    assert {"apart", "counted"} <= set(catalogue.names)
    assert not {"pca", "spread_within"} & set(catalogue.names)
    catalogue.found.value = "apart"
    assert catalogue.panel is not None and list(catalogue.panel.inputs) == ["x", "y"]
    alone = widgets.browse(acts)
    assert {"apart", "spread_within", "pca"} <= set(alone.names), "as the first input"
    alone.found.value = "apart"
    assert alone.panel is None and "widgets.panel(" in alone.opened.children[0].value

    @analysis
    def from_a_cell(points: Points) -> Estimate:
        """Count rows, as a cell of a notebook would."""
        return two_inputs_for_tests.number(points.n, points.n)

    assert "from_a_cell" not in alone.names
    alone.search.value = "cell"
    assert "from_a_cell" in alone.names
    assert few(widgets.panel("from_a_cell", acts)).result.evidence[0].value == 20


def test_the_explorer_has_the_same_chooser_and_refuses_what_is_not_one_set_of_rows() -> None:
    view = widgets.explore(layers())
    assert list(view.site.options) == ["a", "b"] and view.site.value == "b"
    pair = wb.Arrays({"u": np.ones((4, 2)), "v": np.eye(4)}, name="pair")
    with pytest.raises(ViewError, match=r"choose with \.at\(name\), for example \.at\('v'\)"):
        widgets.explore(pair)
    assert list(widgets.explore(pair.at("v")).site.options) == [""]
