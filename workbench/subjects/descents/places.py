"""A step of a descent as a place whose edges can be tethered."""

from __future__ import annotations

import numpy as np

from workbench.numerics.tethers import History, Place, edge_names, require_finite_weights
from workbench.subjects.descents.trajectory import Descent


def at_step(descent: Descent, step: int | None = None) -> Place:
    """The weights of a descent at a step (None: the last with weights), with network and probe where it has them.

    Raises
    ------
    ViewError
        The descent has no weights, or none of two dimensions or more.
    MissingError
        No weights were kept at this step; the nearest are named.
    DataError
        They aren't finite.
    """
    descent.require(weights=1)
    at = int(descent.weight_steps[-1]) if step is None else int(step)
    trajectory = descent.trajectory
    tensors = descent.weights(at)
    module = trajectory.network(at) if trajectory.model is not None else None
    names = edge_names({n: trajectory.shapes[n] for n in tensors}, module, descent.name)
    weights = {n: np.array(tensors[n]) for n in names}
    require_finite_weights(weights, f"{descent.name} at step {at}")
    earlier = descent.weight_steps[descent.weight_steps < at].tolist()
    history = History(earlier, descent.weights, lambda: trajectory.optimizer_state(at))
    return Place(weights, module, trajectory.probe, history, at, descent.name)
