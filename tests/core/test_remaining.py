"""What is said of time that is left, on what methods told while other work took turns with them (recorded_progress.json)."""

from __future__ import annotations

import itertools
import json
import math
from pathlib import Path

import pytest

from workbench.core.remaining import Stages, in_words

RECORDED = json.loads(Path(__file__).with_name("recorded_progress.json").read_text())
SHORT = 2.0  # seconds before the end in which nothing is judged


def said() -> list[list[tuple[float, float, float, float]]]:
    """Of each stage of each recording: when, what is said to be left, what was left, and what the mean speed would say."""
    stages = []
    for told in RECORDED.values():
        heard, shown = Stages(), {}
        for now, what, done, total in told:
            stage = heard.tell(what, done, total, now)
            assert stage is not None
            at = (now, stage.left(now), stage.done, stage.total)
            shown.setdefault((stage.number, stage.name), []).append(at)
        for own in shown.values():
            begin, end = own[0][0], own[-1][0]
            stages.append(
                [
                    (now, left, end - now, (now - begin) * (total - done) / max(done, 1))
                    for now, left, done, total in own
                    if not math.isnan(left) and end - now > SHORT
                ]
            )
    return [own for own in stages if own]


def test_estimates_are_nearer_to_the_truth_than_the_mean_speed() -> None:
    off = [
        (abs(math.log(max(left, 0.5) / true)), abs(math.log(max(mean, 0.5) / true)))
        for own in said()
        for _, left, true, mean in own
    ]
    ours, mean = (sum(each) / len(off) for each in zip(*off, strict=True))
    assert ours < 0.75 < mean
    half = [sum(each < math.log(2) for each in each_of) / len(off) for each_of in zip(*off, strict=True)]
    assert half[0] > half[1]


def test_estimates_fall_but_for_a_few() -> None:
    pairs = [(a[1], b[1]) for own in said() for a, b in itertools.pairwise(own)]
    assert sum(b > 1.1 * a + 0.5 for a, b in pairs) < 0.04 * len(pairs)


def test_it_counts_down_while_nothing_is_told() -> None:
    stages = Stages()
    for i in range(11):
        stage = stages.tell("work", i, 100, float(i))
    assert stage is not None and stage.left(10.0) == pytest.approx(90)
    assert stage.left(10.5) == pytest.approx(89.5)
    assert stage.left(19.0) > 89, "a step that takes long isn't almost done"


def test_a_loop_that_begins_again_has_another_name_and_another_clock() -> None:
    stages = Stages()
    for i in range(5):
        stages.tell("neighbours", i, 4, 10.0 * i)
    again = stages.tell("neighbours", 0, 4, 1000.0)
    assert again is not None and again.name == "neighbours, pass 2"
    assert math.isnan(again.left(1000.0))
    for i in range(1, 3):
        again = stages.tell("neighbours", i, 4, 1000.0 + 2 * i)
    assert again is not None and again.left(1004.0) == pytest.approx(4)


def test_the_outer_loop_speaks_and_says_what_its_step_does() -> None:
    stages = Stages()
    for step in range(3):
        for draw in range(4):
            stages.tell("steps", step, 9, 4.0 * step)
            shown = stages.tell("null", draw, 3, 4.0 * step + draw)
    assert (
        shown is not None and shown.name == "steps" and shown.line(11.0).startswith("steps: 2 of 9, about ")
    )
    assert shown.line(11.0).endswith("; now null, pass 3")
    alone = stages.tell("null", 1, 30, 500.0)  # the outer one was broken off
    assert alone is not None and alone.name.startswith("null")


def test_what_has_no_steps_is_said_within_a_stage_or_alone() -> None:
    stages = Stages()
    assert stages.tell("opening", 0, None, 0.0) is None
    stages.tell("report", 2, 5, 1.0)
    shown = stages.tell("A figure", 0, None, 1.0)
    assert shown is not None and shown.line(1.0) == "report: 2 of 5; now A figure"


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.2, "about 1 s left"),
        (14.4, "about 14 s left"),
        (38, "about 40 s left"),
        (200, "about 3 min left"),
        (math.nan, ""),
    ],
)
def test_no_finer_than_it_is_known(seconds: float, words: str) -> None:
    assert in_words(seconds) == words
