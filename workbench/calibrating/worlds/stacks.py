"""Stacks of layers that share nothing, share their scales, and share the directions that they read and write."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from workbench.calibrating.world import World
from workbench.subjects.stack import WeightStack

LAYERS, ROWS, COLUMNS, RANK = 5, 30, 24, 3


def _stack(draw: Callable[[np.random.Generator], np.ndarray]) -> Callable[..., tuple[WeightStack, ...]]:
    def make(rng: np.random.Generator) -> tuple[WeightStack, ...]:
        x = draw(rng)
        return (WeightStack({f"layer.{i}": w for i, w in enumerate(x)}, name="world"),)

    return make


def _noise(rng: np.random.Generator) -> np.ndarray:
    return rng.standard_normal((LAYERS, ROWS, COLUMNS))


def _basis(rng: np.random.Generator, n: int) -> np.ndarray:
    return np.linalg.qr(rng.standard_normal((n, RANK)))[0]


def own_directions(rng: np.random.Generator) -> np.ndarray:
    """Every layer of a few strong directions of its own, and rows and columns of one set of scales."""
    scales = [np.exp(0.7 * rng.standard_normal(n)) for n in (ROWS, COLUMNS)]
    own = [9 * _basis(rng, ROWS) @ _basis(rng, COLUMNS).T for _ in range(LAYERS)]
    return np.asarray((_noise(rng) + own) * scales[0][:, None] * scales[1])


def shared_directions(rng: np.random.Generator) -> np.ndarray:
    """Every layer mixes the same few directions in a way of its own, under noise."""
    left, right = _basis(rng, ROWS), _basis(rng, COLUMNS)
    return np.asarray(_noise(rng) + 5 * left @ rng.standard_normal((LAYERS, RANK, RANK)) @ right.T)


STACK = ("Stack",)
BOTH = {
    "tensor_decomposition": ("compressible", "layers_share"),
    "stack_entropy": ("entropy", "layers_share"),
}
WORLDS = (
    World("independent layers", "independent Gaussian entries in every layer", STACK, _stack(_noise)),
    World(
        "layers of their own",
        "each layer has strong directions of its own; rows and columns have the same scales in all",
        STACK,
        _stack(own_directions),
        holds={"tensor_decomposition": ("compressible",), "stack_entropy": ("entropy",)},
    ),
    World(
        "shared directions",
        "all layers mix the same few directions",
        STACK,
        _stack(shared_directions),
        holds=BOTH,
    ),
)
