"""When the first runs of a world, made again, say that its rates are today's."""

from __future__ import annotations

from typing import Any

import pytest

from workbench.calibrating.ledger import FIRST, Entry, as_before, first_of


def record(value: float) -> dict[str, Any]:
    return {"answers": {"asked": {"value": value, "p": 0.5}}}


def entry(records: dict[int, dict[str, Any]], refused: int = 0) -> Entry:
    return Entry("pca", "iid", "", "earlier", len(records), refused, 1.0, False, {}, first_of(records))


@pytest.mark.parametrize("runs", [2, FIRST, 9])
def test_the_same_answers_confirm_rates_of_however_few_runs_and_others_do_not(runs: int) -> None:
    measured = entry({seed: record(seed) for seed in range(runs)})
    again = {seed: record(seed) for seed in range(FIRST)}
    assert as_before(measured, again)
    assert not as_before(measured, {**again, 1: record(1.01)})
    assert not as_before(measured, {seed: {"refused": "no"} for seed in range(FIRST)})


def test_a_world_whose_every_run_was_refused_is_confirmed_by_refusals_alone() -> None:
    refused = {seed: {"refused": "no"} for seed in range(FIRST)}
    assert as_before(entry(refused, refused=FIRST), refused)
    assert not as_before(entry(refused, refused=FIRST), {seed: record(1) for seed in range(FIRST)})
    assert not as_before(entry({}), refused)
