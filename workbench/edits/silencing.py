"""Silenced units: weights in which some hidden units do nothing, and the claim about the function that goes with it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from workbench.edits.replacement import Replacement
from workbench.numerics.exact.sampling import domain_words


@dataclass(frozen=True, eq=False, repr=False)
class Silencing(Replacement):
    """Hidden units whose weights become 0, and what they gave put into the next layer.

    Parameters
    ----------
    values : tensor name to what takes its place.
    units : hidden units that were looked at. proven : silenced, with a proof that the function of real numbers is kept.
        rounded : silenced where new weights were rounded to float32.
    low, high : between what every input lies, where the function is kept; None for no bound.
    rounding : whether units were looked for whose weights round.
    """

    kind: ClassVar[str] = "silencing"
    units: int = 0
    proven: int = 0
    rounded: int = 0
    low: float | None = None
    high: float | None = None
    rounding: bool = True

    @property
    def words(self) -> str:
        by = [f"{self.proven:,} proven to keep the function on {domain_words(self.low, self.high)}"]
        by.append(
            f"{self.rounded:,} but for rounding" if self.rounding else "none that rounds was looked for"
        )
        return f"{self.proven + self.rounded:,} of {self.units:,} hidden units silenced ({', '.join(by)})"
