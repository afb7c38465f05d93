"""Which heads feed which, beside the same heads with the coordinates' signs turned in what is read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from workbench.core.progress import track
from workbench.numerics.head_circuits import Circuits, by_scale, overlaps
from workbench.numerics.sign_groups import SignGroup, in_parts, sign_group, turned_overlaps

if TYPE_CHECKING:
    from jaxtyping import Float, Int


class Stack:
    """Layers that read and write one stream, one after another.

    What a head reads and writes is kept as (d, r) directions weighted by their singular values, in single precision: all that is
    written, for the scores of later layers, and of both the strongest for the control.

    Parameters
    ----------
    most : directions that the control is asked of.
    """

    def __init__(self, most: int):
        self.most = most
        self._writes: list[np.ndarray] = []
        self._strongest: list[tuple[np.ndarray, ...]] = []  # a layer: read by queries, keys, values; written
        self._traces: list[tuple[np.ndarray, np.ndarray]] = []
        self._scores: list[np.ndarray] = []
        self._by_scale: list[np.ndarray] = []

    @property
    def n(self) -> int:
        """How many heads there are."""
        return sum(map(len, self._writes))

    @property
    def width(self) -> int:
        """How many numbers the stream has."""
        return int(self._writes[0].shape[1])

    def add(self, ov: Circuits, qk: Circuits) -> None:
        """Score what the heads of one more layer read of those before it."""
        sides = ((qk.left, qk), (qk.right, qk), (ov.right, ov), (ov.left, ov))
        *reads, writes = (side * of.values[:, None, :] for side, of in sides)
        for kept, how in ((self._scores, overlaps), (self._by_scale, by_scale)):
            if self._writes:
                kept.append(np.stack([_shares(r, self._writes, how) for r in reads]))
        self._writes.append(writes.astype(np.float32))
        self._strongest.append(tuple(x[:, :, : self.most].astype(np.float32) for x in (*reads, writes)))
        self._traces.append((ov.trace, qk.trace))

    def pairs(self) -> Int[np.ndarray, "2 p"]:
        """The earlier and the later head of each pair, layer by layer."""
        made, before = [], 0
        for many in map(len, self._writes):
            made.append(
                np.stack([np.tile(np.arange(before), many), np.repeat(before + np.arange(many), before)])
            )
            before += many
        return np.concatenate(made, axis=1)

    @property
    def scores(self) -> Float[np.ndarray, "p 3"]:
        """Composition by queries, keys and values."""
        return _by_pair(self._scores)

    @property
    def by_scale(self) -> Float[np.ndarray, "p 3"]:
        """What is to be expected of it by the scales of the coordinates alone: the root mean square over all signs."""
        return _by_pair(self._by_scale)

    def squares(self, group: SignGroup, where: Int[np.ndarray, " d"]) -> Float[np.ndarray, "m p 3"]:
        """Squared overlaps of the strongest directions, what is read with the signs of each element of a group.

        Parameters
        ----------
        where : which sign of the group each coordinate has.
        """
        reads = [[in_parts(x, where, group.size) for x in layer[:-1]] for layer in self._strongest[1:]]
        writes = [in_parts(layer[-1], where, group.size) for layer in self._strongest[:-1]]
        many = list(map(len, self._writes))
        made = []
        for j in track(range(1, len(many)), "attention heads: null", len(many) - 1):
            out = np.empty((len(group.signs), many[j], sum(many[:j]), 3), np.float32)
            for side, read in enumerate(reads[j - 1]):
                end = 0
                for written, n in zip(writes[:j], many[:j], strict=True):
                    out[:, :, end : end + n, side] = turned_overlaps(read, written, group.signs)
                    end += n
            made.append(out.reshape(len(out), -1, 3))
        return np.concatenate(made, axis=1) if made else np.empty((len(group.signs), 0, 3), np.float32)

    def traces(self, signs: Float[np.ndarray, "m d"]) -> Float[np.ndarray, "m n 2"]:
        """Traces of output-value and query-key circuits with these signs, in their standard deviations over all signs."""
        made = []
        for diagonals in zip(*self._traces, strict=True):
            of = np.concatenate(diagonals)
            spread = np.sqrt(np.square(of).sum(axis=1))
            made.append(
                np.divide(signs @ of.T, spread, out=np.zeros((len(signs), len(of))), where=spread > 0)
            )
        return np.stack(made, axis=2)


@dataclass(frozen=True)
class Tested:
    """What signs turned at random say.

    Attributes
    ----------
    z : (p, 3) each pair's departure from the mean of all draws, in their standard deviations; empty without draws.
    p : (p, 3) the share of draws in which any pair, by any way, departs as far; empty without draws.
    copying_p, matching_p : (n,) the like of each head's traces, beside the largest of any head; empty without draws.
    largest : (1 + draws, 5) the largest departure by queries, keys and values, and the largest traces: of the network first.
    """

    z: Float[np.ndarray, "p 3"]
    p: Float[np.ndarray, "p 3"]
    copying_p: Float[np.ndarray, " n"]
    matching_p: Float[np.ndarray, " n"]
    largest: Float[np.ndarray, "m 5"]


def corrected(stacks: list[Stack], n_null: int, random_state: int) -> Tested:
    """Turn signs for all pairs at once, and set each beside the largest of all.

    The network is one of the draws by which a pair is standardized, so that under the hypothesis its largest is as likely as
    each of theirs to be the largest of all.
    """
    rng = np.random.default_rng([random_state, 0x7369676E])
    group = sign_group(n_null, rng)
    where = [group.dealt(s.width, rng) for s in stacks]
    of_pairs = [s.squares(group, at) for s, at in zip(stacks, where, strict=True)]
    of_heads = [s.traces(group.signs[:, at]) for s, at in zip(stacks, where, strict=True)]
    z = _standardized(np.concatenate(of_pairs, axis=1))
    size = np.abs(np.concatenate(of_heads, axis=1))
    most = z.max(axis=1, initial=-np.inf) if z.shape[1] else np.zeros((len(z), 3))
    largest = np.concatenate([most, size.max(axis=1)], axis=1)
    if not n_null:
        none = np.empty(0)
        return Tested(np.empty((0, 3)), np.empty((0, 3)), none, none, largest)
    copying, matching = (_beside(size[0, :, j], largest[1:, 3 + j]) for j in range(2))
    return Tested(z[0], _beside(z[0], largest[1:, :3].max(axis=1)), copying, matching, largest)


def _shares(
    reads: np.ndarray, before: list[np.ndarray], squares: Callable[[np.ndarray, np.ndarray], np.ndarray]
) -> np.ndarray:
    """(heads, earlier heads) square roots of overlaps, in the product of both norms; 0 of a circuit of zeros."""
    made = np.sqrt(np.concatenate([squares(reads, w.astype(np.float64)) for w in before], axis=1))
    norms = [np.sqrt(np.square(x, dtype=np.float64).sum(axis=(1, 2))) for x in (reads, *before)]
    whole = np.outer(norms[0], np.concatenate(norms[1:]))
    return np.divide(made, whole, out=np.zeros_like(made), where=whole > 0)


def _by_pair(layers: list[np.ndarray]) -> np.ndarray:
    """(p, 3) out of (3, heads, earlier heads) a layer."""
    return np.concatenate([x.reshape(3, -1).T for x in layers]) if layers else np.empty((0, 3))


def _standardized(draws: np.ndarray) -> np.ndarray:
    """Make (m, p, 3) draws departures from their mean in their standard deviations; 0 where all but rounding are one."""
    mean, spread = draws.mean(axis=0, dtype=np.float64), draws.std(axis=0, dtype=np.float64)
    varies = spread > 1e-5 * mean
    draws -= mean.astype(np.float32)
    draws /= np.where(varies, spread, 1).astype(np.float32)
    draws[:, ~varies] = 0
    return draws


def _beside(values: np.ndarray, largest: np.ndarray) -> np.ndarray:
    """Monte-Carlo p-values of many beside the largest of all in each draw."""
    ordered = np.sort(largest)
    above = len(ordered) - np.searchsorted(ordered, values, side="left")
    return np.asarray((1 + above) / (1 + len(ordered)))
