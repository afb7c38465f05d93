"""Triton kernel of `aligned`; the plain torch function there says what it must equal."""

from __future__ import annotations

import triton
import triton.language as tl

from workbench.numerics.kernels.layout_triton import _drawn, _gathered, _pushed


@triton.jit(do_not_specialize=["key", "n"])
def move_kernel(
    y,
    anchors,
    forces,
    first,
    span,
    repel,
    tie_rows,
    tie_weights,
    out,
    n,
    key,
    a,
    b,
    alpha,
    R: tl.constexpr,
    NEG: tl.constexpr,
    DIM: tl.constexpr,
    TIES: tl.constexpr,
):
    """Add to each row the chunks' pulls, NEG pushes from its own layout and the pull of what it is related to."""
    row = tl.program_id(0) * R + tl.arange(0, R)
    inside = row < n
    axis = tl.arange(0, DIM)
    own = tl.load(y + row[:, None] * DIM + axis[None, :], mask=inside[:, None], other=0.0)
    force = _gathered(forces, first, row, inside, R, DIM)
    force *= 2.0
    origin = tl.load(span + row * 2, mask=inside, other=0)
    size = tl.load(span + row * 2 + 1, mask=inside, other=1)
    other = _drawn(row - origin, key, size[:, None], NEG) + origin[:, None]
    scale = tl.load(repel + row, mask=inside, other=0.0)
    force += _pushed(own, y, other, row, a, b, DIM) * scale[:, None]
    moved = own + alpha * force
    if TIES > 0:
        slot = row[:, None] * TIES + tl.arange(0, TIES)[None, :]
        at = tl.load(tie_rows + slot, mask=inside[:, None], other=0)
        weight = tl.load(tie_weights + slot, mask=inside[:, None], other=0.0)
        there = tl.load(anchors + at[:, :, None] * DIM + axis[None, None, :])
        toward = tl.sum(there * weight[:, :, None], axis=1)
        moved = (moved + alpha * toward) / (1.0 + alpha * tl.sum(weight, axis=1)[:, None])
    tl.store(out + row[:, None] * DIM + axis[None, :], moved, mask=inside[:, None])
