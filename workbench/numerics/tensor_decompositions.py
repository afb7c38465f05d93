"""What is left out when a tensor of order three is kept in few numbers: CP, Tucker, tensor train, and each slice by itself.

The largest ranks that a budget of numbers allows are found from one decomposition: of a Tucker form all errors are partial
sums over the core, of a tensor train they are eigenvalues of sums of Gram matrices. So a null can draw whole curves.
Tensors are (layers, rows, columns).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from jaxtyping import Float

TUCKER_SWEEPS = 2  # after which orthogonal iteration gains less than a thousandth of the error
RIDGE = 1e-10  # of the mean diagonal of the normal equations, which are singular where two terms are alike


class Kept(NamedTuple):
    """A tensor in few numbers.

    Attributes
    ----------
    ranks : of CP one, of Tucker three, of a tensor train two, of slices one a slice.
    numbers : how many are kept. error : norm of what is left out, of the tensor's.
    """

    ranks: tuple[int, ...]
    numbers: int
    error: float


def truncated_svds(x: Float[np.ndarray, "l n m"], budgets: Sequence[int]) -> list[Kept]:
    """Each slice by its own leading singular vectors, as many in all as fit; no slice takes anything from another."""
    layers, n, m = x.shape
    squares = np.square(np.linalg.svd(x, compute_uv=False)).ravel()
    of = np.repeat(np.arange(layers), min(n, m))
    order = np.argsort(-squares, kind="stable")
    total, found = squares.sum(), []
    for budget in budgets:
        some = order[: budget // (n + m)]
        ranks = np.bincount(of[some], minlength=layers)
        error = _rest(total, squares[some].sum())
        found.append(Kept(tuple(ranks.tolist()), len(some) * (n + m), error))
    return found


def tucker(x: Float[np.ndarray, "l n m"], budgets: Sequence[int], sweeps: int) -> list[Kept]:
    """Tucker forms: ranks from the higher-order SVD, then factors by higher-order orthogonal iteration.

    Parameters
    ----------
    sweeps : passes over the three factors; 0 leaves the higher-order SVD.

    References
    ----------
    De Lathauwer, De Moor and Vandewalle 2000, On the best rank-1 and rank-(R1, ..., RN) approximation of higher-order
    tensors, SIAM J. Matrix Anal. Appl. 21.
    """
    factors = [_leading(_unfolded(x, mode)) for mode in range(3)]
    core = _contracted(x, factors)
    held = np.square(core).cumsum(0).cumsum(1).cumsum(2)
    total = float(np.square(x).sum())
    found = []
    for budget in budgets:
        ranks = _best_ranks(held, x.shape, budget)
        if not ranks:
            found.append(Kept((0, 0, 0), 0, 1.0))
            continue
        inside = float(held[tuple(r - 1 for r in ranks)])
        if sweeps:
            inside = max(inside, _iterated(x, factors, ranks, sweeps))
        numbers = int(np.prod(ranks)) + sum(r * s for r, s in zip(ranks, x.shape, strict=True))
        found.append(Kept(ranks, numbers, _rest(total, inside)))
    return found


def tensor_train(x: Float[np.ndarray, "l n m"], budgets: Sequence[int]) -> list[Kept]:
    """Tensor trains by successive SVDs: r layers' mixtures of n x s blocks, all over one basis of s columns.

    With the layers' first r singular vectors, what s columns hold is the sum of the s largest eigenvalues of the Gram matrix
    of the r mixtures, so that all pairs of ranks take one eigenproblem a layer.

    References
    ----------
    Oseledets 2011, Tensor-train decomposition, SIAM J. Sci. Comput. 33.
    """
    layers, n, m = x.shape
    mixed = np.tensordot(_leading(_unfolded(x, 0)).T, x, 1)
    first = min(layers, n * m)
    gram = np.zeros((m, m))
    held = np.empty((first, m))
    for r in range(first):
        gram += mixed[r].T @ mixed[r]
        held[r] = np.clip(np.linalg.eigvalsh(gram)[::-1], 0, None).cumsum()
    total = float(np.square(x).sum())
    cost = layers * np.arange(1, first + 1)[:, None] + np.arange(1, m + 1) * (
        n * np.arange(1, first + 1)[:, None] + m
    )
    found = []
    for budget in budgets:
        fits = np.where(cost <= budget, held, -1.0)
        i, j = map(int, np.unravel_index(int(fits.argmax()), fits.shape))
        if fits[i, j] < 0:
            found.append(Kept((0, 0), 0, 1.0))
        else:
            found.append(Kept((i + 1, j + 1), int(cost[i, j]), _rest(total, float(held[i, j]))))
    return found


def cp(
    x: Float[np.ndarray, "l n m"], budgets: Sequence[int], sweeps: int, random_state: int = 0
) -> list[Kept]:
    """Sums of rank-one tensors by alternating least squares, each rank's from the leading vectors of the three unfoldings.

    The fit is a local one: another start may leave out less.

    Parameters
    ----------
    random_state : decides the start where more terms are asked for than a side has vectors.

    References
    ----------
    Kolda and Bader 2009, Tensor decompositions and applications, SIAM Review 51.
    """
    starts = [_leading(_unfolded(x, mode)) for mode in range(3)]
    total = float(np.square(x).sum())
    found = []
    for budget in budgets:
        rank = budget // sum(x.shape)
        factors = _started(starts, rank, np.random.default_rng([random_state, 0x6370]))
        held = _fitted(x, factors, sweeps) if rank else 0.0
        found.append(Kept((rank,), rank * sum(x.shape), _rest(total, held)))
    return found


FORMS: dict[str, Callable[[np.ndarray, Sequence[int], int], list[Kept]]] = {
    "CP": cp,
    "Tucker": lambda x, budgets, sweeps: tucker(x, budgets, TUCKER_SWEEPS),
    "tensor train": lambda x, budgets, sweeps: tensor_train(x, budgets),
}
"""What layers may be kept together in."""


def _rest(total: float, held: float) -> float:
    return float(np.sqrt(max(total - held, 0.0) / total)) if total > 0 else 0.0


def _unfolded(x: np.ndarray, mode: int) -> np.ndarray:
    return np.moveaxis(x, mode, 0).reshape(x.shape[mode], -1)


def _leading(flat: np.ndarray) -> np.ndarray:
    """Left singular vectors by the Gram matrix, strongest first."""
    return np.linalg.eigh(flat @ flat.T)[1][:, ::-1]


def _contracted(x: np.ndarray, factors: Sequence[np.ndarray]) -> np.ndarray:
    a, b, c = factors
    mixed = np.tensordot(a.T, x, 1)
    return np.asarray(b.T @ mixed @ c)


def _best_ranks(held: np.ndarray, shape: tuple[int, ...], budget: int) -> tuple[int, ...]:
    """The ranks that fit into so many numbers and hold most; () where none fit."""
    layers, n, m = held.shape
    p, q = np.arange(1, layers + 1)[:, None], np.arange(1, n + 1)[None, :]
    left = budget - shape[0] * p - shape[1] * q
    r = np.minimum(left // (p * q + shape[2]), m)
    inside = np.where(r > 0, held[p - 1, q - 1, np.maximum(r, 1) - 1], -1.0)
    i, j = np.unravel_index(int(inside.argmax()), inside.shape)
    return (int(i) + 1, int(j) + 1, int(r[i, j])) if inside[i, j] >= 0 else ()


def _iterated(x: np.ndarray, starts: Sequence[np.ndarray], ranks: tuple[int, ...], sweeps: int) -> float:
    """What factors of these ranks hold after so many sweeps; each step holds at least as much as the one before."""
    a, b, c = (f[:, :r] for f, r in zip(starts, ranks, strict=True))
    for _ in range(sweeps):
        a = _leading((b.T @ x @ c).reshape(len(x), -1))[:, : ranks[0]]
        mixed = np.tensordot(a.T, x, 1)
        b = _leading(_unfolded(mixed @ c, 1))[:, : ranks[1]]
        c = _leading(_unfolded(b.T @ mixed, 2))[:, : ranks[2]]
    return float(np.square(b.T @ np.tensordot(a.T, x, 1) @ c).sum())


def _started(starts: Sequence[np.ndarray], rank: int, rng: np.random.Generator) -> list[np.ndarray]:
    return [
        np.hstack([f[:, :rank], rng.standard_normal((len(f), max(rank - len(f), 0))) / np.sqrt(len(f))])
        for f in starts
    ]


def _fitted(x: np.ndarray, factors: list[np.ndarray], sweeps: int) -> float:
    """What a sum of rank-one tensors holds after so many sweeps of alternating least squares."""
    a, b, c = factors
    grams = [f.T @ f for f in factors]
    # Before each solution two factors are what they were and the third minimizes the error given them, so that no step makes
    # the error larger.
    for _ in range(max(sweeps, 1)):
        a, grams[0] = _solved(np.einsum("lnr,nr->lr", x @ c, b), grams[1] * grams[2])
        mixed = np.tensordot(x, a, (0, 0))  # (n, m, r)
        b, grams[1] = _solved(np.einsum("nmr,mr->nr", mixed, c), grams[0] * grams[2])
        last = np.einsum("nmr,nr->mr", mixed, b)
        c, grams[2] = _solved(last, grams[0] * grams[1])
    inner = float((last * c).sum())
    square = float((grams[0] * grams[1] * grams[2]).sum())
    return 2 * inner - square


def _solved(right: np.ndarray, gram: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The factor that solves the normal equations, and its own Gram matrix."""
    from scipy.linalg import cho_factor, cho_solve

    ridge = RIDGE * np.trace(gram) / len(gram) + np.finfo(float).tiny
    whole = gram + ridge * np.eye(len(gram))
    try:
        factor = cho_solve(cho_factor(whole), right.T).T
    except np.linalg.LinAlgError:
        factor = np.linalg.lstsq(whole, right.T)[0].T
    return factor, factor.T @ factor
