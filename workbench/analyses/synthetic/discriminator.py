"""Discriminator: whether windows of a synthetic series can be told from real ones that it wasn't made from."""

from __future__ import annotations

from typing import Annotated

import numpy as np

from workbench.analyses.synthetic._parts import HeldOut, Width, parts_of
from workbench.core.evidence import Evidence
from workbench.core.inputs import Unpaired
from workbench.core.parameters import NullDraws, Seed
from workbench.core.registry import analysis
from workbench.evidence.nulls.same_process import beside_exchanged
from workbench.numerics.likeness.blocks import FEWEST_LEFT, Pairs, pair, student
from workbench.numerics.likeness.telling import Telling
from workbench.numerics.threads import one_thread
from workbench.results.estimate import Estimate
from workbench.subjects.series import Series


@analysis
def discriminator(
    real: Series,
    synthetic: Annotated[Series, Unpaired],
    *,
    held_out: HeldOut = 1 / 3,
    width: Width = 8,
    n_null: NullDraws = 99,
    random_state: Seed = 0,
) -> Estimate:
    """Say how well a classifier tells windows of a synthetic series from real ones that are held out.

    Both are cut into stretches, a real one beside a synthetic one. Kernel ridge regression on windows learns from all pairs but one
    and ranks the windows of that pair; the number is the area under its curve, averaged over pairs: ½ is a coin, 1 is always
    right. Leaving out a stretch of each side at once keeps the classes even: folds that don't read below ½ where nothing differs.
    The null exchanges the sides of some pairs, whose labels alone change. A series that drifts differs from its own later part
    too: so the real steps before what is held out are told from it in the same way, and where these can be told apart, the
    first number says nothing of whoever made the synthetic series.

    Returns
    -------
    Estimate
        ``told_apart``, and ``real_parts_told_apart``.

    Raises
    ------
    DataError
        Other channels, too few steps, or a constant channel.

    References
    ----------
    Lopez-Paz and Oquab 2017, Revisiting classifier two-sample tests, ICLR (1610.06545); Nadeau and Bengio 2003, Inference for the
    generalization error, Machine Learning 52, equation 6, for the interval; Yoon, Jarrett and van der Schaar 2019,
    Time-series generative adversarial networks, NeurIPS 32 (the discriminative score).
    """
    parts = parts_of(real, synthetic, held_out)
    first = parts.pairs(width, real, synthetic, random_state)
    other = pair(parts.held, parts.known, width, parts.memory, random_state)
    with one_thread():
        asked = [
            _asked(
                first,
                width,
                n_null,
                random_state,
                id="told_apart",
                question="Can the synthetic series be told from real steps that it wasn't made from?",
                label="area under the curve, synthetic against held-out windows",
            )
        ]
        if other is not None:
            asked.append(
                _asked(
                    other,
                    width,
                    n_null,
                    random_state,
                    id="real_parts_told_apart",
                    question="Can the real series' first part be told from what is held out?",
                    label="area under the curve, earlier real against held-out windows",
                )
            )
    return Estimate(evidence=tuple(asked), caveat=first.why_untested if n_null else "")


def _asked(
    pairs: Pairs, width: int, n_null: int, random_state: int, *, id: str, question: str, label: str
) -> Evidence:
    telling = Telling(pairs, width)
    areas = telling.areas(np.zeros(len(pairs), bool))
    (said,) = beside_exchanged(
        pairs,
        lambda flip: np.array([telling.areas(flip).mean()]),
        np.array([areas.mean()]),
        ("greater",),
        n_null,
        random_state,
        "discriminator",
    )
    return Evidence(
        id=id,
        question=question,
        label=label,
        value=areas.mean(),
        n=len(pairs) * pairs.length,
        unit="steps of each",
        groups=f"{len(pairs)} stretches",
        interval=_interval(areas, telling.each),
        interval_method="stretches, corrected for what the fits to the others share (Nadeau and Bengio 2003)",
        conservative=True,
        **said,
    )


def _interval(areas: np.ndarray, windows: int) -> tuple[float, float] | None:
    """Of the mean, by its log odds, since areas near 1 are skewed; fits to all other pairs have most of their rows in common."""
    from scipy.special import expit

    many = len(areas)
    if many < FEWEST_LEFT:
        return None
    least = 1 / (2 * many * windows)
    mean = float(np.clip(areas.mean(), least, 1 - least))
    error = areas.std(ddof=1) * np.sqrt(1 / many + 1 / (many - 1))
    half = student(many) * max(error, least) / (mean * (1 - mean))
    low, high = expit(np.log(mean / (1 - mean)) + np.array([-half, half]))
    return min(float(low), float(areas.mean())), max(float(high), float(areas.mean()))
