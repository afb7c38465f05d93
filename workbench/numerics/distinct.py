"""How many rows differ."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from jaxtyping import Float

ROWS_AT_ONCE = 4096


def count_distinct(rows: Float[np.ndarray, "n d"]) -> int:
    """Count the distinct rows, by 64-bit sums of their bits: two of a million collide once in 40 million times."""
    bits = np.uint64 if rows.dtype.itemsize == 8 else np.uint32
    weights = np.random.default_rng(0).integers(0, 2**64, rows.shape[1], np.uint64) | np.uint64(1)
    sums = np.empty(len(rows), np.uint64)
    for start in range(0, len(rows), ROWS_AT_ONCE):
        some = np.ascontiguousarray(rows[start : start + ROWS_AT_ONCE]) + 0  # so that -0 equals 0
        mixed = some.view(bits).astype(np.uint64) * weights  # modulo 2 ** 64, as the sum
        mixed ^= mixed >> np.uint64(29)
        sums[start : start + ROWS_AT_ONCE] = (mixed * weights[::-1]).sum(axis=1, dtype=np.uint64)
    return len(np.unique(sums))
