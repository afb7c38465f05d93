"""Paired comparisons of a few seeds: intervals, a null by signs, and correction for several at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from workbench.numerics.resampling import LEVEL

if TYPE_CHECKING:
    from jaxtyping import Float


def paired_interval(differences: Float[np.ndarray, "n ..."]) -> tuple[np.ndarray, np.ndarray]:
    """95 % interval of the mean difference by Student's t, along the first axis."""
    from scipy.stats import t

    n = len(differences)
    mean, error = differences.mean(0), differences.std(0, ddof=1) / np.sqrt(n)
    half = t.ppf(0.5 + LEVEL / 2, n - 1) * error
    return mean - half, mean + half


def sign_flips(
    differences: Float[np.ndarray, " n"], draws: int, random_state: int
) -> Float[np.ndarray, " d"]:
    """Mean differences with signs drawn anew, which is what they would be were the two of each pair exchangeable.

    References
    ----------
    Fisher 1935, The design of experiments, section 21.
    """
    rng = np.random.default_rng([random_state, 0x666C6970])
    signs = rng.choice([-1.0, 1.0], (draws, len(differences)))
    # one product a row, so that equal means come out equal to the last bit whatever their order of signs
    return np.array([float(np.mean(s * differences)) for s in signs])


def holm(p: Float[np.ndarray, " k"]) -> Float[np.ndarray, " k"]:
    """P-values corrected for their number, so that the chance of any false one stays at the level.

    References
    ----------
    Holm 1979, A simple sequentially rejective multiple test procedure, Scand. J. Statist. 6.
    """
    p = np.asarray(p, np.float64)
    order = np.argsort(p, kind="stable")
    stepped = np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1))
    corrected = np.empty(len(p))
    corrected[order] = np.minimum(stepped, 1.0)
    return corrected
