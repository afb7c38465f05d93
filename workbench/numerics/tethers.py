"""Tethers: a number for every edge of a network that says how much it is to be held on to, by several sources on one footing.

A tether T has the shape of its weight W and is not negative. What a source needs stands in `SOURCES`; where it comes
from is in :mod:`workbench.numerics.tether_sources`. θ(W, T) is `hold`: the tethered edges stay, the rest is zeroed,
flattened or shuffled, and the matrix keeps its shape.

::

    place = at_step(descent, 500)  # or at_network(module, probe)
    t = tether(place, "fisher")  # {"0.weight": (32, 64), ...}
    kept = top(t, 0.1)  # the same names, boolean
    held = hold(place.weights, kept, "flatten")
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from workbench.core.errors import DataError, ParameterError, ViewError, suggest
from workbench.numerics.objectives import Probe

if TYPE_CHECKING:
    import torch
    from jaxtyping import Bool, Float

    from workbench.subjects.descents.trajectory import Descent

Tensors = dict[str, np.ndarray]
Rest = Literal["zero", "flatten", "shuffle"]
Scope = Literal["layer", "network"]
Source = Literal[
    "fisher",
    "fisher_true",
    "fisher_weight",
    "gradient_weight",
    "movement",
    "movement_score",
    "adam",
    "second_moment",
    "attention",
    "dropout",
    "centrality",
    "magnitude",
    "random",
]

SOURCES: dict[str, str] = {
    "fisher": "empirical Fisher information, diagonal: mean over samples of the squared gradient at the probe's labels",
    "fisher_true": "true Fisher information, diagonal: the same in expectation over labels drawn from the network's own answer",
    "fisher_weight": "empirical Fisher information times the squared weight: second-order loss of a removal",
    "gradient_weight": "|mean gradient × weight|: first-order loss of a removal",
    "movement": "|w now - w at the first kept step|",
    "movement_score": "- Σ over kept steps of gradient × weight × updates between, where positive: pushed away from zero",
    "adam": "Adam's second moment as the optimizer had it (exp_avg_sq)",
    "second_moment": "the second moment that batches of 32 of the probe would give: mean² + variance / 32",
    "attention": "norm of what a head adds to the stream, the same for all edges of the head",
    "dropout": "rise of the loss when the edge is dropped, where positive",
    "centrality": "flow through the edge of PageRank on |W|, forwards and backwards",
    "magnitude": "|w|, the control",
    "random": "uniform noise, the null",
}
"""Names of the sources and what an edge's tether is by each."""

SAMPLED = (
    "fisher",
    "fisher_true",
    "fisher_weight",
    "gradient_weight",
    "movement_score",
    "second_moment",
    "attention",
    "dropout",
)
"""Those that are a function of a mean over the probe's samples, and so have an interval over samples."""


@dataclass(frozen=True, eq=False)
class Place:
    """A network's weights, and what is known around them; made by `at_step` or `at_network`.

    Attributes
    ----------
    weights : the layers that can be tethered, name to array: trained, two dimensions or more, no embedding.
    network : the module that has these weights, or None. probe : its batch and loss, or None.
    descent : the recorded descent that they are of, and ``step`` where in it; None for a network alone.
    """

    weights: Tensors
    network: torch.nn.Module | None = field(default=None, repr=False)
    probe: Probe | None = None
    descent: Descent | None = field(default=None, repr=False)
    step: int | None = None
    name: str = "network"

    @property
    def earlier(self) -> np.ndarray:
        """The steps before with weights, ascending; none for a network alone."""
        if self.descent is None or self.step is None:
            return np.empty(0, np.int64)
        return self.descent.weight_steps[self.descent.weight_steps < self.step]

    @property
    def size(self) -> int:
        """How many edges."""
        return sum(w.size for w in self.weights.values())


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
    step = int(descent.weight_steps[-1]) if step is None else int(step)
    held = descent.weights(step)
    module = descent.trajectory.network(step) if descent.trajectory.model is not None else None
    names = edge_names({n: descent.trajectory.shapes[n] for n in held}, module, descent.name)
    weights = {n: np.array(held[n]) for n in names}
    _require_finite(weights, f"{descent.name} at step {step}")
    return Place(weights, module, descent.trajectory.probe, descent, step, descent.name)


def at_network(module: torch.nn.Module, probe: Probe | None = None, *, name: str = "network") -> Place:
    """The weights of a network alone, with a probe for the sources that need samples (`Probe.of`).

    Raises
    ------
    ViewError
        It has no trained weight of two dimensions or more.
    DataError
        The weights aren't finite.
    """
    import copy

    module = copy.deepcopy(module).cpu().eval()
    own = {n: p.detach() for n, p in module.named_parameters() if p.requires_grad}
    edges = edge_names({n: tuple(p.shape) for n, p in own.items()}, module, name)
    weights = {n: (own[n].float() if own[n].element_size() == 2 else own[n]).numpy().copy() for n in edges}
    _require_finite(weights, name)
    return Place(weights, module, probe, None, None, name)


def tether(
    place: Place | torch.nn.Module,
    source: str,
    *,
    samples: np.ndarray | None = None,
    random_state: int = 0,
    device: str = "cpu",
) -> Tensors:
    """How much each edge is to be held on to, by one source.

    Parameters
    ----------
    place : from `at_step` or `at_network`; a bare module will do for ``magnitude``, ``random`` and ``centrality``.
    source : a name from `SOURCES`. Those in `SAMPLED` need network and probe (``movement_score`` also earlier weights),
        ``movement`` a descent with earlier weights, ``adam`` a descent recorded with ``optimizer_state=True``.
    samples : positions of the probe's samples that count; None for all of them.

    Returns
    -------
    dict
        Each layer's tether, float64 and not negative, in the layer's shape. ``attention`` has the layers of heads only.

    Raises
    ------
    ParameterError
        There is no such source.
    ViewError, MissingError, DataError
        The source needs something that isn't there, or can't be had of such a network; the text says what.
    """
    from workbench.numerics import tether_sources

    require_source(source)
    place = place if isinstance(place, Place) else at_network(place)
    if source in SAMPLED:
        return tether_sources.sampled(place, source, samples=samples, device=device)
    return tether_sources.UNSAMPLED[source](place, random_state)


def require_source(name: Any) -> str:
    """Return the name of a source that there is, or refuse it with those that there are."""
    if name not in SOURCES:
        raise ParameterError(f"There is no tether source {name!r}. {suggest(str(name), SOURCES)}")
    return str(name)


def available(place: Place) -> dict[str, str]:
    """Why each source can't be had here; those that can are left out.

    Looks at what is there, and computes nothing.
    """
    from workbench.core.errors import WorkbenchError
    from workbench.numerics import tether_sources

    lacking = {}
    for source in SOURCES:
        try:
            tether_sources.require(place, source)
        except WorkbenchError as e:
            lacking[source] = str(e)
    return lacking


# -- edges by rank ------------------------------------------------------------------------------------


def top(
    tethers: Mapping[str, np.ndarray], fraction: float, *, scope: Scope = "layer", random_state: int = 0
) -> dict[str, Bool[np.ndarray, ...]]:
    """The edges with the largest tethers, True where one is; ties are broken at random, by the seed.

    Parameters
    ----------
    fraction : of the edges, between 0 and 1; rounded to whole edges.
    scope : so many of each layer, or of all layers together (tethers of different layers are then compared as they are).
    """
    rng = np.random.default_rng([random_state, 0x746F70])
    if scope == "network":
        marked = _largest(flat(tethers), fraction, rng)
        return unflat(marked, tethers)
    return {n: _largest(t.ravel(), fraction, rng).reshape(t.shape) for n, t in tethers.items()}


def hold(
    weights: Mapping[str, np.ndarray],
    kept: Mapping[str, np.ndarray],
    rest: Rest = "zero",
    *,
    random_state: int = 0,
) -> Tensors:
    """θ(W, T): weights in which the tethered edges are as they were and the rest are not; shapes and dtypes stay.

    Parameters
    ----------
    kept : True for each tethered edge, from `top`; layers without an entry stay as they are.
    rest : what becomes of the others in each layer: ``zero``; ``flatten``, all the same size (their root mean square, so
        that their norm stays) with their own signs; ``shuffle``, permuted among themselves.
    """
    rng = np.random.default_rng([random_state, 0x686F6C64])
    out = {}
    for name, w in weights.items():
        out[name] = changed = np.array(w)
        if name not in kept:
            continue
        free = ~kept[name]
        others = w[free]
        if rest == "zero" or not others.size:
            changed[free] = 0
        elif rest == "flatten":
            changed[free] = np.sign(others) * np.sqrt(np.mean(np.square(others, dtype=np.float64)))
        else:
            changed[free] = rng.permutation(others)
    return out


def flat(tensors: Mapping[str, np.ndarray]) -> Float[np.ndarray, " d"]:
    """All layers' numbers in one vector, in the order of their names in the mapping."""
    return np.concatenate([t.ravel() for t in tensors.values()]) if tensors else np.empty(0)


def unflat(vector: np.ndarray, like: Mapping[str, np.ndarray]) -> Tensors:
    """The inverse of `flat`."""
    ends = np.cumsum([t.size for t in like.values()])[:-1]
    return {n: v.reshape(t.shape) for (n, t), v in zip(like.items(), np.split(vector, ends), strict=True)}


def _largest(values: np.ndarray, fraction: float, rng: np.random.Generator) -> np.ndarray:
    k = round(fraction * values.size)
    if k == 0:
        return np.zeros(values.size, bool)
    least = np.partition(values, values.size - k)[values.size - k]  # a sort would take ten times as long
    marked = values > least
    ties = np.flatnonzero(values == least)
    marked[rng.permutation(ties)[: k - int(marked.sum())]] = True
    return marked


# -- what is an edge ----------------------------------------------------------------------------------


def edge_names(shapes: Mapping[str, Sequence[int]], module: torch.nn.Module | None, owner: str) -> list[str]:
    """Names of the weights between units: an embedding's rows are no edges between units, biases neither."""
    looked_up: set[str] = set()
    if module is not None:
        from torch import nn

        parts = [(n, m) for n, m in module.named_modules() if isinstance(m, nn.Embedding | nn.EmbeddingBag)]
        looked_up = {f"{n}.weight" if n else "weight" for n, _ in parts}
    found = [n for n, shape in shapes.items() if len(shape) >= 2 and n not in looked_up]
    if not found:
        raise ViewError(
            f"{owner} has no trained weight of two dimensions or more (it has: {', '.join(shapes) or 'none'}), so that there are "
            f"no edges to tether."
        )
    return found


def _require_finite(weights: Mapping[str, np.ndarray], owner: str) -> None:
    bad = [n for n, w in weights.items() if not np.isfinite(w).all()]
    if bad:
        raise DataError(
            f"{owner}: {bad[0]} has numbers that aren't finite, as after a divergence. Ask about an earlier step."
        )
