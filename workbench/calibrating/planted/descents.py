"""Short descents on digits, of which is known what they did: the descents that the tour of a descent is tried on."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from workbench.calibrating.planted import Planted
from workbench.calibrating.planted._training import STILL, digits, perceptron, trained
from workbench.subjects.descents.trajectory import Trajectory

WIDTH, DEPTH, IMAGES, PROBE = 16, 2, 500, 256
STEPS = 80
RATE = 3e-3
FEW = 40
"""Samples that are few enough to be learned by heart."""
CONTRASTS_ALONE = False
PARAMETERS = {
    "steps": STEPS,
    "budget": 10,
    "repeats": 10,
    "descents": 1,
    "restarts": "8",
    "fine_tuned": "",
    "max_steps": 2,
}


def opened(kind: str, seed: int) -> dict[str, Any]:
    """The descent that the tour is run on, and what makes others of its kind."""
    learned = functools.partial(_learned, kind)
    return {"random_state": 100 * seed, "learned": learned, "descent": learned(100 * seed)}


def _learned(kind: str, seed: int, steps: int = STEPS) -> Trajectory:
    made: Trajectory = KINDS[kind].plant(seed, steps)
    return made


def _descent(
    seed: int,
    steps: int,
    *,
    rate: Callable[[int], float] = lambda step: RATE,
    permuted: bool = False,
    images: int = IMAGES,
    anew_at: int | None = None,
) -> Trajectory:
    """A perceptron on digits, by Adam.

    Parameters
    ----------
    rate : the learning rate of a step. permuted : labels are dealt to images at random, in training and probe.
    images : to train on. anew_at : a step at which all weights are drawn anew.
    """
    import torch

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        x, y = digits()
        order = torch.randperm(len(x))
        y = y[torch.randperm(len(y))] if permuted else y
        seen, held = ((x[at], y[at]) for at in (order[:images], order[images : images + PROBE]))
        network = perceptron(WIDTH, DEPTH)
        return trained(network, seen, held, steps=steps, rate=rate, name="planted descent", anew_at=anew_at)


def _rests(seed: int, steps: int) -> Trajectory:
    def rate(step: int) -> float:
        return STILL if 0.4 * STEPS <= step < 0.75 * STEPS else RATE

    return _descent(seed, steps, rate=rate)


JOINT = STEPS // 2
"""The step at which the tour's slider stands first."""
UNCHANGED = ("whitening", "flattening", "weight norm", "widening")
"""Renormalizations that change nothing where no weight is moved after them."""
KINDS = {
    "still": Planted(
        "a learning rate at which no weight moves",
        functools.partial(_descent, rate=lambda step: STILL),
        never=(
            "change",
            "change@*",
            "curvature@*",
            "told_apart",
            "misfit@*",
            "gain_of_change@*",
            "gain_beside_other_joints",
            *(f"below_best_restart@{arm}" for arm in UNCHANGED),
        ),
    ),
    "permuted": Planted(
        "labels dealt at random, each image seen about once",
        functools.partial(_descent, permuted=True, images=1500),
        never=("gain_beside_other_joints",),
    ),
    "learned": Planted(
        "labels that are learned",
        _descent,
        {"change@of one answer": "less", "change": "less", "misfit@constant": "more"},
        never=("gain_beside_other_joints",),
    ),
    "by heart": Planted(
        f"{FEW} images with labels dealt at random, seen over and over",
        functools.partial(_descent, permuted=True, images=FEW),
        {"told_apart": "more"},
    ),
    "rests": Planted(
        "a rest from two fifths to three quarters of the way",
        _rests,
        {"gain_of_change@1": "more"},
    ),
    "begun again": Planted(
        "weights drawn anew half-way",
        functools.partial(_descent, anew_at=JOINT),
        {"gain_beside_other_joints": "more"},
    ),
}
