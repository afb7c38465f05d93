"""Copying: whether a synthetic series repeats what it was made from, or comes closer to it than other real steps do."""

from __future__ import annotations

from typing import Annotated

import numpy as np

from workbench.analyses.synthetic._parts import HeldOut, Width, parts_of
from workbench.core.errors import DataError
from workbench.core.evidence import Evidence
from workbench.core.inputs import Unpaired
from workbench.core.parameters import NullDraws, Seed
from workbench.core.registry import analysis
from workbench.evidence.nulls.same_process import beside_exchanged
from workbench.numerics.likeness.blocks import pair
from workbench.numerics.likeness.telling import windows
from workbench.numerics.threads import one_thread
from workbench.results.estimate import Estimate
from workbench.subjects.series import Series

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
    median distance of synthetic windows over that of held-out real ones: 1 where it comes as close as new real data does, near 0
    where it repeats. The null exchanges synthetic and held-out stretches: real data repeat themselves too.

    Returns
    -------
    Estimate
        ``copied``, a share, and ``distance_to_closest``, a ratio.

    Raises
    ------
    DataError
        Other channels, too few steps, a constant channel, or held-out steps that are all copies of earlier ones.

    References
    ----------
    Zhao, Kunar, Birke and Chen 2021, CTAB-GAN: effective table data synthesizing, ACML (distance to the closest record); Jordon et
    al. 2022, Synthetic data: what, why and how?, arXiv:2205.03257.
    """
    from scipy.spatial import cKDTree

    parts = parts_of(real, synthetic, held_out)
    if len(parts.known) < 2 * width:
        raise DataError(
            f"width={width} takes {2 * width} steps before what is held out, and {real.name} has {len(parts.known):,}. Lower it."
        )
    # windows from the held-out part alone: those across its start would hold known steps
    pairs = pair(parts.held, parts.made, width, parts.memory)
    if pairs is None:
        pairs = parts.pairs(width, real, synthetic)  # which refuses
    centre, spread = parts.held.mean(axis=0), np.maximum(parts.held.std(axis=0), np.finfo(float).tiny)
    tree = cKDTree(windows(parts.known, width))
    scale = np.sqrt(width * parts.known.shape[1])
    near = np.stack(
        [
            np.stack([tree.query(windows(b * spread + centre, width))[0] / scale for b in side])
            for side in (pairs.first, pairs.second)
        ]
    )
    usual = float(np.median(near[0]))
    if usual <= 0:
        raise DataError(
            f"Half of the held-out windows of {real.name} are in its first part to the last bit: distances to the closest say nothing. "
            "Take a larger width."
        )
    p = np.arange(len(pairs))

    def of(flip: np.ndarray) -> np.ndarray:
        mine, theirs = near[1 - flip.astype(int), p], near[flip.astype(int), p]
        other = max(float(np.median(theirs)), np.finfo(float).tiny)
        return np.array([(mine < COPIED).mean(), np.median(mine) / other])

    values = of(np.zeros(len(pairs), bool))
    with one_thread():
        said = beside_exchanged(pairs, of, values, ("greater", "less"), n_null, random_state, "copying")
    asked = (
        ("copied", "Are more windows copied than real data repeat?", "windows that are copies"),
        (
            "distance_to_closest",
            "Does it come closer to what it was made from than new real steps do?",
            "distance to the closest window, over that of held-out real ones",
        ),
    )
    return Estimate(
        evidence=tuple(
            Evidence(
                id=id,
                question=question,
                label=label,
                value=value,
                n=near[1].size,
                unit="windows",
                groups=f"{len(pairs)} stretches",
                **fields,
            )
            for (id, question, label), value, fields in zip(asked, values, said, strict=True)
        )
    )
