"""Magnitude: |w|, the control that every other source has to beat.

References
----------
Han, Pool, Tran and Dally 2015, Learning both weights and connections for efficient neural networks, NeurIPS.
"""

from __future__ import annotations

import numpy as np

from workbench.numerics.tethers.place import Place, Tensors
from workbench.numerics.tethers.source import Unsampled


def magnitude(place: Place, random_state: int) -> Tensors:
    """|w| of every edge; the seed doesn't count."""
    return {n: np.abs(w.astype(np.float64)) for n, w in place.weights.items()}


SOURCE = Unsampled("|w|, the control", position=120, compute=magnitude)
