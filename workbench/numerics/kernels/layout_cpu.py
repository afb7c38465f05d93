"""A step of the layout for a processor's caches: a coordinate at a time, rows in blocks, little memory touched.

It equals `layout.step_reference` to rounding and takes 40 % of its time on one core.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from workbench.core.progress import track
from workbench.numerics.kernels import random

if TYPE_CHECKING:
    from jaxtyping import Float
    from torch import Tensor

    from workbench.numerics.kernels.chunked import Chunks

_BLOCK = 1 << 17  # random rows looked at together: half a megabyte a temporary
_CLIP = 4.0
_LEAST = 1e-30


def step(
    here: Float[Tensor, "n d"],
    there: Float[Tensor, "m d"],
    graph: Chunks,
    repel: Float[Tensor, " n"],
    a: float,
    b: float,
    alpha: float,
    negatives: int,
    step: int,
    seed: int,
    begin: int | None = None,
) -> Float[Tensor, "n d"]:
    """The positions after one step, with `layout.step_reference`'s parameters."""
    among_themselves = there is here or begin is not None
    own, other = here.T.contiguous(), there.T.contiguous()
    force = _pull(own, other, graph, a, b).mul_(2.0 if among_themselves else 1.0)
    rows = max(1, _BLOCK // negatives)
    draws = None
    for start in range(0, len(here), rows):
        part = slice(start, min(start + rows, len(here)))
        if among_themselves:
            first = (begin or 0) + start
            draws = random.draw_rows(part.stop - start, len(there), negatives, step, seed, first=first)
        elif draws is None:
            draws = random.draw_rows(1, len(there), negatives, step, seed)
        force[:, part] += _push(own[:, part], other, draws, a, b).mul_(repel[part])
    return (own + alpha * force).T.contiguous()


def sets(
    start: Float[Tensor, "n d"],
    graph: Chunks,
    m: int,
    repel: Float[Tensor, " n"],
    a: float,
    b: float,
    epochs: int,
    length: float,
    negatives: int,
    seed: int,
) -> Float[Tensor, "n d"]:
    """The positions after all steps of several layouts, with `layout.sets_reference`'s parameters.

    Each takes the steps that `step` makes of it alone, to the last bit; all are pushed by the same draws, and share the
    time that it takes to begin an operation, which is half of a step of 200 rows.
    """
    own = start.T.contiguous()
    each = max(1, _BLOCK // (m * negatives)) * m  # rows of whole sets, looked at together
    for epoch in track(range(epochs), "layouts"):
        draws = random.draw_rows(m, m, negatives, epoch, seed)
        force = _pull(own, own, graph, a, b).mul_(2.0)
        for part in torch.arange(own.shape[1]).split(each):
            here = own[:, part[0] : part[-1] + 1].view(len(own), -1, m)
            pushes = _push(here, here, draws, a, b).view(len(own), -1)
            force[:, part[0] : part[-1] + 1] += pushes.mul_(repel[part[0] : part[-1] + 1])
        own = own + length * (1 - epoch / epochs) * force
    return own.T.contiguous()


def _pull(own: Tensor, other: Tensor, graph: Chunks, a: float, b: float) -> Tensor:
    gaps = [
        _taken(there, graph.tails).sub_(here.index_select(0, graph.heads)[:, None])
        for here, there in zip(own, other, strict=True)
    ]
    square = _squared(gaps).clamp_min_(_LEAST)
    power = square.log().mul_(b).exp_()
    pull = power.mul(2 * a * b).div_(power.mul_(a).add_(1).mul_(square))
    force = torch.zeros_like(own)
    for total, gap in zip(force, gaps, strict=True):
        total.index_add_(0, graph.heads, gap.mul_(pull).clamp_(-_CLIP, _CLIP).mul_(graph.weights).sum(1))
    return force


def _push(own: Tensor, other: Tensor, draws: Tensor, a: float, b: float) -> Tensor:
    # drawn for each row, or the same for all; of each of several sets of rows the same
    gaps = [here[..., None] - _taken(there, draws) for here, there in zip(own, other, strict=True)]
    square = _squared(gaps)
    power = square.clamp_min(_LEAST).log_().mul_(b).exp_()
    push = square.add_(0.001).mul_(power.mul_(a).add_(1)).reciprocal_().mul_(2 * b)
    return torch.stack([gap.mul_(push).clamp_(-_CLIP, _CLIP).sum(-1) for gap in gaps])


def _taken(values: Tensor, at: Tensor) -> Tensor:
    """``values[..., at]``, which takes four times as long."""
    return values.index_select(-1, at.view(-1)).view(*values.shape[:-1], *at.shape)


def _squared(gaps: list[Tensor]) -> Tensor:
    square = gaps[0] * gaps[0]
    for gap in gaps[1:]:
        square.addcmul_(gap, gap)
    return square
