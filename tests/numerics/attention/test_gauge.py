"""Parallel transport: rotations stay rotations, depend on what lies between, and commute to the order that they should."""

from __future__ import annotations

import pytest
import torch

from workbench.numerics.attention.gauge import Gauge
from workbench.numerics.geometry.mechanism import causal_weights, normalized
from workbench.numerics.geometry.quaternions import (
    conjugate,
    exponential,
    logarithm,
    product,
    products_until,
    turned,
    unit,
)

DOUBLE = torch.float64


def draws(*shape: int, seed: int = 0, dtype: torch.dtype = DOUBLE) -> torch.Tensor:
    return torch.randn(*shape, dtype=dtype, generator=torch.Generator().manual_seed(seed))


def matrices(left: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
    """The (..., 4, 4) matrices of the rotations."""
    basis = torch.eye(4, dtype=left.dtype).expand(*left.shape[:-1], 4, 4)
    return turned(basis, left[..., None, :], right[..., None, :]).mT


def test_quaternions_multiply_as_their_matrices_do() -> None:
    a, b, c, d = unit(draws(4, 30, 4))
    torch.testing.assert_close(matrices(product(a, c), product(b, d)), matrices(a, b) @ matrices(c, d))
    torch.testing.assert_close(matrices(a, b).mT, matrices(conjugate(a), conjugate(b)))


def test_transports_are_rotations_after_4096_positions_in_single_precision() -> None:
    torch.manual_seed(0)
    mixer = Gauge(16, 2)
    with torch.no_grad():
        mixer.angles.mul_(10)  # angles of order 1
        found = matrices(*mixer.transports(normalized(torch.randn(1, 4096, 16))))
    error = (found.mT @ found - torch.eye(4)).flatten(-2).norm(dim=-1)
    assert error.max() <= 2e-6
    assert (torch.linalg.det(found.double()) - 1).abs().max() <= 1e-5


def test_the_scan_is_the_product_one_after_the_other() -> None:
    a = unit(draws(1, 37, 2, 4))
    found = [a[:, 0]]
    for i in range(1, 37):
        found.append(product(found[-1], a[:, i]))
    torch.testing.assert_close(products_until(a), torch.stack(found, 1), rtol=1e-12, atol=1e-12)


@torch.no_grad()
def test_between_two_positions_only_what_lies_between_counts() -> None:
    torch.manual_seed(0)
    mixer, x = Gauge(8, 1).double(), draws(1, 12, 8)
    other = x.clone()
    other[:, :5] = draws(1, 5, 8, seed=1)
    a, b = (matrices(*mixer.transports(of)) for of in (x, other))
    between = [(t[:, 9].mT @ t[:, 4]) for t in (a, b)]  # of the positions 5 to 9
    torch.testing.assert_close(*between, rtol=1e-12, atol=1e-12)
    assert (a[:, 9] - b[:, 9]).abs().max() > 0.1
    wrong = [t[:, 9] @ t[:, 4].mT for t in (a, b)]  # as the other order has it
    assert (wrong[0] - wrong[1]).abs().max() > 0.1


@torch.no_grad()
def test_without_angles_it_is_attention_without_positions() -> None:
    torch.manual_seed(0)
    mixer, x = Gauge(16, 2).double(), draws(2, 9, 16)
    mixer.angles.zero_()
    mixer.constant.zero_()
    q, k = (normalized(mixer.split(p(x))) for p in (mixer.q_proj, mixer.k_proj))
    plain = (causal_weights(q, k) @ mixer.split(mixer.v_proj(x))).transpose(1, 2).flatten(-2)
    torch.testing.assert_close(mixer(x), mixer.o_proj(plain), rtol=1e-12, atol=1e-12)


@torch.no_grad()
def test_a_global_rotation_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    mixer, x = Gauge(16, 2).double(), draws(2, 9, 16)
    before, transports = mixer(x), mixer.transports
    first = unit(draws(2, 4, 4))
    monkeypatch.setattr(
        mixer,
        "transports",
        lambda x, s: tuple(product(g, t) for g, t in zip(first, transports(x, s), strict=True)),
    )
    torch.testing.assert_close(mixer(x), before, rtol=1e-12, atol=1e-12)


def test_transports_do_not_commute() -> None:
    a, b = exponential(draws(2, 20, 3))
    assert (product(a, b) - product(b, a)).norm(dim=-1).min() > 1e-3


def test_errors_of_the_baker_campbell_hausdorff_series_fall_as_their_orders() -> None:
    # a quaternion's commutator is twice the cross product
    a, b = draws(2, 50, 3)

    def bracket(u: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
        return 2 * torch.linalg.cross(u, v)

    errors = []
    for scale in (0.02, 0.01):
        u, v = scale * a, scale * b
        true = logarithm(product(exponential(u), exponential(v)))
        first = u + v
        second = first + bracket(u, v) / 2
        third = second + (bracket(u, bracket(u, v)) - bracket(v, bracket(u, v))) / 12
        errors.append([(true - s).norm() for s in (first, second, third)])
    orders = [torch.log2(coarse / fine).item() for coarse, fine in zip(*errors, strict=True)]
    assert orders == pytest.approx([2, 3, 4], abs=0.15)
