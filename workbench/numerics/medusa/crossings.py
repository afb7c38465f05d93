"""Where what a head holds leaves its usual range: the events of a world."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from jaxtyping import Float


@dataclass(frozen=True)
class Crossing:
    """At a step, a head rose above its range, or sank below it."""

    step: int
    head: int
    rises: bool


SETTLING = 50  # steps in which heads come from 0 to where they stay, and which aren't counted


def crossings(held: Float[np.ndarray, "steps heads"], beyond: float) -> list[Crossing]:
    """Steps at which a head goes beyond so many standard deviations from its mean, in order.

    A head that went beyond counts again once it has come back to within half of that. One that never moves has none,
    and nothing counts in the first 50 steps.

    Parameters
    ----------
    held : what each head holds. The mean and the deviation are of all steps that count, so that no event is known before the end.
    """
    held = held[SETTLING:]
    if not len(held):
        return []
    spread = held.std(axis=0)
    moved = spread > 1e-12 * (1 + np.abs(held).max(axis=0, initial=0.0))
    score = np.divide(held - held.mean(axis=0), spread, out=np.zeros_like(held), where=moved)
    found = []
    for head in np.flatnonzero(moved).tolist():
        away = 0  # 1 above, -1 below, 0 within
        for step in np.flatnonzero(
            (np.abs(score[:, head]) > beyond) | (np.abs(score[:, head]) < beyond / 2)
        ).tolist():
            value = score[step, head]
            now = int(np.sign(value)) if abs(value) > beyond else 0
            if now and now != away and step:  # at the first step it may have been there before
                found.append(Crossing(SETTLING + step, head, now > 0))
            away = now
    return sorted(found, key=lambda c: (c.step, c.head))
