"""The largest singular values and the rank of a change by two Cholesky factorisations are those of all eigenvalues."""

from __future__ import annotations

import numpy as np
import pytest

from workbench.numerics import noise_spectra, weight_changes
from workbench.numerics.change_spectra import Blocks, largest_certified, spectrum_of, under
from workbench.numerics.stored_rounding import rounding_edge, spacing
from workbench.numerics.weight_changes import change_of


@pytest.mark.parametrize("shape", [(512, 512), (900, 300)])
def test_peer_numpy_the_largest_values_rank_and_directions(shape: tuple[int, int]) -> None:
    d = np.random.default_rng(0).standard_normal(shape) * 1e-3
    found = largest_certified(d.T @ d, 16, 1e-9, np.random.default_rng(1))
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
    assert largest_certified(gram, 16, 1e-9, np.random.default_rng(0)) is None
    assert spectrum_of(gram, 16, 1e-9, np.random.default_rng(0))[0][0] == pytest.approx(2)


def test_few_directions_are_counted() -> None:
    values = np.append(np.linspace(1, 0.5, 8), np.zeros(504))
    assert spectrum_of(planted(values), 16, 1e-9, np.random.default_rng(0))[1] == 8
    assert spectrum_of(np.zeros((512, 512)), 16, 1e-9, np.random.default_rng(0))[1] == 0


def changed(d: np.ndarray, seed: int = 3) -> Blocks:
    """Weights before and after so much was added, in blocks of rows; sums in steps of 2⁻²⁰, which float32 holds exactly."""
    before = np.rint(np.random.default_rng(seed).standard_normal(d.shape) * 2**10).astype(np.float32) / 2**10
    after = before + d
    assert np.array_equal(after - before, d)
    return lambda: iter([(before[i : i + 200], after[i : i + 200]) for i in range(0, len(d), 200)])


def in_steps(d: np.ndarray) -> np.ndarray:
    return (np.rint(d * 2**18) / 2**20).astype(np.float32)


@pytest.mark.parametrize("shape", [(900, 272), (272, 900)])
def test_peer_numpy_a_long_change_whose_products_are_in_float32(shape: tuple[int, int]) -> None:
    d = in_steps(np.random.default_rng(0).standard_normal(shape))
    rng = np.random.default_rng(1)
    gram, hidden = weight_changes._gram(changed(d), shape, np.float32)
    exact = d.astype(np.float64).T @ d if shape[0] > shape[1] else d.astype(np.float64) @ d.T
    assert 0 < np.linalg.norm(gram - exact, 2) < hidden, "what is said to be hidden bounds what is"
    assert largest_certified(gram, 16, 1e-9, rng, hidden) is not None, "this is what takes the short way"
    found = change_of(changed(d), shape, "F32", keep=16, rng=rng)
    s = np.linalg.svd(d.astype(np.float64), compute_uv=False)
    assert found.values == pytest.approx(s[:16], rel=1e-8) and found.rank == 272


def test_a_direction_that_float32_could_hide_is_looked_at_in_float64() -> None:
    """The twin of 271 directions: products in float32 can't tell, and are not believed."""
    d = np.random.default_rng(0).standard_normal((900, 272))
    d[:, -1] = d[:, 0]
    d = in_steps(d)
    gram, hidden = weight_changes._gram(changed(d), d.shape, np.float32)
    assert largest_certified(gram, 16, 1e-9, np.random.default_rng(1), hidden) is None
    assert change_of(changed(d), d.shape, "F32", keep=16, rng=np.random.default_rng(1)).rank == 271


def of_rank(r: int, shape: tuple[int, int] = (400, 272), least: float = 0.5) -> np.ndarray:
    rng = np.random.default_rng(4)
    u, v = (np.linalg.qr(rng.standard_normal((k, r)))[0] for k in shape)
    return ((u * np.geomspace(1, least, r)) @ v.T).astype(np.float32)


def added(d: np.ndarray) -> Blocks:
    before = np.random.default_rng(3).standard_normal(d.shape).astype(np.float32) * 0.2
    after = before + d
    return lambda: iter([(before[i : i + 200], after[i : i + 200]) for i in range(0, len(d), 200)])


@pytest.mark.parametrize("shape", [(400, 272), (272, 400), (900, 272)])
def test_peer_numpy_a_change_of_few_directions(shape: tuple[int, int]) -> None:
    blocks = added(of_rank(8, shape))
    edge = rounding_edge(np.concatenate([a for _, a in blocks()]), "F32")
    few = weight_changes._few(blocks, shape, 16, edge, np.random.default_rng(1))
    assert few is not None, "this is what takes the short way"
    u, s, vt = np.linalg.svd(np.concatenate([(a - b).astype(np.float64) for b, a in blocks()]))
    values, rank, (left, right) = few
    assert rank == 8 and values == pytest.approx(s[:8], rel=1e-8)
    assert np.linalg.svd(left.T @ u[:, :8])[1].min() > 1 - 1e-9
    assert np.linalg.svd(right.T @ vt[:8].T)[1].min() > 1 - 1e-9


def test_directions_beside_the_few_are_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    """Twins: a ninth direction that the search missed, and twenty where sixteen are looked for."""
    d = of_rank(9)
    edge = rounding_edge(np.concatenate([a for _, a in added(d)()]), "F32")
    found = weight_changes.few_directions(added(d), d.shape, 16, np.random.default_rng(1))
    assert found is not None
    left, values, right = found
    with monkeypatch.context() as patch:
        for missed in (slice(0, 8), slice(1, 9)):
            without = left[:, missed], values[missed], right[:, missed]
            patch.setattr(weight_changes, "few_directions", lambda *_, given=without: given)
            assert weight_changes._few(added(d), d.shape, 16, edge, np.random.default_rng(1)) is None
    many = of_rank(20, least=1e-2)
    assert weight_changes._few(added(many), d.shape, 16, edge, np.random.default_rng(1)) is None
    assert change_of(added(many), d.shape, "F32", keep=16, rng=np.random.default_rng(1)).rank == 20


@pytest.mark.parametrize(("largest", "shown"), [(0.99, True), (1.01, False)])
def test_a_bound_on_all_eigenvalues(largest: float, shown: bool) -> None:
    """Shown where they lie a hundredth under it, and not of the twin of which one lies over it."""
    gram = planted(np.append(np.linspace(0.1, 0.5, 271), largest**0.5))
    assert under(gram, 1.0) is shown and not under(gram, 0.0)


@pytest.mark.parametrize("dtype", ["F32", "F16", "BF16"])
def test_the_edge_of_rounding_is_that_of_the_spacings(dtype: str) -> None:
    w = np.random.default_rng(0).standard_normal((50, 30)).astype(np.float32)
    w[:, 3] *= 1e-4
    variance = np.square(spacing(w, dtype), dtype=np.float64) / 12
    edge = np.sqrt(variance.sum(axis=1).max()) + np.sqrt(variance.sum(axis=0).max())
    margin = 4.0 if dtype == "F32" else 1.5
    assert rounding_edge(w, dtype) == pytest.approx(margin * edge, rel=1e-5)


@pytest.mark.parametrize("shape", [(768, 768), (4000, 500), (60, 40)])
def test_the_first_rows_have_the_largest_eigenvalue(
    shape: tuple[int, int],
) -> None:
    """What stands in for the whole bidiagonal matrix of noise has its largest value to seven digits."""
    n, m = shape
    rng = np.random.default_rng(0)
    squares, beside = rng.chisquare(n - np.arange(m)), rng.chisquare(m - 1 - np.arange(m - 1))
    diagonal, off = squares + np.append(beside, 0), np.sqrt(squares[1:] * beside)
    whole = np.linalg.eigvalsh(np.diag(diagonal) + np.diag(off, 1) + np.diag(off, -1))[-1]
    rows = noise_spectra.rows_of_the_largest(m)
    assert rows < m or m < 100
    found = noise_spectra.largest_eigenvalue(diagonal[:rows], off[: rows - 1])
    assert found == pytest.approx(whole, rel=1e-7)
