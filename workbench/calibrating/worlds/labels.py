"""Rows whose labels say nothing of them, though both go with the texts; and rows in which a label or a number is planted."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from workbench.calibrating.world import World
from workbench.calibrating.worlds.rows import LENGTH, POINTS, TEXTS, D, N, cloud, in_order, of_texts

Make = Callable[[np.random.Generator], tuple[Any, ...]]
TEXT = np.repeat(np.arange(TEXTS), LENGTH)


def _said(strength: float) -> Make:
    """A label of whole texts, one row's changed, that moves the texts' rows along the first column."""

    def make(rng: np.random.Generator) -> tuple[Any, ...]:
        topic = rng.permutation(np.arange(TEXTS) % 2)[TEXT]
        values = of_texts(rng, 0.5)
        values[:, 0] += strength * topic
        label = topic.copy()
        label[0] = 1 - label[0]
        return cloud(values, text_id=TEXT, label=label.astype(str))

    return make


def _unnamed_texts(rng: np.random.Generator) -> tuple[Any, ...]:
    label = rng.permutation(np.arange(TEXTS) % 2)[TEXT]
    return cloud(of_texts(rng, 0.5), label=label.astype(str))


def _few_texts(rng: np.random.Generator) -> tuple[Any, ...]:
    values, label = in_order(rng, 4, N // 4, D), in_order(rng, 4, N // 4, 1)[:, 0] > 0
    return cloud(values, text_id=np.repeat(np.arange(4), N // 4), label=label.astype(str))


def _rare(strength: float) -> Make:
    """A label that one row in twenty has."""

    def make(rng: np.random.Generator) -> tuple[Any, ...]:
        label = rng.permutation(np.arange(N) % 20 == 0)
        values = rng.standard_normal((N, D))
        values[:, 0] += strength * label
        return cloud(values, label=label.astype(str))

    return make


def _within(rng: np.random.Generator) -> tuple[Any, ...]:
    values = of_texts(rng, 0.5)
    label = 0.4 * values[:, 0] + rng.standard_normal(N) > 0
    return cloud(values, text_id=TEXT, label=label.astype(str))


def _number(share: float, texts: bool) -> Make:
    """A number that is the first column's, and noise, of which texts have a share in common."""

    def make(rng: np.random.Generator) -> tuple[Any, ...]:
        values = of_texts(rng, share)
        label = (0.6 if texts else 0.35) * values[:, 0] + of_texts(rng, share)[:, 0]
        return cloud(values, **({"text_id": TEXT} if texts else {}), label=label)

    return make


def _number_of_texts(rng: np.random.Generator) -> tuple[Any, ...]:
    return cloud(of_texts(rng, 0.5), text_id=TEXT, label=of_texts(rng, 0.5)[:, 0])


ACCURACY, R_SQUARED = {"linear_probe": ("balanced_accuracy",)}, {"linear_probe": ("r_squared",)}
PROBE = ("linear_probe",)
TWO = {"linear_probe": {"cv": 2}}  # folds, where texts are few
WORLDS = (
    World("unnamed texts", "texts that no column names, each with one label", POINTS, _unnamed_texts, only=PROBE),
    World("few long texts", "four texts, rows and labels like those before them", POINTS, _few_texts, only=PROBE, parameters=TWO),
    World("rare label", "a label of one row in twenty that says nothing", POINTS, _rare(0.0), only=PROBE),
    World("number of texts", "a number that texts have in common and rows say nothing of", POINTS, _number_of_texts, only=PROBE),
    World("topic", "a label of whole texts, one row's changed, in their rows", POINTS, _said(1.5), holds=ACCURACY, covers=True),
    World("rare topic", "a label of one row in twenty, in the rows", POINTS, _rare(1.2), holds=ACCURACY, covers=True),
    World("label within texts", "a label that varies within texts, in the rows", POINTS, _within, holds=ACCURACY, covers=True),
    World("number", "a number of each row, in the rows", POINTS, _number(0.0, False), holds=R_SQUARED, covers=True),
    World("number in texts", "a number of each row, in the rows of texts", POINTS, _number(0.5, True), holds=R_SQUARED, covers=True),
)  # fmt: skip
