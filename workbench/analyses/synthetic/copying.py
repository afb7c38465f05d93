"""Copying: whether a synthetic series repeats what it was made from, or comes closer to it than other real steps do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import numpy as np

from workbench.analyses.synthetic._parts import HeldOut, Width, parts_of
from workbench.core.errors import DataError
from workbench.core.evidence import Evidence
from workbench.core.inputs import Unpaired
from workbench.core.parameters import NullDraws, Seed
from workbench.core.registry import analysis
from workbench.evidence.nulls.same_process import beside_exchanged
from workbench.numerics.likeness.blocks import FEWEST_LEFT, Pairs, jackknife, student
from workbench.numerics.likeness.telling import windows
from workbench.numerics.threads import one_thread
from workbench.results.estimate import Estimate
from workbench.subjects.series import Series

if TYPE_CHECKING:
    from jaxtyping import Float

PIECES = 10  # of what it was made from, left out one by one for the interval
MOST_WINDOWS = 2000  # of a side; of more, evenly many
COPIED = 0.01  # of a channel's spread: what differs less, root mean squared over a window, is a copy


@analysis
def copying(
    real: Series,
    synthetic: Annotated[Series, Unpaired],
    *,
    held_out: HeldOut = 1 / 3,
    width: Width = 8,
    n_null: NullDraws = 99,
    random_state: Seed = 0,
) -> Estimate:
    """Say how many windows of a synthetic series are copies of real ones, and how close the others come to what it was made from.

    The real series before what is held out is what it may have been made from. Each window's distance to the closest one there is
    the root mean square of what differs, in spreads of the channels. A window at less than 0.01 is a copy. The other number is the
    mean distance of synthetic windows over that of held-out real ones: 1 where it comes as close as new real data does, near 0
    where it repeats. The null exchanges synthetic and held-out stretches: real data repeat themselves too. Up to 2,000 windows of
    each side count.

    Returns
    -------
    Estimate
        ``copied``, a share, and ``distance_to_closest``, a ratio.

    Raises
    ------
    DataError
        Other channels, too few steps, a constant channel, or held-out windows that are all in the first part.

    References
    ----------
    Zhao, Kunar, Birke and Chen 2021, CTAB-GAN: effective table data synthesizing, ACML (distance to the closest record); Jordon et
    al. 2022, Synthetic data: what, why and how?, arXiv:2205.03257.
    """
    parts = parts_of(real, synthetic, held_out)
    if len(parts.known) < 2 * width:
        raise DataError(
            f"width={width} takes {2 * width} steps before what is held out, and {real.name} has {len(parts.known):,}. Lower it."
        )
    # of the held-out part alone: windows across its start would hold known steps
    pairs = parts.pairs(width, real, synthetic, random_state)
    near = _distances(parts.known, pairs, width)
    usual = near[0].min(axis=1).mean()
    if usual == 0:
        raise DataError(
            f"Held-out windows of {real.name} are all in its first part to the last bit: distances to the closest say nothing. "
            "Take a larger width."
        )
    every, pieces = np.arange(len(pairs)), np.arange(near.shape[2])

    def exchanged(flip: np.ndarray) -> np.ndarray:
        return _numbers(
            near[1 - flip.astype(int), every], usual
        )  # the other side has what is left of one sum

    values = exchanged(np.zeros(len(pairs), bool))
    with one_thread():
        said = beside_exchanged(
            pairs, exchanged, values, ("greater", "less"), n_null, random_state, "copying"
        )
    intervals: list[tuple[float, float] | None] = [None, None]
    if len(pairs) >= FEWEST_LEFT:
        held = near[0]
        variance = jackknife(lambda at: _numbers(near[1, at], held[at].min(axis=1).mean()), len(pairs))
        variance += jackknife(
            lambda at: _numbers(near[1][:, at], held[:, at].min(axis=1).mean()), len(pieces)
        )
        half = student(len(pairs)) * np.sqrt(variance)
        low, high = np.maximum(values - half, 0), np.minimum(values + half, [1, np.inf])
        intervals = [(a, b) if h > 0 else None for a, b, h in zip(low, high, half, strict=True)]
    asked = (
        ("copied", "Are more windows copied than real data repeat?", "windows that are copies"),
        (
            "distance_to_closest",
            "Does it come closer to what it was made from than new real steps do?",
            "mean distance to the closest window, over that of held-out real ones",
        ),
    )
    return Estimate(
        caveat=pairs.why_untested if n_null else "",
        evidence=tuple(
            Evidence(
                id=id,
                question=question,
                label=label,
                value=value,
                n=near[1].min(axis=1).size,
                unit="windows",
                groups=f"{len(pairs)} stretches",
                interval=interval,
                interval_method="stretches and pieces of what it was made from left out one by one"
                if interval
                else "",
                conservative=interval is not None,
                **fields,
            )
            for (id, question, label), value, fields, interval in zip(
                asked, values, said, intervals, strict=True
            )
        ),
    )


def _distances(known: Float[np.ndarray, "n c"], pairs: Pairs, width: int) -> Float[np.ndarray, "2 p k w"]:
    """Of each window of both sides to the closest in each of some pieces of what is known, root mean squared."""
    from scipy.spatial import cKDTree

    scale = np.sqrt(width * known.shape[1])
    every_known = windows(known, width)
    trees = [cKDTree(some) for some in np.array_split(every_known, min(PIECES, len(every_known)))]
    every = max(1, -(-len(pairs) * (pairs.length - width + 1) // MOST_WINDOWS))
    sides = [[windows(block, width)[::every] for block in side] for side in (pairs.first, pairs.second)]
    return np.array([[[tree.query(w)[0] / scale for tree in trees] for w in side] for side in sides])


def _numbers(near: Float[np.ndarray, "p k w"], usual: float) -> Float[np.ndarray, " 2"]:
    """The share of copies, and the mean distance to the closest over what is usual."""
    closest = near.min(axis=1)
    return np.array([(closest < COPIED).mean(), closest.mean() / usual])
