"""Causal attention that sees the last positions and every ``stride``-th of those before, so that a stream stays bounded."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel

from workbench.numerics.ghost.mixer import Norm, State

ROTATION = 10_000.0
Keys = tuple[torch.Tensor, ...]
"""Keys, values and the indices of their positions, which rise."""


class SparseAttention(nn.Module):
    """Attention of each position to the last ``window`` and to every ``stride``-th one before these, up to ``far`` of them.

    Parameters
    ----------
    heads : they share ``width`` evenly.
    window, stride, far : position i sees j where i - j < window, or where j is a multiple of ``stride`` and
        i - j < stride * far. Cost and memory grow with the length, not its square.

    References
    ----------
    Child et al. 2019, Generating long sequences with sparse transformers (1904.10509).
    """

    def __init__(self, width: int, heads: int, *, window: int = 128, stride: int = 16, far: int = 256):
        super().__init__()
        self.heads, self.window, self.stride, self.far = heads, window, stride, far
        head = width // heads
        self.qkv_proj = nn.Linear(width, 3 * width, bias=False)
        self.q_norm, self.k_norm = Norm(head), Norm(head)
        self.o_proj = nn.Linear(width, width, bias=False)
        rates = ROTATION ** -(torch.arange(0, head, 2, dtype=torch.float64) / head)
        self.rates: torch.Tensor
        self.register_buffer("rates", rates, persistent=False)

    def forward(self, x: torch.Tensor, places: torch.Tensor, state: State | None = None) -> torch.Tensor:
        """(b, t, width) to the same.

        Parameters
        ----------
        places : (b, t), float64: where each position stands, in the rotation of queries and keys. Which positions are
            seen is decided by their index.
        """
        q, k, v = self.qkv_proj(x).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        angles = (places[:, None, :, None] * self.rates).to(x.dtype)  # (b, 1, t, head / 2)
        q, k = _rotated(self.q_norm(q), angles), _rotated(self.k_norm(k), angles)
        begin = 0 if not state else int(state["seen"])
        new = torch.arange(begin, begin + x.shape[1], device=x.device)
        near: Keys = (k, v, new)
        every = slice(-begin % self.stride, None, self.stride)
        far: Keys = (k[:, :, every], v[:, :, every], new[every])
        if state:
            near = _joined([state[f"near {n}"] for n in ("k", "v", "i")], near)
            far = _joined([state[f"far {n}"] for n in ("k", "v", "i")], far)
        y = torch.cat(
            [
                self._seen(q[..., s : s + self.window, :], begin + s, begin + x.shape[1], near, far)
                for s in range(0, max(x.shape[1], 1), self.window)
            ],
            2,
        )
        if state is not None:
            kept = max(self.window - 1, 0)
            for n, part in zip(("k", "v", "i"), near, strict=True):
                state[f"near {n}"] = _last(part, kept)
            for n, part in zip(("k", "v", "i"), far, strict=True):
                state[f"far {n}"] = _last(part, self.far)
            state["seen"] = torch.tensor(begin + x.shape[1])
        return self.o_proj(y.transpose(1, 2).flatten(-2))

    def _seen(self, q: torch.Tensor, first: int, end: int, near: Keys, far: Keys) -> torch.Tensor:
        """What a block of at most ``window`` queries reads, of which the first stands at ``first``; ``end`` is behind all positions.

        Where things stand is computed here and not asked of the device, which would have to be waited for.
        """
        if not q.shape[2]:
            return q
        last = first + q.shape[2] - 1
        begin_near = end - near[2].shape[0]
        last_far = (end - 1) // self.stride  # in strides
        begin_far = last_far + 1 - far[2].shape[0]
        near = _between(near, first - self.window + 1 - begin_near, last - begin_near)
        far = _between(
            far,
            -(-(first - self.stride * self.far + 1) // self.stride) - begin_far,
            (last - self.window) // self.stride - begin_far,
        )
        at = torch.arange(first, last + 1, device=q.device)
        apart_near, apart_far = at[:, None] - near[2], at[:, None] - far[2]
        visible = torch.cat(
            [
                (apart_near >= 0) & (apart_near < self.window),
                (apart_far >= self.window) & (apart_far < self.stride * self.far),
            ],
            1,
        )
        k, v = (torch.cat([near[n], far[n]], 2) for n in (0, 1))
        if not torch._C._are_functorch_transforms_active():
            return F.scaled_dot_product_attention(q, k, v, attn_mask=visible)
        # torch's fused attention refuses a mask that isn't mapped beside queries that are (vmap, on a GPU)
        with sdpa_kernel(SDPBackend.MATH):
            return F.scaled_dot_product_attention(q, k, v, attn_mask=visible)


def _rotated(x: torch.Tensor, angles: torch.Tensor) -> torch.Tensor:
    first, second = x.chunk(2, -1)
    cos, sin = angles.cos(), angles.sin()
    return torch.cat([first * cos - second * sin, first * sin + second * cos], -1)


def _joined(before: list[torch.Tensor], new: Keys) -> Keys:
    return tuple(
        torch.cat([old, part], 0 if part.ndim == 1 else 2) for old, part in zip(before, new, strict=True)
    )


def _last(part: torch.Tensor, count: int) -> torch.Tensor:
    size = part.shape[0] if part.ndim == 1 else part.shape[2]
    kept = slice(max(size - count, 0), size)
    return (part[kept] if part.ndim == 1 else part[:, :, kept]).detach()


def _between(part: Keys, first: int, last: int) -> Keys:
    """Keys, values and indices of the places from ``first`` to ``last``, of those that there are."""
    cut = slice(max(first, 0), max(last + 1, 0))
    return part[0][:, :, cut], part[1][:, :, cut], part[2][cut]
