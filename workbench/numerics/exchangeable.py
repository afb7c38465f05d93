"""What of a cloud's rows can be exchanged: whole groups of rows, with rows that say the same counted once.

Rows of one text share its topic, and a token that comes again gives nearly the same row again. A control that takes such
rows for independent ones finds groups, few dimensions and dependence in anything. So controls are drawn on a `Sample`:
one row of each kind (a token type, a row that repeats), in whole groups (texts), which stay whole in every draw.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple, Protocol

import numpy as np

from workbench.numerics.pairwise import pairwise

if TYPE_CHECKING:
    from jaxtyping import Float, Int

FEWEST_GROUPS = 6
"""Fewer groups than these can't be told from chance at 5 %, whatever is done with them."""
GAP = 8.0  # a rise of the spanning tree's edges by so much parts repeats from rows that differ
REPEATED = 0.05  # of the edges below the rise; fewer are what chance brings near
LEAST_DISTINCT = 20  # rows that must be left, else what lies together are clusters and not repeats
ASKED = 5000  # rows by which it is told whether rows of one kind are alike
ALIKE = 0.9  # rows of one kind that together are worth less than this share of them say the same


class Sample(NamedTuple):
    """Rows on which a control is drawn.

    Attributes
    ----------
    at : (m,) positions of the rows, rising.
    groups : (m,) which group each is in, from 0, or None where each row stands for itself.
    whole : whether these are all rows that there are.
    thinned : whether rows were left out since another of their kind is there.
    few_kinds : how many kinds there are, where rows of one kind are alike and there are too few kinds to take one of each;
        then the sample has several of each and can't be tested. 0 otherwise.
    """

    at: Int[np.ndarray, " m"]
    groups: Int[np.ndarray, " m"] | None
    whole: bool
    thinned: bool
    few_kinds: int = 0

    @property
    def units(self) -> int:
        """How many things are exchanged: groups, or rows."""
        return len(self.at) if self.groups is None else int(self.groups.max(initial=-1)) + 1

    @property
    def testable(self) -> bool:
        """Whether there are enough of them for a test."""
        return self.units >= FEWEST_GROUPS and not self.few_kinds

    def details(self, unit: str = "groups", kind: str = "kind") -> str:
        """What a reader has to know of it, in a few words; "" where it is all rows, each for itself.

        Parameters
        ----------
        unit : what the groups are. kind : of what there is one row each.
        """
        said = [] if self.whole else [f"on {len(self.at):,} of the rows"]
        if self.thinned:
            said.append(f"one a {kind}")
        if self.groups is not None:
            said.append(f"in {self.units:,} whole {unit}")
        return ", ".join(said)


class SomeRows(Protocol):
    """Rows of which only some are asked for: an array, or what makes them when they are."""

    def __len__(self) -> int: ...

    def __getitem__(self, at: Int[np.ndarray, " m"], /) -> Float[np.ndarray, "m d"]: ...


def sample(
    x: SomeRows | None,
    groups: Int[np.ndarray, " n"] | None,
    kinds: Int[np.ndarray, " n"] | None,
    *,
    rows: int,
    random_state: int,
) -> Sample:
    """Draw the rows of a control: at most about ``rows``, in whole groups, one of each kind.

    Parameters
    ----------
    x : where given, rows that (nearly) repeat others are of one kind too.
    groups : codes of the groups; None where each row stands for itself.
    kinds : codes of what may say the same (a token type): one row of each is taken, unless ``x`` shows that rows of one
        kind are no more alike than others. None where every row says something else.
    rows : whole groups are taken until so many rows are there; at least `FEWEST_GROUPS` are, with fewer rows of each
        where they are large.
    """
    n = len(groups if groups is not None else kinds if kinds is not None else x)  # type: ignore[arg-type]
    rng = np.random.default_rng([random_state, 0x6374726C])
    order = rng.permutation(n)
    few_kinds = 0
    if kinds is not None and (x is None or _alike(x, kinds, random_state)):
        if (many := len(np.unique(kinds))) < LEAST_DISTINCT:
            few_kinds = many
        else:  # one of each kind, whichever comes first in a random order
            order = order[np.sort(np.unique(kinds[order], return_index=True)[1])]
    at = _whole_groups(order, groups, rows)
    thinned = len(order) < n
    if x is not None and len(at) > LEAST_DISTINCT:
        near = repeats(x[at])
        shuffled = rng.permutation(len(at))
        distinct = at[np.sort(shuffled[np.unique(near[shuffled], return_index=True)[1]])]
        thinned, at = thinned or len(distinct) < len(at), distinct
    own = None if groups is None else _renumbered(groups[at])
    if own is not None and own.max() + 1 == len(at):  # a row a group: rows that stand for themselves
        own = None
    return Sample(at, own, len(at) == n, thinned, few_kinds)


def fewer(some: Sample, rows: int, random_state: int) -> Sample:
    """Return a sample with at most about ``rows`` of the rows of another, in whole groups; itself where it has no more."""
    if len(some.at) <= rows:
        return some
    order = np.random.default_rng([random_state, 0x666577]).permutation(len(some.at))
    kept = _whole_groups(order, some.groups, rows)
    groups = None if some.groups is None else _renumbered(some.groups[kept])
    return some._replace(at=some.at[kept], groups=groups, whole=False)


def of_one_size(some: Sample) -> Sample:
    """Return a sample cut to groups of one size, the one that keeps most rows, so that whole groups can be permuted.

    Longer groups keep their first rows, shorter ones are left out. Where rows stand for themselves it is the sample.
    """
    if some.groups is None:
        return some
    sizes = np.bincount(some.groups)
    at_least = np.array([(sizes >= m).sum() for m in range(1, sizes.max() + 1)])
    kept_rows = at_least * np.arange(1, len(at_least) + 1)
    enough = at_least >= min(FEWEST_GROUPS, len(sizes))
    size = int(np.where(enough, kept_rows, -1).argmax()) + 1
    order = np.argsort(some.groups, kind="stable")
    place = np.empty(len(order), np.int64)
    place[order] = np.arange(len(order)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    kept = (place < size) & (sizes[some.groups] >= size)
    groups = _renumbered(some.groups[kept])
    return some._replace(
        at=some.at[kept],
        groups=None if size == 1 and groups.max() > 0 else groups,
        whole=some.whole and bool(kept.all()),
    )


def _alike(x: SomeRows, kinds: Int[np.ndarray, " n"], random_state: int) -> bool:
    """Whether rows of one kind are alike, by some of them where there are many: all in double precision take gigabytes."""
    at = np.arange(len(x))
    if len(x) > ASKED:
        at = np.sort(np.random.default_rng([random_state, 0x616C696B]).choice(len(x), ASKED, replace=False))
        kinds = _renumbered(kinds[at])
    return effective_rows(x[at], kinds) < ALIKE * len(at)


def _whole_groups(
    order: Int[np.ndarray, " m"], groups: Int[np.ndarray, " n"] | None, rows: int
) -> Int[np.ndarray, " k"]:
    """Positions of about ``rows`` rows, rising: whole groups in the order in which they come, each cut to its share."""
    if len(order) <= rows:
        return np.sort(order)
    if groups is None:
        return np.sort(order[:rows])
    own = _renumbered(groups[order])
    share = max(1, rows // FEWEST_GROUPS)  # no group may take the place of the sixth
    by_group = np.argsort(own, kind="stable")
    place = np.arange(len(own)) - np.searchsorted(own[by_group], own[by_group])
    kept = by_group[place < share]
    sizes = np.bincount(own[kept])
    many = max(FEWEST_GROUPS, int(np.searchsorted(np.cumsum(sizes), rows, side="right")))
    return np.sort(order[kept[own[kept] < many]])


def _renumbered(codes: np.ndarray) -> Int[np.ndarray, " n"]:
    """Codes from 0, in order of appearance."""
    _, first, inverse = np.unique(codes, return_index=True, return_inverse=True)
    place = np.empty(len(first), np.int64)
    place[np.argsort(first)] = np.arange(len(first))
    return place[inverse]


def repeats(x: Float[np.ndarray, "n d"]) -> Int[np.ndarray, " n"]:
    """Say which rows repeat another, exactly or nearly: equal codes for rows that do.

    Nearly means that the edges of the minimum spanning tree fall in two kinds, the longer at least eight times as long
    as the shorter: what lies within the short ones is one row seen again with noise. Where that would leave fewer than
    20 rows, or a hundredth, they are clusters, which is another thing, and only equal rows are one.
    """
    from scipy.cluster.hierarchy import fcluster, linkage
    from scipy.spatial.distance import squareform

    n = len(x)
    centred = x - x.mean(axis=0, dtype=np.float64)
    tree = linkage(squareform(pairwise(centred, "euclidean"), checks=False), "single")
    heights = np.sort(tree[:, 2])
    own = np.finfo(x.dtype if x.dtype.kind == "f" else np.float64)
    rounding = 4 * float(own.eps) * float(np.abs(x).max())
    rise = heights[1:] / np.maximum(heights[:-1], max(rounding, np.finfo(float).tiny))
    below = np.arange(1, n - 1)
    left = n - below
    possible = (rise >= GAP) & (below >= REPEATED * (n - 1)) & (left >= max(LEAST_DISTINCT, n // 100))
    cut = heights[np.flatnonzero(possible)[-1]] if possible.any() else rounding
    return fcluster(tree, cut, "distance").astype(np.int64) - 1


def exchanged(
    groups: Int[np.ndarray, " n"] | None, n: int
) -> Callable[[np.random.Generator], Int[np.ndarray, " n"]]:
    """Return what draws the rows that take the rows' places when whole groups are permuted.

    Row ``p`` of a group gets row ``p`` of the group that comes in its place, from its first row on again where that one
    is shorter: order within a group stays, so that rows that resemble their neighbours still do. With groups of one size
    it is a permutation of the rows.

    Parameters
    ----------
    groups : codes from 0; None permutes rows. One group alone is shifted in a circle, by a random number of rows.

    References
    ----------
    Winkler, Webster, Vidaurre, Nichols and Smith 2015, Multi-level block permutation, NeuroImage 123.
    """
    if groups is None:
        return lambda rng: rng.permutation(n)
    order = np.argsort(groups, kind="stable")
    sizes = np.bincount(groups)
    starts = np.cumsum(sizes) - sizes
    place = np.empty(n, np.int64)
    place[order] = np.arange(n) - np.repeat(starts, sizes)

    def draw(rng: np.random.Generator) -> np.ndarray:
        if len(sizes) == 1:
            return np.asarray(np.roll(order, rng.integers(1, n))[np.argsort(order)])
        other = rng.permutation(len(sizes))[groups]
        return np.asarray(order[starts[other] + place % sizes[other]])

    return draw


def as_blocks(
    groups: Int[np.ndarray, " n"],
) -> tuple[Int[np.ndarray, "g m"], Int[np.ndarray, " n"], Int[np.ndarray, " n"]]:
    """Lay groups out as a table with a line each: which row stands where, shorter groups repeated to fill their line.

    Returns
    -------
    table : (g, m) row positions, in order within a group. line, column : (n,) where each row stands first.
    """
    order = np.argsort(groups, kind="stable")
    sizes = np.bincount(groups)
    starts = np.cumsum(sizes) - sizes
    table = order[starts[:, None] + np.arange(sizes.max()) % sizes[:, None]]
    column = np.empty(len(groups), np.int64)
    column[order] = np.arange(len(groups)) - np.repeat(starts, sizes)
    return table, groups, column


def effective_rows(x: Float[np.ndarray, "n d"], groups: Int[np.ndarray, " n"] | None) -> float:
    """How many independent rows would say as much of the mean: n over the design effect, 1 + (m - 1) ICC.

    The intraclass correlation is that of all columns together, from the one-way analysis of variance; ``m`` is the mean
    size of a group as its members see it. Without groups it is n.

    References
    ----------
    Kish 1965, Survey Sampling, ch. 5; Donner 1986, A review of inference procedures for the intraclass correlation
    coefficient in the one-way random effects model, Int. Stat. Rev. 54.
    """
    n = len(x)
    if groups is None:
        return float(n)
    sizes = np.bincount(groups).astype(np.float64)
    g = len(sizes)
    if not 1 < g < n:
        return float(g)
    centred = x - x.mean(axis=0, dtype=np.float64)
    by_group = np.argsort(groups, kind="stable")
    sums = np.add.reduceat(centred[by_group], np.cumsum(sizes.astype(np.int64)) - sizes.astype(np.int64))
    between = float((sums**2 / sizes[:, None]).sum())
    within = float((centred**2).sum()) - between
    usual = (n - (sizes**2).sum() / n) / (g - 1)
    a, b = between / (g - 1), within / (n - g)
    spread = a + (usual - 1) * b
    icc = float(np.clip((a - b) / spread, 0, 1)) if spread > 0 else 0.0
    return float(n / (1 + ((sizes**2).sum() / n - 1) * icc))
