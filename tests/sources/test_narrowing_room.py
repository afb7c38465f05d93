"""Room between two curves, against its closed form."""

from __future__ import annotations

import numpy as np
import pytest

import workbench as wb


@pytest.mark.parametrize(("shape", "left"), [("quadratics", 0.25), ("lines", 0.5)])
def test_known_answer(shape: str, left: float) -> None:
    whole = wb.narrowing_room(shape=shape, renormalized_at=None, n=101)
    upper, lower = whole.values.T
    assert np.array_equal(upper, -lower)
    assert upper[[0, 50, 100]] == pytest.approx([1, left, 0])
    again = wb.narrowing_room(shape=shape, renormalized_at=5.0, n=101).values[:, 0]
    assert np.array_equal(again[:50], upper[:50])
    np.testing.assert_allclose(again[50:], upper[:51], atol=1e-12)  # the same curve from its start
