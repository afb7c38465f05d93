"""The findings of a page: which stand at the top with their figures, how the others are listed, and the strips."""

from __future__ import annotations

import json
import re
from typing import Any

import numpy as np
import pytest
from notebooks_for_tests import HOSTILE

from workbench.core.evidence import Evidence
from workbench.evidence.claims import Band, Claim
from workbench.evidence.correction import Finding
from workbench.evidence.strips import HEIGHT, strip, ticks
from workbench.report.findings import AXES, FROM_AFAR, SCENE, grouped, instead, leading, untitled
from workbench.results.embedding import Embedding
from workbench.results.layouts import Layouts
from workbench.results.plotted import MENU


def claim(
    name: str, verdict: Any = "beyond chance", key: str = "", value: float = 5.0, **more: Any
) -> dict[str, Any]:
    asked = Evidence(id="share", of=name, question="?", label=f"share of {name}", value=value, n=9, **more)
    finding = Finding("t", key, "mine", "rows", asked, 0.01, verdict == "beyond chance")
    bands = (Band("chance", 0.0, 1.0, "noise"), Band("network", 0.5, 2.0, "untrained networks"))
    made = Claim(
        claim=name,
        numbers=("5",),
        meaning="",
        verdict=verdict,
        finding=finding,
        bands=bands,
        judged_by=bands,
        keys=(key,),
        method="mine",
    )
    return json.loads(json.dumps(made.to_json()))


def figure(id: str, *keys: str, kind: str = "figure", method: str = "other") -> dict[str, Any]:
    layout = {"height": 700, "margin": {"t": 100, "b": 50}, "title": {"text": "t"}}
    drawn = {"data": [], "layout": layout}
    return {
        "id": id,
        "kind": kind,
        "keys": set(keys),
        "methods": {method},
        "drawn": drawn,
        "title": "t",
        "json": "",
    }


def test_three_that_hold_stand_at_the_top_each_with_a_figure_of_its_own() -> None:
    figures = [figure("f1", "a", "b"), figure("f2", "c"), figure("f3", "d"), figure("f4", "e")]
    claims = [claim(n, key=n) for n in "abcde"]
    top = leading(claims, figures)
    assert [(c["claim"], c["figure"]) for c in top] == [("a", "f1"), ("c", "f2"), ("d", "f3")]
    assert [f.get("moved", {}).get("claim") for f in figures] == ["a", "c", "d", None]
    layout = json.loads(top[0]["output"]["json"])["layout"]
    assert layout["height"] == layout["margin"]["t"] + AXES + layout["margin"]["b"]
    (rest,) = grouped(claims, top, figures)
    assert [(c["claim"], c["figure"]) for c in rest["claims"]] == [("b", "f1"), ("e", "f4")]


def test_where_nothing_holds_the_nearest_stand_at_the_top() -> None:
    figures = [figure("f1", "a"), figure("f2", method="mine")]
    claims = [
        claim("a", "could be chance", "a"),
        claim("b", "could be chance", "b"),
        claim("c", "not tested", "c"),
    ]
    top = leading(claims, figures)
    assert [(c["verdict"], c["figure"]) for c in top] == [
        ("could be chance", "f1"),
        ("could be chance", "f2"),
    ]
    (rest,) = grouped(claims, top, figures)
    assert rest["verdict"] == "not tested" and rest["means"]
    assert leading([], figures) == grouped([], [], figures) == []


def test_a_view_of_points_stays_where_it_is() -> None:
    points = figure("f1", "a", kind="points")
    (top,) = leading([claim("a", key="a")], [points])
    assert "output" not in top and "moved" not in points


def places(drawn: str) -> list[float]:
    return [float(v) for v in re.findall(r'(?:x|x1|x2|cx)="([\d.-]+)%"', drawn)]


@pytest.mark.parametrize(
    "given",
    [
        {"value": 5.0, "interval": (4.0, 6.0)},
        {"value": 5.0},
        {"value": 1e-9},
        {"value": -1234567.0, "interval": (-2e6, 1e6)},
    ],
)
def test_a_strip_holds_its_number_interval_and_bands(given: dict[str, Any]) -> None:
    drawn = strip(claim("it", **given))
    assert all(0 <= x <= 100 for x in places(drawn))
    assert drawn.count('class="mark"') == 1
    assert drawn.count('class="interval"') == (3 if "interval" in given else 0)
    assert 'class="chance"' in drawn and 'class="network"' in drawn
    low, high = (float(v) for v in re.findall(r'class="chance" x="([\d.]+)%" width="([\d.]+)%"', drawn)[0])
    assert low >= 0 and low + high <= 100
    assert max(float(y) for y in re.findall(r' y[12]?="([\d.]+)"', drawn)) <= HEIGHT


def test_a_strip_of_a_single_number_is_drawn_and_of_none_is_not() -> None:
    alone = {**claim("it"), "bands": []}
    assert strip({**alone, "value": 0.0}).count('class="mark"') == 1
    assert strip({**alone, "value": None}) == ""


def test_nothing_in_a_strip_acts() -> None:
    drawn = strip({**claim(HOSTILE), "bands": [Band("chance", 0.0, 1.0, HOSTILE)._asdict()]})
    assert "<script" not in drawn and "<img" not in drawn and "onerror='" not in drawn.replace("&#x27;", "")


@pytest.mark.parametrize(
    ("low", "high"), [(0.0, 1.0), (0.5, 0.97), (-3e-8, 2e-8), (17.0, 63.0), (1e5, 1.2e5)]
)
def test_ticks_are_few_and_round(low: float, high: float) -> None:
    found = ticks(low, high)
    assert 1 <= len(found) <= 4 and all(low <= t <= high for t in found)
    assert all(len(f"{t:.6g}".replace("-", "").replace(".", "").strip("0")) <= 4 for t in found)


def unbeaten(**more: Any) -> Embedding:
    null = {"null": "one lump like it", "hypothesis": "the rows are one lump"}
    asked = Evidence(id="beyond_one_lump", question="?", label="trustworthiness", n=9, **{**null, **more})
    return Embedding(
        title="A map",
        values=np.random.default_rng(0).normal(size=(60, 2)),
        ids=np.arange(60),
        evidence=(asked,),
    )


@pytest.mark.parametrize(
    ("more", "doubted"),
    [
        ({"value": 0.0, "null_values": tuple(np.linspace(-1, 1, 19))}, True),
        ({"value": 2.0, "null_values": tuple(np.linspace(-1, 1, 19))}, False),
        ({"value": 2.0, "null_values": (0.0, 1.0, 1.5)}, False),  # too few draws to say
        ({"value": -0.2, "null": "", "untested": "3 layouts"}, True),
        ({"value": 0.2, "null": "", "untested": "3 layouts"}, False),
    ],
)
def test_a_layout_that_does_not_beat_its_control_says_so_in_its_title(
    more: dict[str, Any], doubted: bool
) -> None:
    drawn = json.loads(unbeaten(**more).figure().to_json())
    title, doubt, bare = untitled(drawn)
    assert title == "A map"
    assert (doubt == "This layout alone doesn't rule out “the rows are one lump”") == doubted
    assert "title" not in bare["layout"] and bare["layout"]["height"] < drawn["layout"]["height"]
    axes = lambda f: f["layout"]["height"] - f["layout"]["margin"]["t"] - f["layout"]["margin"]["b"]  # noqa: E731
    assert axes(bare) == axes(drawn)


def test_a_figure_that_is_no_result_keeps_its_title() -> None:
    drawn = {"data": [], "layout": {"title": {"text": "mine"}}}
    assert untitled(drawn) == ("", "", drawn)


def test_rows_far_out_do_not_set_the_frame_of_a_sequence_of_layouts() -> None:
    frames = np.random.default_rng(0).normal(size=(3, 500, 2)).astype(np.float32)
    frames[1, 7] = 300.0
    drawn = Layouts(
        title="t", values=frames[0], frames=frames, frame_names=("a", "b", "c"), ids=np.arange(500)
    ).figure()
    low, high = drawn.layout.xaxis.range
    assert -6 < low < -2 and 2 < high < 6
    steps = drawn.layout.sliders[0].steps[1].args[0]["data"][0]
    assert max(steps["x"]) == 300.0  # and it is still there


def narrowed(layout: dict[str, Any], *traces: dict[str, Any]) -> dict[str, Any]:
    at = figure("f1", "a")
    at["drawn"] = {"data": list(traces), "layout": {**at["drawn"]["layout"], **layout}}
    (top,) = leading([claim("a", key="a")], [at])
    return dict(json.loads(top["output"]["json"])["layout"])


def test_a_leading_figure_keeps_room_for_menus_and_for_a_legend_that_it_has() -> None:
    flat = {"legend": {"orientation": "h"}}
    plain = narrowed({})["margin"]["t"]
    assert narrowed({"updatemenus": [{}]})["margin"]["t"] == plain + MENU
    assert narrowed(flat, {"name": ""}, {"name": "a", "showlegend": False})["margin"]["t"] == plain
    assert narrowed(flat, {"name": "a"})["margin"]["t"] > plain


def test_a_leading_figure_of_three_axes_is_seen_from_where_its_titles_are_whole() -> None:
    layout = narrowed({"scene": {"xaxis": {}}, "scene2": {"camera": {"eye": {"x": 9}}}})
    assert layout["height"] == layout["margin"]["t"] + SCENE
    assert layout["scene"]["camera"] == FROM_AFAR and layout["scene2"]["camera"] == {"eye": {"x": 9}}


def test_where_no_claim_leads_the_first_figure_does() -> None:
    figures = [figure("f1", "a", kind="points"), figure("f2", "b")]
    output = instead(figures)
    assert output is not None and output["id"] == "f1" and "moved" not in output
    assert figures[0]["moved"]["anchor"] == "picture" and "moved" not in figures[1]
    assert instead([]) is None
