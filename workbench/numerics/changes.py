"""Changes: whether a bookmark turned over more than the ones before it did, at a rate of false alarms that is chosen."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from jaxtyping import Float

WINDOW = 100  # of the bookmarks before, at most


def change_p(before: Sequence[float], now: float) -> float:
    """P-value of a similarity that is lower than those before it: its rank among them.

    If nothing changes in how bookmarks turn over (the similarities are exchangeable), it is at most α with a probability
    of at most α, whatever their distribution. Over a descent that calms down it is smaller still.

    Parameters
    ----------
    before : similarities (Jaccard index) of earlier bookmarks with the one before each; the last `WINDOW` count.

    References
    ----------
    Vovk, Gammerman and Shafer 2005, Algorithmic learning in a random world, section 2.2 (conformal p-values).
    """
    held = np.asarray(before[-WINDOW:])
    return float((1 + (held <= now).sum()) / (1 + len(held)))


def alarms(similarities: Float[np.ndarray, " k"], false_alarms: float) -> np.ndarray:
    """At which of the similarities in a row there is an alarm; there is none before there are enough to compare with."""
    return np.array(
        [change_p(list(similarities[:i]), s) <= false_alarms for i, s in enumerate(similarities)], bool
    )
