"""Ensemble: networks that merge where they are tethered alike and drift where they are not, against averaging and none."""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np
from typing_extensions import Doc

from workbench.analyses.tethers._evolving import evolve
from workbench.analyses.tethers._meeting import (
    BatchSize,
    Below,
    By,
    Draws,
    FalsePositives,
    Optimizer,
    Rate,
    Repeats,
    Rounds,
    Source,
    Start,
    Subspace,
    Updates,
    first_step,
)
from workbench.analyses.tethers._merging import ALIGNED, ALONE, MERGED, PLAIN, RANDOM, SCORES, History, Rules
from workbench.core.device import resolve
from workbench.core.evidence import Evidence, Outcome
from workbench.core.parameters import NullDraws, OnDevice, Seed
from workbench.core.registry import analysis
from workbench.numerics.paired import holm, out_of_reach, paired_interval, sign_flips
from workbench.results.panels import Panels
from workbench.subjects.descents.siblings import Models

ARMS = (ALONE, PLAIN, ALIGNED, MERGED, RANDOM)
ONE, ALL, DIFFER = SCORES[:3]
ASKED = (
    (ONE, ALONE),
    (ONE, PLAIN),
    (ONE, ALIGNED),
    (ONE, RANDOM),
    (ALL, ALONE),
    (ALL, ALIGNED),
    (DIFFER, ALONE),
)
GAINS = {ONE: "accuracy_of_one", ALL: "accuracy_of_ensemble", DIFFER: "disagreement"}
LEVEL = 0.05


@analysis
def ensemble(
    models: Models,
    *,
    rounds: Rounds = 6,
    steps: Updates = 15,
    repeats: Repeats = 12,
    source: Source = "movement",
    measure: By = "cka",
    fraction: Subspace = 0.25,
    false_positive_rate: FalsePositives = 0.05,
    draws: Draws = 19,
    drift: Below = "keep",
    start: Start = "first",
    scored: Annotated[
        Literal["met", "trained"],
        Doc(
            "When networks are scored: just after they met, or when they have trained on, just before they meet again."
        ),
    ] = "met",
    batch_size: BatchSize = 32,
    learning_rate: Rate = 5e-3,
    optimizer: Optimizer = "adam",
    n_null: NullDraws = 999,
    device: OnDevice = "auto",
    random_state: Seed = 0,
) -> Panels:
    """Train several networks in rounds, let them merge or drift by their tethers, and compare with other ways to meet.

    After each round every two networks' tethers are compared layer by layer, neurons matched. Above a threshold that
    unrelated networks pass at ``false_positive_rate`` (see `tether_compatibility`) their tethered edges are averaged;
    below it they are left alone or pushed apart. Beside that, with the same updates on the same batches: no interaction
    (whose averaged answers are output ensembling), averaging of all weights (neurons as they are, or matched first), and
    as many merges of each layer, of random pairs and as many random edges. Seeds redraw batches,
    not where the networks begin nor the samples: the answer is about these, and others may give another.

    Tethers that look at samples are alike in any two networks on the same samples, and pass the threshold more often.

    Trained on what the descents were trained on where they keep it (the probe is held out), else on a half of the probe
    by the seed.

    Returns
    -------
    Panels
        ``y`` (rounds + 1, 4 scores x 5 arms), means over seeds: accuracy of one network (mean over networks) and of their
        averaged answers, the share of samples on which two of them disagree, and how far their answers lie from the mean
        (ambiguity). The evidence is what merging by tethers has over each other arm at the end: paired by seed, its null
        from signs that are drawn anew, and in the caveat which remain after correction for their number (Holm).

    Raises
    ------
    ViewError
        The networks aren't attached, or are no classifiers.
    DataError
        Too few samples, or a layer isn't part of a chain whose neurons can be matched.

    References
    ----------
    McMahan, Moore, Ramage, Hampson, Agüera y Arcas 2017, Communication-efficient learning of deep networks from
    decentralized data, AISTATS (averaging by rounds); Ainsworth, Hayase, Srinivasa 2023, Git Re-Basin, ICLR (after
    alignment); Krogh and Vedelsby 1995, NeurIPS (ensembles and their disagreement); Holm 1979, Scand. J. Statist. 6.
    """
    rules = Rules(
        rounds,
        steps,
        repeats,
        source,
        measure,
        fraction,
        false_positive_rate,
        draws,
        drift,
        batch_size,
        learning_rate,
        optimizer,
        random_state,
        resolve(device),
        scored,
    )
    few = out_of_reach(repeats, n_null, len(ASKED))
    history = evolve(models, first_step(models, start), rules, ARMS)
    evidence = [_asked(history, score, arm, n_null, random_state) for score, arm in ASKED]
    shown = [(score, arm) for score in SCORES for arm in ARMS]
    columns = [history.scores[score][history.arms.index(arm)] for score, arm in shown]
    low, high = zip(*(paired_interval(c.T) for c in columns), strict=True)
    return Panels(
        x=np.arange(rounds + 1) * float(steps),
        y=np.stack([c.mean(axis=1) for c in columns], axis=1),
        names=tuple(arm for _, arm in shown),
        panels=tuple(score for score, _ in shown),
        low=np.stack(low, axis=1),
        high=np.stack(high, axis=1),
        x_title="updates of each network",
        evidence=tuple(evidence),
        outcome=Outcome("stopped", few) if few else Outcome(),
        caveat=" ".join([history.said, _merges(history), _corrected(evidence)]).strip(),
    )


def _asked(history: History, score: str, arm: str, n_null: int, random_state: int) -> Evidence:
    """What merging by tethers has over another arm at the end."""
    own, other = (history.scores[score][history.arms.index(a)][-1] for a in (MERGED, arm))
    difference = own - other
    low, high = paired_interval(difference[:, None])
    against = "output ensembling" if (score, arm) == (ALL, ALONE) else arm
    return Evidence(
        question=f"Does merging by tethers change the {score}, against {against}?",
        id=GAINS[score],
        of=against,
        label=f"{score}, merge and drift minus {against}",
        value=float(difference.mean()),
        n=len(difference),
        unit="seeds",
        interval=(float(low[0]), float(high[0])),
        interval_method="Student's t over seeds",
        null="signs of the differences drawn anew" if n_null else "",
        hypothesis="merging by tethers and this other way end alike, from these starts on these samples",
        null_values=tuple(sign_flips(difference, n_null, random_state)) if n_null else (),
        alternative="two-sided",
    )


def _merges(history: History) -> str:
    close = np.array(history.compatibility) > np.array(history.limits)
    return (
        f"{close.mean():.0%} of {close.size:,} comparisons (rounds, seeds, pairs, layers) were above their thresholds; in the "
        f"last round {close[-1].mean():.0%}."
    )


def _corrected(evidence: list[Evidence]) -> str:
    p = [e.p_value for e in evidence]
    if any(v is None for v in p):
        return ""
    kept = [e.label for e, q in zip(evidence, holm(np.array(p, float)), strict=True) if q <= LEVEL]
    return (
        f"After correction for these {len(evidence)} comparisons, with which even one false alarm is rare (Holm), "
        + (f"these differ: {'; '.join(kept)}." if kept else "none differs.")
    )
