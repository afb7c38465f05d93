"""Two arrays whose rows have one distribution, and so one shape, and two that don't."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from workbench.calibrating.world import World
from workbench.calibrating.worlds.pairs import ALIGNED, layers
from workbench.calibrating.worlds.rows import LENGTH, TEXTS, D, N, of_texts
from workbench.calibrating.worlds.shapes import on_sphere
from workbench.subjects.activations import Activations

Make = Callable[[np.random.Generator], tuple[Activations, ...]]
ONLY = ("barcode_distance",)


def _pair(draw: Callable[[np.random.Generator], np.ndarray], texts: bool = False) -> Make:
    def make(rng: np.random.Generator) -> tuple[Activations, ...]:
        columns: dict[str, Any] = {"text_id": np.repeat(np.arange(TEXTS), LENGTH)} if texts else {}
        return layers(draw(rng), draw(rng), **columns)

    return make


def _turned(rng: np.random.Generator) -> tuple[Activations, ...]:
    first = rng.standard_normal((N, D))
    return layers(first, first @ np.linalg.qr(rng.standard_normal((D, D)))[0])


def _heavy(rng: np.random.Generator) -> np.ndarray:
    return np.asarray(rng.standard_normal((N, D)) / np.sqrt(rng.chisquare(3, (N, 1)) / 3))


def in_disc(rng: np.random.Generator, n: int = N) -> np.ndarray:
    """(n, 2) rows spread evenly in a disc with the covariance of the unit circle."""
    x = rng.standard_normal((n, 2))
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    return np.asarray(x * np.sqrt(2 * rng.random((n, 1))))


def _circle_and_disc(rng: np.random.Generator) -> tuple[Activations, ...]:
    return layers(on_sphere(rng, 2, 0.2), in_disc(rng) + 0.2 * rng.standard_normal((N, 2)))


WORLDS = (
    World(
        "two clouds, iid",
        "two Gaussian clouds",
        ALIGNED,
        _pair(lambda r: r.standard_normal((N, D))),
        only=ONLY,
    ),
    World("two clouds, turned", "a Gaussian cloud and itself, turned", ALIGNED, _turned, only=ONLY),
    World(
        "two clouds, texts",
        "two clouds of texts with half of the variance",
        ALIGNED,
        _pair(lambda r: of_texts(r, 0.5), True),
        only=ONLY,
    ),
    World("two clouds, heavy tails", "two clouds of a t distribution", ALIGNED, _pair(_heavy), only=ONLY),
    World("two circles", "two circles with noise", ALIGNED, _pair(lambda r: on_sphere(r, 2, 0.2)), only=ONLY),
    World(
        "circle and disc",
        "a circle and a disc of the same covariance, with noise",
        ALIGNED,
        _circle_and_disc,
        holds={"barcode_distance": ("excess_distance",)},
    ),
)
