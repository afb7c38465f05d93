"""How a number changed from the first step to the last, beside how its null did."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from workbench.core.result import Result

CHANGE = "change"
"""The id of what has changed since the first step, in every result that follows something over steps."""


class Share(NamedTuple):
    """A change as a share of where it began (-0.5: by half), and where 95 % of the null's lie."""

    value: float
    low: float
    high: float
    null: str

    @property
    def text(self) -> str:
        """In words: by how much, and by how much the null."""
        return f"{self.value:+.0%} of what it was, and {self.low:+.0%} to {self.high:+.0%} with {self.null}"

    def agrees(self, difference: float, null_difference: float) -> bool:
        """Whether it lies beyond the null on the side on which the difference does."""
        return self.value < self.low if difference < null_difference else self.value > self.high


def in_shares(result: Result, id: str, of: str = "") -> Share | None:
    """The change of an answer as a share; None where it isn't tested, or began at 0 or below.

    Where a number and its null begin at different places, the one with more to lose loses more: a change is beyond its
    null's where it is both as a difference and as a share.

    Parameters
    ----------
    id : of the number at the last step. of : as in `Evidence`.
    """
    last, change = result.evidence_of(id, of), result.evidence_of(CHANGE, of)
    ends, changes = np.array(last.null_values), np.array(change.null_values)
    if not len(changes) or len(ends) != len(changes):
        return None
    first, firsts = last.value - change.value, ends - changes
    if first <= 0 or not (firsts > 0).all():
        return None
    low, high = np.quantile(changes / firsts, [0.025, 0.975])
    return Share(change.value / first, float(low), float(high), change.null)
