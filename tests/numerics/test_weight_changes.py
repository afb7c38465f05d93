"""The largest singular values and the rank of a change by two Cholesky factorisations are those of all eigenvalues."""

from __future__ import annotations

import numpy as np
import pytest

from workbench.numerics import weight_changes
from workbench.numerics.weight_changes import spectrum_of


@pytest.mark.parametrize("shape", [(512, 512), (900, 300)])
def test_peer_numpy_the_largest_values_rank_and_directions(shape: tuple[int, int]) -> None:
    d = np.random.default_rng(0).standard_normal(shape) * 1e-3
    found = weight_changes._certified(d.T @ d, 16, 1e-9, np.random.default_rng(1))
    assert found is not None, "this is what takes the short way"
    values, rank, vectors = spectrum_of(d.T @ d, 16, 1e-9, np.random.default_rng(1))
    s, v = np.linalg.svd(d, full_matrices=False)[1:]
    assert values == pytest.approx(s[:16], rel=1e-9) and rank == min(shape)
    assert np.abs(np.sum(vectors[:, 0] * v[0])) == pytest.approx(1, abs=1e-6)


def planted(values: np.ndarray) -> np.ndarray:
    q = np.linalg.qr(np.random.default_rng(2).standard_normal((len(values),) * 2))[0]
    return (q * np.square(values)) @ q.T


@pytest.mark.parametrize(("least", "rank"), [(1e-5, 511), (1e-3, 512)])
def test_one_direction_under_rounding_is_not_counted(least: float, rank: int) -> None:
    """The twin whose last direction is rounding is caught by the factorisation, however all others look."""
    values = np.append(np.linspace(1, 0.5, 511), least)
    assert spectrum_of(planted(values), 16, 1e-4, np.random.default_rng(0))[1] == rank


def test_a_direction_that_was_missed_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    """Vectors of all but the strongest direction, as a search that missed it would give them."""
    import scipy.sparse.linalg as peer

    values = np.append(2.0, np.linspace(1, 0.5, 511))
    gram = planted(values)
    vectors = np.linalg.eigh(gram)[1]
    monkeypatch.setattr(peer, "eigsh", lambda g, k, **_: (None, vectors[:, -1 - k : -1].astype(np.float32)))
    assert weight_changes._certified(gram, 16, 1e-9, np.random.default_rng(0)) is None
    assert spectrum_of(gram, 16, 1e-9, np.random.default_rng(0))[0][0] == pytest.approx(2)


def test_few_directions_are_counted() -> None:
    values = np.append(np.linspace(1, 0.5, 8), np.zeros(504))
    assert spectrum_of(planted(values), 16, 1e-9, np.random.default_rng(0))[1] == 8
    assert spectrum_of(np.zeros((512, 512)), 16, 1e-9, np.random.default_rng(0))[1] == 0
