"""Quaternions in blocks of four numbers: products, inverses, exponentials, and their products over time."""

from __future__ import annotations

import torch

PRODUCT = 28  # multiplications and additions of one product
TINY = 1e-24  # under a root, so that its slope at 0 is 0


def product(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """(..., 4) times (..., 4), which broadcast: Hamilton's product."""
    aw, ax, ay, az = a.unbind(-1)
    bw, bx, by, bz = b.unbind(-1)
    return torch.stack(
        [
            aw * bw - ax * bx - ay * by - az * bz,
            aw * bx + ax * bw + ay * bz - az * by,
            aw * by - ax * bz + ay * bw + az * bx,
            aw * bz + ax * by - ay * bx + az * bw,
        ],
        -1,
    )


def conjugate(a: torch.Tensor) -> torch.Tensor:
    """The inverse of a unit quaternion."""
    return torch.cat([a[..., :1], -a[..., 1:]], -1)


def unit(a: torch.Tensor) -> torch.Tensor:
    """(..., n) of norm 1; 0 stays 0."""
    return a / (a.square().sum(-1, keepdim=True) + TINY).sqrt()


def exponential(u: torch.Tensor) -> torch.Tensor:
    """(..., 3) to the unit quaternions cos |u| + sin |u| u / |u|."""
    angle = (u.square().sum(-1, keepdim=True) + TINY).sqrt()
    return torch.cat([angle.cos(), angle.sin() / angle * u], -1)


def logarithm(a: torch.Tensor) -> torch.Tensor:
    """(..., 4) of norm 1 to the shortest (..., 3) that `exponential` takes to it."""
    size = (a[..., 1:].square().sum(-1, keepdim=True) + TINY).sqrt()
    return torch.atan2(size, a[..., :1]) / size * a[..., 1:]


def turned(x: torch.Tensor, left: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
    """Rotate (..., 4) by the pair of unit quaternions: left · x · right*; every rotation of four numbers is one such."""
    return product(product(left, x), conjugate(right))


def products_until(a: torch.Tensor) -> torch.Tensor:
    """Products (..., n, c, 4) of unit quaternions of all times until each, the earliest on the left.

    They are made in log2 n passes over twice as long stretches, each normalized again, so that no error grows with n.
    """
    reach = 1
    while reach < a.shape[-3]:
        longer = unit(product(a[..., :-reach, :, :], a[..., reach:, :, :]))
        a = torch.cat([a[..., :reach, :, :], longer], -3)
        reach *= 2
    return a
