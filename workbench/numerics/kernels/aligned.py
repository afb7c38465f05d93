"""A step of several force layouts at once whose related rows pull at each other: reference and choice of kernel.

Each layout's rows are pulled by their own neighbours and pushed by random rows of their own layout. The pull of
related rows is then solved for where it ends up rather than followed for a step, so that no strength of it
overshoots. The same random rows push in every layout, so that what differs between layouts is not the draw.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import accumulate, pairwise
from typing import TYPE_CHECKING, NamedTuple

import torch

from workbench.numerics.kernels import chunked, layout, random

if TYPE_CHECKING:
    from jaxtyping import Float, Int32
    from torch import Tensor


class Stack(NamedTuple):
    """Graphs of several layouts, one after another.

    Attributes
    ----------
    pieces : each layout's graph, in its own row numbers.
    starts : where each layout's rows start, and where the last ends.
    whole : all of them as one graph, for the kernels; None on a CPU.
    span : (n, 2) the start and the number of rows of each row's layout.
    """

    pieces: tuple[chunked.Chunks, ...]
    starts: tuple[int, ...]
    whole: chunked.Chunks | None
    span: Int32[Tensor, "n 2"]


class Ties(NamedTuple):
    """What each row is related to.

    Attributes
    ----------
    rows : (n, w) positions among the anchors. weights : (n, w) strength of the pull, 0 for none.
    """

    rows: Int32[Tensor, "n w"]
    weights: Float[Tensor, "n w"]


def stack(pieces: Sequence[chunked.Chunks]) -> Stack:
    """Put graphs one after another."""
    sizes = [len(p.first) - 1 for p in pieces]
    starts = (0, *accumulate(sizes))
    device = pieces[0].first.device
    pairs = torch.tensor(list(zip(starts, sizes, strict=False)), dtype=torch.int32, device=device)
    span = pairs.repeat_interleave(torch.tensor(sizes, device=device), 0, output_size=starts[-1])
    if not chunked.compiled(span):
        return Stack(tuple(pieces), starts, None, span)
    blocks = (0, *accumulate(len(p.heads) for p in pieces))
    whole = chunked.Chunks(
        torch.cat(
            [
                pieces[0].first[:1],
                *(p.first[1:] + b for p, b in zip(pieces, blocks, strict=False)),
            ]
        ),
        torch.cat([p.heads + s for p, s in zip(pieces, starts, strict=False)]),
        torch.cat([p.tails + s for p, s in zip(pieces, starts, strict=False)]),
        torch.cat([p.weights for p in pieces]),
    )
    return Stack(tuple(pieces), starts, whole, span)


def step_reference(
    y: Float[Tensor, "n d"],
    anchors: Float[Tensor, "m d"],
    graphs: Stack,
    ties: Ties,
    repel: Float[Tensor, " n"],
    a: float,
    b: float,
    alpha: float,
    negatives: int,
    step: int,
    seed: int,
) -> Float[Tensor, "n d"]:
    """The positions after one step of every layout and the pull of related rows.

    Parameters
    ----------
    y : positions of all layouts' rows.
    anchors : positions of what the ties name; ``y`` itself while fitting.
    repel, a, b, alpha, negatives, step, seed : as `layout.step_reference` takes them.
    """
    moved = [
        layout.step_reference(own, own, piece, push, a, b, alpha, negatives, step, seed)
        for own, piece, push in _parted(y, graphs, repel)
    ]
    return _pulled(torch.cat(moved), anchors, ties, alpha)


def _parted(y: Tensor, graphs: Stack, repel: Tensor) -> Iterator[tuple[Tensor, chunked.Chunks, Tensor]]:
    sizes = [stop - start for start, stop in pairwise(graphs.starts)]
    yield from zip(y.split(sizes), graphs.pieces, repel.split(sizes), strict=True)


def _pulled(moved: Tensor, anchors: Tensor, ties: Ties, alpha: float) -> Tensor:
    if not ties.rows.shape[1]:
        return moved
    # the x of x = moved + alpha * sum(weight * (anchor - x)): a weighted mean of ``moved`` and the anchors, whatever alpha
    toward = (anchors[ties.rows.long()] * ties.weights[:, :, None]).sum(1)
    return (moved + alpha * toward) / (1 + alpha * ties.weights.sum(1, keepdim=True))


def step(
    y: Float[Tensor, "n d"],
    anchors: Float[Tensor, "m d"],
    graphs: Stack,
    ties: Ties,
    repel: Float[Tensor, " n"],
    a: float,
    b: float,
    alpha: float,
    negatives: int,
    step: int,
    seed: int,
    parts: Float[Tensor, "chunks d"] | None = None,
) -> Float[Tensor, "n d"]:
    """`step_reference` as fast as the device allows: on a GPU by Triton, where d, ``negatives`` and ties are powers of two.

    ``parts`` may be given as room for the chunks' forces.
    """
    if graphs.whole is None:
        moved = [
            layout.step(own, own, piece, push, a, b, alpha, negatives, step, seed)
            for own, piece, push in _parted(y, graphs, repel)
        ]
        return _pulled(torch.cat(moved), anchors, ties, alpha)
    from workbench.numerics.kernels.aligned_triton import move_kernel
    from workbench.numerics.kernels.layout_triton import attract_kernel

    graph = graphs.whole
    n, d, chunks = len(y), y.shape[1], len(graph.heads)
    parts = torch.empty((chunks, d), device=y.device) if parts is None else parts
    out = torch.empty_like(y)
    c, r = 32, 16
    attract_kernel[((chunks + c - 1) // c,)](
        y,
        y,
        graph.heads,
        graph.tails,
        graph.weights,
        parts,
        chunks,
        a,
        b,
        C=c,
        W=chunked.WIDTH,
        DIM=d,
        num_warps=4,
    )
    key = random.key(step, seed)
    move_kernel[((n + r - 1) // r,)](
        y,
        anchors,
        parts,
        graph.first,
        graphs.span,
        repel,
        ties.rows,
        ties.weights,
        out,
        n,
        key - (1 << 32) if key >> 31 else key,
        a,
        b,
        alpha,
        R=r,
        NEG=negatives,
        DIM=d,
        TIES=ties.rows.shape[1],
        num_warps=4,
    )
    return out
