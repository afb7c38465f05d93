"""The landscape of a known barcode, its peer and its control."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binom

import workbench as wb
from workbench.core.errors import ParameterError

NO_CONTROL = {"n_null": 0, "n_boot": 0}


def test_known_answer_square_has_one_tent() -> None:
    """One loop, from the side to the diagonal."""
    square = np.array([[0.0, 0], [0, 1], [1, 1], [1, 0]])
    result = wb.landscape(square, n_bins=1001 - 1, n_layers=2, **NO_CONTROL)
    assert result.x[-1] == pytest.approx(np.sqrt(2))
    tent = np.maximum(np.minimum(result.x - 1, np.sqrt(2) - result.x), 0)
    np.testing.assert_allclose(result.y, np.column_stack([tent, 0 * tent]), atol=1e-6)
    assert result.evidence[0].value == pytest.approx((np.sqrt(2) - 1) / 2)


def test_known_answer_circle_stands_out_of_the_null() -> None:
    result = wb.landscape(wb.circle(n=300, noise=0.05, dimensions=10), max_points=80)
    evidence = result.evidence[0]
    assert evidence.p_value == pytest.approx(1 / 40)
    peak = int(result.y[:, 0].argmax())
    assert result.y[peak, 0] > result.null_high[peak, 0]
    assert (result.low <= result.y).all() and (result.y <= result.high).all()
    assert (np.diff(result.y, axis=1) <= 0).all()


def test_peer_sorted_tents() -> None:
    rows = np.random.default_rng(0).standard_normal((70, 3))
    result = wb.landscape(rows, n_layers=4, n_bins=60, **NO_CONTROL)
    bars = wb.persistence(rows, homology_dimensions=(1,), **NO_CONTROL).bars(1).astype(float)
    tents = np.maximum(np.minimum(result.x[:, None] - bars[:, 0], bars[:, 1] - result.x[:, None]), 0)
    np.testing.assert_allclose(result.y, np.sort(tents, axis=1)[:, ::-1][:, :4], atol=1e-9)


def test_no_bars_are_flat_and_few_bars_are_padded() -> None:
    flat = wb.landscape(np.arange(6.0)[:, None], n_null=3, n_boot=3)
    assert not flat.y.any()
    assert flat.evidence[0].value == 0
    assert wb.landscape(np.arange(3.0)[:, None], homology_dimension=0, n_layers=20, **NO_CONTROL).y.shape == (
        100,
        20,
    )


def test_nothing_is_asked_of_the_longest_bar_of_components() -> None:
    rows = np.random.default_rng(1).standard_normal((40, 3))
    result = wb.landscape(rows, homology_dimension=0, n_null=5, n_boot=5)
    assert "outlier" in result.evidence[0].untested and not result.null_high.size
    assert result.evidence[0].value == pytest.approx(result.x[-1] / 2)


@pytest.mark.slow
def test_claims_no_loop_in_gaussian_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORKBENCH_NO_CACHE", "1")

    def p_value(seed: int) -> float:
        rows = np.random.default_rng([seed, 8]).standard_normal((25, 3)) * [1, 2, 3]
        return wb.landscape(rows, n_bins=2, n_null=19, n_boot=0, random_state=seed).evidence[0].p_value

    assert sum(p_value(seed) <= 0.05 for seed in range(200)) <= binom.ppf(0.9995, 200, 0.05)


def test_too_many_rows_are_refused() -> None:
    rows = np.random.default_rng(0).standard_normal((500, 3))
    with pytest.raises(ParameterError, match="max_points=500 to at most 400"):
        wb.landscape(rows, homology_dimension=2, max_points=500)
