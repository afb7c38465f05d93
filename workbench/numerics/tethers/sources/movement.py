"""Movement: how far a weight has come since the descent began.

References
----------
Zhou, Lan, Liu and Yosinski 2019, Deconstructing lottery tickets, NeurIPS (the mask criterion ``movement``).
"""

from __future__ import annotations

import numpy as np

from workbench.core.errors import ViewError
from workbench.numerics.tethers.place import History, Place, Tensors
from workbench.numerics.tethers.source import Unsampled


def require_start(place: Place, source: str = "movement") -> History:
    """What was kept before a place, or refuse a place before which no weights were kept (`ViewError`)."""
    if place.history is None or not len(place.history.steps):
        raise ViewError(
            f"{place.name} has no weights at a step before {place.step}, which the tether source {source!r} needs: it compares "
            f"with where the descent began. Ask about a later step, or record with weights_at=."
        )
    return place.history


def movement(place: Place, random_state: int) -> Tensors:
    """|w now - w at the first kept step|; the seed doesn't count."""
    history = require_start(place)
    start = history.weights(int(history.steps[0]))
    return {n: np.abs(w.astype(np.float64) - start[n].astype(np.float64)) for n, w in place.weights.items()}


SOURCE = Unsampled("|w now - w at the first kept step|", position=50, compute=movement, require=require_start)
