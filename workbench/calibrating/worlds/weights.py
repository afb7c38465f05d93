"""Weight matrices whose entries share nothing but the scales of their rows and columns, and one with a direction planted."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from workbench.calibrating.world import World
from workbench.core.digest import digest
from workbench.core.rows import owned
from workbench.subjects.checkpoint import Checkpoint, TensorInfo

SHAPE = (120, 80)
SPIKE = 1.4  # of what the noise would hide wholly (the threshold of Baik, Ben Arous and Peche)


def _weights(values: np.ndarray) -> tuple[Checkpoint, ...]:
    w = owned(values.astype(np.float32))
    info = TensorInfo("w", w.shape, "F32", w.nbytes)
    return (Checkpoint({"w": info}, {"w": w}.__getitem__, name="world", content=lambda: digest(w)),)


def _drawn(draw: Callable[[np.random.Generator], np.ndarray]) -> Callable[..., tuple[Checkpoint, ...]]:
    return lambda rng: _weights(draw(rng))


def _noise(rng: np.random.Generator) -> np.ndarray:
    return rng.standard_normal(SHAPE)


def _scales(rng: np.random.Generator, n: int) -> np.ndarray:
    return np.exp(0.7 * rng.standard_normal(n))


def _untrained(rng: np.random.Generator) -> np.ndarray:
    """What torch fills a new linear layer with, by torch itself."""
    import torch

    weight = torch.empty(SHAPE)
    seed = torch.Generator().manual_seed(int(rng.integers(2**31)))
    torch.nn.init.kaiming_uniform_(weight, a=5**0.5, generator=seed)
    return weight.numpy()


def _spiked(noise: Callable[[np.random.Generator], np.ndarray]) -> Callable[..., np.ndarray]:
    def draw(rng: np.random.Generator) -> np.ndarray:
        left, right = (rng.standard_normal(n) for n in SHAPE)
        direction = np.outer(left / np.linalg.norm(left), right / np.linalg.norm(right))
        return np.asarray(noise(rng) + SPIKE * (SHAPE[0] * SHAPE[1]) ** 0.25 * direction)

    return draw


def _power_law(rng: np.random.Generator) -> np.ndarray:
    """Squared singular values drawn from a power law of exponent 2.5, along random directions."""
    left, right = (np.linalg.qr(rng.standard_normal((n, SHAPE[1])))[0] for n in SHAPE)
    squares = np.exp(rng.standard_exponential(SHAPE[1]) / 1.5)
    return np.asarray(left * np.sqrt(squares) @ right.T)


WEIGHTS = ("Matrix",)
WHOLE = ("Checkpoint",)
SEEN = {
    "singular_values": ("largest_over_noise", "above_noise", "stable_rank", "effective_rank"),
    "schmidt_entropy": ("entropy",),
}
WORLDS = (
    World("iid", "independent Gaussian entries", WEIGHTS, _drawn(_noise)),
    World(
        "rows",
        "rows of different scale",
        WEIGHTS,
        _drawn(lambda r: _noise(r) * _scales(r, SHAPE[0])[:, None]),
    ),
    World(
        "rows and columns",
        "rows and columns of different scale",
        WEIGHTS,
        _drawn(lambda r: _noise(r) * _scales(r, SHAPE[0])[:, None] * _scales(r, SHAPE[1])),
    ),
    World(
        "heavy tails",
        "entries from a t distribution with 3 degrees of freedom",
        WEIGHTS,
        _drawn(lambda r: r.standard_t(3, SHAPE)),
    ),
    World("untrained", "a new linear layer, as torch fills it", WEIGHTS, _drawn(_untrained)),
    World(
        "spike",
        "a direction somewhat stronger than noise hides",
        WEIGHTS,
        _drawn(_spiked(_noise)),
        holds=SEEN,
    ),
    World(
        "iid",
        "independent Gaussian entries",
        WHOLE,
        _drawn(_noise),
        holds={"weights": ("not_a_power_law",)},
    ),
    World(
        "rows and columns",
        "rows and columns of different scale",
        WHOLE,
        _drawn(lambda r: _noise(r) * _scales(r, SHAPE[0])[:, None] * _scales(r, SHAPE[1])),
        holds={"weights": ("not_a_power_law",)},
    ),
    World(
        "power law",
        "squared singular values from a power law, along random directions",
        WHOLE,
        _drawn(_power_law),
        holds={"weights": ("stable_rank",)},
    ),
)
