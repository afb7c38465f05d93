"""Adam: the second moment of the gradient as the optimizer had it.

References
----------
Kingma and Ba 2015, Adam: a method for stochastic optimization, ICLR, algorithm 1 (``v``).
"""

from __future__ import annotations

import numpy as np

from workbench.core.errors import MissingError
from workbench.numerics.tethers.place import Place, Tensors
from workbench.numerics.tethers.source import Unsampled

_ADVICE = "Record with optimizer_state=True and an Adam, or ask for 'second_moment', which estimates it on the probe."


def second_moments(place: Place) -> Tensors:
    """``exp_avg_sq`` of every layer, or refuse a place without (`MissingError`)."""
    if place.history is None:
        raise MissingError(f"{place.name} is no recorded descent, and has no optimizer state. {_ADVICE}")
    state = place.history.optimizer_state()
    moments = {
        n: np.asarray(state[n]["exp_avg_sq"], np.float64)
        for n in place.weights
        if "exp_avg_sq" in state.get(n, {})
    }
    if len(moments) < len(place.weights):
        without = next(n for n in place.weights if n not in moments)
        raise MissingError(f"{place.name} has no second moment of {without} at step {place.step}. {_ADVICE}")
    return moments


def adam(place: Place, random_state: int) -> Tensors:
    """Adam's second moment; the seed doesn't count."""
    return second_moments(place)


SOURCE = Unsampled(
    "Adam's second moment as the optimizer had it (exp_avg_sq)",
    position=70,
    compute=adam,
    require=second_moments,
)
