"""Copies are found as copies, near copies as near, new runs as new; distances are scikit-learn's."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.neighbors import NearestNeighbors

import workbench as wb
from workbench.calibrating.worlds.two_series import SHORT, bootstrapped, linear
from workbench.core.errors import DataError
from workbench.numerics.likeness.telling import windows

REAL, KNOWN = 900, 600


def real(seed: int = 0, channels: int = 1) -> wb.TimeSeries:
    return wb.TimeSeries(linear(SHORT, channels)(np.random.default_rng(seed), REAL), name="real")


def test_known_answer_a_bootstrap_copies_as_many_windows_as_its_stretches_hold_whole() -> None:
    """A window of 8 steps is whole where no new stretch begins in its last 7: (1 - 1/12)⁷ = 0.54."""
    shares = []
    for seed in range(8):
        x = real(seed)
        made = bootstrapped(x.values[:KNOWN], KNOWN, np.random.default_rng(seed))
        copied, distance = wb.copying(x, wb.TimeSeries(made)).evidence
        assert copied.p_value <= 0.02 and distance.p_value <= 0.05 and distance.interval[0] < 0.8
        assert copied.interval[0] <= copied.value <= copied.interval[1] <= 1
        shares.append(copied.value)
    assert np.mean(shares) == pytest.approx((1 - 1 / 12) ** 7, abs=0.06)


def test_known_answer_a_whole_copy_a_later_part_and_a_new_run() -> None:
    x = real()
    copied, distance = wb.copying(x, wb.TimeSeries(x.values[:KNOWN])).evidence
    assert (copied.value, distance.value) == (1, 0) and copied.p_value <= 0.02
    copied, distance = wb.copying(x, wb.TimeSeries(x.values[KNOWN:])).evidence  # not what it was made from
    assert (copied.value, distance.value) == (0, 1)
    copied, distance = wb.copying(x, wb.TimeSeries(linear(SHORT)(np.random.default_rng(9), KNOWN))).evidence
    assert copied.value == 0 and copied.interval is None
    assert distance.value == pytest.approx(1, abs=0.15) and distance.p_value > 0.05
    assert distance.interval[0] < 1 < distance.interval[1]


def test_known_answer_a_copy_with_noise_is_near_and_no_copy() -> None:
    x = real(1)
    made = x.values[:KNOWN] + 0.1 * np.random.default_rng(1).standard_normal((KNOWN, 1))
    copied, distance = wb.copying(x, wb.TimeSeries(made)).evidence
    assert copied.value == 0 and distance.value < 0.5 and distance.p_value <= 0.02


def test_peer_nearest_neighbours_of_scikit_learn() -> None:
    x = real(2, 2)
    made = linear(SHORT, 2)(np.random.default_rng(3), 300)
    copied, distance = wb.copying(x, wb.TimeSeries(made), width=6, n_null=0).evidence
    z = lambda part: (part - x.values[:KNOWN].mean(axis=0)) / x.values[:KNOWN].std(axis=0)  # noqa: E731
    peer = NearestNeighbors(n_neighbors=1).fit(windows(z(x.values[:KNOWN]), 6))
    far = [
        np.concatenate([peer.kneighbors(windows(s, 6))[0] for s in np.split(z(part), 10)])
        for part in (made, x.values[KNOWN:])
    ]
    assert distance.value == pytest.approx(far[0].mean() / far[1].mean(), rel=1e-5)
    assert copied.value == (far[0] < 0.01 * np.sqrt(12)).mean()


def test_a_real_series_that_repeats_itself_sets_the_bar() -> None:
    """Where held-out windows are in the first part too, copying them is no copying; where all are, nothing can be said."""
    rng = np.random.default_rng(0)
    levels = wb.TimeSeries(rng.integers(0, 4, 900).astype(float))
    made = wb.TimeSeries(rng.integers(0, 4, 600).astype(float))
    copied, _ = wb.copying(levels, made, width=6).evidence
    assert copied.value > 0.05 and copied.p_value > 0.05  # of 4⁶ windows 595 are known
    with pytest.raises(DataError, match=r"Held-out windows of .* Take a larger width"):
        wb.copying(levels, made, width=3)


def test_refuses_too_few_steps() -> None:
    x = real()
    few = x.select(x.ids[:60])
    with pytest.raises(DataError, match="width=40 takes 80 steps before what is held out"):
        wb.copying(few, x, width=40)
