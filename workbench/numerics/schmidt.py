"""The Schmidt spectrum of a matrix: how its squares are shared among directions, and how they are in a random one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from jaxtyping import Float


def schmidt_entropy(s: Float[np.ndarray, " k"]) -> float:
    """Entropy of the shares of the squared singular values, in nats: what rows and columns have in common.

    0 for one direction, the logarithm of the shorter side for equal ones.
    """
    p = np.square(s[s > 0])
    p = p / p.sum() if len(p) else np.ones(1)
    return float(-(p * np.log(p)).sum()) + 0.0


def page_entropy(rows: int, columns: int) -> float:
    """The mean of `schmidt_entropy` over random matrices of complex Gaussian entries; of real ones it is lower, by 1/(2·longer).

    References
    ----------
    Page 1993, Average entropy of a subsystem, Phys. Rev. Lett. 71.
    """
    from scipy.special import digamma

    m, n = sorted((rows, columns))
    return float(digamma(m * n + 1) - digamma(n + 1) - (m - 1) / (2 * n))
