"""Triton kernel of `counts`; the plain torch function there says what it must equal."""

from __future__ import annotations

import triton
import triton.language as tl


@triton.jit(do_not_specialize=["n", "k"])
def count_kernel(block, edges, below, equal, n, k, K: tl.constexpr, EACH: tl.constexpr, BLOCK: tl.constexpr):
    """Compare EACH numbers of a row with its k edges and add up the counts: sums of whole numbers, alike in any order."""
    row = tl.program_id(0).to(tl.int64)
    lane = tl.arange(0, K)
    edge = tl.load(edges + row * k + lane, mask=lane < k, other=float("-inf"))
    less = tl.zeros((K,), dtype=tl.int32)
    same = tl.zeros((K,), dtype=tl.int32)
    begin = tl.program_id(1) * EACH
    for start in range(begin, tl.minimum(begin + EACH, n), BLOCK):
        at = start + tl.arange(0, BLOCK)
        value = tl.load(block + row * n + at, mask=at < n, other=float("inf"))
        less += tl.sum((value[:, None] < edge[None, :]).to(tl.int32), axis=0)
        same += tl.sum((value[:, None] == edge[None, :]).to(tl.int32), axis=0)
    tl.atomic_add(below + row * k + lane, less, mask=lane < k)
    tl.atomic_add(equal + row * k + lane, same, mask=lane < k)
