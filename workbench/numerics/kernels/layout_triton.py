"""Triton kernels of `layout`; the plain torch functions there say what each must equal."""

from __future__ import annotations

import triton
import triton.language as tl


@triton.jit
def _mix(h):
    h = h ^ (h >> 16)
    h = h * 0x7FEB352D
    h = h ^ (h >> 15)
    h = h * 0x846CA68B
    return h ^ (h >> 16)


@triton.jit
def _power(x, p):
    return tl.exp2(p * tl.log2(x))


@triton.jit
def _clip(x):
    return tl.minimum(tl.maximum(x, -4.0), 4.0)


@triton.jit
def _pulled(here, there, heads, tails, weights, chunk, inside, a, b, W: tl.constexpr, DIM: tl.constexpr):
    """What each chunk's neighbours pull its head by, together."""
    slot = chunk[:, None] * W + tl.arange(0, W)[None, :]
    tail = tl.load(tails + slot, mask=inside[:, None], other=0)
    weight = tl.load(weights + slot, mask=inside[:, None], other=0.0)
    head = tl.load(heads + chunk, mask=inside, other=0)
    axis = tl.arange(0, DIM)
    own = tl.load(here + head[:, None] * DIM + axis[None, :])
    gap = tl.load(there + tail[:, :, None] * DIM + axis[None, None, :]) - own[:, None, :]
    square = tl.sum(gap * gap, axis=2)
    power = _power(tl.maximum(square, 1e-30), b)
    pull = tl.where(square > 0, 2.0 * a * b * power / (tl.maximum(square, 1e-30) * (1.0 + a * power)), 0.0)
    return tl.sum(_clip(pull[:, :, None] * gap) * weight[:, :, None], axis=1)


@triton.jit
def _gathered(forces, first, row, inside, R: tl.constexpr, DIM: tl.constexpr):
    """The sum of each row's chunks, in their order."""
    axis = tl.arange(0, DIM)
    start = tl.load(first + row, mask=inside, other=0)
    count = tl.load(first + row + 1, mask=inside, other=0) - start
    force = tl.zeros((R, DIM), dtype=tl.float32)
    # force is the sum of each row's first j chunks; rows that have fewer wait for the longest
    for j in range(tl.max(count)):
        more = inside & (j < count)
        force += tl.load(forces + (start + j)[:, None] * DIM + axis[None, :], mask=more[:, None], other=0.0)
    return force


@triton.jit
def _drawn(drawer, key, below, NEG: tl.constexpr):
    """NEG numbers under ``below`` for each drawer, as `random.draw_rows` draws them."""
    h = _mix(drawer.to(tl.uint32) ^ key.to(tl.uint32))
    draw = (tl.arange(0, NEG) + 1).to(tl.uint32) * 0x85EBCA6B
    other = _mix(h[:, None] + draw[None, :])
    return ((other.to(tl.uint64) * below.to(tl.uint64)) >> 32).to(tl.int32)


@triton.jit
def _pushed(own, there, other, itself, a, b, DIM: tl.constexpr):
    """What the rows ``other`` push each row by, together; ``itself`` among them doesn't."""
    axis = tl.arange(0, DIM)
    gap = own[:, None, :] - tl.load(there + other[:, :, None] * DIM + axis[None, None, :])
    square = tl.sum(gap * gap, axis=2)
    power = _power(tl.maximum(square, 1e-30), b)
    push = 2.0 * b / ((0.001 + square) * (1.0 + a * power))
    push = tl.where(other == itself[:, None], 0.0, push)
    return tl.sum(_clip(push[:, :, None] * gap), axis=1)


@triton.jit(do_not_specialize=["chunks"])
def attract_kernel(
    here,
    there,
    heads,
    tails,
    weights,
    out,
    chunks,
    a,
    b,
    C: tl.constexpr,
    W: tl.constexpr,
    DIM: tl.constexpr,
):
    """The summed pull of up to W neighbours on each chunk's head."""
    chunk = tl.program_id(0) * C + tl.arange(0, C)
    inside = chunk < chunks
    axis = tl.arange(0, DIM)
    force = _pulled(here, there, heads, tails, weights, chunk, inside, a, b, W, DIM)
    tl.store(out + chunk[:, None] * DIM + axis[None, :], force, mask=inside[:, None])


@triton.jit(do_not_specialize=["key", "there_n", "n", "begin"])
def move_kernel(
    here,
    there,
    there_n,
    forces,
    first,
    repel,
    out,
    n,
    begin,
    key,
    a,
    b,
    alpha,
    attract_scale,
    R: tl.constexpr,
    NEG: tl.constexpr,
    DIM: tl.constexpr,
    SAME: tl.constexpr,
):
    """Add the chunks' pulls and NEG random rows' pushes to each row's position; ``here`` is row ``begin`` of ``there``."""
    row = tl.program_id(0) * R + tl.arange(0, R)
    inside = row < n
    axis = tl.arange(0, DIM)
    own = tl.load(here + row[:, None] * DIM + axis[None, :], mask=inside[:, None], other=0.0)
    force = _gathered(forces, first, row, inside, R, DIM)
    force *= attract_scale
    drawer = row + begin if SAME else row * 0
    other = _drawn(drawer, key, there_n, NEG)
    itself = drawer if SAME else row * 0 - 1
    scale = tl.load(repel + row, mask=inside, other=0.0)
    force += _pushed(own, there, other, itself, a, b, DIM) * scale[:, None]
    tl.store(out + row[:, None] * DIM + axis[None, :], own + alpha * force, mask=inside[:, None])


@triton.jit(do_not_specialize=["chunks"])
def gather_sum_kernel(
    x,
    tails,
    weights,
    out,
    chunks,
    C: tl.constexpr,
    W: tl.constexpr,
    DIM: tl.constexpr,
):
    """The weighted sum of the rows that each chunk names."""
    chunk = tl.program_id(0) * C + tl.arange(0, C)
    inside = chunk < chunks
    slot = chunk[:, None] * W + tl.arange(0, W)[None, :]
    tail = tl.load(tails + slot, mask=inside[:, None], other=0)
    weight = tl.load(weights + slot, mask=inside[:, None], other=0.0)
    axis = tl.arange(0, DIM)
    rows = tl.load(x + tail[:, :, None] * DIM + axis[None, None, :])
    tl.store(
        out + chunk[:, None] * DIM + axis[None, :],
        tl.sum(rows * weight[:, :, None], axis=1),
        mask=inside[:, None],
    )


@triton.jit(do_not_specialize=["n"])
def fold_kernel(parts, first, out, n, R: tl.constexpr, DIM: tl.constexpr):
    """Add up each row's chunks, in their order."""
    row = tl.program_id(0) * R + tl.arange(0, R)
    inside = row < n
    axis = tl.arange(0, DIM)
    start = tl.load(first + row, mask=inside, other=0)
    count = tl.load(first + row + 1, mask=inside, other=0) - start
    total = tl.zeros((R, DIM), dtype=tl.float32)
    for j in range(tl.max(count)):
        more = inside & (j < count)
        total += tl.load(parts + (start + j)[:, None] * DIM + axis[None, :], mask=more[:, None], other=0.0)
    tl.store(out + row[:, None] * DIM + axis[None, :], total, mask=inside[:, None])


@triton.jit(do_not_specialize=["n", "k"])
def bandwidth_kernel(distances, rho_out, sigma_out, n, k, target, floor, R: tl.constexpr, K: tl.constexpr):
    """Bisect each row's bandwidth until its memberships add up to ``target``."""
    row = tl.program_id(0) * R + tl.arange(0, R)
    lane = tl.arange(0, K)
    inside = (row[:, None] < n) & (lane[None, :] < k)
    d = tl.load(distances + row[:, None] * k + lane[None, :], mask=inside, other=float("inf"))
    rho = tl.min(tl.where(d > 0, d, float("inf")), axis=1)
    rho = tl.where(rho < 3e38, rho, 0.0)
    gap = tl.maximum(d - rho[:, None], 0.0)
    low = tl.zeros((R,), dtype=tl.float32)
    high = tl.full((R,), float("inf"), dtype=tl.float32)
    mid = tl.full((R,), 1.0, dtype=tl.float32)
    for _ in range(64):
        total = tl.sum(tl.where(inside, tl.exp(-gap / mid[:, None]), 0.0), axis=1)
        above = total > target
        high = tl.where(above, mid, high)
        low = tl.where(above, low, mid)
        mid = tl.where(high < 3e38, (low + high) * 0.5, tl.minimum(mid * 2.0, 1e37))
    mean = tl.sum(tl.where(inside, d, 0.0), axis=1) / (k + 1)
    least = 0.001 * tl.where(rho > 0, mean, floor)
    tl.store(rho_out + row, rho, mask=row < n)
    tl.store(sigma_out + row, tl.maximum(mid, least), mask=row < n)


@triton.jit(do_not_specialize=["n", "m", "epochs"])
def sets_kernel(
    places,
    parts,
    heads,
    tails,
    weights,
    first,
    repel,
    keys,
    n,
    m,
    epochs,
    a,
    b,
    length,
    C: tl.constexpr,
    W: tl.constexpr,
    R: tl.constexpr,
    NEG: tl.constexpr,
    DIM: tl.constexpr,
):
    """All steps of a set of m rows in one program, which reads one half of ``places`` (2, n, DIM) and writes the other."""
    base = tl.program_id(0) * m
    chunks = tl.load(first + base + m)
    begin = tl.load(first + base)
    axis = tl.arange(0, DIM)
    # before epoch e the positions after e steps are whole in half e % 2, and no thread of this program reads the other
    for epoch in range(epochs):
        here = places + (epoch % 2) * n * DIM
        out = places + ((epoch + 1) % 2) * n * DIM
        for c in range(begin, chunks, C):
            chunk = c + tl.arange(0, C)
            inside = chunk < chunks
            force = _pulled(here, here, heads, tails, weights, chunk, inside, a, b, W, DIM)
            tl.store(parts + chunk[:, None] * DIM + axis[None, :], force, mask=inside[:, None])
        tl.debug_barrier()
        key = tl.load(keys + epoch)
        alpha = length * ((epochs - epoch) / epochs)
        for r in range(0, m, R):
            place = r + tl.arange(0, R)
            inside = place < m
            row = base + place
            own = tl.load(here + row[:, None] * DIM + axis[None, :], mask=inside[:, None], other=0.0)
            force = _gathered(parts, first, row, inside, R, DIM)
            force *= 2.0
            other = _drawn(place, key, m, NEG)
            scale = tl.load(repel + row, mask=inside, other=0.0)
            force += _pushed(own, here + base * DIM, other, place, a, b, DIM) * scale[:, None]
            tl.store(out + row[:, None] * DIM + axis[None, :], own + alpha * force, mask=inside[:, None])
        tl.debug_barrier()
