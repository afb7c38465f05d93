"""CKA: one for a rotated copy, nothing for independent layers, and the definition itself."""

from __future__ import annotations

import numpy as np
import pytest
from helpers import assert_calibrated

import workbench as wb
from workbench.core.errors import DataError
from workbench.numerics.resampling import random_frame

FEW = {"n_null": 19, "n_boot": 20}


def layers(*arrays: np.ndarray) -> wb.Activations:
    import pandas as pd

    sites = {f"layer.{i}": a for i, a in enumerate(arrays)}
    return wb.Activations(sites, pd.DataFrame(index=range(len(arrays[0]))), name="layers")


@pytest.mark.parametrize("kernel", ["linear", "rbf"])
@pytest.mark.parametrize("debiased", [True, False])
def test_known_answer_a_rotated_scaled_copy_is_the_same(kernel: str, debiased: bool) -> None:
    rng = np.random.default_rng(0)
    x = rng.standard_normal((80, 6))
    result = wb.cka(layers(x, 5 * x @ random_frame(6, 6, rng) + 3), kernel=kernel, debiased=debiased, **FEW)
    assert np.allclose(result.values, 1, atol=1e-8)
    assert result.evidence[0].p_value == 0.05


def test_known_answer_debiased_is_zero_on_average_for_independent_layers() -> None:
    rng = np.random.default_rng(1)
    values = [
        wb.cka(layers(*rng.standard_normal((2, 30, 200))), debiased=debiased, n_null=0, n_boot=0).values[0, 1]
        for debiased in [True] * 100 + [False]
    ]
    assert abs(np.mean(values[:100])) < 4 * np.std(values[:100]) / 10
    assert values[100] > 0.8  # what the bias does to 30 rows in 200 dimensions


def test_peer_is_the_definition_with_sums_over_rows() -> None:
    """No maintained library has the debiased form; the estimator is written out as Song et al. (2012), eq. 5."""
    rng = np.random.default_rng(2)
    x = rng.standard_normal((25, 4))
    y = np.hstack([x[:, :2], rng.standard_normal((25, 3))])

    def hsic(a: np.ndarray, b: np.ndarray) -> float:
        k, g = (m @ m.T * (1 - np.eye(25)) for m in (a, b))
        n, one = 25, np.ones(25)
        return (
            np.trace(k @ g)
            + (one @ k @ one) * (one @ g @ one) / ((n - 1) * (n - 2))
            - 2 / (n - 2) * one @ k @ g @ one
        ) / (n * (n - 3))

    expected = hsic(x, y) / np.sqrt(hsic(x, x) * hsic(y, y))
    assert np.isclose(wb.cka(layers(x, y), **FEW).values[0, 1], expected)


@pytest.mark.slow
def test_calibrated_for_independent_layers() -> None:
    def p(seed: int) -> float:
        x, y = np.random.default_rng(seed).standard_normal((2, 20, 5))
        view = layers(x, y).view(wb.cka.inputs[0].takes)
        return wb.cka.function(view, n_null=19, n_boot=0, random_state=seed).evidence[0].p_value

    assert_calibrated(p)


@pytest.mark.slow
def test_intervals_cover_the_value_of_many_rows() -> None:
    covered = 0
    for seed in range(40):
        rng = np.random.default_rng(seed)
        x = rng.standard_normal((3000, 4))
        y = x + rng.standard_normal((3000, 4))
        few = wb.cka(layers(x[:200], y[:200]), n_null=0, n_boot=50)
        truth = 0.5  # |cov(x, y)|² / (|cov(x)| |cov(y)|) = 4 / (2 · 4)
        covered += few.low[0, 1] <= truth <= few.high[0, 1]
    assert covered >= 34


def test_layers_without_anything_to_compare_are_refused() -> None:
    x = np.random.default_rng(3).standard_normal((20, 3))
    with pytest.raises(DataError, match=r"layer\.1 are equal"):
        wb.cka(layers(x, np.ones((20, 2))))
    with pytest.raises(DataError, match="at least 8"):
        wb.cka(layers(x[:5], x[:5]))
