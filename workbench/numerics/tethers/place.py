"""A network's weights, and what is known around them: what every source of tethers is asked of."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from workbench.core.errors import DataError, ViewError
from workbench.numerics.objectives import Probe

if TYPE_CHECKING:
    import torch

Tensors = dict[str, np.ndarray]


@dataclass(frozen=True, eq=False)
class History:
    """What was kept of the training that led to a place.

    Attributes
    ----------
    steps : before the place, with weights, ascending.
    weights : the weights at one of these steps, name to array, biases too.
    optimizer_state : of the optimizer at the place itself: parameter to key to array.
        Raises `MissingError` where none was kept.
    """

    steps: Sequence[int]
    weights: Callable[[int], Mapping[str, np.ndarray]]
    optimizer_state: Callable[[], Mapping[str, Mapping[str, np.ndarray]]]


@dataclass(frozen=True, eq=False)
class Place:
    """A network's weights, and what is known around them; made by `at_network`, of a descent by `at_step`.

    Attributes
    ----------
    weights : the layers that can be tethered, name to array: trained, two dimensions or more, no embedding.
    network : the module that has these weights, or None. probe : its batch and loss, or None.
    history : of the recorded descent that they are of, and ``step`` where in it; None for a network alone.
    """

    weights: Tensors
    network: torch.nn.Module | None = field(default=None, repr=False)
    probe: Probe | None = None
    history: History | None = field(default=None, repr=False)
    step: int | None = None
    name: str = "network"

    @property
    def size(self) -> int:
        """How many edges."""
        return sum(w.size for w in self.weights.values())

    @property
    def loss(self) -> str:
        """Name of the probe's loss.

        Raises
        ------
        ViewError
            There is no probe.
        """
        if self.probe is None:
            raise ViewError(f"{self.name} has no probe, and so no loss.")
        return self.probe.loss


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
    require_finite_weights(weights, name)
    return Place(weights, module, probe, None, None, name)


def edge_names(shapes: Mapping[str, Sequence[int]], module: torch.nn.Module | None, owner: str) -> list[str]:
    """Names of the weights between units: an embedding's rows are no edges between units, biases neither.

    Raises
    ------
    ViewError
        There are none.
    """
    embeddings: set[str] = set()
    if module is not None:
        from torch import nn

        parts = [(n, m) for n, m in module.named_modules() if isinstance(m, nn.Embedding | nn.EmbeddingBag)]
        embeddings = {f"{n}.weight" if n else "weight" for n, _ in parts}
    names = [n for n, shape in shapes.items() if len(shape) >= 2 and n not in embeddings]
    if not names:
        raise ViewError(
            f"{owner} has no trained weight of two dimensions or more (it has: {', '.join(shapes) or 'none'}), so that there are "
            f"no edges to tether."
        )
    return names


def require_finite_weights(weights: Mapping[str, np.ndarray], owner: str) -> None:
    """Refuse weights with numbers that aren't finite (`DataError`), with the first layer that has some."""
    bad = [n for n, w in weights.items() if not np.isfinite(w).all()]
    if bad:
        raise DataError(
            f"{owner}: {bad[0]} has numbers that aren't finite, as after a divergence. Ask about an earlier step."
        )
