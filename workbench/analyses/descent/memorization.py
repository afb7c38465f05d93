"""Memorization: whether a network knows the samples it was trained on from others, over the steps of a descent."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from workbench.analyses.descent._over_steps import (
    MaxSamples,
    MaxSteps,
    Wording,
    chosen_steps,
    curve,
    network_at,
    over_samples,
    some_samples,
)
from workbench.core.device import resolve
from workbench.core.errors import DataError, ViewError
from workbench.core.parameters import BootstrapDraws, NullDraws, OnDevice, Seed
from workbench.core.progress import track
from workbench.core.registry import analysis
from workbench.numerics.resampling import null_draws
from workbench.results.curve import Curve
from workbench.subjects.descents.trajectory import Descent

if TYPE_CHECKING:
    from jaxtyping import Bool, Float

    from workbench.numerics.objectives import Probe

FEWEST = 8  # samples of either kind


@analysis
def memorization(
    descent: Descent,
    *,
    max_steps: MaxSteps = 8,
    max_samples: MaxSamples = 1000,
    n_null: NullDraws = 99,
    n_boot: BootstrapDraws = 100,
    random_state: Seed = 0,
    device: OnDevice = "auto",
) -> Curve:
    """Follow how well a sample's loss tells whether it was trained on: membership inference by loss.

    The chance that of a sample that was trained on and one of the probe, the first has the lower loss (the area under the
    ROC curve; ties count half). 0.5 where the network treats both alike, whatever it has learned; 1 where it knows by heart
    what it saw and nothing else. The null permutes which samples were trained on, and is exact where both kinds were drawn
    alike: a probe of other or harder samples is told apart by that.

    Returns
    -------
    Curve
        One column, from 0 to 1.

    Raises
    ------
    ViewError
        Weights, network, probe or the samples that were trained on are missing.
    DataError
        The descent has diverged, the probe is what was trained on, or there are fewer than 8 samples of either.

    References
    ----------
    Yeom, Giacomelli, Fredrikson and Jha 2018, Privacy risk in machine learning: analyzing the connection to overfitting,
    CSF; Zhang, Bengio, Hardt, Recht and Vinyals 2017, Understanding deep learning requires rethinking generalization, ICLR
    (labels at random are learned by heart).
    """
    descent.require(weights=1, network=True, probe=True)
    seen, held = _both(descent, max_samples, random_state)
    steps = chosen_steps(descent, max_steps)
    losses = np.array(
        [
            np.concatenate([_losses(descent, int(step), p, resolve(device)) for p in (seen, held)])
            for step in track(steps, "memorization")
        ]
    )
    trained_on = np.arange(losses.shape[1]) < len(seen)
    draws = null_draws(
        lambda rng: told_apart(losses, rng.permutation(trained_on)),
        n_null,
        random_state,
        "memorization: null",
    )
    measured = over_samples(
        lambda at: told_apart(losses[:, at], trained_on[at])[:, None],
        losses.shape[1],
        n_boot,
        random_state,
        draws.reshape(n_null, len(steps), 1),
        least=0,
    )
    return curve(
        descent,
        steps,
        [""],
        measured,
        losses.shape[1],
        Wording(
            "told_apart",
            "chance that the sample that was trained on has the lower loss",
            "Does the network know what it was trained on from other samples?",
            "which samples were trained on permuted",
            "a sample's loss says nothing of whether it was trained on",
            "greater",
        ),
        y_title="chance that it has the lower loss",
    )


def told_apart(
    losses: Float[np.ndarray, "t n"], trained_on: Bool[np.ndarray, " n"]
) -> Float[np.ndarray, " t"]:
    """Area under the ROC curve by which low losses name the samples that were trained on, at each step."""
    from scipy.stats import rankdata

    many = int(trained_on.sum())
    others = len(trained_on) - many
    if not many or not others:
        return np.full(len(losses), 0.5)
    ranks = rankdata(-losses, axis=1)[:, trained_on].sum(axis=1)
    return np.asarray((ranks - many * (many + 1) / 2) / (many * others))


def _both(descent: Descent, max_samples: int, random_state: int) -> tuple[Probe, Probe]:
    """Some of the samples that were trained on, and some that were not."""
    training = descent.trajectory.training
    if training is None:
        raise ViewError(
            f"{descent.name} doesn't say what it was trained on, which this sets beside the probe: record with training=(x, y), "
            f"or attach it: .with_training(x, y, loss)."
        )
    if training.digest == descent.probe.digest:
        raise DataError(
            f"The probe of {descent.name} is what it was trained on: give samples that it never saw with "
            f".with_probe(x, y, loss)."
        )
    seen, held = (some_samples(p, max_samples, random_state) for p in (training, descent.probe))
    if min(len(seen), len(held)) < FEWEST:
        raise DataError(
            f"{descent.name} has {len(training)} samples that were trained on and {len(descent.probe)} in its probe; this takes "
            f"{FEWEST} of either."
        )
    return seen, held


def _losses(descent: Descent, step: int, probe: Probe, device: str) -> Float[np.ndarray, " n"]:
    import torch

    from workbench.numerics.per_sample import sample_losses

    with torch.no_grad():
        found = sample_losses(network_at(descent, step).to(device), probe)
    return found.double().cpu().numpy()
