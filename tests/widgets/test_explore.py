"""The explorer: one embedding a site, coloured, with a lasso that gives row ids."""

from __future__ import annotations

import base64
import gzip
import io
import json
from typing import Any

import numpy as np
import pandas as pd
import pytest
from ipywidgets.widgets.widget import _remove_buffers as widget_buffers

import widgets
import workbench as wb
from widgets._live import Figure
from workbench.core.errors import DataError, MissingError, ParameterError, ViewError
from workbench.report import points
from workbench.results.diagram import Diagram
from workbench.results.partition import Partition

HOSTILE = "<script>window.hacked=1</script>"


@pytest.fixture(scope="module")
def acts() -> wb.Activations:
    rng = np.random.default_rng(0)
    table = pd.DataFrame({"kind": np.repeat(["a", "b"], 30), "token": HOSTILE}, index=np.arange(100, 160))
    sites = {f"layer.{i}": rng.standard_normal((60, 5)).astype(np.float32) for i in range(3)}
    return wb.Activations(sites, table, name="layers")


def draw_around(view: widgets.Explorer, ids: list[int]) -> None:
    """Do what the browser does after a lasso."""
    at = np.flatnonzero(np.isin(view.view.ids, ids))
    view.view.set_state({"picked": memoryview(points.picked(at, len(view.view.ids)))})


def lit(figure: Figure) -> list[int]:
    """Marks that a plotly figure shows as selected."""
    return sorted(i for marks in figure.state.selected for i in (marks or ()))


def click(figure: Figure, trace: int, mark: int) -> None:
    """Do what the browser does after a click on a mark."""
    figure.state._handle_custom_msg({"clicked": [[trace, mark]]}, [])


def shown(view: widgets.Explorer) -> np.ndarray:
    """The positions that the browser is sent."""
    frames = np.frombuffer(view.view.positions["data"], "<f4")
    return frames.reshape(-1, view.view.spec["placed"], view.view.spec["k"])


def test_it_shows_the_embedding_of_the_chosen_site(acts: wb.Activations) -> None:
    view = widgets.explore(acts)
    np.testing.assert_array_equal(view.result.values, wb.pca(acts.at("layer.2")).values)
    view.site.value = "layer.0"
    assert view.wait(60)
    np.testing.assert_array_equal(view.result.values, wb.pca(acts.at("layer.0")).values)
    np.testing.assert_array_equal(shown(view)[0], view.result.values.astype(np.float32))
    assert not view.site.disabled


def test_no_column_of_numbers_travels_as_a_list(acts: wb.Activations) -> None:
    view = widgets.explore(acts, color="kind")
    state, _, buffers = widget_buffers(view.view.get_state())
    text = json.dumps({k: v for k, v in state.items() if not k.startswith("_")})
    assert len(buffers) == 2 + len(view.view.columns)
    assert "111" not in text and len(text) < 2000
    kind = next(c for c in view.view.columns if c["name"] == "kind")
    assert kind["labels"] == ["a", "b"]
    assert np.frombuffer(kind["data"], "u1").tolist() == [0] * 30 + [1] * 30


def test_a_lasso_selects_rows_by_id(acts: wb.Activations) -> None:
    view = widgets.explore(acts, color="kind")
    view.selection = ()
    heard: list[Any] = []
    view.observe(lambda change: heard.append(change["new"]), "selection")
    draw_around(view, [131, 103])
    assert view.selection == (103, 131)
    assert heard == [(103, 131)]
    assert view.selected.ids.tolist() == [103, 131]
    assert acts.select(view.selection).ids.tolist() == [103, 131]
    draw_around(view, [])
    assert view.selection == ()


def test_one_selection_holds_in_every_open_view_of_the_same_rows(acts: wb.Activations) -> None:
    first, second = widgets.explore(acts), widgets.explore(acts.sample(20), color="kind")
    other = widgets.explore(wb.circle(n=50))
    draw_around(first, acts.ids.tolist())
    assert len(first.selection) == 60
    assert second.selection == tuple(second.subject.ids.tolist())
    assert second.view.selected.tolist() == second.subject.ids.tolist()
    assert other.selection == ()
    second.selection = second.subject.ids[:2].tolist()
    assert first.selection == second.selection
    first.selection = ()
    assert second.selection == () and len(second.view.selected) == 0


def test_a_clicked_cluster_lights_its_rows_and_a_lasso_its_bar(acts: wb.Activations) -> None:
    view = widgets.explore(acts)
    found = Partition(labels=np.arange(60) % 3, ids=acts.ids, space=acts.space, names=("x", "x", "z"))
    view.add(found)
    bars = view.beside.children[0]
    click(bars, 0, 1)
    assert view.selection == tuple(found.members(1).tolist())
    assert lit(bars) == [1]
    draw_around(view, [int(found.members(2)[0])])
    assert lit(bars) == [2]
    view.color = found
    assert view.color == "partition cluster"
    column = next(c for c in view.view.columns if c["name"] == view.color)
    assert column["labels"] == ["0: x", "1: x", "2: z"]


def test_a_clicked_bar_lights_its_representative_cycle(acts: wb.Activations) -> None:
    view = widgets.explore(acts)
    pairs = np.array([[0.0, 1.0, 1.0], [0.2, 0.9, 1.0]])
    found = Diagram(
        pairs=pairs,
        cycle_ids=np.array([100, 101, 105, 110]),
        cycle_starts=np.array([0, 2, 4]),
        space=acts.space,
    )
    view.add(found)
    click(view.beside.children[0], 0, 0)
    assert view.selection == (100, 101)


def test_a_result_of_other_rows_is_not_put_beside(acts: wb.Activations) -> None:
    with pytest.raises(ParameterError, match="other rows"):
        widgets.explore(acts).add(wb.pca(wb.circle(n=30)))
    with pytest.raises(ParameterError, match="other rows"):
        widgets.explore(acts, method=wb.pca(wb.circle(n=30)))


def test_a_selection_from_code_outlives_colours_and_sites(acts: wb.Activations) -> None:
    view = widgets.explore(acts)
    view.selection = (111, 103, 159)
    assert view.selection == (103, 111, 159)
    view.color = "kind"
    assert view.view.selected.tolist() == [103, 111, 159]
    view.site.value = "layer.1"
    assert view.wait(60)
    assert view.view.selected.tolist() == [103, 111, 159]
    with pytest.raises(MissingError, match="no row 5"):
        view.selection = (5,)
    assert view.selection == (103, 111, 159)
    view.selection = ()


def test_a_view_may_have_three_dimensions(acts: wb.Activations) -> None:
    view = widgets.explore(acts)
    view.dimensions.value = 3
    assert view.wait(60)
    assert view.view.spec["k"] == 3
    np.testing.assert_array_equal(shown(view)[0], view.result.values.astype(np.float32))
    with pytest.raises(ParameterError, match="2 dimensions or 3"):
        widgets.explore(acts, dimensions=4)


def test_a_sample_says_so(acts: wb.Activations) -> None:
    assert "20 of 60 rows" in widgets.explore(acts, sample=20).view.spec["note"]
    assert widgets.explore(acts).view.spec["note"] == ""


def test_a_sequence_of_layouts_gets_one_frame_each(acts: wb.Activations) -> None:
    made = wb.aligned_umap(acts, n_neighbors=5, n_epochs=10, n_null=9)
    view = widgets.explore(acts, method=made)
    assert view.view.spec["frames"] == ["layer.0", "layer.1", "layer.2"]
    np.testing.assert_array_equal(shown(view), made.frames.astype(np.float32))
    assert view.view.frame == 2
    assert "displacement" in view.view.names


def test_every_embedding_is_offered_and_only_a_sample_is_drawn(acts: wb.Activations) -> None:
    view = widgets.explore(acts, sample=20)
    embeddings = {m.name for m in wb.methods() if m.family == "embedding"}
    assert set(view.method.options) == embeddings
    assert set(widgets.explore(acts.at("layer.1")).method.options) == embeddings - {"aligned_umap"}
    assert len(view.result.ids) == 20
    np.testing.assert_array_equal(view.result.ids, acts.sample(20).ids)


def test_an_embedding_that_fails_says_so_and_leaves_the_last_one(acts: wb.Activations) -> None:
    view = widgets.explore(acts.select([100, 101, 102, 103, 104]), method="pca")
    before = view.view.positions
    view.method.value = "isomap"
    assert view.wait(60)
    assert 'role="alert"' in view.message.value
    assert view.view.positions == before


def test_a_cloud_and_an_array_can_be_explored() -> None:
    view = widgets.explore(wb.circle(n=50), color="angle")
    assert view.site.layout.display == "none"
    assert view.view.color == "angle"
    assert len(widgets.explore(np.random.default_rng(0).standard_normal((12, 3))).result.ids) == 12


def test_what_cannot_be_explored_is_refused(acts: wb.Activations) -> None:
    with pytest.raises(ParameterError, match="'pca'"):
        widgets.explore(acts, method="pcaa")
    with pytest.raises(ParameterError, match="'kind'"):
        widgets.explore(acts, color="kinds")
    with pytest.raises(ViewError, match="rows of numbers"):
        widgets.explore(wb.GraphSubject(np.array([[0, 1]]), 2))


def test_without_a_kernel_the_same_points_and_their_evidence_are_shown(acts: wb.Activations) -> None:
    view = widgets.explore(acts, color="kind")
    view.selection = (103, 111)
    bundle = view._repr_mimebundle_()
    view.selection = ()
    assert "Variance explained" in bundle["text/html"]
    assert bundle["application/vnd.workbench.result+json"]["title"] == view.result.title
    page = json.loads(json.dumps(bundle[points.POINTS_MIME]))
    assert page["color"] == "kind"
    positions = gzip.decompress(base64.b64decode(page["positions"]["data"]))
    np.testing.assert_array_equal(np.frombuffer(positions, "<f4").reshape(60, 2), shown(view)[0])
    bits = gzip.decompress(base64.b64decode(page["picked"]))
    assert points.unpicked(bits, 60).tolist() == [3, 11]


def test_a_column_that_a_page_has_no_room_for_is_named(acts: wb.Activations) -> None:
    view = widgets.explore(acts, color="kind").view
    state = {n: getattr(view, n) for n in ("spec", "positions", "columns", "color", "frame", "picked")}
    rng = np.random.default_rng(0)
    long = pd.DataFrame({"essay": [rng.bytes(300).hex() for _ in range(60)]}, index=acts.ids)
    state["columns"] = [*state["columns"], *points.columns(acts.ids, long)[1:]]
    page = points.packed(state, limit=5000)
    assert [c["name"] for c in page["columns"]] == view.names
    assert "essay" in page["spec"]["note"]


def test_many_positions_are_packed_in_steps_finer_than_a_screen() -> None:
    values = np.random.default_rng(0).standard_normal((points.EXACT // 2 + 1, 2)).astype(np.float32)
    block = points._coarse({"dtype": "f4", "data": values.tobytes()}, {"k": 2})
    back = np.frombuffer(block["data"], "<u2").reshape(-1, 2) * block["step"] + np.array(block["low"])
    assert np.abs(back - values).max() <= np.ptp(values, axis=0).max() / 65535


def test_columns_keep_what_they_hold() -> None:
    table = pd.DataFrame(
        {
            "big": [2**40, 1],
            "real": [0.5, np.nan],
            "flag": [True, False],
            "said": ["x", None],
            "when": pd.to_datetime(["2020-01-01", None]),
        },
        index=[7, 9],
    )
    found = {c["name"]: c for c in points.columns(table.index.to_numpy(), table)}
    assert np.frombuffer(found["row"]["data"], "<i4").tolist() == [7, 9]
    assert np.frombuffer(found["big"]["data"], "<f8").tolist() == [2**40, 1]
    assert np.isnan(np.frombuffer(found["real"]["data"], "<f4")[1])
    assert found["flag"]["labels"] == ["True", "False"]
    assert found["said"]["labels"] == ["x", ""]
    assert found["when"]["labels"][1] == ""


def test_what_is_selected_is_refused_with_what_to_do_while_nothing_is() -> None:
    explorer = widgets.explore(wb.circle(n=30))
    with pytest.raises(DataError, match="draw around points"):
        explorer.selected  # noqa: B018
    explorer.selection = (3, 4)
    assert explorer.selected.ids.tolist() == [3, 4]


def test_a_table_is_placed_by_two_of_its_columns_and_covers_the_rows_that_have_none() -> None:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(
        {"a": rng.standard_normal(3000), "b": np.arange(3000.0), "kind": ["x", "y", "z"] * 1000}
    )
    frame.loc[[3, 7], "b"] = np.nan
    view = widgets.explore(frame, x="a", y="b", color="kind")
    assert view.view.spec["axes"] == ["a", "b"]
    assert (view.view.spec["placed"], view.view.spec["n"]) == (2998, 3000)
    np.testing.assert_array_equal(shown(view)[0, :, 1], frame["b"].dropna().to_numpy(np.float32))
    assert view.view.ids[-2:].tolist() == [3, 7]
    assert "2,998 of 3,000 rows" in view.view.spec["note"] and "lack a number" in view.view.spec["note"]
    assert {"a", "b", "kind"} <= set(view.view.names)
    assert view.code == "widgets.explore(subject, x='a', y='b', color='kind')"
    view.selection = (3, 5)
    assert pd.read_parquet(io.BytesIO(view._file()))["kind"].tolist() == ["x", "z"]


def test_columns_that_place_nothing_are_refused_by_name(acts: wb.Activations) -> None:
    frame = pd.DataFrame({"a": [1.0, 2.0], "b": [3.0, np.nan], "c": [np.nan, 1.0], "kind": ["x", "y"]})
    with pytest.raises(MissingError, match="'b'"):
        widgets.explore(frame, x="a", y="bb")
    with pytest.raises(ParameterError, match="holds no numbers"):
        widgets.explore(frame, x="a", y="kind")
    with pytest.raises(ParameterError, match="take both"):
        widgets.explore(frame, x="a")
    with pytest.raises(DataError, match="no row has a number in both"):
        widgets.explore(frame, x="b", y="c")
    with pytest.raises(ParameterError, match="one for each of the 60 rows"):
        widgets.explore(acts, images=np.zeros((59, 8, 8)))
    with pytest.raises(ParameterError, match="images are"):
        widgets.explore(acts, images=np.zeros((60, 8)))
    with pytest.raises(ParameterError, match="sample"):
        widgets.explore(acts, sample=0)


def test_a_sample_covers_all_rows_with_those_that_are_placed_first(acts: wb.Activations) -> None:
    view = widgets.explore(acts, sample=20, color="kind")
    spec = view.view.spec
    assert (spec["placed"], spec["n"]) == (20, 60)
    assert view.view.ids[:20].tolist() == view.result.ids.tolist()
    assert sorted(view.view.ids.tolist()) == acts.ids.tolist()
    kind = next(c for c in view.view.columns if c["name"] == "kind")
    said = np.array(kind["labels"])[np.frombuffer(kind["data"], "u1")]
    assert said.tolist() == acts.table.loc[view.view.ids, "kind"].tolist()
    unplaced = view.view.ids[-1:].tolist()
    draw_around(view, unplaced)
    assert view.selection == tuple(unplaced)
    assert "Search, colours, table and counts cover all 60." in spec["note"]
    assert view.code == "widgets.explore(subject, sample=20, color='kind')"


def test_pictures_are_shown_and_colour_nothing(acts: wb.Activations) -> None:
    images = np.random.default_rng(0).integers(0, 255, (60, 8, 8), dtype=np.uint8)
    view = widgets.explore(acts, images=images, series=images.reshape(60, 64))
    kinds = {c["name"]: c["kind"] for c in view.view.columns if "kind" in c}
    assert kinds == {"image": "image", "series": "series"}
    assert not kinds.keys() & set(view.view.names)
    with pytest.raises(ParameterError, match="image"):
        view.color = "image"


def test_filters_are_lifted_when_somebody_else_selects(acts: wb.Activations) -> None:
    view = widgets.explore(acts).view
    filters = [{"name": "kind", "values": ["a"]}]
    view.set_state({"picked": memoryview(points.picked(np.arange(30), 60)), "look": {"filters": filters}})
    view.mark(acts.ids[:30])
    assert view.look["filters"] == filters
    view.mark(acts.ids[:3])
    assert view.look["filters"] == []


def test_one_row_is_refused_in_words_unless_it_has_places_of_its_own() -> None:
    table = pd.DataFrame({"a": [1.0], "b": [2.0], "c": [3.0]})
    with pytest.raises(DataError, match=r"table has 1 row\. .* takes 4 or more that differ: give a table"):
        widgets.explore(table)
    assert widgets.explore(table, x="a", y="b").subject.ids.tolist() == [0]
