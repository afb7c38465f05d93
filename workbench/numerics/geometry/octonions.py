"""Octonions in blocks of eight numbers: their table, products, and the matrices of multiplying from either side.

They don't associate, so a product of three has no matrix that is the product of the matrices of two of them; but it is linear
in each factor, and so has one in each.
"""

from __future__ import annotations

from functools import cache

import torch


def _doubled(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """Products of (..., 2 m) by Cayley and Dickson's doubling of those of (..., m): (a, b)(c, d) = (ac - d*b, da + bc*)."""
    if a.shape[-1] == 1:
        return a * b
    (a, b), (c, d) = a.chunk(2, -1), b.chunk(2, -1)
    return torch.cat(
        [_doubled(a, c) - _doubled(conjugate(d), b), _doubled(d, a) + _doubled(b, conjugate(c))], -1
    )


def conjugate(a: torch.Tensor) -> torch.Tensor:
    """All parts but the first with the other sign."""
    return torch.cat([a[..., :1], -a[..., 1:]], -1)


@cache
@torch.inference_mode(False)  # what is kept has to serve a backward pass too
def table() -> torch.Tensor:
    """(8, 8, 8) of -1, 0 and 1, float64, on the CPU: e_i e_j = Σ_k table[i, j, k] e_k."""
    units = torch.eye(8, dtype=torch.float64, device="cpu")
    return _doubled(units[:, None].expand(8, 8, 8), units[None].expand(8, 8, 8))


def product(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """(..., 8) times (..., 8), which broadcast."""
    return (from_left(a) @ b[..., None])[..., 0]


def from_left(a: torch.Tensor) -> torch.Tensor:
    """The (..., 8, 8) matrices that multiply by (..., 8) from the left: entry [k, j] is Σ_i table[i, j, k] a_i."""
    sign, source = _left()
    return a[..., source.to(a.device)] * sign.to(a)


def from_right(b: torch.Tensor) -> torch.Tensor:
    """The (..., 8, 8) matrices that multiply by (..., 8) from the right: entry [k, i] is Σ_j table[i, j, k] b_j."""
    sign, source = _right()
    return b[..., source.to(b.device)] * sign.to(b)


@cache
@torch.inference_mode(False)
def _left() -> tuple[torch.Tensor, torch.Tensor]:
    """Signs and indices: one unit takes e_j to ± e_k, so each entry is one of the numbers, with a sign."""
    by = table().permute(2, 1, 0)
    return by.sum(-1), by.abs().argmax(-1)


@cache
@torch.inference_mode(False)
def _right() -> tuple[torch.Tensor, torch.Tensor]:
    by = table().permute(2, 0, 1)
    return by.sum(-1), by.abs().argmax(-1)
