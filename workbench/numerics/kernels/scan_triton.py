"""Triton kernels of `scan`; the plain torch function in `scan_plain` says what they must equal.

Time is cut into segments, and these into chunks. A program has one head (and at most 64 of its channels) of one segment and
goes through its chunks with the state in registers. So that segments don't wait for each other, three launches follow:
what each segment adds to the state (`added_kernel`), the state before each (`handed_kernel`), what is read (`read_kernel`). A
sequence of one segment needs the last alone. Backward the first two run from the end, for the gradient of the state behind each segment.

Decays are powers of two whose exponents are summed in whole numbers and in what is left of them, each by itself: a
difference of two sums then has all its digits, however strong the decays between were.
"""

from __future__ import annotations

import triton
import triton.language as tl

NONE_LEFT = tl.constexpr(-200.0)  # 2 to this power is 0 in float32
TO_BASE_2 = tl.constexpr(1.4426950408889634)


@triton.jit
def _exponents(log_decay, at, inside, stride):
    """Of the decays of a chunk, in base 2."""
    given = tl.load(log_decay + at * stride, mask=inside, other=0.0).to(tl.float32) * TO_BASE_2
    return tl.maximum(given, NONE_LEFT, propagate_nan=tl.PropagateNan.ALL)


@triton.jit
def _product(a, b, PRECISION: tl.constexpr):
    """A product of matrices with a float32 sum; what was computed in float32 is rounded as its partner is stored."""
    return tl.dot(a, b, input_precision=PRECISION)


@triton.jit
def added_kernel(
    given,
    vectors,
    log_decay,
    weight,
    added,
    left,
    time,
    per,
    heads,
    width,
    states,
    given_b,
    given_t,
    given_h,
    given_p,
    vectors_b,
    vectors_t,
    vectors_g,
    vectors_n,
    decay_b,
    decay_t,
    decay_h,
    weight_b,
    weight_t,
    weight_h,
    L: tl.constexpr,
    P: tl.constexpr,
    N: tl.constexpr,
    BACKWARD: tl.constexpr,
    PRECISION: tl.constexpr,
):
    """What a segment of ``per`` chunks adds to the state behind it; ``BACKWARD``, to the gradient of the state before it."""
    head = tl.program_id(0)
    segment = tl.program_id(1)
    piece = tl.program_id(2)
    b, h = (head // heads).to(tl.int64), head % heads
    row = tl.arange(0, L)
    p, n = piece * P + tl.arange(0, P), tl.arange(0, N)
    given += b * given_b + h * given_h
    vectors += b * vectors_b + h * vectors_g
    log_decay += b * decay_b + h * decay_h
    weight += b * weight_b + h * weight_h
    state = tl.zeros((P, N), tl.float32)
    summed = 0.0
    long = tl.full((), L, tl.int64)
    first = segment * per
    stop = tl.minimum(first + per, tl.cdiv(time, L))
    for i in range(first, stop):
        k = first + stop - 1 - i if BACKWARD else i
        start = k * long
        inside = row < time - start
        x = tl.load(
            given + start * given_t + row[:, None] * given_t + p[None, :] * given_p,
            mask=inside[:, None] & (p < width)[None, :],
            other=0.0,
        )
        v = tl.load(
            vectors + start * vectors_t + row[:, None] * vectors_t + n[None, :] * vectors_n,
            mask=inside[:, None] & (n < states)[None, :],
            other=0.0,
        )
        exponent = _exponents(log_decay + start * decay_t, row, inside, decay_t)
        whole = tl.ceil(exponent)
        all_whole, all_rest = tl.sum(whole), tl.sum(exponent - whole)
        until_whole, until_rest = tl.cumsum(whole), tl.cumsum(exponent - whole)
        if BACKWARD:
            scale = tl.exp2(until_whole + until_rest)
        else:
            w = tl.load(weight + start * weight_t + row * weight_t, mask=inside, other=0.0).to(tl.float32)
            scale = tl.exp2((all_whole - until_whole) + (all_rest - until_rest)) * w
        scaled = (v.to(tl.float32) * scale[:, None]).to(v.dtype)
        state = tl.exp2(all_whole + all_rest) * state + _product(tl.trans(x), scaled, PRECISION)
        summed += all_whole + all_rest
    out = (segment * tl.num_programs(0) + head).to(tl.int64)
    tl.store(
        added + out * width * states + p[:, None] * states + n[None, :],
        state,
        mask=(p < width)[:, None] & (n < states)[None, :],
    )
    if piece == 0:
        tl.store(left + out, summed)


@triton.jit
def handed_kernel(
    added,
    left,
    begin,
    handed,
    segments,
    size,
    S: tl.constexpr,
    E: tl.constexpr,
    BACKWARD: tl.constexpr,
    BEGIN: tl.constexpr,
):
    """The state before each segment, of ``size`` numbers, from what each adds; ``BACKWARD``, the gradient of the state behind each."""
    head = tl.program_id(0)
    heads = tl.num_programs(0)
    s, e = tl.arange(0, S), tl.program_id(1) * E + tl.arange(0, E)
    real = s < segments
    exponent = tl.load(left + s * heads + head, mask=real, other=0.0)
    exponent = tl.maximum(exponent, NONE_LEFT, propagate_nan=tl.PropagateNan.ALL)
    whole = tl.ceil(exponent)
    rest = exponent - whole
    until_whole, until_rest = tl.cumsum(whole), tl.cumsum(rest)
    at = (s[:, None] * heads + head).to(tl.int64) * size + e[None, :]
    mask = real[:, None] & (e < size)[None, :]
    parts = tl.load(added + at, mask=mask, other=0.0)
    # what lies between two segments: those before the later one, less those up to the earlier one
    if BACKWARD:
        between_whole = (until_whole - whole)[None, :] - until_whole[:, None]
        between_rest = (until_rest - rest)[None, :] - until_rest[:, None]
        between = tl.exp2(tl.where(s[None, :] > s[:, None], between_whole + between_rest, NONE_LEFT))
        own = tl.exp2((tl.sum(whole) - until_whole) + (tl.sum(rest) - until_rest))
    else:
        between_whole = (until_whole - whole)[:, None] - until_whole[None, :]
        between_rest = (until_rest - rest)[:, None] - until_rest[None, :]
        between = tl.exp2(tl.where(s[None, :] < s[:, None], between_whole + between_rest, NONE_LEFT))
        own = tl.exp2((until_whole - whole) + (until_rest - rest))
    state = _product(between, parts, "tf32x3")
    if BEGIN:
        first = tl.load(begin + head.to(tl.int64) * size + e, mask=e < size, other=0.0).to(tl.float32)
        state += own[:, None] * first[None, :]
    tl.store(handed + at, state, mask=mask)


@triton.jit
def read_kernel(
    x,
    log_decay,
    weight,
    B,
    C,
    skip,
    begin,
    y,
    end,
    kept,
    time,
    per,
    heads,
    width,
    states,
    x_b,
    x_t,
    x_h,
    x_p,
    decay_b,
    decay_t,
    decay_h,
    weight_b,
    weight_t,
    weight_h,
    B_b,
    B_t,
    B_g,
    B_n,
    C_b,
    C_t,
    C_g,
    C_n,
    L: tl.constexpr,
    P: tl.constexpr,
    N: tl.constexpr,
    BEGIN: tl.constexpr,
    SKIP: tl.constexpr,
    KEEP: tl.constexpr,
    PRECISION: tl.constexpr,
):
    """What is read at each position of a segment; ``KEEP`` writes the state before each chunk too."""
    head = tl.program_id(0)
    segment = tl.program_id(1)
    piece = tl.program_id(2)
    b, h = (head // heads).to(tl.int64), head % heads
    row = tl.arange(0, L)
    p, n = piece * P + tl.arange(0, P), tl.arange(0, N)
    inside_p = (p < width)[None, :]
    inside_n = (n < states)[None, :]
    x += b * x_b + h * x_h
    log_decay += b * decay_b + h * decay_h
    weight += b * weight_b + h * weight_h
    B += b * B_b + h * B_g
    C += b * C_b + h * C_g
    y += (b * time * heads + h) * width
    of_state = p[:, None] * states + n[None, :]
    inside_state = (p < width)[:, None] & inside_n
    state = tl.zeros((P, N), tl.float32)
    if BEGIN:
        before = (segment * tl.num_programs(0) + head).to(tl.int64) * width * states
        state = tl.load(begin + before + of_state, mask=inside_state, other=0.0).to(tl.float32)
    chunks = tl.cdiv(time, L)
    long = tl.full((), L, tl.int64)
    first = segment * per
    stop = tl.minimum(first + per, chunks)
    # Invariant: `state` is the state before chunk k.
    for k in range(first, stop):
        start = k * long
        inside = row < time - start
        xs = tl.load(
            x + start * x_t + row[:, None] * x_t + p[None, :] * x_p,
            mask=inside[:, None] & inside_p,
            other=0.0,
        )
        Bs = tl.load(
            B + start * B_t + row[:, None] * B_t + n[None, :] * B_n,
            mask=inside[:, None] & inside_n,
            other=0.0,
        )
        Cs = tl.load(
            C + start * C_t + row[:, None] * C_t + n[None, :] * C_n,
            mask=inside[:, None] & inside_n,
            other=0.0,
        )
        w = tl.load(weight + start * weight_t + row * weight_t, mask=inside, other=0.0).to(tl.float32)
        exponent = _exponents(log_decay + start * decay_t, row, inside, decay_t)
        whole = tl.ceil(exponent)
        all_whole, all_rest = tl.sum(whole), tl.sum(exponent - whole)
        until_whole, until_rest = tl.cumsum(whole), tl.cumsum(exponent - whole)
        if KEEP:
            at = (head.to(tl.int64) * chunks + k) * width * states
            tl.store(kept + at + of_state, state.to(kept.dtype.element_ty), mask=inside_state)
        between = (until_whole[:, None] - until_whole[None, :]) + (until_rest[:, None] - until_rest[None, :])
        between = tl.exp2(tl.where(row[:, None] >= row[None, :], between, NONE_LEFT))
        within = _product(Cs, tl.trans(Bs), PRECISION) * between * w[None, :]
        from_start = tl.exp2(until_whole + until_rest)
        out = from_start[:, None] * _product(Cs, tl.trans(state).to(Cs.dtype), PRECISION)
        out += _product(within.to(xs.dtype), xs, PRECISION)
        if SKIP:
            out += tl.load(skip + h).to(tl.float32) * xs.to(tl.float32)
        tl.store(
            y + start * heads * width + row[:, None] * (heads * width) + p[None, :],
            out.to(y.dtype.element_ty),
            mask=inside[:, None] & inside_p,
        )
        scale = tl.exp2((all_whole - until_whole) + (all_rest - until_rest)) * w
        scaled = (Bs.to(tl.float32) * scale[:, None]).to(Bs.dtype)
        state = tl.exp2(all_whole + all_rest) * state + _product(tl.trans(xs), scaled, PRECISION)
    if segment == tl.num_programs(1) - 1:
        tl.store(
            end + head.to(tl.int64) * width * states + of_state,
            state.to(end.dtype.element_ty),
            mask=inside_state,
        )


@triton.jit
def gradient_kernel(
    x,
    log_decay,
    weight,
    B,
    C,
    skip,
    kept,
    dy,
    behind,
    dx,
    d_decay,
    d_weight,
    dB,
    dC,
    d_skip,
    d_begin,
    time,
    per,
    heads,
    width,
    states,
    x_b,
    x_t,
    x_h,
    x_p,
    decay_b,
    decay_t,
    decay_h,
    weight_b,
    weight_t,
    weight_h,
    B_b,
    B_t,
    B_g,
    B_n,
    C_b,
    C_t,
    C_g,
    C_n,
    dy_b,
    dy_t,
    dy_h,
    dy_p,
    L: tl.constexpr,
    P: tl.constexpr,
    N: tl.constexpr,
    SKIP: tl.constexpr,
    BEHIND: tl.constexpr,
    PRECISION: tl.constexpr,
):
    """Gradients of everything that `read_kernel` read, from the end of a segment to its beginning.

    Those of decay, weight, B and C are those that this head and these channels give; what shares them is summed afterwards.
    """
    head = tl.program_id(0)
    segment = tl.program_id(1)
    piece = tl.program_id(2)
    b, h = (head // heads).to(tl.int64), head % heads
    row = tl.arange(0, L)
    p, n = piece * P + tl.arange(0, P), tl.arange(0, N)
    inside_p = (p < width)[None, :]
    inside_n = (n < states)[None, :]
    x += b * x_b + h * x_h
    log_decay += b * decay_b + h * decay_h
    weight += b * weight_b + h * weight_h
    B += b * B_b + h * B_g
    C += b * C_b + h * C_g
    dy += b * dy_b + h * dy_h
    dx += (b * time * heads + h) * width
    # (b, t, h, pieces) and (b, t, h, pieces, n)
    pieces = tl.num_programs(2)
    part = (b * time * heads + h) * pieces + piece
    every = heads * pieces
    d_decay += part
    d_weight += part
    dB += part * states
    dC += part * states
    of_state = p[:, None] * states + n[None, :]
    inside_state = (p < width)[:, None] & inside_n
    after = tl.zeros((P, N), tl.float32)
    if BEHIND:
        at = (segment * tl.num_programs(0) + head).to(tl.int64) * width * states
        after = tl.load(behind + at + of_state, mask=inside_state, other=0.0).to(tl.float32)
    chunks = tl.cdiv(time, L)
    long = tl.full((), L, tl.int64)
    first = segment * per
    stop = tl.minimum(first + per, chunks)
    of_skip = 0.0
    # Invariant: `after` is the gradient of the state behind chunk k.
    for i in range(first, stop):
        k = first + stop - 1 - i
        start = k * long
        inside = row < time - start
        here_p, here_n = inside[:, None] & inside_p, inside[:, None] & inside_n
        xs = tl.load(x + start * x_t + row[:, None] * x_t + p[None, :] * x_p, mask=here_p, other=0.0)
        ds = tl.load(dy + start * dy_t + row[:, None] * dy_t + p[None, :] * dy_p, mask=here_p, other=0.0)
        Bs = tl.load(B + start * B_t + row[:, None] * B_t + n[None, :] * B_n, mask=here_n, other=0.0)
        Cs = tl.load(C + start * C_t + row[:, None] * C_t + n[None, :] * C_n, mask=here_n, other=0.0)
        w = tl.load(weight + start * weight_t + row * weight_t, mask=inside, other=0.0).to(tl.float32)
        exponent = _exponents(log_decay + start * decay_t, row, inside, decay_t)
        whole = tl.ceil(exponent)
        all_whole, all_rest = tl.sum(whole), tl.sum(exponent - whole)
        until_whole, until_rest = tl.cumsum(whole), tl.cumsum(exponent - whole)
        from_start = tl.exp2(until_whole + until_rest)
        to_end = tl.exp2((all_whole - until_whole) + (all_rest - until_rest))
        at = (head.to(tl.int64) * chunks + k) * width * states
        before = tl.load(kept + at + of_state, mask=inside_state, other=0.0)

        between = (until_whole[:, None] - until_whole[None, :]) + (until_rest[:, None] - until_rest[None, :])
        between = tl.exp2(tl.where(row[:, None] >= row[None, :], between, NONE_LEFT))
        # x: what position j gave, unweighted
        mixed = _product(Cs, tl.trans(Bs), PRECISION) * between
        given = to_end[:, None] * _product(Bs, tl.trans(after).to(Bs.dtype), PRECISION)
        given += _product(tl.trans(mixed).to(ds.dtype), ds, PRECISION)
        slope = given * w[:, None]
        if SKIP:
            slope += tl.load(skip + h).to(tl.float32) * ds.to(tl.float32)
            of_skip += tl.sum(ds.to(tl.float32) * xs.to(tl.float32))
        tl.store(
            dx + start * heads * width + row[:, None] * (heads * width) + p[None, :],
            slope.to(dx.dtype.element_ty),
            mask=here_p,
        )
        # B and C: the same product of dy and x, once from each side
        wanted = _product(ds, tl.trans(xs), PRECISION) * between
        to_state = to_end[:, None] * _product(xs, after.to(xs.dtype), PRECISION)
        of_B = to_state + _product(tl.trans(wanted).to(Cs.dtype), Cs, PRECISION)
        of_C = from_start[:, None] * _product(ds, before.to(ds.dtype), PRECISION)
        of_C += _product((wanted * w[None, :]).to(Bs.dtype), Bs, PRECISION)
        place = (start + row[:, None]) * every * states + n[None, :]
        tl.store(dB + place, (of_B * w[:, None]).to(dB.dtype.element_ty), mask=here_n)
        tl.store(dC + place, of_C.to(dC.dtype.element_ty), mask=here_n)
        of_weight = tl.sum(of_B * Bs.to(tl.float32), 1)
        tl.store(d_weight + (start + row) * every, of_weight, mask=inside)
        # a decay at t scales what was given before t and is read from t on: what is read from t on, less what was given from
        # t on, within the chunk, and all that goes beyond it
        beyond = tl.sum(w * tl.sum(to_state * Bs.to(tl.float32), 1))
        beyond += tl.exp2(all_whole + all_rest) * tl.sum(after * before.to(tl.float32))
        change = tl.sum(of_C * Cs.to(tl.float32), 1) - w * of_weight
        # summed and not subtracted, so that what changes nothing has a gradient of 0
        later = row[None, :] >= row[:, None]
        of_decay = beyond + tl.sum(tl.where(later, change[None, :], 0.0), 1)
        tl.store(d_decay + (start + row) * every, tl.where(exponent > NONE_LEFT, of_decay, 0.0), mask=inside)
        scaled = (Cs.to(tl.float32) * from_start[:, None]).to(Cs.dtype)
        after = tl.exp2(all_whole + all_rest) * after + _product(tl.trans(ds), scaled, PRECISION)
    if SKIP:
        tl.store(d_skip + (segment * tl.num_programs(0) + head) * pieces + piece, of_skip)
    if segment == 0:
        at = head.to(tl.int64) * width * states
        tl.store(d_begin + at + of_state, after.to(d_begin.dtype.element_ty), mask=inside_state)
