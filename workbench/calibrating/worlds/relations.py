"""Rows whose last column is a short formula of the others, or has nothing to do with them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from workbench.calibrating.world import World
from workbench.subjects.points import PointCloud

N, LENGTH = 120, 6  # rows, and of a text
Draw = Callable[[np.random.Generator], tuple[np.ndarray, np.ndarray]]


def _rows(draw: Draw, *, texts: bool = False) -> Callable[[np.random.Generator], tuple[PointCloud, ...]]:
    def make(rng: np.random.Generator) -> tuple[PointCloud, ...]:
        import pandas as pd

        x, y = draw(rng)
        table = pd.DataFrame({"text_id": np.arange(N) // LENGTH}) if texts else None
        return (PointCloud(np.column_stack([x, y]), table=table, name="world"),)

    return make


def _of_texts(rng: np.random.Generator, d: int) -> np.ndarray:
    """Columns half of whose variance the rows of a text share."""
    shared = np.repeat(rng.standard_normal((N // LENGTH, d)), LENGTH, axis=0)
    return (shared + rng.standard_normal((N, d))) / 2**0.5


def _noise(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    return rng.standard_normal((N, 3)), rng.standard_normal(N)


def _heavy(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    return rng.standard_normal((N, 3)), rng.standard_t(3, N)


def _noise_in_texts(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    return _of_texts(rng, 3), _of_texts(rng, 1)[:, 0]


def _law(noise: float) -> Draw:
    """Half the first times the square of the second; the third has nothing to do with it."""

    def draw(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        x = rng.uniform(1, 3, (N, 3))
        y = x[:, 0] * x[:, 1] ** 2 / 2
        return x, y + noise * y.std() * rng.standard_normal(N)

    return draw


RELATION = ("Relation",)
SMALL = {"laws": {"generations": 0, "max_size": 4}}  # a run of the whole search takes ten times as long
THERE = {"laws": ("foretold",)}
WORLDS = (
    World("noise", "an output that is noise", RELATION, _rows(_noise), only=("laws",), parameters=SMALL),
    World(
        "heavy-tailed noise",
        "an output from a t distribution with 3 degrees of freedom",
        RELATION,
        _rows(_heavy),
        only=("laws",),
        parameters=SMALL,
    ),
    World(
        "noise in texts",
        "inputs and an output that rows of a text share by half, and that have nothing in common",
        RELATION,
        _rows(_noise_in_texts, texts=True),
        only=("laws",),
        parameters=SMALL,
    ),
    World(
        "law", "a product under a tenth of noise", RELATION, _rows(_law(0.1)), holds=THERE, parameters=SMALL
    ),
    World(
        "law in noise",
        "a product under as much noise as there is of it",
        RELATION,
        _rows(_law(1.0)),
        holds=THERE,
        parameters=SMALL,
    ),
)
