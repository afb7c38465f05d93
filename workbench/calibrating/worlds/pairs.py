"""Two arrays of the same rows that have nothing in common but their texts and tokens."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from workbench.calibrating.world import World
from workbench.calibrating.worlds.rows import LENGTH, TEXTS, TYPES, D, N, in_order, of_texts, zipf
from workbench.subjects.activations import Activations


def layers(first: np.ndarray, second: np.ndarray, **columns: Any) -> tuple[Activations, ...]:
    """Two layers with a row table, as a world gives them."""
    import pandas as pd

    table = pd.DataFrame(columns, index=pd.RangeIndex(len(first)))
    return (Activations({"layer.0": first, "layer.1": second}, table, name="world"),)


Make = Callable[[np.random.Generator], tuple[Activations, ...]]


def _pair(draw: Callable[[np.random.Generator], np.ndarray], texts: bool = False) -> Make:
    """Two independent draws of the same kind of rows."""

    def make(rng: np.random.Generator) -> tuple[Activations, ...]:
        columns = {"text_id": np.repeat(np.arange(TEXTS), LENGTH)} if texts else {}
        return layers(draw(rng), draw(rng), **columns)

    return make


def _repeated(rng: np.random.Generator) -> tuple[Activations, ...]:
    which = np.tile(np.arange(N // 4), 4)
    return layers(*(rng.standard_normal((N // 4, D))[which] for _ in range(2)))


def _types(rng: np.random.Generator) -> tuple[Activations, ...]:
    drawn = rng.choice(TYPES, N, p=zipf(TYPES))
    both = (rng.standard_normal((TYPES, D))[drawn] + 0.2 * rng.standard_normal((N, D)) for _ in range(2))
    return layers(*both, token=[f"t{i}" for i in drawn])


def _unequal(rng: np.random.Generator) -> tuple[Activations, ...]:
    sizes = rng.integers(3, 18, TEXTS)
    text = np.repeat(np.arange(TEXTS), sizes)
    both = (rng.standard_normal((TEXTS, D))[text] + rng.standard_normal((len(text), D)) for _ in range(2))
    return layers(*both, text_id=text)


def _related(rng: np.random.Generator) -> tuple[Activations, ...]:
    first = of_texts(rng, 0.2)
    turned = first @ np.linalg.qr(rng.standard_normal((D, D)))[0] + 2 * rng.standard_normal(first.shape)
    return layers(first, turned, text_id=np.repeat(np.arange(TEXTS), LENGTH))


ALIGNED = ("Aligned",)
WORLDS = (
    World("iid", "independent Gaussian rows", ALIGNED, _pair(lambda rng: rng.standard_normal((N, D)))),
    World(
        "texts 0.2", "texts with a fifth of the variance", ALIGNED, _pair(lambda r: of_texts(r, 0.2), True)
    ),
    World("texts 0.5", "texts with half of the variance", ALIGNED, _pair(lambda r: of_texts(r, 0.5), True)),
    World("unequal texts", "texts of 3 to 17 rows", ALIGNED, _unequal),
    World(
        "order",
        "rows that resemble those before them",
        ALIGNED,
        _pair(lambda r: in_order(r, TEXTS, LENGTH, D), True),
    ),
    World("repeats", "every row four times", ALIGNED, _repeated),
    World("types", "a token's rows are nearly the same again", ALIGNED, _types),
    World(
        "turned copy",
        "the second is the first, turned, with noise of twice its size",
        ALIGNED,
        _related,
        holds={
            "cka": ("cka",),
            "neighbourhood_preservation": ("trustworthiness", "continuity", "recall"),
        },
        covers=True,
    ),
)
