"""Attention by shared digits: equal to the sum over all pairs, a true ultrametric, linear in the length."""

from __future__ import annotations

import time

import pytest
import torch

from workbench.numerics.attention.ultrametric import Ultrametric, mixed, sums_of_runs, sums_until
from workbench.numerics.geometry.config import GeometryConfig


def shared(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """How many leading digits (..., n, digits) and (..., m, digits) share."""
    return (a[..., :, None, :] == b[..., None, :, :]).long().cumprod(-1).sum(-1)


def drawn(n: int, digits: int = 3, base: int = 3, dtype: torch.dtype = torch.float64) -> list[torch.Tensor]:
    own = torch.Generator().manual_seed(n)
    codes = [torch.randint(base, (2, 2, n, digits), generator=own) for _ in range(2)]
    gates = [torch.rand(2, 2, n, digits, generator=own, dtype=dtype) for _ in range(2)]
    return [codes[0], gates[0], codes[1], gates[1], torch.randn(2, 2, n, 5, generator=own, dtype=dtype)]


def dense(
    q: torch.Tensor, of_q: torch.Tensor, k: torch.Tensor, of_k: torch.Tensor, v: torch.Tensor, base: int
):
    common, weight = shared(q, k), torch.ones(*q.shape[:3], q.shape[2], dtype=v.dtype)
    for level in range(1, q.shape[-1] + 1):
        gate = of_q[..., :level].prod(-1)[..., :, None] * of_k[..., :level].prod(-1)[..., None, :]
        weight = weight + (common >= level) * gate * (base**level - base ** (level - 1))
    weight = weight.tril()
    return weight @ v / weight.sum(-1, keepdim=True)


@pytest.mark.parametrize(("dtype", "error"), [(torch.float64, 1e-12), (torch.float32, 1e-6)])
@pytest.mark.parametrize("n", [1, 15, 16, 17, 300])
def test_it_is_the_average_over_all_pairs(n: int, dtype: torch.dtype, error: float) -> None:
    of = drawn(n, dtype=dtype)
    found, pairwise = mixed(*of, 3), dense(*of, 3)
    assert (found - pairwise).norm() <= error * pairwise.norm()


def test_without_gates_the_weight_is_the_base_to_the_shared_digits() -> None:
    q, _, k, _, v = drawn(40)
    ones = torch.ones(q.shape, dtype=v.dtype)
    weight = (3.0 ** shared(q, k)).to(v.dtype).tril()
    expected = weight @ v / weight.sum(-1, keepdim=True)
    torch.testing.assert_close(mixed(q, ones, k, ones, v, 3), expected, rtol=1e-12, atol=1e-12)


def test_distances_are_ultrametric() -> None:
    codes = drawn(30)[0]
    apart = 3.0 ** -shared(codes, codes)
    assert (apart[..., :, None, :] <= torch.maximum(apart[..., :, :, None], apart[..., None, :, :])).all()


def test_a_run_is_summed_alike_to_the_last_bit_wherever_it_lies() -> None:
    x = torch.randn(1, 700, 3)
    alone = sums_of_runs(x, torch.arange(700)[None])
    torch.testing.assert_close(alone, x.cumsum(1), rtol=1e-5, atol=1e-5)
    for ahead in (1, 5, 16, 90):
        both = torch.cat([torch.randn(1, ahead, 3), x], 1)
        rank = torch.cat([torch.arange(ahead), torch.arange(700)])[None]
        assert torch.equal(sums_of_runs(both, rank)[:, ahead:], alone)


def test_a_small_sum_is_not_lost_in_others() -> None:
    # sums over all buckets, of which differences are taken, would lose the small ones
    codes = torch.arange(64).remainder(2)[None]
    values = torch.where(codes == 0, 1e6, 1e-3)[..., None]
    found = sums_until(codes, values, torch.ones_like(codes))
    torch.testing.assert_close(found[0, -1, 0], torch.tensor(0.032), rtol=1e-6, atol=0)


def test_slopes_reach_queries_and_keys() -> None:
    torch.manual_seed(0)
    mixer = Ultrametric(16, 2)
    mixer(torch.randn(1, 20, 16)).square().sum().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in mixer.parameters())


def test_too_many_leaves_are_refused() -> None:
    with pytest.raises(ValueError, match=r"digits: base=4 allows 1 to 8, .* not 9"):
        GeometryConfig(mechanism="ultrametric", options={"digits": 9})


@pytest.mark.slow
@torch.no_grad()
def test_time_is_linear_in_the_length() -> None:
    torch.manual_seed(0)
    mixer = Ultrametric(32, 2)
    seconds = []
    for n in (4096, 16384):
        x, takes = torch.randn(1, n, 32), []
        for _ in range(4):
            begin = time.process_time()
            mixer(x)
            takes.append(time.process_time() - begin)
        seconds.append(min(takes))
    assert seconds[1] <= 5 * seconds[0]
