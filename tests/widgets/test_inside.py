"""Looking inside from an explorer: the text of a selected row, a method, and its panel, whose answers stay with the points."""

from __future__ import annotations

import gc

import pytest

import widgets
import workbench as wb
from workbench.report.points import BESIDE_MIME
from workbench.subjects.reading import Reading


@pytest.fixture
def explorer() -> widgets.Explorer:
    reading = Reading.example()
    acts = wb.capture(reading.network, reading.corpus, at="blocks.*", max_length=12)
    made = widgets.explore(acts)
    made.network = reading.network  # a network that nobody has is let go
    return made


def test_the_text_of_a_selected_row_is_asked_about_and_each_method_keeps_its_answers(
    explorer: widgets.Explorer,
) -> None:
    inside = explorer.inside
    assert inside.button.disabled and inside.text.value is None
    table = explorer.subject.table
    rows = table.index[table["text_id"].isin([3, 5])]
    explorer.selection = tuple(rows[[1, -1]])
    assert [i for _, i in inside.text.options] == [3, 5] and not inside.button.disabled
    inside.text.value = 5
    inside.look()
    assert inside.wait(120) and inside.panel.error is None
    site_map = inside.panel.result
    assert (
        site_map.kind == "site_map" and site_map.ids.tolist() == table.index[table["text_id"] == 5].tolist()
    )
    assert site_map.space == explorer.subject.space
    first = inside.panel
    inside.method.value = "attention_patterns"
    inside.look()
    assert inside.wait(120) and inside.panel is not first and inside.panel.error is None
    explorer.selection = ()
    assert inside.button.disabled
    explorer.selection = (int(rows[0]),)
    inside.method.value = "patch_map"
    inside.look()
    assert inside.wait(120) and inside.panel is first and len(first.results) == 2
    assert first.result.run.parameters["text_id"] == 3
    kinds = [
        o["application/vnd.workbench.result+json"]["kind"] for o in explorer._still()[BESIDE_MIME]["outputs"]
    ]
    assert kinds == ["site_map", "attention_maps"]


def test_every_method_that_looks_inside_can_be_asked_those_of_one_text_first() -> None:
    from widgets.inside import askable

    known = list(askable())
    assert {
        "patch_map",
        "attention_patterns",
        "attention_flow",
        "logit_lens",
        "top_rows",
        "site_ablation",
    } <= set(known)
    assert known.index("patch_map") < known.index("top_rows")


def test_rows_that_are_no_tokens_have_nothing_to_look_inside_at() -> None:
    assert widgets.explore(wb.PointCloud.example()).inside is None


def test_a_network_that_was_let_go_is_told_of() -> None:
    def captured() -> wb.Activations:
        reading = Reading.example(variant=7)
        return wb.capture(reading.network, reading.corpus, at="blocks.*", max_length=12)

    explorer = widgets.explore(captured())
    gc.collect()
    explorer.selection = (0,)
    explorer.inside.look()
    assert explorer.inside.wait(120) and explorer.inside.panel is None
    assert "workbench.reading(network, texts)" in explorer.inside.message.value


def test_a_reading_that_is_given_is_what_is_looked_into() -> None:
    reading = Reading.example()
    acts = wb.capture(reading.network, reading.corpus, at="blocks.*", max_length=12)
    explorer = widgets.explore(acts, reading=reading)
    explorer.selection = (0,)
    explorer.inside.look()
    assert explorer.inside.wait(120) and explorer.inside.panel.result.space == acts.space
    assert explorer.inside.reading is reading


def test_a_reading_of_other_rows_is_refused() -> None:
    reading = Reading.example()
    acts = wb.capture(reading.network, reading.corpus, at="blocks.*", max_length=12)
    other = wb.reading(reading.network, ["w1 w2"], max_length=12)
    with pytest.raises(wb.WorkbenchError, match="other rows"):
        widgets.explore(acts, reading=other)
