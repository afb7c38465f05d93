"""Draws that stop when their answer is clear, and nulls that may be any of several."""

from __future__ import annotations

import numpy as np
import pytest

from workbench.core.evidence import monte_carlo_p
from workbench.numerics.controls import (
    ENOUGH,
    Alternative,
    draw_several_until_clear,
    draw_until_clear,
    generators,
    hardest,
)


def test_a_large_p_value_costs_few_draws_and_a_small_one_all() -> None:
    draws = draw_until_clear(
        lambda rng: rng.standard_normal(2), np.array([0.0, 9.0]), ("greater", "greater"), 999, 0
    )
    assert ENOUGH <= len(draws[0]) < 60
    assert (draws[0] >= 0).sum() == ENOUGH and draws[0][-1] >= 0
    assert len(draws[1]) == 999
    assert monte_carlo_p(9.0, draws[1].tolist(), "greater") == 1e-3


def test_draws_are_the_same_however_many_are_asked_for() -> None:
    few, many = (
        draw_until_clear(lambda rng: rng.standard_normal(), np.array([9.0]), ("greater",), n, 3)[0]
        for n in (20, 50)
    )
    np.testing.assert_array_equal(few, many[:20])


@pytest.mark.parametrize("alternative", ["greater", "less", "two-sided"])
def test_stopping_early_keeps_the_level(alternative: Alternative) -> None:
    rng = np.random.default_rng(0)
    found = []
    for i, value in enumerate(rng.standard_normal(600)):
        draws = draw_until_clear(lambda r: r.standard_normal(), np.array([value]), (alternative,), 99, i)[0]
        found.append(monte_carlo_p(value, draws.tolist(), alternative))
    p = np.array(found)
    for level in (0.05, 0.2):  # 600 tries: three standard errors
        assert np.mean(p <= level) <= level + 3 * np.sqrt(level * (1 - level) / 600)
    assert np.mean(p <= 0.2) >= 0.1


def test_nan_draws_speak_for_the_null() -> None:
    draws = draw_until_clear(lambda rng: np.nan, np.array([1.0]), ("greater",), 99, 0)[0]
    assert len(draws) == ENOUGH
    assert monte_carlo_p(1.0, draws.tolist(), "greater") == 1.0


def test_the_member_that_contradicts_least_is_kept_for_each_statistic() -> None:
    members = {
        "narrow": lambda: lambda rng: rng.standard_normal(40),
        "wide": lambda: lambda rng: 10 * rng.standard_normal(40),
    }
    drawn = hardest(
        members, lambda x: np.array([x.max(), x.min()]), np.array([8.0, -100.0]), ("greater", "less"), 99, 0
    )
    assert [d.of for d in drawn] == ["wide", "narrow"]
    assert monte_carlo_p(8.0, drawn[0].values.tolist(), "greater") > 0.1
    assert monte_carlo_p(-100.0, drawn[1].values.tolist(), "less") == 0.01


def test_what_one_member_does_not_contradict_is_not_asked_of_the_others() -> None:
    def never() -> None:
        raise AssertionError("asked though the answer was clear")

    members = {"first": lambda: lambda rng: rng.standard_normal(5), "second": never}
    drawn = hardest(members, lambda x: np.array([x.mean()]), np.array([0.0]), ("greater",), 99, 0)  # type: ignore[arg-type]
    assert drawn[0].of == "first"
    assert hardest(members, lambda x: x, np.array([0.0]), ("greater",), 0, 0)[0].values.size == 0  # type: ignore[arg-type]


@pytest.mark.parametrize("at_once", [1, 7, 50, 200])
@pytest.mark.parametrize("value", [-3.0, 0.0, 3.0])
@pytest.mark.parametrize("alternative", ["greater", "less", "two-sided"])
def test_draws_made_some_at_a_time_are_those_made_one_by_one(
    alternative: Alternative, value: float, at_once: int
) -> None:
    def one(rng: np.random.Generator) -> np.ndarray:
        return rng.standard_normal(1)

    rngs = iter(generators(99, 5))

    def some(many: int) -> np.ndarray:
        return np.concatenate([one(next(rngs)) for _ in range(many)])

    (plain,) = draw_until_clear(one, np.array([value]), [alternative], 99, 5)
    drawn = draw_several_until_clear(some, value, 99, alternative=alternative, at_once=at_once)
    assert np.array_equal(drawn, plain)
