"""Compatibility of two tethers (or weights, or activations) whose rows are the same things, and what it is by chance.

Two arrays are comparable when they share rows: the inputs of the same layer in two networks (pixels, or neurons that were
matched), the neurons between two layers of one network, or samples. Columns may be turned (CKA, Procrustes) or are
matched one to one (cosine).

References
----------
Linear CKA: Kornblith, Norouzi, Lee, Hinton 2019, Similarity of neural network representations revisited, ICML, eq. 4
and 5. Orthogonal Procrustes: Schönemann 1966, Psychometrika 31; as a similarity of representations Williams, Kunz,
Kornblith, Linderman 2021, Generalized shape metrics on neural representations, NeurIPS. Neurons matched by linear
assignment: Li, Yosinski, Clune, Lipson, Hopcroft 2015, Convergent learning.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from workbench.numerics.neuron_alignment import assign, match_forward, permuted
from workbench.numerics.neuron_chain import Layer

if TYPE_CHECKING:
    from jaxtyping import Float

Measure = Literal["cka", "procrustes", "cosine"]
Columns = Literal["match", "keep", "norms"]
AT_ONCE = 1 << 22  # numbers of the null's arrays that are held at once


@dataclass(frozen=True, eq=False)
class Pair:
    """Two arrays with the same rows.

    Attributes
    ----------
    x, y : (n, p) and (n, q).
    columns : what the cosine does with columns: matches those of y to those of x one to one, takes them as they are
        (classes), or compares the norms of rows alone (the columns are of different things).
    """

    x: Float[np.ndarray, "n p"]
    y: Float[np.ndarray, "n q"]
    columns: Columns = "match"

    def value(self, measure: Measure) -> float:
        """Their compatibility: 1 for the same up to what the measure lets pass, 0 for nothing in common."""
        return float(compatibilities(self.x, self.y[None], measure, self.columns)[0])

    def by_chance(
        self, measure: Measure, draws: int, rng: np.random.Generator
    ) -> Float[np.ndarray, " draws"]:
        """The same with the rows of y in random orders, columns matched anew each time.

        No null for a layer beyond the first of two networks, whose rows were matched: see `in_another_order`.
        """
        found = []
        block = max(1, AT_ONCE // max(1, self.y.size))
        for start in range(0, draws, block):
            orders = [rng.permutation(len(self.y)) for _ in range(min(block, draws - start))]
            found.append(compatibilities(self.x, self.y[np.array(orders)], measure, self.columns))
        return np.concatenate(found) if found else np.empty(0)


def compatibilities(
    x: Float[np.ndarray, "n p"], ys: Float[np.ndarray, "k n q"], measure: Measure, columns: Columns = "match"
) -> Float[np.ndarray, " k"]:
    """Compatibility of one array with each of several; 0 where one is constant.

    ``cka`` is the linear centred kernel alignment; ``procrustes`` the nuclear norm of the centred cross-product over both
    norms, the cosine after the best rotation; ``cosine`` that of the arrays as they are, columns matched first.
    """
    x, ys = x.astype(np.float64), ys.astype(np.float64)
    if measure == "cosine":
        return _cosines(x, ys, columns)
    x, ys = x - x.mean(axis=0), ys - ys.mean(axis=1, keepdims=True)
    cross = np.swapaxes(ys, 1, 2) @ x
    if measure == "cka":
        own = np.linalg.norm(np.swapaxes(ys, 1, 2) @ ys, axis=(1, 2)) * np.linalg.norm(x.T @ x)
        return _over((cross**2).sum(axis=(1, 2)), own)
    nuclear = np.linalg.svd(cross, compute_uv=False).sum(axis=1)
    return _over(nuclear, np.linalg.norm(ys, axis=(1, 2)) * np.linalg.norm(x))


def _cosines(x: np.ndarray, ys: np.ndarray, columns: Columns) -> np.ndarray:
    if columns == "norms":
        rows = np.linalg.norm(x, axis=1), np.linalg.norm(ys, axis=2)
        return _over(rows[1] @ rows[0], np.linalg.norm(rows[0]) * np.linalg.norm(rows[1], axis=1))
    if columns == "match":
        unit = x / np.maximum(np.linalg.norm(x, axis=0), 1e-30)
        units = ys / np.maximum(np.linalg.norm(ys, axis=1, keepdims=True), 1e-30)
        ys = np.stack([y[:, assign(s)] for y, s in zip(ys, unit.T @ units, strict=True)])
    inner = np.tensordot(ys, x, axes=([1, 2], [0, 1]))
    return _over(inner, np.linalg.norm(x) * np.linalg.norm(ys, axis=(1, 2)))


def _over(value: np.ndarray, norm: np.ndarray) -> np.ndarray:
    return np.where(norm > 0, value / np.where(norm > 0, norm, 1), 0.0)


Weights = Mapping[str, np.ndarray]


def same_layers(chain: Sequence[Layer], a: Weights, b: Weights, x: Weights, y: Weights) -> dict[int, Pair]:
    """Pair the arrays x of a network with weights a and y of one with weights b, layer by layer; rows are a layer's inputs.

    Which neuron is which is settled by the weights of the layers before alone. Classes are taken as they are.
    """
    y = permuted(chain, {**b, **y}, match_forward(chain, a, b, cosine=True))
    last = len(chain) - 1
    return {
        i: Pair(_by_input(x[n.weight]), _by_input(y[n.weight]), "keep" if i == last else "match")
        for i, n in enumerate(chain)
        if n.weight in x and n.weight in y
    }


def in_another_order(
    chain: Sequence[Layer], b: Weights, y: Weights, rng: np.random.Generator
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """The same network, had its inputs come and its classes been named in another order: weights, and arrays beside them.

    All that is within the network stays, so that comparing it with another (neurons matched anew) is a null which counts
    what matching finds by itself: neurons that take much in often give much out, in any two networks.
    """
    first, last = chain[0].weight, chain[-1].weight
    columns = rng.permutation(b[first][0].size)
    rows = rng.permutation(len(b[last]))

    def reorder(name: str, array: np.ndarray) -> np.ndarray:
        if name == first:
            array = array.reshape(len(array), -1)[:, columns].reshape(array.shape)
        return array[rows] if name in chain[-1].rowwise else array

    return {n: reorder(n, w) for n, w in b.items()}, {n: reorder(n, w) for n, w in y.items()}


def successive_layers(chain: Sequence[Layer], x: Weights) -> dict[int, Pair]:
    """Pair each layer's array with the next one's, by the first's number; rows are the neurons between them."""
    pairs = {}
    for i, (one, two) in enumerate(itertools.pairwise(chain)):
        if one.weight in x and two.weight in x:
            w = x[two.weight]
            out = np.moveaxis(w.reshape(len(w), one.width, -1), 1, 0).reshape(one.width, -1)
            pairs[i] = Pair(x[one.weight].reshape(one.width, -1), out, "norms")
    return pairs


def _by_input(w: np.ndarray) -> np.ndarray:
    """Rows are inputs (and places in a kernel), columns neurons."""
    return np.moveaxis(w, 0, -1).reshape(-1, len(w))


def threshold(null: Sequence[float] | np.ndarray, rate: float) -> float:
    """What a compatibility must exceed for a false-positive rate of at most ``rate`` under the null's draws.

    Of *m* draws it is the k-th greatest, k = ⌊rate (m + 1)⌋, so that exceeding it is the Monte-Carlo test's p ≤ rate, exact
    for draws that are exchangeable with the value. Infinite where there are too few draws for the rate.
    """
    k = int(np.floor(rate * (len(null) + 1) + 1e-9))
    return float(np.sort(null)[-k]) if 1 <= k <= len(null) else float("inf")
