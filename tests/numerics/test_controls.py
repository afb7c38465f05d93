"""Nulls on some of the rows."""

from __future__ import annotations

import numpy as np

from workbench.numerics.controls import control
from workbench.numerics.resampling import shuffle_columns


def correlation(x: np.ndarray) -> np.ndarray:
    return np.array([abs(np.corrcoef(x.T)[0, 1]), float(len(x))])


def ask(x: np.ndarray, rows: int, n_null: int = 19):
    return control(
        x, correlation, correlation(x), shuffle_columns, rows=rows, n_null=n_null, random_state=0, what="test"
    )


def test_all_rows_need_no_shift() -> None:
    x = np.random.default_rng(0).standard_normal((50, 2))
    found = ask(x, 50)
    assert found.words == ""
    assert (found.draws[:, 1] == 50).all()


def test_fewer_rows_are_said_and_the_draws_shifted_by_what_they_change() -> None:
    x = np.random.default_rng(0).standard_normal((50, 2))
    found = ask(x, 20)
    assert "20 of the rows" in found.words
    # the second statistic is the number of rows itself: 50 for the data, 20 + (50 - 20) for every draw
    assert (found.draws[:, 1] == 50).all()
    p = np.mean(found.draws[:, 0] >= correlation(x)[0])
    assert 0 < p < 1


def test_no_draws_cost_nothing() -> None:
    found = control(
        np.zeros((3, 2)), correlation, np.zeros(2), shuffle_columns, rows=1, n_null=0, random_state=0, what=""
    )
    assert found.draws.shape == (0, 2)


def test_preparation_is_done_once_before_the_draws() -> None:
    times = []

    def prepare(x: np.ndarray) -> np.ndarray:
        times.append(len(x))
        return np.repeat(x[:, :1], 2, axis=1)

    x = np.random.default_rng(0).standard_normal((30, 2))
    found = control(
        x, correlation, correlation(x), lambda x, rng: x, rows=30, n_null=4, random_state=0, what="", prepare=prepare
    )  # fmt: skip
    assert times == [30]
    assert np.allclose(found.draws[:, 0], 1)
