"""A schedule that ends for sure: its state is an ordinal, which falls at each step that brought nothing."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, fields
from typing import Any


@dataclass
class Schedule:
    """ρ = ω² a + ω b + c. A step that lowers the best loss by ``least`` costs nothing, and raises nothing; any other lowers ρ.

    It lowers c while there is some. Where c is 0, b falls by 1, the rate with it, and c begins again at ``patience``; where b is 0
    too, a falls by 1, the rate goes back up, by less each time, and b and c begin again. So there are at most
    (a + 1)(b + 1)(patience + 1) - 1 steps that bring nothing, and only so many others as the loss allows. Were c raised by a step
    that brought something, ρ would rise with it, and nothing would follow.

    Attributes
    ----------
    restarts, decays, patience : a, b and c at first. decay : of the rate where b falls. restart : of the rate where a falls.
    """

    steps: int
    restarts: int = 1
    decays: int = 3
    patience: int = 0  # 0: so that all steps are enough for the descent of ρ
    least: float = 1e-3
    decay: float = 0.3
    restart: float = 0.5
    a: int = -1
    b: int = -1
    c: int = -1
    best: float = math.inf
    done: bool = False

    def __post_init__(self) -> None:
        if not self.patience:
            self.patience = max(1, self.steps // ((self.restarts + 1) * (self.decays + 1)) - 1)
        if self.a < 0:
            self.a, self.b, self.c = self.restarts, self.decays, self.patience

    @property
    def ordinal(self) -> tuple[int, int, int]:
        """a, b and c, which compare as ρ does."""
        return self.a, self.b, self.c

    @property
    def longest(self) -> int:
        """How often ρ can fall."""
        return (self.restarts + 1) * (self.decays + 1) * (self.patience + 1) - 1

    @property
    def factor(self) -> float:
        return self.restart ** (self.restarts - self.a) * self.decay ** (self.decays - self.b)

    def observe(self, loss: float) -> None:
        if loss <= self.best - self.least:
            self.best = loss
        elif self.c:
            self.c -= 1
        elif self.b:
            self.b, self.c = self.b - 1, self.patience
        elif self.a:
            self.a, self.b, self.c = self.a - 1, self.decays, self.patience
        else:
            self.done = True

    def state_dict(self) -> dict[str, Any]:
        return asdict(self)

    def load_state_dict(self, state: dict[str, Any]) -> None:
        for f in fields(self):
            setattr(self, f.name, state[f.name])
