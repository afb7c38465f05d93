"""Triton kernels of `block`; the plain torch functions in `block_plain` say what they must equal."""

from __future__ import annotations

import triton
import triton.language as tl


@triton.jit
def _taken(x, before, b, t, c, inside, channels, x_b, x_t, x_c, SIZE: tl.constexpr, BEFORE: tl.constexpr):
    """x at positions (T,), of which those below 0 are ``before`` (b, c, SIZE - 1), or 0."""
    found = tl.load(
        x + b * x_b + t.to(tl.int64)[:, None] * x_t + c[None, :] * x_c,
        mask=inside & (t >= 0)[:, None],
        other=0.0,
    ).to(tl.float32)
    if BEFORE:
        at = (b * channels + c[None, :]) * (SIZE - 1) + t[:, None] + (SIZE - 1)
        early = inside & (t < 0)[:, None]
        found += tl.load(before + at, mask=early, other=0.0).to(tl.float32)
    return found


@triton.jit
def convolve_kernel(
    x,
    weight,
    bias,
    before,
    y,
    time,
    channels,
    x_b,
    x_t,
    x_c,
    T: tl.constexpr,
    C: tl.constexpr,
    SIZE: tl.constexpr,
    BEFORE: tl.constexpr,
):
    """A causal convolution of each channel, and SiLU of it."""
    t = tl.program_id(0) * T + tl.arange(0, T)
    c = tl.program_id(1) * C + tl.arange(0, C)
    b = tl.program_id(2).to(tl.int64)
    inside = (t < time)[:, None] & (c < channels)[None, :]
    total = tl.zeros((T, C), tl.float32)
    total += tl.load(bias + c, mask=c < channels, other=0.0).to(tl.float32)[None, :]
    for k in tl.static_range(SIZE):
        w = tl.load(weight + c * SIZE + k, mask=c < channels, other=0.0).to(tl.float32)
        given = _taken(x, before, b, t + (k - SIZE + 1), c, inside, channels, x_b, x_t, x_c, SIZE, BEFORE)
        total += w[None, :] * given
    out = total * tl.sigmoid(total)
    at = (b * time + t[:, None]) * channels + c[None, :]
    tl.store(y + at, out.to(y.dtype.element_ty), mask=inside)


@triton.jit
def convolve_gradient_kernel(
    x,
    weight,
    bias,
    before,
    dy,
    dx,
    parts,
    time,
    channels,
    x_b,
    x_t,
    x_c,
    dy_b,
    dy_t,
    dy_c,
    T: tl.constexpr,
    C: tl.constexpr,
    SIZE: tl.constexpr,
    BEFORE: tl.constexpr,
):
    """Its gradients; ``parts`` (b, blocks, SIZE + 1, c) are those of the weights and the bias that each block gives."""
    t = tl.program_id(0) * T + tl.arange(0, T)
    c = tl.program_id(1) * C + tl.arange(0, C)
    b = tl.program_id(2).to(tl.int64)
    real = c < channels
    own = tl.load(bias + c, mask=real, other=0.0).to(tl.float32)
    slope = tl.zeros((T, C), tl.float32)
    parts += (b * tl.num_programs(0) + tl.program_id(0)) * (SIZE + 1) * channels + c
    # position t is read by positions t to t + SIZE - 1
    for s in tl.static_range(SIZE):
        at = t + s
        inside = (at < time)[:, None] & real[None, :]
        total = tl.zeros((T, C), tl.float32) + own[None, :]
        for k in tl.static_range(SIZE):
            w = tl.load(weight + c * SIZE + k, mask=real, other=0.0).to(tl.float32)
            given = _taken(
                x, before, b, at + (k - SIZE + 1), c, inside, channels, x_b, x_t, x_c, SIZE, BEFORE
            )
            total += w[None, :] * given
        wanted = tl.load(
            dy + b * dy_b + at.to(tl.int64)[:, None] * dy_t + c[None, :] * dy_c, mask=inside, other=0.0
        ).to(tl.float32)
        passed = tl.sigmoid(total)
        wanted *= passed * (1.0 + total * (1.0 - passed))
        w = tl.load(weight + c * SIZE + (SIZE - 1 - s), mask=real, other=0.0).to(tl.float32)
        slope += w[None, :] * wanted
        if s == 0:
            tl.store(parts + SIZE * channels, tl.sum(wanted, 0), mask=real)
            for k in tl.static_range(SIZE):
                given = _taken(
                    x, before, b, at + (k - SIZE + 1), c, inside, channels, x_b, x_t, x_c, SIZE, BEFORE
                )
                tl.store(parts + k * channels, tl.sum(wanted * given, 0), mask=real)
    at = (b * time + t[:, None]) * channels + c[None, :]
    tl.store(dx + at, slope.to(dx.dtype.element_ty), mask=(t < time)[:, None] & real[None, :])


@triton.jit
def normalize_kernel(
    x,
    gate,
    weight,
    y,
    rows,
    width,
    epsilon,
    x_row,
    gate_row,
    R: tl.constexpr,
    W: tl.constexpr,
    GATED: tl.constexpr,
):
    """Rows of root-mean-square 1, times ``weight``; of what the gate lets through."""
    row = tl.program_id(0).to(tl.int64) * R + tl.arange(0, R)
    n = tl.arange(0, W)
    mask = (row < rows)[:, None] & (n < width)[None, :]
    z = tl.load(x + row[:, None] * x_row + n[None, :], mask=mask, other=0.0).to(tl.float32)
    if GATED:
        g = tl.load(gate + row[:, None] * gate_row + n[None, :], mask=mask, other=0.0).to(tl.float32)
        z *= g * tl.sigmoid(g)
    scale = tl.rsqrt(tl.sum(z * z, 1) / width + epsilon)
    w = tl.load(weight + n, mask=n < width, other=0.0).to(tl.float32)
    out = w[None, :] * (z * scale[:, None])
    tl.store(y + row[:, None] * width + n[None, :], out.to(y.dtype.element_ty), mask=mask)


@triton.jit
def normalize_gradient_kernel(
    x,
    gate,
    weight,
    dy,
    dx,
    d_gate,
    parts,
    rows,
    width,
    epsilon,
    per,
    x_row,
    gate_row,
    dy_row,
    R: tl.constexpr,
    W: tl.constexpr,
    GATED: tl.constexpr,
):
    """Its gradients, of ``per`` times R rows; ``parts`` (programs, width) are those of ``weight`` that each program gives."""
    n = tl.arange(0, W)
    real = n < width
    w = tl.load(weight + n, mask=real, other=0.0).to(tl.float32)
    of_weight = tl.zeros((W,), tl.float32)
    first = tl.program_id(0).to(tl.int64) * per * R
    for i in range(per):
        row = first + i * R + tl.arange(0, R)
        mask = (row < rows)[:, None] & real[None, :]
        v = tl.load(x + row[:, None] * x_row + n[None, :], mask=mask, other=0.0).to(tl.float32)
        wanted = tl.load(dy + row[:, None] * dy_row + n[None, :], mask=mask, other=0.0).to(tl.float32)
        z = v
        if GATED:
            g = tl.load(gate + row[:, None] * gate_row + n[None, :], mask=mask, other=0.0).to(tl.float32)
            passed = tl.sigmoid(g)
            z = v * g * passed
        scale = tl.rsqrt(tl.sum(z * z, 1) / width + epsilon)
        z *= scale[:, None]
        of_weight += tl.sum(wanted * z, 0)
        wanted *= w[None, :]
        slope = scale[:, None] * (wanted - z * (tl.sum(wanted * z, 1) / width)[:, None])
        at = row[:, None] * width + n[None, :]
        if GATED:
            of_gate = slope * v * passed * (1.0 + g * (1.0 - passed))
            tl.store(d_gate + at, of_gate.to(d_gate.dtype.element_ty), mask=mask)
            slope *= g * passed
        tl.store(dx + at, slope.to(dx.dtype.element_ty), mask=mask)
    tl.store(parts + tl.program_id(0) * width + n, of_weight, mask=real)
