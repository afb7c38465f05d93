"""Triton kernel of `aligned`; the plain torch function there says what it must equal."""

from __future__ import annotations

import triton
import triton.language as tl

from workbench.numerics.kernels.layout_triton import _clip, _mix, _power


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
    start = tl.load(first + row, mask=inside, other=0)
    count = tl.load(first + row + 1, mask=inside, other=0) - start
    force = tl.zeros((R, DIM), dtype=tl.float32)
    # force is the sum of each row's first j chunks, added in their order; rows that have fewer wait for the longest
    for j in range(tl.max(count)):
        more = inside & (j < count)
        force += tl.load(forces + (start + j)[:, None] * DIM + axis[None, :], mask=more[:, None], other=0.0)
    force *= 2.0
    origin = tl.load(span + row * 2, mask=inside, other=0)
    size = tl.load(span + row * 2 + 1, mask=inside, other=1)
    h = _mix((row - origin).to(tl.uint32) ^ key.to(tl.uint32))
    draw = (tl.arange(0, NEG) + 1).to(tl.uint32) * 0x85EBCA6B
    other = _mix(h[:, None] + draw[None, :])
    other = ((other.to(tl.uint64) * size[:, None].to(tl.uint64)) >> 32).to(tl.int32) + origin[:, None]
    gap = own[:, None, :] - tl.load(y + other[:, :, None] * DIM + axis[None, None, :])
    square = tl.sum(gap * gap, axis=2)
    power = _power(tl.maximum(square, 1e-30), b)
    push = 2.0 * b / ((0.001 + square) * (1.0 + a * power))
    push = tl.where(other == row[:, None], 0.0, push)
    scale = tl.load(repel + row, mask=inside, other=0.0)
    force += tl.sum(_clip(push[:, :, None] * gap), axis=1) * scale[:, None]
    moved = own + alpha * force
    if TIES > 0:
        slot = row[:, None] * TIES + tl.arange(0, TIES)[None, :]
        at = tl.load(tie_rows + slot, mask=inside[:, None], other=0)
        weight = tl.load(tie_weights + slot, mask=inside[:, None], other=0.0)
        there = tl.load(anchors + at[:, :, None] * DIM + axis[None, None, :])
        toward = tl.sum(there * weight[:, :, None], axis=1)
        moved = (moved + alpha * toward) / (1.0 + alpha * tl.sum(weight, axis=1)[:, None])
    tl.store(out + row[:, None] * DIM + axis[None, :], moved, mask=inside[:, None])
