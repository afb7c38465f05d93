"""Triton kernel of `workbench.numerics.medusa.many`: Euler's step of many worlds, noise and all.

`System.advance` says what it must equal. A program takes four nodes of some worlds that lie side by side: four, since Philox gives
four words an address. Of a world's numbers six are moved a node and step (r, q and p, read and written); what neighbours hold comes
from the cache, since programs of the same worlds run one after the other.
"""

from __future__ import annotations

import triton
import triton.language as tl

TURN = tl.constexpr(1.4629180792671596e-09)  # 2π / 2^32
PART = tl.constexpr(2.3283064365386963e-10)  # 1 / 2^32
NODES = tl.constexpr(4)


@triton.jit
def _tanh(x):
    e = tl.exp(-2.0 * tl.abs(x))
    size = (1.0 - e) / (1.0 + e)
    return tl.where(x < 0, -size, size)


@triton.jit
def _normals(seed, quad, step, world, stream):
    """Four normal numbers of each world, as `counters.normals` has them."""
    none = world * 0
    a, b, c, d = tl.philox(seed, none + quad, none + step, world, none + stream)
    radius = tl.sqrt(-2.0 * tl.log((a.to(tl.float32) + 0.5) * PART))
    other = tl.sqrt(-2.0 * tl.log((c.to(tl.float32) + 0.5) * PART))
    turn, turn_2 = b.to(tl.float32) * TURN, d.to(tl.float32) * TURN
    return radius * tl.cos(turn), radius * tl.sin(turn), other * tl.cos(turn_2), other * tl.sin(turn_2)


@triton.jit
def step_kernel(
    r,
    q,
    p,
    u,
    r_after,
    q_after,
    p_after,
    starts,
    of,
    weights,
    conducts,
    given,
    diverged,
    seed,
    step,
    first,
    n,
    worlds,
    h,
    pull,
    held,
    holding,
    sigma,
    sigma_p,
    kappa,
    from_wave,
    to_wave,
    largest,
    stream_p: tl.constexpr,
    HEADS: tl.constexpr,
    ADAPTS: tl.constexpr,
    GROWS: tl.constexpr,
    NOISY: tl.constexpr,
    WAVY: tl.constexpr,
    W: tl.constexpr,
):
    """Take one step; count in ``diverged[step]`` whether a number left its range.

    ``sigma`` and ``sigma_p`` are those of a step (times √h), ``pull`` c², ``held`` γ h / 2, ``holding`` c² μ.
    """
    quad = tl.program_id(0)
    w = tl.program_id(1) * W + tl.arange(0, W)
    inside = w < worlds
    none = tl.zeros((W,), dtype=tl.float32)
    z0, z1, z2, z3 = none, none, none, none
    v0, v1, v2, v3 = none, none, none, none
    if NOISY:
        z0, z1, z2, z3 = _normals(seed, quad, step, first + w, 0)
    if WAVY:
        v0, v1, v2, v3 = _normals(seed, quad, step, first + w, stream_p)
    outside = tl.zeros((W,), dtype=tl.int32)
    for k in tl.static_range(NODES):
        i = quad * NODES + k
        if k == 0:
            z, v = z0, v0
        elif k == 1:
            z, v = z1, v1
        elif k == 2:
            z, v = z2, v2
        else:
            z, v = z3, v3
        here = inside & (i < n)
        at = i.to(tl.int64) * worlds + w
        r_i = tl.load(r + at, mask=here, other=0.0)
        q_i = tl.load(q + at, mask=here, other=0.0)
        p_i = tl.load(p + at, mask=here, other=0.0)
        carried = tl.load(given + i, mask=i < n, other=0.0) + from_wave * q_i
        if HEADS:
            carried += tl.load(u + at, mask=here, other=0.0)
        pulled = none
        begin = tl.load(starts + i, mask=i < n, other=0)
        end = tl.load(starts + i + 1, mask=i < n, other=0)
        # carried and pulled hold what came along the node's edges before e
        for e in range(begin, end):
            there = tl.load(of + e).to(tl.int64) * worlds + w
            r_j = tl.load(r + there, mask=inside, other=0.0)
            q_j = tl.load(q + there, mask=inside, other=0.0)
            along, gap = tl.load(weights + e) * r_j, tl.load(conducts + e) * (q_j - q_i)
            if ADAPTS:
                flow = tl.exp2(_tanh(kappa * r_i * r_j))
                along, gap = along * flow, gap * flow
            carried += along
            pulled += gap
        moved = sigma * z
        if GROWS:
            moved = moved * tl.sqrt(1.0 + r_i * r_i)
        r_i_after = r_i + h * (_tanh(carried) - r_i) + moved
        force = h * (pull * pulled - holding * q_i + to_wave * r_i) + sigma_p * v
        p_i = ((1.0 - held) * p_i + force) / (1.0 + held)
        q_i = q_i + h * p_i
        tl.store(r_after + at, r_i_after, mask=here)
        tl.store(q_after + at, q_i, mask=here)
        tl.store(p_after + at, p_i, mask=here)
        fine = (tl.abs(r_i_after) <= largest) & (tl.abs(q_i) <= largest)
        outside += tl.where(here & (fine == 0), 1, 0)
    many = tl.sum(outside)
    if many > 0:
        tl.atomic_add(diverged + step, many)
