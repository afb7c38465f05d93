"""What is of one process isn't told apart, what isn't is; the classifier is kernel ridge regression, as scikit-learn has it."""

from __future__ import annotations

import numpy as np
import pytest
from helpers import assert_calibrated
from sklearn.kernel_ridge import KernelRidge
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import LeaveOneGroupOut

import workbench as wb
from workbench.calibrating.worlds.two_series import SHORT, SWING, linear, shuffled, through_exp
from workbench.core.errors import DataError
from workbench.numerics.likeness.blocks import pair
from workbench.numerics.likeness.telling import Telling, _kernel, windows


def series(draw, steps: int, seed: int) -> wb.TimeSeries:
    return wb.TimeSeries(draw(np.random.default_rng(seed), steps))


def test_known_answer_two_runs_of_one_process_are_a_coin() -> None:
    told, parts = wb.discriminator(series(linear(SWING), 1800, 0), series(linear(SWING), 1200, 1)).evidence
    for e in (told, parts):
        assert e.value == pytest.approx(0.5, abs=0.2) and e.p_value > 0.05
        assert e.interval[0] < 0.5 < e.interval[1]


def test_known_answer_what_is_elsewhere_is_always_told() -> None:
    real = series(linear(SHORT), 900, 0)
    told, parts = wb.discriminator(
        real, wb.TimeSeries(linear(SHORT)(np.random.default_rng(1), 600) + 100)
    ).evidence
    assert told.value == 1 and told.p_value <= 0.02 and told.interval == (pytest.approx(1, abs=0.03), 1)
    assert parts.p_value > 0.05


@pytest.mark.parametrize(
    ("real", "made"), [(linear(SWING), shuffled(linear(SWING))), (linear(SHORT), through_exp(linear(SHORT)))]
)
def test_another_order_and_other_values_are_told(real, made) -> None:
    told, _ = wb.discriminator(series(real, 1800, 0), series(made, 1200, 1)).evidence
    assert told.value > 0.7 and told.p_value <= 0.02 and told.interval[0] > 0.5


def test_a_real_series_that_changes_is_told_from_itself() -> None:
    rng = np.random.default_rng(0)
    before, after = linear(SHORT)(rng, 600), through_exp(linear(SHORT))(rng, 300)
    found = wb.discriminator(
        wb.TimeSeries(np.concatenate([before, after])), wb.TimeSeries(linear(SHORT)(rng, 600))
    )
    assert all(e.p_value <= 0.05 for e in found.evidence)


def test_peer_kernel_ridge_of_scikit_learn_with_groups_left_out() -> None:
    rng = np.random.default_rng(0)
    pairs = pair(linear(SHORT)(rng, 200), shuffled(linear(SHORT))(rng, 200), 4, 2)
    x = np.concatenate(
        [
            np.concatenate([windows(a, 4), windows(b, 4)])
            for a, b in zip(pairs.first, pairs.second, strict=True)
        ]
    )
    each = pairs.length - 3
    label = np.tile(np.repeat([-1.0, 1.0], each), len(pairs))
    group = np.repeat(np.arange(len(pairs)), 2 * each)
    kernel = _kernel(x)
    flip = np.arange(len(pairs)) % 3 == 0
    for signs, flipped in ((label, np.zeros(len(pairs), bool)), (np.where(flip[group], -label, label), flip)):
        areas = []
        for train, test in LeaveOneGroupOut().split(x, signs, group):
            peer = KernelRidge(alpha=1.0, kernel="precomputed").fit(
                kernel[np.ix_(train, train)], signs[train]
            )
            areas.append(roc_auc_score(signs[test] > 0, peer.predict(kernel[np.ix_(test, train)])))
        assert Telling(pairs, 4).areas(flipped) == pytest.approx(np.array(areas), abs=1e-9)


@pytest.mark.parametrize("draw", [linear(()), linear(SWING)])
def test_folds_are_even_so_that_nothing_reads_below_a_half(draw) -> None:
    """Leaving out a stretch of each side at once leaves the classes even, and no centre is one side's own."""
    rng, areas = np.random.default_rng(0), []
    for _ in range(40):
        pairs = pair(draw(rng, 200), draw(rng, 200), 6, 6)
        areas.append(Telling(pairs, 6).areas(np.zeros(len(pairs), bool)).mean())
    assert abs(np.mean(areas) - 0.5) < 3.3 * np.std(areas) / np.sqrt(40)


@pytest.mark.slow
def test_claims_nothing_of_one_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORKBENCH_NO_CACHE", "1")
    draw = linear(SHORT)
    assert_calibrated(
        lambda s: (
            wb.discriminator(series(draw, 900, s), series(draw, 600, 5000 + s), n_null=39, random_state=s)
            .evidence[0]
            .p_value
        ),
        runs=100,
    )


def test_refuses_too_wide_windows() -> None:
    x = series(linear(SHORT), 300, 0)
    with pytest.raises(DataError, match=r"width=40 takes 2 stretches of 80 steps: .* has 100 held out"):
        wb.discriminator(x, x, width=40)
