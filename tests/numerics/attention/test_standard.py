"""The standard kind: equal to torch's attention and to the definition, with shared keys too."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from workbench.numerics.attention.standard import Standard
from workbench.numerics.geometry.config import GeometryConfig
from workbench.numerics.geometry.mechanism import causal_weights, normalized, rotated, rotation


@pytest.mark.parametrize("key_heads", [0, 1, 2])
@torch.no_grad()
def test_it_is_the_definition(key_heads: int) -> None:
    torch.manual_seed(0)
    mixer, x = Standard(24, 4, key_heads=key_heads).double(), torch.randn(2, 11, 24, dtype=torch.float64)
    turn = rotation(torch.arange(11), 6)
    q, k = (
        rotated(normalized(mixer.split(p, h)), turn)
        for p, h in ((mixer.q_proj(x), 4), (mixer.k_proj(x), mixer.key_heads))
    )
    v = mixer.split(mixer.v_proj(x), mixer.key_heads)
    k, v = (part.repeat_interleave(4 // mixer.key_heads, 1) for part in (k, v))
    ours = mixer.o_proj((causal_weights(q, k) @ v).transpose(1, 2).flatten(-2))
    theirs = F.scaled_dot_product_attention(q, k, v, is_causal=True).transpose(1, 2).flatten(-2)
    torch.testing.assert_close(mixer(x), ours, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(mixer(x), mixer.o_proj(theirs), rtol=1e-12, atol=1e-12)


def test_a_rotation_is_relative() -> None:
    q, k = torch.randn(2, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    turned = [rotated(v.expand(40, 8), rotation(torch.arange(40), 8)) for v in (q, k)]
    scores = turned[0] @ turned[1].T
    torch.testing.assert_close(scores.diagonal(-7), scores[7, 0].expand(33))
    assert (scores[8, 0] - scores[7, 0]).abs() > 1e-3


def test_key_heads_that_do_not_divide_are_refused() -> None:
    with pytest.raises(
        ValueError, match="key_heads: it must divide heads=4, so be 0 or one of 1, 2, 4, not 3"
    ):
        GeometryConfig(options={"key_heads": 3})
