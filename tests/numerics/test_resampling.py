"""The jackknife that counts what pairs of rows do once; and of how many groups an interval can be given."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import numpy as np
import pytest

from workbench.numerics.resampling import (
    bootstrap_interval,
    jackknife_error,
    second_order_jackknife,
    subsample_interval,
)


def of_pairs(x: np.ndarray) -> float:
    """The mean inner product of two different rows: of rows of mean zero, no row says anything alone."""
    n = len(x)
    return float((np.square(x.sum(axis=0)) - np.square(x).sum(axis=0)).sum() / (n * (n - 1)))


def errors(statistic: Callable[[np.ndarray], float], x: np.ndarray) -> tuple[float, float]:
    n = len(x)
    one = np.array([statistic(np.delete(x, i, axis=0)) for i in range(n)])
    two = np.array([statistic(np.delete(x, pair, axis=0)) for pair in itertools.combinations(range(n), 2)])
    return jackknife_error(one), float(second_order_jackknife(np.array(statistic(x)), one, two)[0])


def test_what_pairs_do_counts_once() -> None:
    rng = np.random.default_rng(0)
    n, d = 30, 6
    drawn = np.array([errors(of_pairs, rng.standard_normal((n, d))) for _ in range(100)])
    once, mended = np.square(drawn).mean(axis=0) / (
        2 * d / (n * (n - 1))
    )  # beside the variance of such a mean
    assert 1.7 < once < 2.4
    assert 0.9 < mended < 1.4


def test_of_a_mean_it_is_the_jackknife() -> None:
    x = np.random.default_rng(1).standard_normal(12)
    plain, mended = errors(lambda rows: float(rows.mean()), x)
    assert np.isclose(plain, mended)
    assert np.isclose(plain, x.std(ddof=1) / np.sqrt(12))


@pytest.mark.parametrize("many", [1, 2, 3, 5, 6, 12])
def test_few_groups_have_no_interval_and_six_have_one_with_a_width(many: int) -> None:
    x = np.random.default_rng(2).standard_normal(60)
    groups = np.arange(60) % many

    def mean(at: np.ndarray) -> float:
        return float(x[at].mean())

    halves = subsample_interval(mean, mean(np.arange(60)), 60, 40, 0, groups=groups)
    again = bootstrap_interval(mean, 60, 40, 0, groups)
    if many < 6:
        assert halves is None is again
    else:
        assert halves is not None and again is not None
        assert halves[0] < x.mean() < halves[1] and again[0] < again[1]
    assert subsample_interval(mean, mean(np.arange(60)), 60, 40, 0) is not None
