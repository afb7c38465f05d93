"""Attention by paths: the kernel is the sum over all words, and words are read back from their points."""

from __future__ import annotations

import pytest
import torch

from workbench.numerics.attention.fractal import path_kernel
from workbench.numerics.geometry.addresses import Maps


def test_the_kernel_is_the_sum_over_all_words() -> None:
    own = torch.Generator().manual_seed(0)
    p, q = torch.randn(2, 5, 4, 3, dtype=torch.float64, generator=own).softmax(-1)
    words = Maps.drawn(3, 2, 0.5, 0).words(4)
    each = [x[:, torch.arange(4), words].prod(-1) for x in (p, q)]  # (5, 81)
    torch.testing.assert_close(path_kernel(p, q), each[0] @ each[1].T, rtol=1e-12, atol=1e-15)
    assert torch.allclose(each[0].sum(-1), torch.ones(5, dtype=p.dtype))


def test_fixed_points_are_exact_and_words_contract_by_their_length() -> None:
    maps = Maps.drawn(4, 6, 0.5, 0)
    words = maps.words(4)
    points = maps.fixed_points(words)
    assert (maps.along(words, points) - points).abs().max() <= 1e-12
    a, b = torch.randn(2, len(words), 6, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    ratio = (maps.along(words, a) - maps.along(words, b)).norm(dim=-1) / (a - b).norm(dim=-1)
    torch.testing.assert_close(ratio, torch.full_like(ratio, 0.5**4), rtol=1e-12, atol=0)


@pytest.mark.parametrize(("maps", "length", "size"), [(8, 4, 32), (4, 6, 32)])
def test_4096_words_are_read_from_their_points(maps: int, length: int, size: int) -> None:
    drawn = Maps.drawn(maps, size, 0.5, 0)
    words = drawn.words(length)
    points = drawn.fixed_points(words)
    assert len(words) == 4096 and torch.equal(drawn.decoded(points, length), words)


def test_in_a_plane_where_pieces_overlap_they_are_not() -> None:
    drawn = Maps.drawn(4, 2, 0.5, 0)
    words = drawn.words(4)
    read = (drawn.decoded(drawn.fixed_points(words), 4) == words).all(-1)
    assert 0.02 < read.double().mean() < 0.95


def test_noise_below_half_the_separation_is_no_matter_and_beyond_it_is() -> None:
    drawn = Maps.drawn(4, 8, 0.5, 0)
    points = drawn.fixed_points(drawn.words(4))
    apart = torch.cdist(points, points).fill_diagonal_(torch.inf)
    (least, nearest) = apart.min(-1)
    own = torch.Generator().manual_seed(1)
    for _ in range(20):
        by = torch.randn(points.shape, dtype=points.dtype, generator=own)
        moved = points + 0.499 * least[:, None] * by / by.norm(dim=-1, keepdim=True)
        assert torch.equal(torch.cdist(moved, points).argmin(-1), torch.arange(256))
    towards = points + 0.501 * (points[nearest] - points)
    assert torch.equal(torch.cdist(towards, points).argmin(-1), nearest)
