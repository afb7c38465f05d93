"""Texts exchanged: whether what is measured of each text says more of that text than of others of its length."""

from __future__ import annotations

import numpy as np

from workbench.numerics.controls import Alternative, draw_until_clear

FEWEST = 6
"""Texts, under which what they have in common can't be told from chance."""


def exchanged_means(
    pairs: np.ndarray, n_null: int, random_state: int, *, highest: bool = False, what: str = "null"
) -> tuple[np.ndarray, list[np.ndarray]]:
    """How much more there is between each text and itself than between it and others, and the same of texts exchanged.

    Parameters
    ----------
    pairs : (n, s, n) a number between what was measured of text i and the content of text j, of s things.
    highest : whether the highest of all s is what counts, so that one thing's draws are of the highest too.

    Returns
    -------
    (s,) or (1,) the mean over texts of a text with itself, less that over all pairs; and as many arrays of draws.
    """
    n = len(pairs)
    every = pairs.mean(axis=(0, 2))
    place = np.arange(n)

    def mean(order: np.ndarray) -> np.ndarray:
        beyond = pairs[place, :, order].mean(axis=0) - every
        return beyond.max(keepdims=True) if highest else beyond

    values = mean(place)
    alternatives: list[Alternative] = ["greater"] * len(values)
    return values, draw_until_clear(
        lambda rng: mean(rng.permutation(n)), values, alternatives, n_null, random_state, what
    )
