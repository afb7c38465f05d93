"""Ensemble tethers: who is tethered to whom, round after round, while networks merge and drift."""

from __future__ import annotations

import numpy as np

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
from workbench.analyses.tethers._merging import MERGED, Rules
from workbench.core.device import resolve
from workbench.core.evidence import Evidence
from workbench.core.parameters import OnDevice, Seed
from workbench.core.registry import analysis
from workbench.numerics.neuron_chain import chain_of
from workbench.numerics.paired import paired_interval
from workbench.results.ties import Ties
from workbench.subjects.descents.siblings import Models


@analysis
def ensemble_tethers(
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
    batch_size: BatchSize = 32,
    learning_rate: Rate = 5e-3,
    optimizer: Optimizer = "adam",
    device: OnDevice = "auto",
    random_state: Seed = 0,
) -> Ties:
    """Draw which layers of which networks are compatible in each round of `ensemble`, and so are merged.

    A line's width is the compatibility, its mean over seeds, when networks meet; it is above its threshold where the
    majority of seeds merged. Behind it is the share of seeds that did. Unrelated networks are merged at
    ``false_positive_rate``.

    Returns
    -------
    Ties
        Columns are layers, rows are networks; ``lines``, ``thresholds`` (means over seeds) and ``strong`` are (rounds, edges).
        The evidence is the share of comparisons above their thresholds in the first and in the last round.

    Raises
    ------
    ViewError
        The networks aren't attached, or are no classifiers.
    DataError
        Too few samples, or a layer isn't part of a chain whose neurons can be matched.

    References
    ----------
    Kornblith, Norouzi, Lee, Hinton 2019, Similarity of neural network representations revisited, ICML; Ainsworth,
    Hayase, Srinivasa 2023, Git Re-Basin, ICLR.
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
    )
    history = evolve(models, first_step(models, start), rules, (MERGED,))
    layers = [layer.name for layer in chain_of(models.trajectories[0].model, models.name)]  # type: ignore[arg-type]
    depth = len(layers)
    values, limits = np.array(history.compatibility), np.array(history.limits)  # rounds, seeds, pairs, layers
    close = values > limits
    limits = np.where(np.isfinite(limits), limits, 1.0)
    share = close.mean(axis=1).reshape(rounds, -1)
    nodes = np.array([(k, i) for i in range(models.n) for k in range(depth)], np.float64)
    edges = [(i * depth + k, j * depth + k) for i, j in history.pairs for k in range(depth)]
    return Ties(
        positions=nodes,
        edges=np.array(edges, np.int64),
        lines=values.mean(axis=1).reshape(rounds, -1),
        strong=share > 0.5,
        thresholds=limits.mean(axis=1).reshape(rounds, -1),
        lines_name="compatibility",
        frame_names=tuple(f"round {t + 1}" for t in range(rounds)),
        groups=np.zeros(len(edges), np.int64),
        group_names=(source,),
        line_notes=tuple(f"merged in {v:.0%} of {repeats} seeds" for v in share.ravel()),
        node_names=tuple(f"{name} of model {i}" for i in range(models.n) for name in layers),
        column_names=tuple(f"layer {name}" for name in layers),
        row_names=tuple(f"model {i}" for i in range(models.n)),
        evidence=tuple(_share(close, t, false_positive_rate) for t in sorted({0, rounds - 1})),
        caveat=history.said,
    )


def _share(close: np.ndarray, t: int, rate: float) -> Evidence:
    by_seed = close[t].reshape(len(close[t]), -1).mean(axis=1)
    low, high = paired_interval(by_seed[:, None])
    return Evidence(
        question=f"How many layers of two networks are tethered alike in round {t + 1}?",
        id="share_above_threshold",
        of=f"round {t + 1}",
        label=f"share of layers above their thresholds, round {t + 1}",
        value=float(by_seed.mean()),
        n=len(by_seed),
        unit="seeds",
        interval=(max(0.0, float(low[0])), min(1.0, float(high[0]))),
        interval_method="Student's t over seeds",
        untested=f"each threshold has a null of its own, by which it is {rate:g} for networks without a relation",
    )
