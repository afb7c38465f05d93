"""The launches of `scan_triton`, and how they are differentiated.

What an ideal kernel must move, forward: x, y, decays, weights, B and C, once each. These launches read x twice (once to learn
what each segment adds) and, where gradients will be asked for, write the state before each chunk.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import torch

from workbench.numerics.kernels.fusing import by_plain
from workbench.numerics.kernels.scan_plain import scan_reference

if TYPE_CHECKING:
    from torch import Tensor

MOST_CHANNELS = 64  # of a program
MOST_SEGMENTS = 128
FEWEST_CHUNKS = 8  # of a segment: a shorter sequence isn't worth two more launches
PROGRAMS = 8  # wanted on each multiprocessor
PRECISION = "tf32x3"  # of products of float32
CHUNK = {torch.float32: 16, torch.bfloat16: 64, torch.float16: 64}


class Sizes(NamedTuple):
    """How a scan is cut, and for how many numbers the kernels are compiled."""

    chunk: int
    segments: int
    per: int
    channels: int
    pieces: int
    states: int
    warps: int


def sizes(
    x: Tensor, B: Tensor, chunk: int | None = None, segments: int | None = None, warps: int | None = None
) -> Sizes:
    """As many segments as fill the device, unless it is said how many."""
    batch, time, heads, width = x.shape
    chunk = min(chunk or CHUNK[x.dtype], _power(time))
    channels = min(_power(width), MOST_CHANNELS)
    pieces = -(-width // channels)
    chunks = -(-time // chunk)
    if segments is None:
        wanted = PROGRAMS * _multiprocessors(x.device) / (batch * heads * pieces)
        segments = int(min(max(wanted, 1), chunks // FEWEST_CHUNKS))
    per = -(-chunks // min(max(segments, 1), MOST_SEGMENTS, chunks))
    states = _power(B.shape[-1])
    warps = warps or (4 if chunk * max(channels, states) >= 1024 else 2)
    return Sizes(chunk, -(-chunks // per), per, channels, pieces, states, warps)


def _power(size: int) -> int:
    return max(16, 1 << (size - 1).bit_length())


def _multiprocessors(device: torch.device) -> int:
    return torch.cuda.get_device_properties(device).multi_processor_count if device.type == "cuda" else 1


def scan_triton(
    x: Tensor,
    log_decay: Tensor,
    weight: Tensor,
    B: Tensor,
    C: Tensor,
    state: Tensor | None = None,
    skip: Tensor | None = None,
    chunk: int | None = None,
    segments: int | None = None,
    warps: int | None = None,
    precision: str = PRECISION,
) -> tuple[Tensor, Tensor]:
    """`scan_plain.scan_reference` by Triton; how many ``segments`` and ``warps``, and the ``precision``, are for measurements."""
    given = (x, log_decay, weight, B.to(x.dtype), C.to(x.dtype), state, skip)
    # inside the function gradients are off, whatever is asked for outside
    keep = torch.is_grad_enabled() and any(part is not None and part.requires_grad for part in given)
    y, end = _Scan.apply(*given, sizes(x, B, chunk, segments, warps), keep, precision)
    return y, end


class _Scan(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        log_decay: Tensor,
        weight: Tensor,
        B: Tensor,
        C: Tensor,
        state: Tensor | None,
        skip: Tensor | None,
        how: Sizes,
        keep: bool,
        precision: str,
    ) -> tuple[Tensor, Tensor]:
        y, end, kept = read(x, log_decay, weight, B, C, state, skip, how, keep, precision)
        ctx.how, ctx.precision = how, precision
        ctx.save_for_backward(x, log_decay, weight, B, C, state, skip, kept)
        ctx.set_materialize_grads(False)
        return y, end

    @staticmethod
    def backward(ctx: Any, dy: Tensor | None, d_end: Tensor | None) -> tuple[Tensor | None, ...]:
        *given, kept = ctx.saved_tensors
        x, log_decay, weight, B, C, _, skip = given
        if dy is None:
            dy = x.new_zeros(()).expand(x.shape)
        if torch.is_grad_enabled():  # it will be differentiated itself, which the plain function knows how to
            return (*by_plain(_plain, given, (dy, d_end)), None, None, None)
        found = gradients(x, log_decay, weight, B, C, skip, kept, dy, d_end, ctx.how, ctx.precision)
        asked = (a if b is not None else None for a, b in zip(found, given, strict=True))
        return (*asked, None, None, None)


def _plain(*given: Tensor) -> tuple[Tensor, Tensor]:
    return scan_reference(*given[:5], state=given[5], skip=given[6])


def read(
    x: Tensor,
    log_decay: Tensor,
    weight: Tensor,
    B: Tensor,
    C: Tensor,
    state: Tensor | None,
    skip: Tensor | None,
    how: Sizes,
    keep: bool,
    precision: str,
) -> tuple[Tensor, Tensor, Tensor]:
    """What is read at each position, the state after the last, and (if it is to be kept) the state before each chunk."""
    from workbench.numerics.kernels.scan_triton import read_kernel

    batch, time, heads, width = x.shape
    states = B.shape[-1]
    begin = None if state is None else state.contiguous()
    if how.segments > 1:
        begin = _handed(x, B, log_decay, weight, begin, how, False, precision)
    y = torch.empty(x.shape, dtype=x.dtype, device=x.device)
    end = x.new_empty(batch, heads, width, states)
    kept = x.new_empty((batch * heads, -(-time // how.chunk), width, states) if keep else 0)
    read_kernel[(batch * heads, how.segments, how.pieces)](
        x,
        log_decay,
        weight,
        B,
        C,
        x if skip is None else skip,
        x if begin is None else begin,
        y,
        end,
        kept,
        time,
        how.per,
        heads,
        width,
        states,
        *x.stride(),
        *log_decay.stride(),
        *weight.stride(),
        *_strides(B),
        *_strides(C),
        L=how.chunk,
        P=how.channels,
        N=how.states,
        BEGIN=begin is not None,
        SKIP=skip is not None,
        KEEP=keep,
        PRECISION=precision,
        num_warps=how.warps,
    )
    return y, end, kept


def gradients(
    x: Tensor,
    log_decay: Tensor,
    weight: Tensor,
    B: Tensor,
    C: Tensor,
    skip: Tensor | None,
    kept: Tensor,
    dy: Tensor,
    d_end: Tensor | None,
    how: Sizes,
    precision: str,
) -> tuple[Tensor, ...]:
    """Gradients of x, decay, weight, B, C, the state before, and ``skip``."""
    from workbench.numerics.kernels.scan_triton import gradient_kernel

    batch, time, heads, width = x.shape
    groups, states = B.shape[2:]
    dy = dy.to(x.dtype)
    behind = None if d_end is None else d_end.contiguous()
    if how.segments > 1:
        behind = _handed(dy, C, log_decay, weight, behind, how, True, precision)
    dx = torch.empty(x.shape, dtype=x.dtype, device=x.device)
    d_begin = x.new_empty(batch, heads, width, states)
    of_skip = torch.empty(how.segments, batch, heads, how.pieces, device=x.device)
    scalars = torch.empty(2, batch, time, heads, how.pieces, device=x.device)
    vectors = torch.empty(2, batch, time, heads, how.pieces, states, device=x.device)
    gradient_kernel[(batch * heads, how.segments, how.pieces)](
        x,
        log_decay,
        weight,
        B,
        C,
        x if skip is None else skip,
        kept,
        dy,
        x if behind is None else behind,
        dx,
        scalars[0],
        scalars[1],
        vectors[0],
        vectors[1],
        of_skip,
        d_begin,
        time,
        how.per,
        heads,
        width,
        states,
        *x.stride(),
        *log_decay.stride(),
        *weight.stride(),
        *_strides(B),
        *_strides(C),
        *dy.stride(),
        L=how.chunk,
        P=how.channels,
        N=how.states,
        SKIP=skip is not None,
        BEHIND=behind is not None,
        PRECISION=precision,
        num_warps=how.warps * (2 if how.chunk >= 64 and how.warps < 8 else 1),
    )
    d_decay, d_weight = scalars[..., 0] if how.pieces == 1 else scalars.sum(-1)
    dB, dC = vectors.view(2, batch, time, groups, -1, states).sum(4).to(x.dtype)
    d_skip = dx if skip is None else of_skip.sum((0, 1, 3)).to(skip.dtype)
    return dx, d_decay.to(log_decay.dtype), d_weight.to(weight.dtype), dB, dC, d_begin, d_skip


def _handed(
    given: Tensor,
    vectors: Tensor,
    log_decay: Tensor,
    weight: Tensor,
    begin: Tensor | None,
    how: Sizes,
    backward: bool,
    precision: str,
) -> Tensor:
    """The state before each segment, or the gradient of that behind each."""
    from workbench.numerics.kernels.scan_triton import added_kernel, handed_kernel

    batch, time, heads, width = given.shape
    states = vectors.shape[-1]
    added = torch.empty(how.segments, batch * heads, width, states, device=given.device)
    left = torch.empty(how.segments, batch * heads, device=given.device)
    added_kernel[(batch * heads, how.segments, how.pieces)](
        given,
        vectors,
        log_decay,
        weight,
        added,
        left,
        time,
        how.per,
        heads,
        width,
        states,
        *given.stride(),
        *_strides(vectors),
        *log_decay.stride(),
        *weight.stride(),
        L=how.chunk,
        P=how.channels,
        N=how.states,
        BACKWARD=backward,
        PRECISION=precision,
        num_warps=how.warps,
    )
    size, together = width * states, 32
    handed = torch.empty_like(added)
    handed_kernel[(batch * heads, -(-size // together))](
        added,
        left,
        added if begin is None else begin,
        handed,
        how.segments,
        size,
        S=_power(how.segments),
        E=together,
        BACKWARD=backward,
        BEGIN=begin is not None,
        num_warps=8 if how.segments > 32 else 4,
    )
    return handed


def _strides(vectors: Tensor) -> tuple[int, int, int, int]:
    """Those of B or C, which all heads share where there is one group."""
    b, t, g, n = vectors.stride()
    return b, t, 0 if vectors.shape[2] == 1 else g, n
