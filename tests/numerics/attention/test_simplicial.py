"""Attention of pairs: the sum by brute force, scores that no sum over pairs gives, and a complex whose boundary has none."""

from __future__ import annotations

import itertools

import torch

from workbench.numerics.attention.simplicial import Simplicial, boundaries, trilinear
from workbench.numerics.geometry.mechanism import normalized


def draws(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


@torch.no_grad()
def test_it_is_the_sum_by_brute_force() -> None:
    torch.manual_seed(0)
    mixer, x = Simplicial(8, 2, near=5, pairs=3).double(), draws(1, 9, 8)
    mixer.near_bias.copy_(draws(2, 5))
    mixer.pairs_bias.copy_(draws(2, 3, seed=1))
    q, k, k2 = (normalized(mixer.split(p(x)))[0] for p in (mixer.q_proj, mixer.k_proj, mixer.k2_proj))
    v, v2 = (mixer.split(p(x))[0] for p in (mixer.v_proj, mixer.v2_proj))
    y = torch.zeros(2, 9, 4, dtype=torch.float64)
    for h, i in itertools.product(range(2), range(9)):
        pairs = [(j, m) for j in range(max(0, i - 4), i + 1) for m in range(max(0, i - 2), i + 1)]
        scores = torch.stack(
            [
                (q[h, i] * k[h, j] * k2[h, m]).sum() / 2
                + mixer.near_bias[h, 4 - (i - j)]
                + mixer.pairs_bias[h, 2 - (i - m)]
                for j, m in pairs
            ]
        )
        for p, (j, m) in zip(scores.softmax(0), pairs, strict=True):
            y[h, i] += p * v[h, j] * v2[h, m]
    expected = mixer.o_proj(y.transpose(0, 1).flatten(-2))
    assert (mixer(x)[0] - expected).norm() <= 1e-12 * expected.norm()


def test_scores_are_no_sum_over_pairs() -> None:
    # the third mixed difference of f(q, k) + g(q, k') + h(k, k') is 0
    q, k, k2 = (draws(2, 1, 1, 4, seed=s) for s in range(3))
    total = sum(
        (-1) ** (a + b + c) * trilinear(q[a][0], k[b], k2[c])[0, 0, 0]
        for a, b, c in itertools.product(range(2), repeat=3)
    )
    pairwise = sum(
        (-1) ** (a + b + c) * ((q[a] * k[b]).sum() + (q[a] * k2[c]).sum() + (k[b] * k2[c]).sum())
        for a, b, c in itertools.product(range(2), repeat=3)
    )
    assert abs(total) > 0.1 and abs(pairwise) < 1e-12


def test_a_boundary_has_no_boundary() -> None:
    first, second = boundaries(9, 5, 3)
    assert second.shape[1] > 20 and not (first @ second).any()
    down, up = first.T @ first, second @ second.T
    assert not (down @ up).any() and down.any() and up.any()
    filled = torch.linalg.eigvalsh(down + up)
    assert (filled > -1e-9).all()
    assert int((filled < 1e-9).sum()) == first.shape[1] - torch.linalg.matrix_rank(
        first
    ) - torch.linalg.matrix_rank(second)
