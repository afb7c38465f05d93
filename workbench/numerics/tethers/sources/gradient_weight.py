"""Gradient times weight: by how much the loss would change to first order, were the edge removed.

References
----------
Lee, Ajanthan and Torr 2019, SNIP: single-shot network pruning based on connection sensitivity, ICLR, eq. 5.
"""

from __future__ import annotations

import numpy as np

from workbench.numerics.tethers.place import Tensors
from workbench.numerics.tethers.samples import gradients
from workbench.numerics.tethers.source import Sampled


def times_weight(weights: Tensors, mean: Tensors) -> Tensors:
    """|g · w| of the mean gradient."""
    return {n: np.abs(m * weights[n]) for n, m in mean.items()}


SOURCE = Sampled(
    "|mean gradient × weight|: first-order loss of a removal",
    position=40,
    contribute=gradients,
    of_mean=times_weight,
)
