"""Rows in which a direction of more variance than the others is planted."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from workbench.calibrating.world import World
from workbench.calibrating.worlds.rows import LENGTH, POINTS, TEXTS, D, cloud, of_texts


def _direction(variance: float, share: float) -> Callable[[np.random.Generator], tuple[Any, ...]]:
    """Columns of unit variance that share a direction of so much more; of both, texts have a share in common."""

    def make(rng: np.random.Generator) -> tuple[Any, ...]:
        direction = rng.standard_normal(D)
        direction /= np.linalg.norm(direction)
        along = of_texts(rng, share)[:, :1]
        values = of_texts(rng, share) + np.sqrt(variance) * along * direction
        return cloud(values, **({"text_id": np.repeat(np.arange(TEXTS), LENGTH)} if share else {}))

    return make


HOLDS = {"pca": ("variance_explained",)}
WORLDS = (
    World(
        "direction",
        "a direction of nearly twice the variance of others",
        POINTS,
        _direction(0.8, 0.0),
        holds=HOLDS,
        covers=True,
    ),
    World(
        "direction in texts",
        "a direction of three times the variance of others, in texts",
        POINTS,
        _direction(2.0, 0.5),
        holds=HOLDS,
        covers=True,
    ),
)
