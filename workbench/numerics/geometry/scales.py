"""By what a step is scaled so that its effect doesn't grow with the width: its growth is a transseries, and the dominant term decides.

An optimizer that steps by signs, as Adam does at first, moves each entry of a matrix by its rate, whatever the matrix. Of n inputs of
size 1 that moves an output by n where entries move as the inputs are signed, and by √n where they don't: n + √n.
"""

from __future__ import annotations

import math
from fractions import Fraction

from workbench.numerics.geometry.transseries import Transseries

BASE = 64
"""The width at which a step is as it would be without scales."""
HALF = Fraction(1, 2)
OF_ENTRIES = Transseries.of(a=1) + Transseries.of(a=HALF)
"""By what a step of all entries moves an output, in the number of inputs."""
OF_DIRECTIONS = OF_ENTRIES * Transseries.of(a=-HALF)
"""That of entries that are divided by the length of a row of n drawn of size 1, which is √n."""
OF_SIZES = Transseries.of()
"""That of a logarithm of a size, by which an output is multiplied."""


def steadied(growth: Transseries, beside: Transseries, width: int) -> float:
    """What a step is multiplied by, so that it grows as another: their dominant terms' ratio, 1 at the base width."""
    ratio = beside.dominant.times(growth.dominant, -1)
    return math.exp(ratio.log_at(math.log(width)) - ratio.log_at(math.log(BASE)))
