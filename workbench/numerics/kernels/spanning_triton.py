"""Triton kernels of `spanning`; the plain torch functions there say what each must equal."""

from __future__ import annotations

import triton
import triton.language as tl


@triton.jit
def nearest_other_kernel(
    q,
    group_q,
    a,
    norm,
    group,
    best,
    rows_q,
    rows_a,
    tiles,
    each,
    D: tl.constexpr,
    B: tl.constexpr,
    BK: tl.constexpr,
):
    """For B rows the best of ``each`` tiles of ``a``: the score's ordered bits, then the position."""
    i = tl.program_id(0) * B + tl.arange(0, B)
    depth = tl.arange(0, BK)
    own = tl.load(group_q + i, mask=i < rows_q, other=-1)
    pq = q + i.to(tl.int64)[:, None] * D + depth[None, :]
    top = tl.full((B,), -9223372036854775808, dtype=tl.int64)
    first = tl.program_id(1) * each
    for tile in range(first, tl.minimum(first + each, tiles)):
        j = tile * B + tl.arange(0, B)
        pa = a + j.to(tl.int64)[None, :] * D + depth[:, None]
        acc = tl.zeros((B, B), dtype=tl.float32)
        for k in range(0, D, BK):
            left = tl.load(pq + k, mask=(i < rows_q)[:, None], other=0.0)
            right = tl.load(pa + k, mask=(j < rows_a)[None, :], other=0.0)
            acc = tl.dot(left, right, acc)
        score = acc - tl.load(norm + j, mask=j < rows_a, other=3e38)[None, :]
        same = own[:, None] == tl.load(group + j, mask=j < rows_a, other=-2)[None, :]
        score = tl.where(same | (j >= rows_a)[None, :], -3e38, score)
        value, at = tl.max(score, axis=1, return_indices=True)
        bits = value.to(tl.int32, bitcast=True)
        bits = bits ^ ((bits >> 31) & 0x7FFFFFFF)
        top = tl.maximum(top, (bits.to(tl.int64) << 32) | (tile * B + at).to(tl.int64))
    tl.atomic_max(best + i, top, mask=i < rows_q, sem="relaxed")


@triton.jit
def shortcuts_kernel(
    a,
    norm,
    ahead,
    behind,
    runs,
    slack,
    longest,
    first,
    second,
    out,
    count,
    room,
    tiles,
    D: tl.constexpr,
    B: tl.constexpr,
    BK: tl.constexpr,
    SPAN: tl.constexpr,
    ROUNDING: tl.constexpr,
):
    """One tile of pairs: those that may be nearer than the largest gap between them in the leaves' order."""
    PER: tl.constexpr = SPAN // B
    pair = tl.program_id(0) // (PER * PER)
    place = tl.program_id(0) % (PER * PER)
    s = tl.load(first + pair) * PER + place // PER
    t = tl.load(second + pair) * PER + place % PER
    if (s < t) & (t < tiles):
        acc = tl.zeros((B, B), dtype=tl.float32)
        for k in range(0, D, BK):
            acc = tl.dot(a.load([s * B, k]), a.load([t * B, k]).T, acc)
        i = s * B + tl.arange(0, B)
        j = t * B + tl.arange(0, B)
        between = t - s - 1
        middle = 0.0
        if between > 0:
            level = 0
            while (2 << level) <= between:
                level += 1
            line = runs + level * tiles
            middle = tl.maximum(tl.load(line + s + 1), tl.load(line + t - (1 << level)))
        moved = tl.load(slack + s) + tl.load(slack + t)
        rounding = ROUNDING * (tl.load(longest + s) + tl.load(longest + t))
        left = tl.maximum(tl.load(ahead + i), middle) + moved
        right = tl.load(behind + j) + moved
        left = left * left * 0.5 + rounding
        right = right * right * 0.5 + rounding
        score = acc - tl.load(norm + i)[:, None] - tl.load(norm + j)[None, :]
        hit = score > -tl.maximum(left[:, None], right[None, :])
        if tl.max(tl.max(hit.to(tl.int32), axis=1), axis=0) > 0:
            at = tl.atomic_add(
                count + tl.zeros((B, B), dtype=tl.int32), tl.full((B, B), 1, tl.int64), mask=hit
            )
            key = (i.to(tl.int64)[:, None] << 32) | j.to(tl.int64)[None, :]
            tl.store(out + at, key, mask=hit & (at < room))
