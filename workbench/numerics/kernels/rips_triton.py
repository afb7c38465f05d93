"""The Triton kernel of `rips_apparent`, whose plain functions say what it must equal."""

from __future__ import annotations

import triton
import triton.language as tl


@triton.jit
def _vertex(parent, i, bits, K: tl.constexpr):
    return ((parent >> (bits * (K - 1 - i))) & ((1 << bits) - 1)).to(tl.int32)


@triton.jit
def _width(ranks, parent, side, bits, SKIP: tl.constexpr, K: tl.constexpr):
    """The largest rank among the parent's pairs without vertex number SKIP."""
    out = 0
    for i in tl.static_range(K):
        for j in tl.static_range(i):
            if i != SKIP and j != SKIP:
                pair = tl.load(
                    ranks + _vertex(parent, i, bits, K).to(tl.int64) * side + _vertex(parent, j, bits, K)
                )
                out = tl.maximum(out, pair)
    return out


@triton.jit
def _reach(ranks, parent, to, side, bits, SKIP: tl.constexpr, K: tl.constexpr):
    """The largest rank from the parent's vertices, without number SKIP, to each of ``to``."""
    out = tl.zeros_like(to)
    for i in tl.static_range(K):
        if i != SKIP:
            row = tl.load(ranks + _vertex(parent, i, bits, K).to(tl.int64) * side + to)
            out = tl.maximum(out, row)
    return out


@triton.jit
def _largest_within(
    ranks,
    parent,
    v,
    radius,
    asked,
    above,
    side,
    bits,
    SKIP: tl.constexpr,
    OWN: tl.constexpr,
    K: tl.constexpr,
    U: tl.constexpr,
    V: tl.constexpr,
):
    """For the lanes asked: the largest vertex no further than ``radius`` from the parent's (and, OWN, from v), or -1.

    Only vertices beyond ``above`` are looked at.
    """
    out = tl.full((V,), -1, dtype=tl.int32)
    start = side - U
    going = asked
    while (start + U > above + 1) & (tl.max(going.to(tl.int32), axis=0) > 0):
        u = start + tl.arange(0, U)
        wide = _reach(ranks, parent, u, side, bits, SKIP, K)[:, None]
        if OWN:
            wide = tl.maximum(wide, tl.load(ranks + u.to(tl.int64)[:, None] * side + v[None, :]))
        hit = tl.max(tl.where(wide <= radius[None, :], u[:, None], -1), axis=0)
        out = tl.where(going & (hit >= 0), hit, out)
        going = going & (hit < 0)
        start -= U
    return out


@triton.jit
def columns_kernel(
    ranks,
    parents,
    out,
    found,
    room,
    side,
    limit,
    bits,
    K: tl.constexpr,
    V: tl.constexpr,
    U: tl.constexpr,
    ROWS: tl.constexpr,
):
    """Those extensions of a parent (K vertices) by one of V smaller vertices that are in no apparent pair."""
    first = tl.program_id(1) * V
    parent = tl.load(parents + tl.program_id(0))
    last_vertex = _vertex(parent, K - 1, bits, K)
    if first < last_vertex:
        v = first + tl.arange(0, V)
        own = _reach(ranks, parent, v, side, bits, -1, K)
        radius = tl.maximum(own, _width(ranks, parent, side, bits, -1, K))
        simplex = (v < last_vertex) & (radius < limit)
        cofacet = _largest_within(ranks, parent, v, radius, simplex, -1, side, bits, -1, True, K, U, V)
        c = tl.maximum(cofacet, 0)
        own_c = tl.load(ranks + v.to(tl.int64) * side + c)
        paired = simplex & (cofacet >= 0)
        for i in tl.static_range(K):
            rest = tl.maximum(
                _reach(ranks, parent, v, side, bits, i, K), _reach(ranks, parent, c, side, bits, i, K)
            )
            rest = tl.maximum(tl.maximum(rest, own_c), _width(ranks, parent, side, bits, i, K))
            paired = paired & ((_vertex(parent, i, bits, K) < cofacet) | (rest < radius))
        rest = tl.maximum(
            _reach(ranks, parent, c, side, bits, -1, K), _width(ranks, parent, side, bits, -1, K)
        )
        paired = paired & ((v < cofacet) | (rest < radius))
        left = simplex & (paired == 0)
        if ROWS:
            untried = left
            for i in tl.static_range(K):
                rest = tl.maximum(
                    _reach(ranks, parent, v, side, bits, i, K), _width(ranks, parent, side, bits, i, K)
                )
                here = untried & (rest == radius)
                gone = _vertex(parent, i, bits, K)
                other = _largest_within(ranks, parent, v, radius, here, gone, side, bits, i, True, K, U, V)
                left = left & ((here == 0) | (other > gone))
                untried = untried & (here == 0)
            here = untried & (_width(ranks, parent, side, bits, -1, K) == radius)
            other = _largest_within(ranks, parent, v, radius, here, first, side, bits, -1, False, K, U, V)
            left = left & ((here == 0) | (other > v))
        count = tl.sum(left.to(tl.int32), axis=0)
        if count > 0:
            at = tl.atomic_add(found, count.to(tl.int64)) + tl.cumsum(left.to(tl.int32), axis=0) - 1
            tl.store(out + at, (parent << bits) | v.to(tl.int64), mask=left & (at < room))
