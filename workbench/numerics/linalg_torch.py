"""Eigenvectors and singular vectors of large operators in torch, on any device."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch

from workbench.core.errors import ParameterError

if TYPE_CHECKING:
    from jaxtyping import Float
    from torch import Tensor

BLOCK_ROWS = 1 << 18  # rows made float64 at a time
INVARIANT = 64  # roundings of a product that are left of a vector when it lies in the span of those before
STRETCH = np.log(1e5)  # of the largest eigenvector against what is damped, in one filter


class Eigenpairs(NamedTuple):
    """Eigenvalues (k,), unit eigenvectors (n, k), the norm of each residual, and the products that it took."""

    values: Float[Tensor, " k"]
    vectors: Float[Tensor, "n k"]
    residuals: Float[Tensor, " k"]
    n_products: int


def gram(a: Float[Tensor, "n p"], b: Float[Tensor, "n q"]) -> Float[Tensor, "p q"]:
    """Return ``aᵀ b`` summed in float64."""
    out = torch.zeros((a.shape[1], b.shape[1]), dtype=torch.float64, device=a.device)
    for left, right in zip(a.split(BLOCK_ROWS), b.split(BLOCK_ROWS), strict=True):
        out += left.double().T @ right.double()
    return out


def orthonormal(a: Float[Tensor, "n k"]) -> Float[Tensor, "n k"]:
    """Return an orthonormal basis of the columns' span; directions lost to rounding become zero columns."""
    for _ in range(2):
        values, vectors = np.linalg.eigh(gram(a, a).cpu().numpy())
        kept = values > 1e-12 * values.max(initial=0)
        factor = vectors * np.where(kept, 1 / np.sqrt(np.where(kept, values, 1)), 0)
        a = a @ torch.from_numpy(factor).to(a)
    return a


def randomized_svd(
    a: Float[Tensor, "n d"], k: int, *, n_oversamples: int = 10, n_iter: int = 4, random_state: int = 0
) -> tuple[Float[Tensor, "n k"], Float[Tensor, " k"], Float[Tensor, "k d"]]:
    """Return the ``k`` largest singular values and their vectors, by random projection.

    No value exceeds the true one. With ``n_oversamples`` = k the product is off, in expectation and spectral
    norm, by at most the value after the k-th times (1 + 4 √(2 min(n, d) / (k - 1)))^(1 / (2 n_iter + 1)), and by
    rounding relative to the largest value; of values that repeat, the vectors are any basis.

    Parameters
    ----------
    a : (n, d) floating; half precision is computed in float32. k : at most min(n, d).
    n_oversamples : directions kept beyond k. n_iter : passes that sharpen slowly falling spectra.

    Returns
    -------
    u, s, vt : (n, k), (k,) falling, (k, d).

    Raises
    ------
    ParameterError
        ``k`` is out of range.

    References
    ----------
    Halko, Martinsson and Tropp 2011, Finding structure with randomness, SIAM Review 53.
    """
    if not 1 <= k <= min(a.shape):
        raise ParameterError(
            f"k={k} must be at least 1 and at most {min(a.shape)} for shape {tuple(a.shape)}"
        )
    if a.dtype in (torch.float16, torch.bfloat16):
        a = a.float()
    width = min(k + n_oversamples, *a.shape)
    # Householder's, since products of columns lose what is below the root of the rounding
    qr = torch.linalg.qr
    basis = qr(a @ _noise(a.shape[1], width, random_state).to(a)).Q
    for _ in range(n_iter):
        basis = qr(a @ qr(a.T @ basis).Q).Q
    u, s, vt = torch.linalg.svd(basis.T @ a, full_matrices=False)
    return (basis @ u)[:, :k], s[:k], vt[:k]


def lanczos(
    product: Callable[[Tensor], Tensor], start: Float[Tensor, " n"], steps: int
) -> tuple[Float[np.ndarray, " m"], Float[Tensor, "n m"], Float[np.ndarray, " m"]]:
    """Return Ritz values (ascending), Ritz vectors and residual norms of a symmetric operator.

    Every new vector is made orthogonal to all before it, twice. Fewer than ``steps`` come back where the
    vectors span an invariant subspace. An eigenvalue lies within each residual norm of its Ritz value; the
    extreme ones come first. Of an eigenvalue that repeats, one copy is found: `largest_eigenpairs` finds all.

    Parameters
    ----------
    product : what multiplies a vector by the operator. start : where to begin, not zero; half precision is
        computed in float32. steps : at least 1.

    Raises
    ------
    ParameterError
        The start is zero or not finite, or there is no step.
    """
    if start.dtype in (torch.float16, torch.bfloat16):
        start = start.float()
    if steps < 1 or not 0 < float(start.norm()) < np.inf:
        raise ParameterError(
            f"steps={steps} must be at least 1, and the start a finite vector that isn't zero"
        )
    basis = torch.zeros((len(start), min(steps, len(start))), dtype=start.dtype, device=start.device)
    diagonal, beside, scale = [], [], 0.0
    v = start / start.norm()
    for i in range(basis.shape[1]):
        basis[:, i] = v
        w = product(v)
        diagonal.append(float(v @ w))
        scale = max(scale, float(w.norm()))
        for _ in range(2):
            w = w - basis[:, : i + 1] @ (basis[:, : i + 1].T @ w)
        beside.append(float(w.norm()))
        if beside[-1] <= INVARIANT * torch.finfo(start.dtype).eps * scale:
            break
        v = w / beside[-1]
    m = len(diagonal)
    matrix = np.diag(diagonal) + np.diag(beside[: m - 1], 1) + np.diag(beside[: m - 1], -1)
    values, vectors = np.linalg.eigh(matrix)
    return values, basis[:, :m] @ torch.from_numpy(vectors).to(start), np.abs(beside[m - 1] * vectors[-1])


def largest_eigenpairs(
    product: Callable[..., Tensor],
    n: int,
    k: int,
    *,
    lowest: float,
    highest: float,
    device: torch.device,
    n_guard: int = 12,
    tol: float = 1e-4,
    max_products: int = 2000,
    random_state: int = 0,
) -> Eigenpairs:
    """Return the ``k`` largest eigenpairs of a symmetric operator, by subspace iteration with Chebyshev filters.

    An eigenvalue lies within each residual norm of the value given, and within the square of that over the
    gap to the others. Copies of one that repeats are all found. Each round damps the part of the spectrum below
    the block's last Ritz value with a polynomial and solves the small problem in the span that is left.

    Parameters
    ----------
    product : (x, add, alpha, beta) → alpha · operator · x + beta · add; x is (n, p), and add may be None.
    k : eigenpairs; n_guard more are carried along, which speeds up the last ones.
    lowest, highest : bounds of the spectrum.
    tol : residual norm at which an eigenpair counts as found, relative to ``highest - lowest``.
    max_products : of the operator with a block; where it ends there, the residuals say how far it came.

    Raises
    ------
    ParameterError
        ``k`` or the bounds are out of range.

    References
    ----------
    Zhou, Saad, Tiago and Chelikowsky 2006, Self-consistent-field calculations using Chebyshev-filtered
    subspace iteration, J. Comput. Phys. 219.
    """
    wide = highest - lowest
    if not (1 <= k <= n and wide > 0):
        raise ParameterError(
            f"k={k} must be at least 1 and at most {n}, and lowest={lowest} less than highest={highest}"
        )
    block = orthonormal(_noise(n, min(k + n_guard, n), random_state).to(device))
    values, block, residual = _ritz(product, block)
    used = 1
    while used < max_products and float(residual[:k].max()) > tol * wide:
        edge = min(max(float(values[-1]), lowest + 1e-3 * wide), highest - 1e-6 * wide)
        # a step further into the spectrum than this would drown the others in the first one's rounding
        growth = np.arccosh(1 + 2 * max(float(values[0]) - edge, 1e-6 * wide) / (edge - lowest))
        degree = int(np.clip(STRETCH / growth, 1, 128))
        block = _filtered(product, block, lowest, edge, degree, max(float(values[0]), edge + 1e-6 * wide))
        block = _completed(orthonormal(block), random_state + used)
        values, block, residual = _ritz(product, block)
        used += degree + 1
    return Eigenpairs(values[:k], block[:, :k], residual[:k], used)


def _completed(block: Float[Tensor, "n p"], seed: int) -> Float[Tensor, "n p"]:
    """Put new directions where rounding left zero columns, which would pass for eigenvectors of the value 0."""
    lost = block.norm(dim=0) < 0.5
    if not bool(lost.any()):
        return block
    fresh = _noise(len(block), int(lost.sum()), seed).to(block)
    for _ in range(2):
        fresh = orthonormal(fresh - block @ (block.T @ fresh))
    block = block.clone()
    block[:, lost] = fresh
    return block


def _filtered(
    product: Callable[..., Tensor], block: Tensor, low: float, edge: float, degree: int, top: float
) -> Tensor:
    """The Chebyshev polynomial that stays within 1 on [low, edge], divided by its value at ``top``."""
    centre, half = (low + edge) / 2, (edge - low) / 2
    # scaled as it grows, so that float32 holds it
    sigma = first = half / (top - centre)
    before = block
    now = product(block, None, first / half, 0.0).add_(block, alpha=-first * centre / half)
    for _ in range(1, degree):
        following = 1 / (2 / first - sigma)
        new = product(now, before, 2 * following / half, -sigma * following)
        new.add_(now, alpha=-2 * following * centre / half)
        before, now, sigma = now, new, following
    return now


def _ritz(product: Callable[..., Tensor], block: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    image = product(block, None, 1.0, 0.0)
    small = gram(block, image).cpu().numpy()
    ascending, vectors = np.linalg.eigh((small + small.T) / 2)
    turn = torch.from_numpy(vectors[:, ::-1].copy()).to(block)
    values = torch.from_numpy(ascending[::-1].copy()).to(block)
    block, image = block @ turn, image @ turn
    return values, block, (image - block * values).norm(dim=0)


def _noise(n: int, k: int, random_state: int) -> Float[Tensor, "n k"]:
    """Normal deviates, the same on every device."""
    rng = np.random.default_rng([random_state, 0x6C696E])
    return torch.from_numpy(rng.standard_normal((n, k), dtype=np.float32))
