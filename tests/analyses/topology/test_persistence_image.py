"""The image of a known barcode, its peer and its control."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binom, norm

import workbench as wb

NO_CONTROL = {"n_null": 0, "n_boot": 0}
SQUARE = np.array([[0.0, 0], [0, 1], [1, 1], [1, 0]])


def test_known_answer_square_is_one_spot() -> None:
    """One loop: birth 1, persistence 0.414, of mass one times its weight."""
    result = wb.persistence_image(SQUARE, n_bins=80, sigma=0.06, **NO_CONTROL)
    axis = np.linspace(0, np.sqrt(2), 80)
    row, column = np.unravel_index(result.values.argmax(), result.values.shape)
    assert axis[column] == pytest.approx(1, abs=0.02)
    assert axis[::-1][row] == pytest.approx(np.sqrt(2) - 1, abs=0.02)
    assert result.values.sum() * axis[1] ** 2 == pytest.approx((np.sqrt(2) - 1) / np.sqrt(2), rel=0.05)
    assert result.evidence[0].value == pytest.approx(np.sqrt(2) - 1)


def test_known_answer_circle_stands_out_of_the_null() -> None:
    result = wb.persistence_image(wb.circle(n=300, noise=0.05, dimensions=10), max_points=80)
    assert result.evidence[0].p_value == pytest.approx(1 / 40)
    assert result.values.shape == result.low.shape == (20, 20)
    assert (result.low <= result.values).all() and (result.values <= result.high).all()


def test_peer_sum_of_gaussians() -> None:
    rows = np.random.default_rng(0).standard_normal((60, 3))
    sigma, bins = 0.15, 150
    result = wb.persistence_image(rows, n_bins=bins, sigma=sigma, **NO_CONTROL)
    bars = wb.persistence(rows, homology_dimensions=(1,), **NO_CONTROL).bars(1).astype(float)
    axis = np.linspace(0, bars[:, 1].max(), bins)
    size = bars[:, 1] - bars[:, 0]
    x, y = (norm.pdf(axis[:, None], centre, sigma) for centre in (bars[:, 0], size))
    expected = (y * (size / axis[-1])) @ x.T
    # a bar's place is rounded down to a pixel there
    assert np.abs(result.values[::-1] - expected).max() < 0.1 * expected.max()


def test_no_bars_are_black() -> None:
    result = wb.persistence_image(np.arange(6.0)[:, None], n_null=3, n_boot=3)
    assert not result.values.any()
    assert result.evidence[0].value == 0


@pytest.mark.slow
def test_claims_no_loop_in_gaussian_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORKBENCH_NO_CACHE", "1")

    def p_value(seed: int) -> float:
        rows = np.random.default_rng([seed, 9]).standard_normal((25, 3)) * [1, 2, 3]
        return (
            wb.persistence_image(rows, n_bins=2, n_null=19, n_boot=0, random_state=seed).evidence[0].p_value
        )

    assert sum(p_value(seed) <= 0.05 for seed in range(200)) <= binom.ppf(0.9995, 200, 0.05)
