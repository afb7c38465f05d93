"""Steps of an exact minimum spanning tree: the plain torch reference of each, and the choice of kernel.

Rows are points rounded to half precision and ``norm`` is half their squared length, so that a product less
two norms is minus half a squared distance; padding has a norm that nothing comes near.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from jaxtyping import Float, Float16, Int
    from torch import Tensor

TILE = 128
SPAN = 2048  # rows whose tiles are worked on together, so that they stay in the cache
FAR = 1e30
ROUNDING = (
    2.0**-16
)  # of the norms: more than a float32 sum of exact products of half-precision rows is off by


def nearest_other_reference(
    q: Float16[Tensor, "q d"],
    group_q: Int[Tensor, " q"],
    a: Float16[Tensor, "n d"],
    norm: Float[Tensor, " n"],
    group: Int[Tensor, " n"],
) -> Int[Tensor, " q"]:
    """For every row of ``q`` the position in ``a`` of the nearest row of another group."""
    out = []
    for part, own in zip(q.split(1024), group_q.split(1024), strict=True):
        score = part.float() @ a.float().T - norm
        out.append(score.masked_fill(own[:, None] == group, -torch.inf).argmax(1))
    return torch.cat(out)


def nearest_other(
    q: Float16[Tensor, "q d"],
    group_q: Int[Tensor, " q"],
    a: Float16[Tensor, "n d"],
    norm: Float[Tensor, " n"],
    group: Int[Tensor, " n"],
) -> Int[Tensor, " q"]:
    """`nearest_other_reference` by the Triton kernel on a GPU."""
    if not a.is_cuda:
        return nearest_other_reference(q, group_q, a, norm, group)
    from workbench.numerics.kernels.spanning_triton import nearest_other_kernel

    best = torch.full((len(q),), -(2**63), dtype=torch.int64, device=a.device)
    tiles = -(-len(a) // TILE)
    rows = -(-len(q) // TILE)
    each = max(1, rows * tiles // 4096)
    nearest_other_kernel[(rows, -(-tiles // each))](
        q,
        group_q.int(),
        a,
        norm,
        group.int(),
        best,
        len(q),
        len(a),
        tiles,
        each,
        D=a.shape[1],
        B=TILE,
        BK=32 if a.shape[1] % 64 else 64,
        num_warps=8,
        num_stages=3,
    )
    return best & 0xFFFFFFFF


def gap_tables(gap: Float[Tensor, " n"], n: int) -> tuple[Tensor, Tensor, Tensor]:
    """Largest gaps from each row to the end of its tile, from the tile's start to it, and over runs of tiles.

    ``gap[i]`` lies between rows i and i + 1; the third table's line l has, for each tile, the largest gap in
    the 2^l tiles from there.
    """
    tiles = -(-n // TILE)
    padded = torch.zeros(tiles * TILE, device=gap.device)
    padded[:n] = gap[:n]
    padded = padded.view(tiles, TILE)
    ahead = padded.flip(1).cummax(1).values.flip(1)
    behind = torch.nn.functional.pad(padded[:, :-1], (1, 0)).cummax(1).values
    runs = [padded.amax(1)]
    while 2 ** len(runs) <= tiles:
        last, step = runs[-1], 2 ** (len(runs) - 1)
        runs.append(torch.maximum(last, torch.cat([last[step:], last.new_zeros(step)])))
    return ahead.reshape(-1), behind.reshape(-1), torch.stack(runs)


def reach_between(runs: Float[Tensor, "l t"], first: int, second: int) -> float:
    """The largest gap in the tiles between two."""
    between = second - first - 1
    if between < 1:
        return 0.0
    level = between.bit_length() - 1
    return float(torch.maximum(runs[level, first + 1], runs[level, second - 2**level]))


def shortcuts_reference(
    a: Float16[Tensor, "n d"],
    norm: Float[Tensor, " n"],
    moved: Float[Tensor, " n"],
    gap: Float[Tensor, " n"],
) -> Int[Tensor, "s 2"]:
    """Pairs of rows in different tiles that may be nearer than the largest gap between them.

    Parameters
    ----------
    a, norm : rows in the order of the tree's leaves, unpadded.
    moved : how far rounding moved each row.
    gap : the height at which rows i and i + 1 come together.
    """
    n = len(a)
    ahead, behind, runs = gap_tables(gap, n)
    pairs = [torch.empty((0, 2), dtype=torch.int64, device=a.device)]
    tiles = -(-n // TILE)
    for s in range(tiles):
        i = torch.arange(s * TILE, min(n, (s + 1) * TILE), device=a.device)
        for t in range(s + 1, tiles):
            j = torch.arange(t * TILE, min(n, (t + 1) * TILE), device=a.device)
            slack = moved[i].max() + moved[j].max()
            rounding = ROUNDING * (norm[i].max() + norm[j].max())
            left = (ahead[i].clamp_min(reach_between(runs, s, t)) + slack).square() / 2 + rounding
            right = (behind[j] + slack).square() / 2 + rounding
            score = a[i].float() @ a[j].float().T - norm[i][:, None] - norm[j]
            u, v = (score > -torch.maximum(left[:, None], right)).nonzero(as_tuple=True)
            pairs.append(torch.stack([i[u], j[v]], 1))
    return torch.cat(pairs)


def shortcuts(
    a: Float16[Tensor, "n d"],
    norm: Float[Tensor, " n"],
    moved: Float[Tensor, " n"],
    gap: Float[Tensor, " n"],
    n: int,
    room: int,
) -> tuple[Int[Tensor, "s 2"], int]:
    """`shortcuts_reference` of the first ``n`` rows by the Triton kernel on a GPU, in no order.

    At most ``room`` pairs are returned, and how many there are.
    """
    if not a.is_cuda:
        pairs = shortcuts_reference(a[:n], norm[:n], moved[:n], gap)
        return pairs[:room], len(pairs)
    from triton.tools.tensor_descriptor import TensorDescriptor

    from workbench.numerics.kernels.spanning_triton import shortcuts_kernel

    ahead, behind, runs = gap_tables(gap, n)
    tiles = runs.shape[1]
    slack = torch.zeros(len(a), device=a.device)
    slack[:n] = moved[:n]
    slack = slack.view(-1, TILE).amax(1)
    longest = norm.masked_fill(norm >= FAR, 0).view(-1, TILE).amax(1)
    spans = len(a) // SPAN
    first, second = torch.triu_indices(spans, spans, device=a.device).int()
    out = torch.empty(room, dtype=torch.int64, device=a.device)
    count = torch.zeros(1, dtype=torch.int64, device=a.device)
    depth = 32 if a.shape[1] % 64 else 64
    rows = TensorDescriptor.from_tensor(a, [TILE, depth])
    shortcuts_kernel[(len(first) * (SPAN // TILE) ** 2,)](
        rows,
        norm,
        ahead,
        behind,
        runs.contiguous(),
        slack,
        longest,
        first.contiguous(),
        second.contiguous(),
        out,
        count,
        room,
        tiles,
        D=a.shape[1],
        B=TILE,
        BK=depth,
        SPAN=SPAN,
        ROUNDING=ROUNDING,
        num_warps=4,
        num_stages=3,
    )
    total = int(count)
    key = out[: min(room, total)]
    return torch.stack([key >> 32, key & 0xFFFFFFFF], 1), total
