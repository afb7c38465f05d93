"""Triton kernels of `knn`; the plain torch functions there say what each must equal."""

from __future__ import annotations

import triton
import triton.language as tl


@triton.jit
def _ordered(x):
    """Return int32 that order as the float32 do."""
    i = x.to(tl.int32, bitcast=True)
    return i ^ ((i >> 31) & 0x7FFFFFFF)


@triton.jit
def _tagged(score, tag, TAG_MASK: tl.constexpr):
    """Put ``tag`` into the lowest bits of a float32 score, so that one maximum finds both."""
    bits = (score.to(tl.int32, bitcast=True) & ~TAG_MASK) | tag
    return bits.to(tl.float32, bitcast=True)


@triton.jit
def bin_maxima_kernel(
    a,
    b,
    norm_a,
    norm_b,
    out_a,
    out_b,
    first,
    second,
    slot_a,
    slot_b,
    rows_a,
    rows_b,
    D: tl.constexpr,
    BM: tl.constexpr,
    BN: tl.constexpr,
    BK: tl.constexpr,
    SPAN: tl.constexpr,
    BIN: tl.constexpr,
    BOTH: tl.constexpr,
    SELF: tl.constexpr,
    NORMS: tl.constexpr,
    BULK: tl.constexpr,
):
    """One tile of scores ``a bᵀ - norm_b``: the best column of every bin, for each row, and the reverse."""
    TILES: tl.constexpr = (SPAN // BM) * (SPAN // BN)
    pid = tl.program_id(0)
    pair = pid // TILES
    tile = pid % TILES
    row0 = tl.load(first + pair) * SPAN + (tile // (SPAN // BN)) * BM
    col0 = tl.load(second + pair) * SPAN + (tile % (SPAN // BN)) * BN
    if row0 < rows_a and col0 < rows_b:
        rows = row0 + tl.arange(0, BM)
        cols = col0 + tl.arange(0, BN)
        acc = tl.zeros((BM, BN), dtype=tl.float32)
        if BULK:
            for k in range(0, D, BK):
                acc = tl.dot(a.load([row0, k]), b.load([col0, k]).T, acc)
        else:
            depth = tl.arange(0, BK)
            pa = a + rows.to(tl.int64)[:, None] * D + depth[None, :]
            pb = b + cols.to(tl.int64)[None, :] * D + depth[:, None]
            for _ in range(0, D, BK):
                acc = tl.dot(tl.load(pa), tl.load(pb), acc)
                pa += BK
                pb += BK
        if SELF:
            acc = tl.where(rows[:, None] == cols[None, :], -3e38, acc)
        score = acc
        if NORMS:
            score = acc - tl.load(norm_b + cols)[None, :]
        bin0 = (tile % (SPAN // BN)) * BN
        tag = (bin0 % BIN) + tl.arange(0, BN)
        best = tl.max(_tagged(score, tag[None, :], BIN - 1), axis=1)
        at = out_a + (tl.load(slot_a + pair) + bin0 // BIN).to(tl.int64) * rows_a + rows
        if BIN == BN:
            tl.store(at, _ordered(best))
        else:
            tl.atomic_max(at, _ordered(best), sem="relaxed")
        if BOTH:
            score = acc
            if NORMS:
                score = acc - tl.load(norm_a + rows)[:, None]
            bin0 = (tile // (SPAN // BN)) * BM
            tag = (bin0 % BIN) + tl.arange(0, BM)
            best = tl.max(_tagged(score, tag[:, None], BIN - 1), axis=0)
            at = out_b + (tl.load(slot_b + pair) + bin0 // BIN).to(tl.int64) * rows_b + cols
            if BIN == BM:
                tl.store(at, _ordered(best))
            else:
                tl.atomic_max(at, _ordered(best), sem="relaxed")


@triton.jit(do_not_specialize=["n_bins", "table_stride", "each"])
def select_bins_kernel(
    keys,
    table,
    out,
    floor,
    n_bins,
    n_rows,
    table_stride,
    each,
    GROUPS_KEPT: tl.constexpr,
    M: tl.constexpr,
    GROUPS: tl.constexpr,
    R: tl.constexpr,
    BIN: tl.constexpr,
    SPAN: tl.constexpr,
    FLOOR: tl.constexpr,
):
    """The columns in R rows' best bins: those no worse than the maximum of the last group of bins kept.

    The best bins lie in the groups with the best maxima, so bisection need look at one value a group.
    """
    rows = tl.program_id(0) * R + tl.arange(0, R)
    group = tl.arange(0, GROUPS)
    top = tl.full((GROUPS, R), -2147483648, dtype=tl.int32)
    for j in range(each):
        bins = j * GROUPS + group
        inside = (bins[:, None] < n_bins) & (rows[None, :] < n_rows)
        at = keys + bins.to(tl.int64)[:, None] * n_rows + rows[None, :]
        top = tl.maximum(top, tl.load(at, mask=inside, other=-2147483648))
    u = top.to(tl.uint32, bitcast=True) ^ 0x80000000
    edge = tl.zeros((R,), dtype=tl.uint32)
    step = tl.full((R,), 0x80000000, dtype=tl.uint32)
    for _ in range(26):
        trial = edge | step
        count = tl.sum((u >= trial[None, :]).to(tl.int32), axis=0)
        edge = tl.where(count >= GROUPS_KEPT, trial, edge)
        step = step >> 1
    if FLOOR:
        known = (
            tl.load(floor + rows, mask=rows < n_rows, other=-2147483648).to(tl.uint32, bitcast=True)
            ^ 0x80000000
        )
        edge = tl.maximum(edge, known)
        tl.store(floor + rows, (edge ^ 0x80000000).to(tl.int32, bitcast=True), mask=rows < n_rows)
    PER: tl.constexpr = SPAN // BIN
    taken = tl.zeros((R,), dtype=tl.int32)
    for j in range(each):
        bins = j * GROUPS + group
        inside = (bins[:, None] < n_bins) & (rows[None, :] < n_rows)
        at = keys + bins.to(tl.int64)[:, None] * n_rows + rows[None, :]
        key = tl.load(at, mask=inside, other=-2147483648)
        v = key.to(tl.uint32, bitcast=True) ^ 0x80000000
        best = (v >= edge[None, :]) & (v > 0)
        place = taken[None, :] + tl.cumsum(best.to(tl.int32), axis=0) - 1
        hit = best & (place < M)
        tag = (key ^ ((key >> 31) & 0x7FFFFFFF)) & (BIN - 1)
        spans = tl.load(
            table + (rows // SPAN)[None, :] * table_stride + (bins // PER)[:, None], mask=hit, other=0
        )
        column = spans * SPAN + (bins % PER)[:, None] * BIN + tag
        tl.store(out + rows.to(tl.int64)[None, :] * M + place, column, mask=hit)
        taken += tl.sum(best.to(tl.int32), axis=0)


@triton.jit(do_not_specialize=["n", "k"])
def rerank_kernel(
    x,
    q,
    ids,
    candidates,
    measured,
    out_d,
    out_i,
    n,
    d,
    k,
    row_ids,
    M: tl.constexpr,
    BD: tl.constexpr,
    DOT: tl.constexpr,
    DEDUPE: tl.constexpr,
    MAPPED: tl.constexpr,
):
    """Exact float32 distances of one row's M candidates, and the k nearest in order."""
    r = tl.program_id(0).to(tl.int64)
    lanes = tl.arange(0, M)
    c = tl.load(candidates + r * M + lanes)
    ok = (c >= 0) & (c < n)
    row = r
    if MAPPED:
        row = tl.load(row_ids + r).to(tl.int64)
        c = tl.load(ids + c, mask=ok, other=0)
    c = tl.where(ok, c, 0)
    acc = tl.zeros((M,), dtype=tl.float32)
    for s in range(0, d, BD):
        j = s + tl.arange(0, BD)
        left = tl.load(q + row * d + j, mask=j < d, other=0.0).to(tl.float32)
        right = tl.load(
            x + c.to(tl.int64)[:, None] * d + j[None, :], mask=(j < d)[None, :] & ok[:, None], other=0.0
        ).to(tl.float32)
        if DOT:
            acc -= tl.sum(left[None, :] * right, axis=1)
        else:
            gap = left[None, :] - right
            acc += tl.sum(gap * gap, axis=1)
    # A sort exchanges bits between copies of a value in several threads. Were the compiler to add up some of
    # the copies in another order, these bits would differ; what was stored and loaded again is one value.
    tl.store(measured + r * M + lanes, acc)
    tl.debug_barrier()
    acc = tl.load(measured + r * M + lanes)
    key = (_ordered(acc).to(tl.int64) << 32) | c.to(tl.int64)
    key = tl.where(ok, key, 0x7FFFFFFFFFFFFFFF)
    key = tl.sort(key)
    if DEDUPE:
        before = tl.gather(key, tl.maximum(lanes - 1, 0), 0)
        key = tl.where((lanes > 0) & (key == before), 0x7FFFFFFFFFFFFFFF, key)
        key = tl.sort(key)
    found = key != 0x7FFFFFFFFFFFFFFF
    high = (key >> 32).to(tl.int32)
    value = (high ^ ((high >> 31) & 0x7FFFFFFF)).to(tl.float32, bitcast=True)
    index = (key & 0xFFFFFFFF).to(tl.int32)
    tl.store(out_d + row * k + lanes, tl.where(found, value, float("inf")), mask=lanes < k)
    tl.store(out_i + row * k + lanes, tl.where(found, index, -1), mask=lanes < k)


@triton.jit
def _append(lists, counts, owner, other, hit, CAP: tl.constexpr):
    place = tl.atomic_add(counts + owner, 1, mask=hit, sem="relaxed")
    tl.store(lists + owner.to(tl.int64) * CAP + place, other, mask=hit & (place < CAP))


@triton.jit
def collect_kernel(
    a,
    norm,
    edge,
    lists,
    counts,
    first,
    second,
    D: tl.constexpr,
    BM: tl.constexpr,
    BN: tl.constexpr,
    BK: tl.constexpr,
    SPAN: tl.constexpr,
    CAP: tl.constexpr,
    BOTH: tl.constexpr,
):
    """Add to each row's list the columns whose score reaches the row's edge, and the reverse."""
    TILES: tl.constexpr = (SPAN // BM) * (SPAN // BN)
    pid = tl.program_id(0)
    pair = pid // TILES
    tile = pid % TILES
    row0 = tl.load(first + pair) * SPAN + (tile // (SPAN // BN)) * BM
    col0 = tl.load(second + pair) * SPAN + (tile % (SPAN // BN)) * BN
    rows = row0 + tl.arange(0, BM)
    cols = col0 + tl.arange(0, BN)
    acc = tl.zeros((BM, BN), dtype=tl.float32)
    for k in range(0, D, BK):
        acc = tl.dot(a.load([row0, k]), a.load([col0, k]).T, acc)
    # a score less its norm reaches the edge where the product reaches their sum
    reach = tl.load(norm + cols)[None, :] + tl.load(edge + rows)[:, None]
    gap = acc - reach
    if tl.max(tl.max(gap, axis=1), axis=0) >= 0:
        hit = (gap >= 0) & (rows[:, None] != cols[None, :])
        owner = tl.broadcast_to(rows[:, None], (BM, BN))
        _append(lists, counts, owner, tl.broadcast_to(cols[None, :], (BM, BN)), hit, CAP)
    if BOTH:
        reach = tl.load(norm + rows)[:, None] + tl.load(edge + cols)[None, :]
        gap = acc - reach
        if tl.max(tl.max(gap, axis=1), axis=0) >= 0:
            owner = tl.broadcast_to(cols[None, :], (BM, BN))
            _append(lists, counts, owner, tl.broadcast_to(rows[:, None], (BM, BN)), gap >= 0, CAP)
