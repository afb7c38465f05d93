"""Paired comparisons of a few seeds: intervals, a null by signs, and correction for several at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from workbench.numerics.resampling import LEVEL

if TYPE_CHECKING:
    from jaxtyping import Float


FEW = 20  # pairs, up to which choices of signs are counted


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

    No choice of signs is drawn twice, nor the observed one, which a Monte-Carlo p-value counts apart: so the smallest
    p-value isn't left to luck. Where there are no more choices than ``draws``, all of them are given.

    References
    ----------
    Fisher 1935, The design of experiments, section 21; Phipson and Smyth 2010, Stat. Appl. Genet. Mol. Biol. 9:39.
    """
    n = len(differences)
    rng = np.random.default_rng([random_state, 0x666C6970])
    if n <= FEW:
        codes = 1 + rng.choice(2**n - 1, min(draws, 2**n - 1), replace=False)
        flipped = (codes[:, None] >> np.arange(n)) & 1
    else:
        flipped = rng.integers(0, 2, (draws, n))
    # one mean a row, so that equal means come out equal to the last bit whatever their order of signs
    return np.array([float(np.mean((1 - 2 * f) * differences)) for f in flipped])


def out_of_reach(repeats: int, n_null: int, compared: int) -> str:
    """Why no comparison could pass Holm's correction, with seeds and draws that would do; empty where one could."""
    wrong = 1 - LEVEL
    least = compared * 2 / (1 + min(n_null, 2**repeats - 1))
    if not n_null or least <= wrong + 1e-12:
        return ""
    enough = int(np.ceil(np.log2(2 * compared / wrong)))
    return (
        f"With repeats={repeats} and n_null={n_null} no p-value can be below {min(least, 1):.2g} after correction for "
        f"{compared} comparisons, whatever the differences: raise repeats to {max(enough, repeats)} and n_null to "
        f"{max(round(2 * compared / wrong), n_null)} or more."
    )


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
