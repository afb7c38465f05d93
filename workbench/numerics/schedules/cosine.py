"""A rise, then half a cosine."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

RISE = 0.1  # of the steps


@dataclass
class Schedule:
    """Rises to 1 in a tenth of the steps and falls to 0 as half a cosine.

    References
    ----------
    Loshchilov and Hutter 2016, SGDR (1608.03983), equation 5.
    """

    steps: int
    done: int = 0

    @property
    def factor(self) -> float:
        rise = max(1, round(RISE * self.steps))
        if self.done < rise:
            return (self.done + 1) / rise
        return 0.5 + 0.5 * math.cos(math.pi * min(1.0, (self.done - rise) / max(1, self.steps - rise)))

    def observe(self, loss: float) -> None:
        self.done += 1

    def state_dict(self) -> dict[str, Any]:
        return asdict(self)

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.steps, self.done = state["steps"], state["done"]
