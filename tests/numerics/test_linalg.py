"""Randomized SVD, Lanczos and the block eigensolver against numpy, degenerate matrices among them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

from workbench.core.errors import ParameterError
from workbench.numerics.linalg_torch import lanczos, largest_eigenpairs, orthonormal, randomized_svd

RNG = np.random.default_rng(0)


def with_values(values: np.ndarray, n: int, d: int) -> np.ndarray:
    """A matrix (n, d) of known singular values."""
    k = len(values)
    left, right = (np.linalg.qr(RNG.standard_normal((m, k)))[0] for m in (n, d))
    return (left * values) @ right.T


MATRICES = {
    "normal": RNG.standard_normal((90, 40)),
    "wide": RNG.standard_normal((30, 200)),
    "falling": with_values(0.7 ** np.arange(40), 300, 40),
    "repeated": with_values(np.repeat([5.0, 2.0, 1.0], 10), 120, 50),
    "low rank": with_values(np.array([3.0, 2.0, 1.0]), 80, 60),
    "zero": np.zeros((20, 9)),
    "equal rows": np.ones((50, 1)) * RNG.standard_normal(12),
    "one number": np.array([[2.5]]),
    "one row": RNG.standard_normal((1, 30)),
    "one column": RNG.standard_normal((30, 1)),
    "far apart": with_values(10.0 ** -np.arange(12), 100, 30),
}


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.float16])
@pytest.mark.parametrize("name", MATRICES)
def test_randomized_svd_peer_numpy(name: str, dtype: torch.dtype) -> None:
    a = torch.from_numpy(MATRICES[name]).to(dtype)
    exact = a.double().numpy()
    k = min(8, *a.shape)
    u, s, vt = randomized_svd(a, k, n_oversamples=k, n_iter=6)
    true = np.linalg.svd(exact, compute_uv=False)
    rounding = 30 * true[0] * (1e-12 if dtype is torch.float64 else 1e-6)
    assert (s.double().numpy() <= true[:k] + rounding).all()
    left_out = true[k] if k < len(true) else 0.0
    bound = left_out * (1 + 4 * np.sqrt(2 * min(a.shape) / max(k - 1, 1))) ** (1 / 13)
    assert np.linalg.norm(exact - ((u * s) @ vt).double().numpy(), 2) <= bound + rounding
    assert (s.diff() <= 0).all()
    np.testing.assert_allclose(vt.double() @ vt.double().T, np.eye(k), atol=1e-5)
    np.testing.assert_allclose(u.double().T @ u.double(), np.eye(k), atol=1e-5)
    assert u.dtype == (torch.float32 if dtype is torch.float16 else dtype)


def test_the_seed_decides_the_projection() -> None:
    a = torch.from_numpy(MATRICES["normal"])
    one, same, other = (randomized_svd(a, 3, n_iter=0, random_state=seed)[1] for seed in (0, 0, 1))
    assert torch.equal(one, same)
    assert not torch.equal(one, other)


def test_a_basis_of_degenerate_columns_is_orthonormal_or_zero() -> None:
    a = torch.from_numpy(MATRICES["low rank"]).float()
    basis = orthonormal(a)
    held = (basis.T @ basis).numpy()
    assert round(float(np.trace(held))) == 3
    np.testing.assert_allclose(held @ held, held, atol=1e-4)  # a projection


SPECTRA = {
    "spread": np.linspace(-1, 1, 200),
    "repeated": np.repeat([1.0, 0.9, 0.2, -0.7], 60),
    "one and many alike": np.r_[1.0, np.full(299, -0.5)],
    "all alike": np.full(150, 0.3),
    "zero": np.zeros(80),
    "low rank": np.r_[1.0, 0.8, np.zeros(250)],
    "close pairs": np.r_[0.9, 0.9 - 1e-6, 0.5, 0.5 - 1e-6, np.linspace(-1, 0.3, 150)],
    "both ends": np.r_[np.ones(5), -np.ones(200)],
    "tiny": np.array([0.5, -0.25]),
    "one": np.array([0.7]),
}


def operator(values: np.ndarray) -> torch.Tensor:
    turn = np.linalg.qr(np.random.default_rng(1).standard_normal((len(values), len(values))))[0]
    return torch.from_numpy((turn * values) @ turn.T)


def in_blocks(a: torch.Tensor) -> Callable[..., torch.Tensor]:
    def product(x: torch.Tensor, add: torch.Tensor | None, alpha: float, beta: float) -> torch.Tensor:
        out = alpha * (a @ x)
        return out if add is None else out + beta * add

    return product


@pytest.mark.parametrize("name", SPECTRA)
@pytest.mark.parametrize("k", [1, 6, 20])
def test_largest_eigenpairs_peer_numpy(name: str, k: int) -> None:
    values = SPECTRA[name]
    n, k = len(values), min(k, len(values))
    a = operator(values).float()
    found = largest_eigenpairs(
        in_blocks(a), n, k, lowest=-1.0, highest=1.0, device=torch.device("cpu"), tol=1e-5, max_products=4000
    )
    np.testing.assert_allclose(found.values, np.sort(values)[::-1][:k], atol=1e-5)
    np.testing.assert_allclose(found.vectors.T @ found.vectors, np.eye(k), atol=1e-4)
    residual = (a @ found.vectors - found.vectors * found.values).norm(dim=0)
    np.testing.assert_allclose(residual, found.residuals, atol=1e-5)
    assert float(residual.max()) < 4e-5


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("name", SPECTRA)
def test_lanczos_brackets_eigenvalues(name: str, dtype: torch.dtype) -> None:
    true = SPECTRA[name]
    a = operator(true).to(dtype)
    start = torch.from_numpy(np.random.default_rng(2).standard_normal(len(true))).to(dtype)
    values, vectors, residuals = lanczos(lambda v: a @ v, start, 60)
    assert len(values) <= min(60, len(true))
    nearest = np.abs(values[:, None] - true).min(1)
    assert (nearest <= residuals + 2e-6).all()
    assert values[-1] == pytest.approx(true.max(), abs=2e-3)
    np.testing.assert_allclose(vectors.T @ vectors, np.eye(len(values)), atol=1e-5)
    if dtype is torch.float64 and len(np.unique(true)) < 4:
        assert len(values) <= 2 * len(np.unique(true)) + 4  # it stops soon after the subspace is invariant


def test_half_precision_starts_and_refusals() -> None:
    values, vectors, _ = lanczos(lambda v: 3 * v, torch.ones(5, dtype=torch.float16), 4)
    np.testing.assert_allclose(values, [3.0])
    assert vectors.dtype == torch.float32
    for start, steps in [(torch.zeros(3), 2), (torch.full((3,), torch.nan), 2), (torch.ones(3), 0)]:
        with pytest.raises(ParameterError, match="finite"):
            lanczos(lambda v: v, start, steps)
    cpu = torch.device("cpu")
    for k, low, high in [(0, -1, 1), (4, -1, 1), (2, 1, 1)]:
        with pytest.raises(ParameterError, match="lowest"):
            largest_eigenpairs(in_blocks(torch.eye(3)), 3, k, lowest=low, highest=high, device=cpu)
