"""Whole groups, one row of a kind, and what a group's rows are worth."""

from __future__ import annotations

import numpy as np
import pytest

from workbench.numerics import exchangeable
from workbench.numerics.exchangeable import (
    FEWEST_GROUPS,
    as_blocks,
    effective_rows,
    exchanged,
    fewer,
    of_one_size,
    repeats,
    sample,
)

RNG = np.random.default_rng(0)


def test_a_sample_takes_one_row_of_a_kind_and_whole_groups() -> None:
    groups, kinds = np.repeat(np.arange(30), 10), RNG.integers(0, 120, 300)
    some = sample(None, groups, kinds, rows=60, random_state=0)
    assert len(np.unique(kinds[some.at])) == len(some.at)
    assert (np.diff(some.at) > 0).all()
    assert some.thinned and not some.whole
    assert some.groups is not None and some.units == some.groups.max() + 1
    assert 30 <= len(some.at) <= 90
    # rows of the same group have the same code, others another
    assert (
        np.equal.outer(some.groups, some.groups) == np.equal.outer(groups[some.at], groups[some.at])
    ).all()


def test_a_sample_of_free_rows_is_all_of_them_or_as_many_as_asked() -> None:
    x = RNG.standard_normal((50, 3))
    assert sample(x, None, None, rows=100, random_state=0).whole
    some = sample(x, None, None, rows=20, random_state=0)
    assert len(some.at) == 20 and some.groups is None and some.units == 20 and some.testable


def test_no_group_takes_the_place_of_the_others() -> None:
    groups = np.repeat(np.arange(8), [5000, 10, 10, 10, 10, 10, 10, 10])
    some = sample(None, groups, None, rows=120, random_state=0)
    assert some.units >= FEWEST_GROUPS
    assert np.bincount(some.groups).max() <= 120 // FEWEST_GROUPS


def test_few_groups_are_not_testable() -> None:
    assert not sample(None, np.repeat([0, 1, 2], 40), None, rows=500, random_state=0).testable
    assert not sample(None, np.zeros(100, int), None, rows=500, random_state=0).testable


def test_rows_of_one_kind_that_are_not_alike_are_all_taken() -> None:
    kinds = RNG.integers(0, 40, 400)
    free = RNG.standard_normal((400, 5))
    alike = RNG.standard_normal((40, 5))[kinds] + 0.5 * free
    assert not sample(free, None, kinds, rows=1000, random_state=0).thinned
    assert len(sample(alike, None, kinds, rows=1000, random_state=0).at) == len(np.unique(kinds))


def test_many_rows_are_asked_by_some_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    monkeypatch.setattr(
        exchangeable, "effective_rows", lambda x, groups: asked.append(len(x)) or effective_rows(x, groups)
    )
    kinds = RNG.integers(0, 40, 20_000)
    alike = RNG.standard_normal((40, 5))[kinds] + 0.5 * RNG.standard_normal((20_000, 5))
    assert sample(alike, None, kinds, rows=1000, random_state=0).thinned
    assert not sample(RNG.standard_normal((20_000, 5)), None, kinds, rows=1000, random_state=0).thinned
    assert asked == [exchangeable.ASKED] * 2


def test_too_few_kinds_are_all_taken_and_not_testable() -> None:
    kinds = RNG.integers(0, 9, 100)
    alike = RNG.standard_normal((9, 5))[kinds] + 0.5 * RNG.standard_normal((100, 5))
    some = sample(alike, None, kinds, rows=1000, random_state=0)
    assert some.few_kinds == 9 and len(some.at) == 100 and not some.thinned and not some.testable


def test_groups_of_one_row_are_rows() -> None:
    assert sample(None, np.arange(20), None, rows=500, random_state=0).groups is None


@pytest.mark.parametrize("jitter", [0.0, 1e-4])
def test_repeats_are_found_with_noise_and_without(jitter: float) -> None:
    which = np.tile(np.arange(60), 4)
    x = RNG.standard_normal((60, 5))[which] + jitter * RNG.standard_normal((240, 5))
    found = repeats(x)
    assert (np.equal.outer(found, found) == np.equal.outer(which, which)).all()


@pytest.mark.parametrize("d", [1, 2, 10])
def test_rows_of_one_lump_are_no_repeats(d: int) -> None:
    for x in (RNG.standard_normal((300, d)), RNG.standard_t(2, (300, d)), RNG.random((300, d))):
        assert len(np.unique(repeats(x))) == 300


def test_clusters_are_no_repeats() -> None:
    x = 1e-3 * RNG.standard_normal((300, 4)) + 10 * RNG.standard_normal((3, 4))[np.repeat([0, 1, 2], 100)]
    assert len(np.unique(repeats(x))) == 300


def test_whole_groups_are_exchanged_in_order() -> None:
    groups = np.repeat(np.arange(6), 4)
    drawn = exchanged(groups, 24)(np.random.default_rng(0))
    assert sorted(drawn) == list(range(24))
    for block in drawn.reshape(6, 4):
        assert (np.diff(block) == 1).all() and block[0] % 4 == 0


def test_a_longer_group_begins_the_shorter_one_anew() -> None:
    groups = np.repeat([0, 1], [5, 2])
    swapped = next(d for s in range(20) if (d := exchanged(groups, 7)(np.random.default_rng(s)))[0] == 5)
    np.testing.assert_array_equal(swapped, [5, 6, 5, 6, 5, 0, 1])


def test_one_series_is_shifted_in_a_circle() -> None:
    drawn = exchanged(np.zeros(10, int), 10)(np.random.default_rng(0))
    assert drawn[0] != 0 and ((np.diff(drawn) % 10) == 1).all()


def test_rows_without_groups_are_permuted() -> None:
    assert sorted(exchanged(None, 9)(np.random.default_rng(1))) == list(range(9))


def test_blocks_hold_each_row_where_it_says() -> None:
    groups = np.array([1, 0, 1, 0, 2, 1])
    table, line, column = as_blocks(groups)
    np.testing.assert_array_equal(table[line, column], np.arange(6))
    assert table.shape == (3, 3) and (groups[table] == np.arange(3)[:, None]).all()


def test_effective_rows_of_known_worlds() -> None:
    groups = np.repeat(np.arange(200), 10)
    free = RNG.standard_normal((2000, 20))
    same = RNG.standard_normal((200, 20))[groups]
    half = (free + same) / np.sqrt(2)
    assert effective_rows(free, None) == 2000
    assert effective_rows(free, groups) == pytest.approx(2000, rel=0.05)
    assert effective_rows(same, groups) == pytest.approx(200, rel=0.01)
    assert effective_rows(half, groups) == pytest.approx(2000 / (1 + 9 * 0.5), rel=0.05)


def test_groups_are_cut_to_the_size_that_keeps_most_rows() -> None:
    groups = np.repeat(np.arange(9), [2, 5, 5, 6, 7, 9, 5, 5, 1])
    some = sample(None, groups, None, rows=100, random_state=0)
    cut = of_one_size(some)
    assert cut.groups is not None
    assert np.bincount(cut.groups).tolist() == [5] * 7  # 35 rows; six would keep 18
    assert not cut.whole
    assert (groups[cut.at] == np.repeat(np.arange(1, 8), 5)).all()
    alike = sample(None, np.repeat(np.arange(8), 4), None, rows=100, random_state=0)
    assert of_one_size(alike).whole and (of_one_size(alike).at == alike.at).all()


def test_fewer_rows_are_whole_groups_of_the_same() -> None:
    some = sample(None, np.repeat(np.arange(40), 5), None, rows=500, random_state=0)
    few = fewer(some, 60, 0)
    assert few.groups is not None and 30 <= len(few.at) <= 60 and not few.whole
    assert np.bincount(few.groups).tolist() == [5] * few.units
    assert fewer(some, 200, 0) is some
