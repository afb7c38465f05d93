"""Random: uniform noise, the null of a source that knows nothing."""

from __future__ import annotations

import numpy as np

from workbench.numerics.tethers.place import Place, Tensors
from workbench.numerics.tethers.source import Unsampled


def random(place: Place, random_state: int) -> Tensors:
    """Numbers between 0 and 1, by the seed."""
    rng = np.random.default_rng([random_state, 0x72616E64])
    return {n: rng.random(w.shape) for n, w in place.weights.items()}


SOURCE = Unsampled("uniform noise, the null", position=130, compute=random)
