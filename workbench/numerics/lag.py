"""Whether rows resemble those next to them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from jaxtyping import Float

ROWS = 2000  # from the first on, that are looked at
DRAWS = 199


def resemble_the_next(z: Float[np.ndarray, "n k"], random_state: int, level: float = 0.05) -> bool:
    """Whether rows resemble the next ones more than in other orders: a permutation test of the lag-1 autocorrelation.

    References
    ----------
    Wald and Wolfowitz 1943, An exact test for randomness in the non-parametric case based on serial correlation, Ann.
    Math. Statist. 14.
    """
    z = np.asarray(z[:ROWS], dtype=np.float64)
    z = z - z.mean(axis=0)
    rng = np.random.default_rng([random_state, 0x6C6167])

    def along(rows: np.ndarray) -> float:
        return float(np.vdot(rows[1:], rows[:-1]))

    own = along(z)
    largest = sum(along(z[rng.permutation(len(z))]) >= own for _ in range(DRAWS))
    return (1 + largest) / (1 + DRAWS) <= level
