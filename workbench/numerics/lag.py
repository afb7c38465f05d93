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

    products = z @ z.T  # of every two rows once: an order of them only picks some

    def along(order: np.ndarray) -> float:
        return float(products[order[1:], order[:-1]].sum())

    own = along(np.arange(len(z)))
    largest = sum(along(rng.permutation(len(z))) >= own for _ in range(DRAWS))
    return (1 + largest) / (1 + DRAWS) <= level
