"""The ordinal schedule falls at each step that brings nothing, so often and no more, and resumes to the last bit."""

from __future__ import annotations

import json

import numpy as np
import pytest

from workbench.numerics.schedules import schedule_of
from workbench.numerics.schedules.ordinal import Schedule


@pytest.mark.parametrize(("restarts", "decays", "patience"), [(0, 0, 1), (1, 3, 5), (2, 1, 7)])
def test_it_falls_so_often_and_no_more(restarts: int, decays: int, patience: int) -> None:
    schedule = Schedule(100, restarts, decays, patience)
    schedule.observe(1.0)
    falls, before = 0, schedule.ordinal
    while not schedule.done:
        schedule.observe(1.0)
        falls += schedule.ordinal < before
        assert schedule.ordinal < before or schedule.done
        before = schedule.ordinal
    assert falls == schedule.longest == (restarts + 1) * (decays + 1) * (patience + 1) - 1
    assert schedule.ordinal == (0, 0, 0)


def test_it_never_rises_whatever_the_losses_and_an_improvement_costs_nothing() -> None:
    for seed in range(50):
        losses = np.random.default_rng(seed).normal(size=400).cumsum()
        schedule = Schedule(400)
        for loss in losses:
            before, best = schedule.ordinal, schedule.best
            schedule.observe(loss)
            if loss <= best - schedule.least:
                assert schedule.ordinal == before and schedule.best == loss
            else:
                assert schedule.ordinal < before or schedule.done


def test_raising_patience_at_an_improvement_would_break_that() -> None:
    # a control: as common schedules do it, nearly every trace has a rise
    rises = 0
    for seed in range(100):
        schedule = Schedule(400)
        for loss in np.random.default_rng(seed).normal(size=400).cumsum():
            before, best = schedule.ordinal, schedule.best
            schedule.observe(loss)
            if schedule.best < best:
                schedule.c = schedule.patience
            if schedule.ordinal > before:
                rises += 1
                break
    assert rises >= 90


def test_the_rate_falls_with_decays_and_comes_back_lower() -> None:
    schedule, factors = Schedule(100, 1, 2, 1), []
    while not schedule.done:
        factors.append(schedule.factor)
        schedule.observe(1.0)
    changes = [f for f, g in zip(factors, [None, *factors], strict=False) if f != g]
    assert changes == pytest.approx([1, 0.3, 0.09, 0.5, 0.15, 0.045])


@pytest.mark.parametrize("name", ["ordinal", "cosine"])
def test_it_resumes_to_the_last_bit(name: str) -> None:
    losses = np.random.default_rng(0).normal(size=60).cumsum()
    whole, first, second = (schedule_of(name, 60) for _ in range(3))
    for loss in losses[:25]:
        first.observe(loss)
    second.load_state_dict(json.loads(json.dumps(first.state_dict())))
    for i, loss in enumerate(losses):
        whole.observe(loss)
        if i >= 25:
            second.observe(loss)
            assert second.factor == whole.factor
    assert second.state_dict() == whole.state_dict()


def test_a_cosine_rises_and_falls_to_0() -> None:
    schedule, factors = schedule_of("cosine", 50), []
    for _ in range(51):
        factors.append(schedule.factor)
        schedule.observe(0.0)
    assert (
        factors[0] == 0.2 and max(factors) == factors[4] == 1 and factors[50] == pytest.approx(0, abs=1e-12)
    )
    assert np.all(np.diff(factors[5:]) < 0)
