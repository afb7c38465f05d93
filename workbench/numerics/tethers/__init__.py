"""Tethers: a number for every edge of a network that says how much it is to be held on to, by several sources on one footing.

A tether T has the shape of its weight W and is not negative. Each source is a file of
:mod:`workbench.numerics.tethers.sources`, which finds them; `SOURCES` holds what each is. θ(W, T) is `hold`: the
tethered edges stay, the rest is zeroed, flattened or shuffled, and the matrix keeps its shape.

::

    from workbench.numerics.tethers import at_network, hold, tether, top

    place = at_network(module, probe)  # or workbench.subjects.descents.places.at_step(descent, 500)
    t = tether(place, "fisher")  # {"0.weight": (32, 64), ...}
    kept = top(t, 0.1)  # the same names, boolean
    held = hold(place.weights, kept, "flatten")
"""

from workbench.numerics.tethers.computing import available, contributions, require, resampled, tether
from workbench.numerics.tethers.edges import Rest, Scope, flat, hold, top, unflat
from workbench.numerics.tethers.place import (
    History,
    Place,
    Tensors,
    at_network,
    edge_names,
    require_finite_weights,
)
from workbench.numerics.tethers.source import Contributions
from workbench.numerics.tethers.sources import SAMPLED, SOURCES, SourceName, require_source

__all__ = [
    "SAMPLED",
    "SOURCES",
    "Contributions",
    "History",
    "Place",
    "Rest",
    "Scope",
    "SourceName",
    "Tensors",
    "at_network",
    "available",
    "contributions",
    "edge_names",
    "flat",
    "hold",
    "require",
    "require_finite_weights",
    "require_source",
    "resampled",
    "tether",
    "top",
    "unflat",
]
