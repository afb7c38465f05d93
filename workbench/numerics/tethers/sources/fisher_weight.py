"""Fisher information times the squared weight: what the loss would rise to second order, were the edge removed.

References
----------
Theis, Korshunova, Tejani and Huszár 2018, Faster gaze prediction with dense networks and Fisher pruning, eq. 8.
"""

from __future__ import annotations

from workbench.numerics.tethers.place import Tensors
from workbench.numerics.tethers.source import Sampled
from workbench.numerics.tethers.sources.fisher import squared_gradients, sums_of_squares


def times_squared_weight(weights: Tensors, mean: Tensors) -> Tensors:
    """F · w²."""
    return {n: m * weights[n] ** 2 for n, m in mean.items()}


SOURCE = Sampled(
    "empirical Fisher information times the squared weight: second-order loss of a removal",
    position=30,
    contribute=squared_gradients,
    of_mean=times_squared_weight,
    sums=sums_of_squares,
)
