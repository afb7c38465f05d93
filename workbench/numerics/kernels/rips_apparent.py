"""Which simplices of a Vietoris-Rips filtration are in no apparent pair: the columns that are left to reduce.

A simplex and a cofacet of the same diameter are an apparent pair if the cofacet is the first of all
cofacets and the simplex the last of all its facets. Such pairs are found one by one, without any
reduction (Bauer 2021; Zhang, Xiao and Wang 2020). Packed simplices and ranks are as in `rips_host`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from jaxtyping import Bool, Int

BLOCK_CELLS = 1 << 24  # ranks held at a time by the plain functions: 64 MiB
SPAN = 32  # ranks are padded to a square whose side is a multiple of this


def unpacked(simplices: Int[torch.Tensor, " s"], bits: int, k: int) -> Int[torch.Tensor, "s k"]:
    """Return the k vertices of each simplex, in falling order."""
    shifts = bits * torch.arange(k - 1, -1, -1, device=simplices.device)
    return (simplices[:, None] >> shifts) & ((1 << bits) - 1)


def diameters(ranks: Int[torch.Tensor, "m m"], vertices: Int[torch.Tensor, "s k"]) -> Int[torch.Tensor, " s"]:
    """Return the largest rank among each simplex's pairs."""
    out = torch.zeros(len(vertices), dtype=ranks.dtype, device=ranks.device)
    for i in range(vertices.shape[1]):
        for j in range(i):
            out = torch.maximum(out, ranks[vertices[:, i], vertices[:, j]])
    return out


def extensions(
    ranks: Int[torch.Tensor, "m m"], limit: int, bits: int, k: int, parents: Int[torch.Tensor, " p"]
) -> Iterator[Int[torch.Tensor, " s"]]:
    """Yield, block by block, the simplices that add a smaller vertex to one of the ``parents`` (k vertices)."""
    at = torch.arange(len(ranks), device=ranks.device)
    for part in parents.split(max(1, BLOCK_CELLS // len(ranks))):
        vertices = unpacked(part, bits, k)
        within = at < vertices[:, -1:]
        for i in range(k):
            within &= ranks[vertices[:, i]] < limit
        parent, vertex = within.nonzero(as_tuple=True)
        yield (part[parent] << bits) | vertex


def columns_reference(
    ranks: Int[torch.Tensor, "m m"],
    limit: int,
    bits: int,
    k: int,
    parents: Int[torch.Tensor, " p"],
    rows: bool,
) -> Int[torch.Tensor, " c"]:
    """Return the simplices of k vertices over ``parents`` that are in no apparent pair, in plain torch.

    Parameters
    ----------
    ranks : (m, m) int32 symmetric, ``limit`` or more on the diagonal, beyond the vertices and where two are too
        far apart.
    parents : packed simplices of k - 1 vertices. rows : whether pairs with a facet count as well.
    """
    found = [
        part[_in_no_pair(ranks, bits, k, part, rows)]
        for block in extensions(ranks, limit, bits, k - 1, parents)
        for part in block.split(max(1, BLOCK_CELLS // len(ranks)))
    ]
    return torch.cat([parents[:0], *found])


def columns(
    ranks: Int[torch.Tensor, "m m"],
    limit: int,
    bits: int,
    k: int,
    parents: Int[torch.Tensor, " p"],
    rows: bool,
) -> Int[torch.Tensor, " c"]:
    """Return what `columns_reference` does, in no order, by the Triton kernel."""
    from workbench.numerics.kernels.rips_triton import columns_kernel

    room = 1 << 20
    while True:
        out = torch.empty(room, dtype=torch.int64, device=ranks.device)
        found = torch.zeros(1, dtype=torch.int64, device=ranks.device)
        if len(parents):
            grid = (len(parents), -(-len(ranks) // SPAN))
            columns_kernel[grid](
                ranks,
                parents,
                out,
                found,
                room,
                len(ranks),
                limit,
                bits,
                K=k - 1,
                V=SPAN,
                U=SPAN,
                ROWS=rows,
                num_warps=1,
            )
        count = int(found)
        if count <= room:
            return out[:count]
        room = count


def _in_no_pair(
    ranks: torch.Tensor, bits: int, k: int, simplices: torch.Tensor, rows: bool
) -> Bool[torch.Tensor, " s"]:
    vertices = unpacked(simplices, bits, k)
    radius = diameters(ranks, vertices)
    cofacet = _largest_within(ranks, vertices, radius)
    whole = torch.cat([vertices, cofacet.clamp(min=0)[:, None]], dim=1)
    last = cofacet >= 0
    for i in range(k):
        facet = torch.cat([whole[:, :i], whole[:, i + 1 :]], dim=1)
        last &= (vertices[:, i] < cofacet) | (diameters(ranks, facet) < radius)
    if not rows:
        return ~last
    row = torch.zeros_like(last)
    tried = torch.zeros_like(last)
    for i in range(k):
        facet = torch.cat([vertices[:, :i], vertices[:, i + 1 :]], dim=1)
        here = ~tried & (diameters(ranks, facet) == radius)
        row |= here & (_largest_within(ranks, facet, radius) <= vertices[:, i])
        tried |= here
    return ~(last | row)


def _largest_within(
    ranks: torch.Tensor, vertices: torch.Tensor, radius: torch.Tensor
) -> Int[torch.Tensor, " s"]:
    """The largest vertex that makes a cofacet no wider than ``radius``, or -1."""
    reach = ranks[vertices[:, 0]]
    for i in range(1, vertices.shape[1]):
        reach = torch.maximum(reach, ranks[vertices[:, i]])
    at = torch.arange(len(ranks), device=ranks.device)
    return torch.where(reach <= radius[:, None], at, -1).amax(1)
