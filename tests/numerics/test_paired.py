"""Paired intervals, signs drawn anew and correction say what they are known to say."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

import workbench as wb
from tests.helpers import assert_calibrated
from workbench.core.evidence import monte_carlo_p
from workbench.numerics.paired import holm, out_of_reach, paired_interval, sign_flips


def test_peer_the_interval_is_scipy_s() -> None:
    d = np.random.default_rng(0).standard_normal((9, 4)) + 0.3
    low, high = paired_interval(d)
    theirs = stats.ttest_1samp(d, 0).confidence_interval(0.95)
    np.testing.assert_allclose([low, high], [theirs.low, theirs.high])


def test_known_answer_all_signs_but_the_observed_are_drawn_once() -> None:
    drawn = sign_flips(np.array([1.0, 2.0, 4.0]), 4000, 0)
    sums = {a + 2 * b + 4 * c for a in (-1, 1) for b in (-1, 1) for c in (-1, 1)} - {7}
    np.testing.assert_allclose(sorted(3 * drawn), sorted(sums))
    assert len(set(sign_flips(2.0 ** np.arange(12), 999, 0))) == 999
    assert monte_carlo_p(1.0, sign_flips(np.ones(12), 999, 0), "two-sided") == 0.002
    assert monte_carlo_p(0.0, sign_flips(np.zeros(5), 99, 0), "two-sided") == 1
    assert abs(sign_flips(np.ones(40), 4000, 0).std() - 40**-0.5) < 0.005


def test_null_symmetric_differences_are_rejected_at_the_level() -> None:
    def p(seed: int) -> float:
        d = np.random.default_rng(seed).standard_t(3, 12)
        return monte_carlo_p(float(d.mean()), sign_flips(d, 199, seed), "two-sided")

    assert_calibrated(p, runs=400)


def test_known_answer_holm() -> None:
    # Holm 1979: p times the number of hypotheses not yet rejected, never falling
    np.testing.assert_allclose(holm(np.array([0.01, 0.04, 0.03, 0.005])), [0.03, 0.06, 0.06, 0.02])
    np.testing.assert_allclose(holm(np.array([0.6, 0.9])), [1, 1])
    rng = np.random.default_rng(0)
    any_false = np.mean([(holm(rng.random(8)) <= 0.05).any() for _ in range(4000)])
    assert abs(any_false - 0.05) < 0.012


def test_out_of_reach_says_what_would_do_and_no_less() -> None:
    differences = np.ones(8)  # as clear as can be
    best = monte_carlo_p(1.0, tuple(sign_flips(differences, 999, 0)), "two-sided")
    assert holm(np.full(7, best)).min() > 0.05
    assert "raise repeats to 9 and n_null to 999 or more" in out_of_reach(8, 999, 7)
    best = monte_carlo_p(1.0, tuple(sign_flips(np.ones(9), 999, 0)), "two-sided")
    assert holm(np.full(7, best)).max() <= 0.05
    assert out_of_reach(9, 999, 7) == out_of_reach(3, 0, 7) == ""
    assert "n_null to 280" in out_of_reach(12, 99, 7)
    assert out_of_reach(12, 280, 7) == ""


@pytest.mark.parametrize(("method", "compared"), [("ensemble", 7), ("renormalize", 12)])
def test_defaults_are_within_reach(method: str, compared: int) -> None:
    parameters = wb.method(method).parameters
    assert out_of_reach(parameters["repeats"].default, parameters["n_null"].default, compared) == ""
