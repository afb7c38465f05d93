"""What a valley between rows is to be set beside where they have any shape: valleys inside their own pieces, drawn anew."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from workbench.numerics.robust_linkage import least_rows, linked, parted

if TYPE_CHECKING:
    from jaxtyping import Float

NEAR = 10  # rows whose spread a row is drawn anew from
PARTING = 0.5
"""Valleys this share of the deepest part pieces too: with three groups each piece is to hold one. With less, curves fall into
so many pieces that too few chance valleys are left inside: at 0.3 a circle and a figure of eight are parted in 20 and 38 %."""

Valley = Callable[[np.ndarray, int], float]
Distances = Callable[[np.ndarray], np.ndarray]


def valleys_inside(
    rows: Float[np.ndarray, "n d"], distances: Distances, limit: float | None, valley: Valley
) -> Callable[[np.random.Generator], float]:
    """Return what draws the deepest valley inside the pieces that the rows fall in at their deepest ones.

    On a curve or a surface, rows in one piece fall apart at valleys that came by chance, and their pieces have the like.
    Rows of several groups fall in those. Each row of a piece is drawn anew near its place, from a Gaussian with the mean and
    covariance of the ten rows next to it in its piece: so pieces stay curves, surfaces or volumes of their density, and
    rows of one group stay together. What makes a component is as many rows as in the whole.

    Parameters
    ----------
    distances : of (m, d) rows, as the metric sees them. limit : that of `deepest_valley`.
    valley : of (m, d) rows and the rows that make a component.

    References
    ----------
    Silverman 1981, Using kernel density estimates to investigate multimodality, J. R. Stat. Soc. B 43; Vincent and Bengio
    2003, Manifold Parzen windows, NIPS.
    """
    least = least_rows(len(rows))
    found = linked(distances(rows), limit, least)
    pieces = [] if found is None else [p for p in parted(found, PARTING) if len(p) > 2 * least]
    anew = [near_their_places(rows[p], distances) for p in pieces]
    return lambda rng: max((valley(draw(rng), least) for draw in anew), default=0.0)


def near_their_places(
    rows: Float[np.ndarray, "n d"], distances: Distances
) -> Callable[[np.random.Generator], Float[np.ndarray, "n d"]]:
    """Return what draws each row from a Gaussian with the mean and covariance of itself and the ten nearest to it."""
    k = min(NEAR, len(rows) - 1)
    near = rows[np.argpartition(distances(rows), k, axis=1)[:, : k + 1]]
    middle = near.mean(axis=1)
    spread = (near - middle[:, None]) / np.sqrt(k)

    def draw(rng: np.random.Generator) -> np.ndarray:
        return np.asarray(middle + np.einsum("nk,nkd->nd", rng.standard_normal(near.shape[:2]), spread))

    return draw
