"""densMAP: a layout that also keeps how dense the rows lie, by a pull on each row's local radius.

References
----------
Narayan, Berger and Cho 2021, Assessing single-cell transcriptomic variability through density-preserving
data visualization, Nat. Biotechnol. 39.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from workbench.numerics.kernels import chunked

if TYPE_CHECKING:
    from jaxtyping import Float, Int
    from torch import Tensor

_CLIP = 4.0
_TINY = 1e-8


@dataclass(frozen=True)
class Density:
    """What the density term of a layout needs.

    Attributes
    ----------
    radii : (n,) log of the mean squared distance to a row's neighbours, by membership, in the data.
    lam, frac, var_shift : weight of the term, the share of epochs (the last) in which it acts, and what is
        added to the variance of the layout's radii; umap-learn's dens_lambda, dens_frac and dens_var_shift.
    """

    radii: Float[Tensor, " n"]
    lam: float
    frac: float
    var_shift: float

    def acts(self, epoch: int, epochs: int) -> bool:
        """Whether the term acts in an epoch."""
        return self.lam > 0 and (epoch + 1) / epochs > 1 - self.frac


def edge_lengths(
    indices: Int[Tensor, "n k"], distances: Float[Tensor, "n k"], head: Tensor, tail: Tensor
) -> Float[Tensor, " e"]:
    """The distance along each edge of a graph made from neighbours."""
    n, k = indices.shape
    key, order = (torch.arange(n, device=indices.device)[:, None] * n + indices.long()).flatten().sort()
    length = distances.flatten()[order]
    there = torch.searchsorted(key, head * n + tail).clamp_max(n * k - 1)
    back = torch.searchsorted(key, tail * n + head).clamp_max(n * k - 1)
    return torch.where(key[there] == head * n + tail, length[there], length[back])


def local_radii(
    head: Int[Tensor, " e"], weights: Float[Tensor, " e"], lengths: Float[Tensor, " e"], n: int
) -> Float[Tensor, " n"]:
    """Log of each row's mean squared edge length, weighted by membership; edges are sorted by ``head``."""
    ends = torch.searchsorted(head, torch.arange(n + 1, device=head.device))

    def by_row(x: Tensor) -> Tensor:
        total = torch.nn.functional.pad(x.double().cumsum(0), (1, 0))  # in order, so the same on every run
        return total[ends[1:]] - total[ends[:-1]]

    return torch.log(_TINY + by_row(weights * lengths.square()) / by_row(weights).clamp_min(_TINY)).float()


def layout_radii(y: Float[Tensor, "n d"], graph: chunked.Chunks, a: float, b: float) -> Float[Tensor, " n"]:
    """The local radii in the layout, each neighbour weighted by its membership there."""
    phi, square = _memberships(y, graph, a, b)
    return _radii(phi, square, graph)[0]


def force(
    y: Float[Tensor, "n d"], graph: chunked.Chunks, a: float, b: float, density: Density
) -> Float[Tensor, "n d"]:
    """The gradient of the correlation of both kinds of radii, scaled as in umap-learn."""
    n = len(y)
    wanted = density.radii - density.radii.mean()
    wanted = wanted / wanted.std().clamp_min(_TINY)
    phi, square = _memberships(y, graph, a, b)
    radii, total = _radii(phi, square, graph)
    spread = (radii.var() + density.var_shift).sqrt()
    off = radii - radii.mean()
    pull = wanted - (off @ wanted / (n - 1)) / spread.square() * off
    head, tail = graph.heads.long(), graph.tails.long()
    slope = a * b * square.clamp_min(1e-30) ** (b - 1) * phi
    own = (
        phi
        / total[head][:, None]
        * ((1 - b * (1 - phi)) / radii[head].exp()[:, None] + slope)
        * pull[head][:, None]
    )
    other = phi / total[tail] * ((1 - b * (1 - phi)) / radii[tail].exp() + slope) * pull[tail]
    mass = float(graph.weights.double().sum()) / 2
    scale = 2 * density.lam * mass / (n * float(spread) * float(graph.weights.max()))
    gap = y[head][:, None] - y[tail]
    step = ((own + other) * (graph.weights > 0) * scale)[:, :, None] * gap
    return chunked.fold(step.clamp(-_CLIP, _CLIP).sum(1), graph)


def _memberships(y: Tensor, graph: chunked.Chunks, a: float, b: float) -> tuple[Tensor, Tensor]:
    square = (y[graph.heads.long()][:, None] - y[graph.tails.long()]).square().sum(2)
    phi = 1 / (1 + a * square.clamp_min(1e-30) ** b)
    return phi * (graph.weights > 0), square


def _radii(phi: Tensor, square: Tensor, graph: chunked.Chunks) -> tuple[Tensor, Tensor]:
    sums = chunked.fold(torch.stack([phi.sum(1), (phi * square).sum(1)], 1), graph)
    total = sums[:, 0].clamp_min(_TINY)
    return torch.log(_TINY + sums[:, 1] / total), total
