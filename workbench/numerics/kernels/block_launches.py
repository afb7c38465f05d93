"""The launches of `block_triton`, and how they are differentiated."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from workbench.numerics.kernels.block_plain import convolved_reference, normalized_reference
from workbench.numerics.kernels.fusing import by_plain

POSITIONS, CHANNELS = 32, 64  # of a program that convolves
NUMBERS = 2048  # of a program that normalizes, at a time
PROGRAMS = 1024  # that share the rows of a normalization backward


def convolved_triton(x: Tensor, weight: Tensor, bias: Tensor, before: Tensor | None) -> Tensor:
    """`block_plain.convolved_reference` by Triton."""
    y: Tensor = _Convolved.apply(x, weight.contiguous(), bias, before)
    return y


def normalized_triton(x: Tensor, weight: Tensor, epsilon: float, gate: Tensor | None) -> Tensor:
    """`block_plain.normalized_reference` by Triton."""
    y: Tensor = _Normalized.apply(x, weight, epsilon, gate)
    return y


class _Convolved(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, before: Tensor | None) -> Tensor:
        from workbench.numerics.kernels.block_triton import convolve_kernel

        before = None if before is None else before.contiguous()
        ctx.save_for_backward(x, weight, bias, before)
        y = torch.empty(x.shape, dtype=x.dtype, device=x.device)
        batch, time, channels = x.shape
        convolve_kernel[(-(-time // POSITIONS), -(-channels // CHANNELS), batch)](
            x,
            weight,
            bias,
            x if before is None else before,
            y,
            time,
            channels,
            *x.stride(),
            T=POSITIONS,
            C=CHANNELS,
            SIZE=weight.shape[1],
            BEFORE=before is not None,
            num_warps=4,
        )
        return y

    @staticmethod
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor | None, ...]:
        from workbench.numerics.kernels.block_triton import convolve_gradient_kernel

        x, weight, bias, before = given = ctx.saved_tensors
        if torch.is_grad_enabled():
            return tuple(by_plain(lambda *parts: (convolved_reference(*parts),), given, (dy,)))
        batch, time, channels = x.shape
        size, blocks = weight.shape[1], -(-time // POSITIONS)
        dx = torch.empty(x.shape, dtype=x.dtype, device=x.device)
        parts = torch.empty(batch, blocks, size + 1, channels, device=x.device)
        convolve_gradient_kernel[(blocks, -(-channels // CHANNELS), batch)](
            x,
            weight,
            bias,
            x if before is None else before,
            dy,
            dx,
            parts,
            time,
            channels,
            *x.stride(),
            *dy.stride(),
            T=POSITIONS,
            C=CHANNELS,
            SIZE=size,
            BEFORE=before is not None,
            num_warps=4,
        )
        summed = parts.sum((0, 1)).to(weight.dtype)
        return dx, summed[:size].T, summed[size], None


class _Normalized(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, epsilon: float, gate: Tensor | None) -> Tensor:
        from workbench.numerics.kernels.block_triton import normalize_kernel

        ctx.save_for_backward(x, weight, gate)
        ctx.epsilon = epsilon
        of_x = _in_rows(x)
        of_gate = of_x if gate is None else _in_rows(gate)
        rows, width = of_x.shape
        y = torch.empty(x.shape, dtype=x.dtype, device=x.device)
        wide, together = _fit(width)
        normalize_kernel[(-(-rows // together),)](
            of_x,
            of_gate,
            weight,
            y,
            rows,
            width,
            epsilon,
            of_x.stride(0),
            of_gate.stride(0),
            R=together,
            W=wide,
            GATED=gate is not None,
            num_warps=4,
        )
        return y

    @staticmethod
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor | None, ...]:
        from workbench.numerics.kernels.block_triton import normalize_gradient_kernel

        x, weight, gate = given = ctx.saved_tensors
        if torch.is_grad_enabled():
            dx, dw, dg = by_plain(lambda x, w, g: (normalized_reference(x, w, ctx.epsilon, g),), given, (dy,))
            return dx, dw, None, dg
        of_x, of_y = _in_rows(x), _in_rows(dy)
        of_gate = of_x if gate is None else _in_rows(gate)
        rows, width = of_x.shape
        wide, together = _fit(width)
        per = -(-rows // (together * PROGRAMS))
        programs = -(-rows // (together * per))
        slope = torch.empty(x.shape, dtype=x.dtype, device=x.device)
        d_gate = None if gate is None else torch.empty(gate.shape, dtype=gate.dtype, device=x.device)
        parts = torch.empty(programs, width, device=x.device)
        normalize_gradient_kernel[(programs,)](
            of_x,
            of_gate,
            weight,
            of_y,
            slope,
            slope if d_gate is None else d_gate,
            parts,
            rows,
            width,
            ctx.epsilon,
            per,
            of_x.stride(0),
            of_gate.stride(0),
            of_y.stride(0),
            R=together,
            W=wide,
            GATED=gate is not None,
            num_warps=4,
        )
        return slope, parts.sum(0).to(weight.dtype), None, d_gate


def _in_rows(x: Tensor) -> Tensor:
    """(..., n) as (rows, n) whose numbers lie side by side; not copied where they do already."""
    rows = x.reshape(-1, x.shape[-1])
    return rows if rows.stride(1) == 1 else rows.contiguous()


def _fit(width: int) -> tuple[int, int]:
    """Numbers of a row and rows that a program takes at a time, both powers of two."""
    wide = 1 << max(width - 1, 0).bit_length()
    return wide, max(NUMBERS // wide, 1)
