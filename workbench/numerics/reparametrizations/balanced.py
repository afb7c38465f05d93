"""Maps of a size and a direction whose directions are drawn so long that their steps don't outgrow those of the sizes."""

from __future__ import annotations

from workbench.numerics.attention.surreal import SurrealLinear
from workbench.numerics.geometry.scales import OF_DIRECTIONS, OF_SIZES, steadied


class BalancedLinear(SurrealLinear):
    """`SurrealLinear` whose v is longer by √(in / 64): a map's sizes and directions then move an output alike at each width.

    The head is one too. The matrix doesn't depend on how long v is, and the slope by v falls as that grows: it begins as any other and
    turns more slowly. The power comes from the dominant terms of what a step does, see `geometry.scales`.
    """

    def __init__(self, into: int, out: int):
        super().__init__(into, out)
        self.spread = 1 / steadied(OF_DIRECTIONS, OF_SIZES, into)


LINEAR, HEAD, AGAIN = BalancedLinear, True, True
