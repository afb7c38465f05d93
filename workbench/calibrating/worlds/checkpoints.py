"""Two checkpoints whose difference is noise, or holds a direction or a few entries that noise wouldn't."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from workbench.calibrating.world import World
from workbench.core.digest import digest
from workbench.core.rows import owned
from workbench.subjects.checkpoint import Checkpoint, TensorInfo

SHAPES = {"a": (96, 64), "b": (48, 80), "c": (64,)}
Draw = Callable[[np.random.Generator, str, tuple[int, ...]], np.ndarray]


def _pair(change: Draw) -> Callable[[np.random.Generator], tuple[Checkpoint, ...]]:
    """Normal weights, and the same with a change of a hundredth of their size."""

    def make(rng: np.random.Generator) -> tuple[Checkpoint, ...]:
        before = {n: rng.standard_normal(shape) for n, shape in SHAPES.items()}
        after = {n: w + 0.01 * change(rng, n, w.shape) for n, w in before.items()}
        return tuple(_checkpoint(n, held) for n, held in (("before", before), ("after", after)))

    return make


def _checkpoint(name: str, arrays: dict[str, np.ndarray]) -> Checkpoint:
    held = {n: owned(w.astype(np.float32)) for n, w in arrays.items()}
    infos = {n: TensorInfo(n, w.shape, "F32", w.nbytes) for n, w in held.items()}
    return Checkpoint(infos, held.__getitem__, name=name, content=lambda: digest(*held.values()))


def _noise(rng: np.random.Generator, name: str, shape: tuple[int, ...]) -> np.ndarray:
    return rng.standard_normal(shape)


def _of_two_sizes(rng: np.random.Generator, name: str, shape: tuple[int, ...]) -> np.ndarray:
    return (0.1 if name == "a" else 1.0) * rng.standard_normal(shape)


def _direction(rng: np.random.Generator, name: str, shape: tuple[int, ...]) -> np.ndarray:
    """One direction, somewhat stronger than noise hides, in one matrix."""
    change = rng.standard_normal(shape)
    if name == "a":
        left, right = (v / np.linalg.norm(v) for v in (rng.standard_normal(n) for n in shape))
        change += 1.8 * (shape[0] * shape[1]) ** 0.25 * np.outer(left, right)
    return change


def _entries(rng: np.random.Generator, name: str, shape: tuple[int, ...]) -> np.ndarray:
    """Three entries of one matrix that moved further than normal ones do."""
    change = rng.standard_normal(shape)
    if name == "b":
        change.flat[rng.choice(change.size, 3, replace=False)] += 5
    return change


PAIR = ("Checkpoint", "Checkpoint")
WORLDS = (
    World("noise", "changes are independent Gaussian entries", PAIR, _pair(_noise), only=("weight_changes",)),
    World(
        "noise of two sizes",
        "changes are Gaussian entries, of one tensor a tenth in size",
        PAIR,
        _pair(_of_two_sizes),
        only=("weight_changes",),
    ),
    World(
        "direction",
        "one of the changes has a direction somewhat stronger than noise hides",
        PAIR,
        _pair(_direction),
        holds={"weight_changes": ("direction_over_noise", "entry_over_noise")},
    ),
    World(
        "entries",
        "three entries moved five deviations further than the others",
        PAIR,
        _pair(_entries),
        holds={"weight_changes": ("entry_over_noise", "direction_over_noise")},
    ),
)
