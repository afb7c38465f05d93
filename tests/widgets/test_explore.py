"""The explorer: one embedding a site, coloured, with a lasso that gives row ids."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import pytest

import widgets
import workbench as wb
from workbench.core.errors import MissingError, ParameterError, ViewError

HOSTILE = "<script>window.hacked=1</script>"


@pytest.fixture(scope="module")
def acts() -> wb.Activations:
    rng = np.random.default_rng(0)
    table = pd.DataFrame({"kind": np.repeat(["a", "b"], 30), "token": HOSTILE}, index=np.arange(100, 160))
    sites = {f"layer.{i}": rng.standard_normal((60, 5)).astype(np.float32) for i in range(3)}
    return wb.Activations(sites, table, name="layers")


def lasso(figure: go.FigureWidget, chosen: list[tuple[int, int]], kind: str = "plotly_selected") -> None:
    """Do what the front end does after a lasso around points, given as (trace, point)."""
    traces, points = [t for t, _ in chosen], [p for _, p in chosen]
    places = {
        "xs": [0.0] * len(chosen),
        "ys": [0.0] * len(chosen),
        "point_indexes": points,
        "trace_indexes": traces,
    }
    selector = {"type": "lasso", "selector_state": {"xs": [0.0], "ys": [0.0]}}
    figure._js2py_pointsCallback = {"event_type": kind, "points": places, "selector": selector}


def marked(figure: go.FigureWidget) -> list[int]:
    return sorted(int(i) for t in figure.data for i in np.asarray(t.customdata)[list(t.selectedpoints or ())])


def test_it_shows_the_embedding_of_the_chosen_site(acts: wb.Activations) -> None:
    view = widgets.explore(acts)
    np.testing.assert_array_equal(view.result.values, wb.pca(acts.at("layer.2")).values)
    view.site.value = "layer.0"
    assert view.wait(60)
    np.testing.assert_array_equal(view.result.values, wb.pca(acts.at("layer.0")).values)
    np.testing.assert_allclose(np.asarray(view.figure.data[0].x), view.result.values[:, 0])
    assert not view.site.disabled


def test_a_lasso_selects_rows_by_id_over_all_traces(acts: wb.Activations) -> None:
    view = widgets.explore(acts, color="kind")
    heard: list[Any] = []
    view.observe(lambda change: heard.append(change["new"]), "selection")
    assert len(view.figure.data) == 2
    expected = sorted([int(view.figure.data[0].customdata[3]), int(view.figure.data[1].customdata[5])])
    lasso(view.figure, [(0, 3), (1, 5)])
    assert view.selection == tuple(expected)
    assert heard == [tuple(expected)]
    assert view.selected.ids.tolist() == expected
    assert marked(view.figure) == expected
    assert "2 rows selected" in view.told.value
    assert HOSTILE not in view.told.value
    lasso(view.figure, [], "plotly_deselect")
    assert view.selection == ()
    assert marked(view.figure) == []


def test_a_selection_from_code_outlives_colours_and_sites(acts: wb.Activations) -> None:
    view = widgets.explore(acts)
    view.selection = (111, 103, 159)
    assert view.selection == (103, 111, 159)
    view.color.value = "kind"
    assert marked(view.figure) == [103, 111, 159]
    view.site.value = "layer.1"
    assert view.wait(60)
    assert marked(view.figure) == [103, 111, 159]
    with pytest.raises(MissingError, match="no row 5"):
        view.selection = (5,)
    assert view.selection == (103, 111, 159)


def test_every_embedding_is_offered_and_only_a_sample_is_drawn(acts: wb.Activations) -> None:
    view = widgets.explore(acts, sample=20)
    embeddings = {m.name for m in wb.methods() if m.family == "embedding"} - {
        "aligned_umap"
    }  # of several layers
    assert set(view.method.options) == embeddings
    assert len(view.result.ids) == 20
    np.testing.assert_array_equal(view.result.ids, acts.sample(20).ids)


def test_an_embedding_that_fails_says_so_and_leaves_the_last_one(acts: wb.Activations) -> None:
    view = widgets.explore(acts.select([100, 101, 102]), method="pca")
    before = view.figure.to_json()
    view.method.value = "isomap"
    assert view.wait(60)
    assert 'role="alert"' in view.message.value
    assert view.figure.to_json() == before


def test_a_cloud_and_an_array_can_be_explored() -> None:
    view = widgets.explore(wb.circle(n=50), color="angle")
    assert view.site.layout.display == "none"
    assert view.figure.data[0].marker.color is not None
    assert len(widgets.explore(np.random.default_rng(0).standard_normal((12, 3))).result.ids) == 12


def test_what_cannot_be_explored_is_refused(acts: wb.Activations) -> None:
    with pytest.raises(ParameterError, match="'pca'"):
        widgets.explore(acts, method="pcaa")
    with pytest.raises(ParameterError, match="'kind'"):
        widgets.explore(acts, color="kinds")
    with pytest.raises(ViewError, match="rows of numbers"):
        widgets.explore(wb.GraphSubject(np.array([[0, 1]]), 2))


def test_without_a_kernel_the_figure_and_its_evidence_are_shown(acts: wb.Activations) -> None:
    bundle = widgets.explore(acts)._repr_mimebundle_()
    assert "Variance explained" in bundle["text/html"]
    assert bundle["application/vnd.plotly.v1+json"]["data"]
    assert "application/vnd.workbench.result+json" in bundle
