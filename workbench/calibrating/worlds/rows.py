"""Rows of numbers that are one lump whose columns share nothing but what their groups share: nothing is to be found.

The labels in their tables say nothing of the rows, given the texts.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from workbench.calibrating.world import World
from workbench.subjects.points import PointCloud

N, D = 240, 6
TEXTS, LENGTH = 24, 10
TYPES = 48


def cloud(values: np.ndarray, **columns: Any) -> tuple[PointCloud, ...]:
    """A cloud with a row table, as a world gives it."""
    import pandas as pd

    return (PointCloud(values, name="world", table=pd.DataFrame(columns, index=pd.RangeIndex(len(values)))),)


def _free(values: np.ndarray, rng: np.random.Generator, **columns: Any) -> tuple[PointCloud, ...]:
    """Rows that stand for themselves, with a label that says nothing."""
    return cloud(values, **columns, label=rng.integers(0, 2, len(values)).astype(str))


def _iid(rng: np.random.Generator) -> tuple[PointCloud, ...]:
    return _free(rng.standard_normal((N, D)), rng)


def of_texts(rng: np.random.Generator, share: float, texts: int = TEXTS, length: int = LENGTH) -> np.ndarray:
    """Rows of texts, each with a mean of its own that has ``share`` of the variance (the intraclass correlation)."""
    topics = np.repeat(rng.standard_normal((texts, D)), length, axis=0)
    return np.asarray(np.sqrt(share) * topics + np.sqrt(1 - share) * rng.standard_normal((texts * length, D)))


def _texts(share: float) -> Any:
    def make(rng: np.random.Generator) -> tuple[PointCloud, ...]:
        label = np.repeat(rng.permutation(np.arange(TEXTS) % 2), LENGTH)
        return cloud(
            of_texts(rng, share), text_id=np.repeat(np.arange(TEXTS), LENGTH), label=label.astype(str)
        )

    return make


def _unequal_texts(rng: np.random.Generator) -> tuple[PointCloud, ...]:
    sizes = rng.integers(3, 18, TEXTS)
    topics = np.repeat(rng.standard_normal((TEXTS, D)), sizes, axis=0)
    label = np.repeat(rng.permutation(np.arange(TEXTS) % 2), sizes)
    values = topics * np.sqrt(0.5) + np.sqrt(0.5) * rng.standard_normal((sizes.sum(), D))
    return cloud(values, text_id=np.repeat(np.arange(TEXTS), sizes), label=label.astype(str))


def in_order(rng: np.random.Generator, texts: int, length: int, d: int, phi: float = 0.9) -> np.ndarray:
    """(texts * length, d) rows that resemble the ones before them in their text: a first-order autoregression."""
    x = np.empty((texts, length, d))
    x[:, 0] = rng.standard_normal((texts, d))
    for t in range(1, length):
        x[:, t] = phi * x[:, t - 1] + np.sqrt(1 - phi**2) * rng.standard_normal((texts, d))
    return x.reshape(-1, d)


def _order(rng: np.random.Generator) -> tuple[PointCloud, ...]:
    values = in_order(rng, TEXTS, LENGTH, D)
    label = in_order(rng, TEXTS, LENGTH, 1)[:, 0] > 0
    return cloud(values, text_id=np.repeat(np.arange(TEXTS), LENGTH), label=label.astype(str))


def _heavy_tails(rng: np.random.Generator) -> tuple[PointCloud, ...]:
    return _free(rng.standard_normal((N, D)) / np.sqrt(rng.chisquare(3, (N, 1)) / 3), rng)


def _heavy_columns(rng: np.random.Generator) -> tuple[PointCloud, ...]:
    return _free(rng.standard_t(3, (N, D)), rng)


def _uniform(rng: np.random.Generator) -> tuple[PointCloud, ...]:
    return _free(rng.random((N, D)), rng)


def _uniform_square(rng: np.random.Generator) -> tuple[PointCloud, ...]:
    return _free(rng.random((N, 2)), rng)


def _lognormal(rng: np.random.Generator) -> tuple[PointCloud, ...]:
    return _free(np.exp(rng.standard_normal((N, D))), rng)


def _repeats(jitter: float) -> Any:
    def make(rng: np.random.Generator) -> tuple[PointCloud, ...]:
        values = np.tile(rng.standard_normal((N // 4, D)), (4, 1))
        return _free(values + jitter * rng.standard_normal(values.shape), rng)

    return make


def _types(rng: np.random.Generator) -> tuple[PointCloud, ...]:
    drawn = rng.choice(TYPES, N, p=zipf(TYPES))
    values = rng.standard_normal((TYPES, D))[drawn] + 0.2 * rng.standard_normal((N, D))
    return _free(values, rng, token=[f"t{i}" for i in drawn])


def zipf(kinds: int) -> np.ndarray:
    """How often each of so many kinds comes, the first most often, as words do."""
    share = 1 / np.arange(2, kinds + 2)
    return np.asarray(share / share.sum())


def _types_in_texts(rng: np.random.Generator) -> tuple[PointCloud, ...]:
    drawn = rng.choice(TYPES, N, p=zipf(TYPES))
    values = rng.standard_normal((TYPES, D))[drawn] + of_texts(rng, 0.6)
    label = np.repeat(rng.permutation(np.arange(TEXTS) % 2), LENGTH)
    return cloud(
        values,
        text_id=np.repeat(np.arange(TEXTS), LENGTH),
        token=[f"t{i}" for i in drawn],
        label=label.astype(str),
    )


def _scales(rng: np.random.Generator) -> tuple[PointCloud, ...]:
    rows, columns = np.exp(0.7 * rng.standard_normal((N, 1))), np.exp(rng.standard_normal(D))
    return _free(rows * rng.standard_normal((N, D)) * columns, rng)


POINTS = ("Points",)
WORLDS = (
    World("iid", "independent Gaussian rows", POINTS, _iid, covers=True),
    World("texts 0.2", "texts with a fifth of the variance", POINTS, _texts(0.2)),
    World("texts 0.5", "texts with half of the variance", POINTS, _texts(0.5), covers=True),
    World("unequal texts", "texts of 3 to 17 rows, with half of the variance", POINTS, _unequal_texts),
    World("order", "rows that resemble those before them in their text", POINTS, _order),
    World("heavy tails", "rows from a t distribution with 3 degrees of freedom", POINTS, _heavy_tails),
    World("heavy columns", "columns from t distributions with 3 degrees of freedom", POINTS, _heavy_columns),
    World("uniform", "rows spread evenly in a cube of six dimensions", POINTS, _uniform),
    World("uniform square", "rows spread evenly in a square", POINTS, _uniform_square),
    World("lognormal", "columns with lognormal values", POINTS, _lognormal),
    World("repeats", "every row four times", POINTS, _repeats(0.0)),
    World("near repeats", "every row four times, with noise of a thousandth", POINTS, _repeats(1e-3)),
    World("types", "a token's rows are nearly the same again", POINTS, _types),
    World("types in texts", "tokens that come again, in texts with a topic", POINTS, _types_in_texts),
    World("scales", "rows and columns of different scale", POINTS, _scales),
)
