"""Where a story lies: sentences as nodes in a plane over time, their edges grown by the rule of a fractal."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from workbench.core.errors import DataError
from workbench.numerics.fractal_graphs import Grown

if TYPE_CHECKING:
    from jaxtyping import Float, Int

FEWEST, MOST = 2, 4_000  # sentences
BLOCK = 500  # sentences whose cosines with all earlier ones are held at once
BEND = 0.35  # how far a grown path bends away from the straight line, in lengths of that line


def linked(vectors: Float[np.ndarray, "k d"]) -> Int[np.ndarray, "m 2"]:
    """Join each sentence to the next, and to the one before that which is most like it by cosine.

    The sentence just before is joined already and isn't taken for the most alike; of equals the earliest is.

    Raises
    ------
    DataError
        Fewer than 2 sentences or more than 4,000, or one whose vector is 0.
    """
    k = len(vectors)
    if not FEWEST <= k <= MOST:
        raise DataError(
            f"The story has {k:,} sentence{'s' * (k != 1)}; a world grows from {FEWEST} to {MOST:,}, so that there is an edge."
        )
    unit = _unit(vectors)
    following = np.column_stack([np.arange(k - 1), np.arange(1, k)])
    alike = []
    for first in range(2, k, BLOCK):
        rows = np.arange(first, min(first + BLOCK, k))
        cosines = unit[rows] @ unit[: rows[-1]].T
        cosines[np.arange(rows[-1])[None] >= rows[:, None] - 1] = -np.inf
        alike.append(np.column_stack([cosines.argmax(axis=1), rows]))
    return np.concatenate([following, *alike])


def laid_out(vectors: Float[np.ndarray, "k d"]) -> Float[np.ndarray, "k 3"]:
    """Lay sentences out: two principal coordinates of their directions within [-1, 1], and the place in the story from 0 to 1.

    An axis points to where its largest entry is positive, so that the same vectors always lie the same way.

    Raises
    ------
    DataError
        All sentences point the same way, or one's vector is 0.
    """
    unit = _unit(vectors)
    centred = unit - unit.mean(axis=0)
    if np.abs(centred).max() < 1e-12:
        raise DataError(
            "All sentences point the same way, so that there is no plane to lay them out in: tell others."
        )
    _, _, axes = np.linalg.svd(centred, full_matrices=False)
    axes = axes[:2]
    axes = axes * np.sign(axes[np.arange(len(axes)), np.abs(axes).argmax(axis=1)])[:, None]
    plane = np.zeros((len(vectors), 2))
    plane[:, : len(axes)] = centred @ axes.T
    return np.column_stack([plane / np.abs(plane).max(), np.linspace(0, 1, len(vectors))])


def _unit(vectors: np.ndarray) -> np.ndarray:
    vectors = np.asarray(vectors, dtype=np.float64)
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    if not length.all():
        raise DataError(
            f"The vector of sentence {int(np.argmin(length))} is 0, which is no direction: leave it out."
        )
    return vectors / length


def placed(grown: Grown, corners: Float[np.ndarray, "k 3"]) -> Float[np.ndarray, "n 3"]:
    """Put what has grown between its ends, bent aside in the plane; times run straight.

    Raises
    ------
    DataError
        The rule laid copies, so that nothing came between two nodes.
    """
    if grown.ends is None or grown.share is None or grown.side is None:
        raise DataError("What is made of copies has no ends to lie between.")
    at = np.zeros((grown.n, 3))
    at[: len(corners)] = corners
    for generation in range(1, int(grown.born.max(initial=0)) + 1):
        new = grown.born == generation
        start, end = at[grown.ends[new, 0]], at[grown.ends[new, 1]]
        share, way = grown.share[new, None], end - start
        across = np.column_stack([-way[:, 1], way[:, 0], np.zeros(len(way))])
        bend = BEND * grown.side[new, None] * 4 * share * (1 - share)
        at[new] = start + share * way + bend * across
    return at


def sentence_of(grown: Grown, sentences: int) -> Int[np.ndarray, " n"]:
    """Which sentence each node belongs to: that of the nearer of the two ends between which it came, the earlier of equals."""
    of = np.arange(grown.n)
    assert grown.ends is not None and grown.share is not None
    for generation in range(1, int(grown.born.max(initial=0)) + 1):
        new = grown.born == generation
        of[new] = of[np.where(grown.share[new] <= 0.5, grown.ends[new, 0], grown.ends[new, 1])]
    assert of.max(initial=0) < sentences
    return of
