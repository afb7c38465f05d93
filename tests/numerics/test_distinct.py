"""Distinct rows are counted as numpy counts them."""

from __future__ import annotations

import numpy as np
import pytest

from workbench.numerics.distinct import count_distinct


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("values", [2, 1000])
def test_it_agrees_with_numpy(dtype: type, values: int) -> None:
    x = np.random.default_rng(0).integers(0, values, (9000, 6)).astype(dtype) / 7
    assert count_distinct(x) == len(np.unique(x, axis=0))
    assert count_distinct(np.array([[0.0, 1], [-0.0, 1]], dtype)) == 1
