"""Movement score: how steadily the descent pushed the weight away from zero.

References
----------
Sanh, Wolf and Rush 2020, Movement pruning: adaptive sparsity by fine-tuning, NeurIPS, eq. 3.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

import numpy as np

from workbench.numerics.tethers.place import History, Place
from workbench.numerics.tethers.samples import gradients
from workbench.numerics.tethers.source import Contributions, Sampled, where_positive
from workbench.numerics.tethers.sources.movement import require_start

if TYPE_CHECKING:
    import torch


def require_earlier(place: Place) -> History:
    """As for ``movement``: weights at an earlier step."""
    return require_start(place, "movement_score")


def pushes(place: Place, network: torch.nn.Module, x: Any, y: torch.Tensor) -> Contributions:
    """- gradient × weight at each kept step before, times the updates from it to the next."""
    import torch

    history = require_earlier(place)
    assert place.step is not None
    out: Contributions = {}
    for step, following in itertools.pairwise([*map(int, history.steps), place.step]):
        then = history.weights(step)
        own = dict(network.named_parameters())
        # all weights of that step, biases too
        weights = {n: torch.as_tensor(np.array(then[n])).to(own[n]) for n in then}
        for n, g in gradients(place, network, x, y, weights).items():
            c = -(following - step) * g * weights[n]
            out[n] = out[n] + c if n in out else c
    return out


SOURCE = Sampled(
    "- Σ over kept steps of gradient × weight × updates between, where positive: pushed away from zero",
    position=60,
    contribute=pushes,
    of_mean=where_positive,
    require=require_earlier,
)
