"""Covering a graph with boxes: how many it takes at each length, and whether that is a power law."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from workbench.core.errors import DataError, ParameterError

if TYPE_CHECKING:
    from jaxtyping import Float, Int

MOST_NODES = 20_000  # of which all distances are kept, a byte or two each
FEWEST_LENGTHS = 4  # below which a power law and an exponential aren't told apart


@dataclass(frozen=True)
class Scaling:
    """How the number of boxes falls with their length.

    Attributes
    ----------
    dimension : minus the slope of log boxes over log length, by least squares.
    power, exponential : root mean squared residuals of log boxes, of a power law and of an exponential.
    verdict : ``fractal`` or ``not fractal``, whichever fits closer; ``untold`` of fewer than four lengths.
    """

    dimension: float
    power: float
    exponential: float
    verdict: str


def distances(edges: Int[np.ndarray, "m 2"], n: int) -> Int[np.ndarray, "n n"]:
    """Steps from every node to every other, int16.

    Raises
    ------
    DataError
        A graph in several pieces, or of too many nodes.
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import shortest_path

    if n > MOST_NODES:
        raise DataError(f"Boxes need all distances, of at most {MOST_NODES:,} nodes; this graph has {n:,}.")
    near = coo_array((np.ones(len(edges)), (edges[:, 0], edges[:, 1])), shape=(n, n)).tocsr()
    found = shortest_path(near, directed=False, unweighted=True)
    if not np.isfinite(found).all():
        raise DataError("The graph is in several pieces: cover each by itself.")
    return found.astype(np.int16)


def boxes(
    apart: Int[np.ndarray, "n n"], length: int, *, orders: int = 20, random_state: int = 0
) -> Int[np.ndarray, " n"]:
    """Cover a graph with few boxes in which every two nodes are fewer than ``length`` steps apart.

    Nodes that are too far from each other may not share a box: a colouring, done greedily in several random orders, of which
    the one with the fewest boxes is kept. It is an upper bound of the fewest there are.

    Returns
    -------
    the box of each node, (n,).

    Raises
    ------
    ParameterError
        A length below 1 or no order.

    References
    ----------
    Song, Gallos, Havlin and Makse 2007, How to calculate the fractal dimension of a complex network: the box covering algorithm,
    J. Stat. Mech. P03006.
    """
    if length < 1 or orders < 1:
        raise ParameterError(f"length={length!r} and orders={orders!r} are whole numbers of at least 1.")
    rng, best = np.random.default_rng(random_state), np.arange(len(apart))
    far = apart >= length
    for _ in range(orders):
        found = _coloured(far, rng.permutation(len(apart)))
        if found.max() < best.max():
            best = found
    return best


def _coloured(far: np.ndarray, order: np.ndarray) -> np.ndarray:
    """Give each node, in this order, the first box in which nobody is too far from it."""
    closed = np.zeros((8, len(far)), dtype=bool)  # which box is closed to which node
    box = np.empty(len(far), dtype=np.int64)
    used = 0
    for i in order:
        b = int(closed[:used, i].argmin()) if used and not closed[:used, i].all() else used
        if b == used:
            used += 1
            if used > len(closed):
                closed = np.concatenate([closed, np.zeros_like(closed)])
        closed[b] |= far[i]
        box[i] = b
    return box


def natural_lengths(scale: int, diameter: int) -> Int[np.ndarray, " k"]:
    """Lengths at which a graph that grows by ``scale`` repeats itself: its powers up to the diameter.

    At other lengths boxes fit badly and the slope is biased, downwards as a rule.
    """
    powers = scale ** np.arange(1, 16)
    return powers[powers <= diameter]


def scaling(lengths: Float[np.ndarray, " k"], counts: Float[np.ndarray, " k"]) -> Scaling:
    """Fit a power law and an exponential to numbers of boxes, and say which is closer.

    Two lines with as many parameters on the same logarithms, so that residuals compare; no test, since boxes of different
    lengths are of one graph.

    Raises
    ------
    DataError
        Fewer than two lengths.
    """
    if len(lengths) < 2:
        raise DataError(f"A slope takes two lengths of boxes or more; there are {len(lengths)}.")
    y = np.log(counts)
    (slope, power), (_, exponential) = _line(np.log(lengths), y), _line(np.asarray(lengths, np.float64), y)
    verdict = "fractal" if power <= exponential else "not fractal"
    return Scaling(-slope, power, exponential, verdict if len(lengths) >= FEWEST_LENGTHS else "untold")


def _line(x: np.ndarray, y: np.ndarray) -> tuple[float, float]:
    slope, start = np.polyfit(x, y, 1)
    return float(slope), float(np.sqrt(np.mean((y - slope * x - start) ** 2)))
