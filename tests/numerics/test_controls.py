"""Nulls on some of the rows."""

from __future__ import annotations

import numpy as np

from workbench.numerics.controls import Control, control, shuffled_columns


def correlation_and_size(x: np.ndarray) -> np.ndarray:
    return np.array([abs(np.corrcoef(x.T)[0, 1]), float(len(x))])


def ask(x: np.ndarray, rows: int, n_null: int = 19) -> Control:
    return control(
        x,
        correlation_and_size,
        correlation_and_size(x),
        shuffled_columns,
        rows=rows,
        n_null=n_null,
        random_state=0,
        what="test",
    )


def test_all_rows_need_no_shift() -> None:
    x = np.random.default_rng(0).standard_normal((50, 2))
    found = ask(x, 50)
    assert (found.details, found.n) == ("", 50)
    assert np.array_equal(found.beside(correlation_and_size(x)), found.draws)
    assert (found.draws[:, 1] == 50).all()


def test_fewer_rows_are_said_and_the_draws_shifted_by_what_they_change() -> None:
    x = np.random.default_rng(0).standard_normal((50, 2))
    found = ask(x, 20)
    assert "20 of the rows" in found.details
    assert found.values[1] == found.n == 20
    beside = found.beside(correlation_and_size(x))
    assert (found.draws[:, 1] == 20).all()
    assert (beside[:, 1] == 50).all()
    extreme = [(d >= v).sum() for d, v in ((found.draws, found.values), (beside, correlation_and_size(x)))]
    assert extreme[0] == extreme[1]  # the p-value is that of equally many rows


def test_no_draws_cost_nothing() -> None:
    assert ask(np.random.default_rng(0).standard_normal((50, 2)), 20, n_null=0).draws.shape == (0, 2)


def test_shuffling_keeps_the_margins_alone() -> None:
    x = np.repeat(np.random.default_rng(1).standard_normal((400, 1)), 2, axis=1)
    drawn = shuffled_columns(x)(np.random.default_rng(2))
    assert np.array_equal(np.sort(drawn, axis=0), np.sort(x, axis=0))
    assert abs(np.corrcoef(drawn.T)[0, 1]) < 0.2
