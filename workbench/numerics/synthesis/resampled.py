"""Series made of a series' own steps: stretches of it, or what followed moments like the present one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from jaxtyping import Float


def stationary_bootstrap(
    x: Float[np.ndarray, "T c"], steps: int, seed: int, *, block: float = 20.0
) -> Float[np.ndarray, "steps c"]:
    """Stretches of a series one after the other, each of a random length, ``block`` on average; the series goes round.

    References
    ----------
    Politis and Romano 1994, The stationary bootstrap, J. Am. Stat. Assoc. 89.
    """
    rng = np.random.default_rng([seed, 0x626F6F74])
    begins = rng.random(steps) < 1 / block
    begins[0] = True
    begun = np.maximum.accumulate(np.where(begins, np.arange(steps), 0))
    start = rng.integers(0, len(x), steps)[begun]
    return np.asarray(x[(start + np.arange(steps) - begun) % len(x)])


def analogs(
    x: Float[np.ndarray, "T c"], steps: int, seed: int, *, lags: int = 4, nearest: int = 5
) -> Float[np.ndarray, "steps c"]:
    """Go on, again and again, as the series did after one of the ``nearest`` moments whose last ``lags`` steps are most alike.

    References
    ----------
    Lall and Sharma 1996, A nearest neighbor bootstrap for resampling hydrologic time series, Water Resour. Res. 32, for the
    nearest moments and their weights, 1 over their rank.
    """
    from scipy.spatial import cKDTree

    rng = np.random.default_rng([seed, 0x616E616C])
    z = (x - x.mean(axis=0)) / x.std(axis=0)
    past = np.concatenate(
        [z[i : len(z) - lags + i] for i in range(lags)], axis=1
    )  # followed by step i + lags
    tree = cKDTree(past)
    many = min(nearest, len(past))
    weights = 1 / np.arange(1, many + 1)
    ranks = rng.choice(many, steps, p=weights / weights.sum())
    now = past[rng.integers(len(past))]
    at = np.empty(steps, np.int64)
    for t in range(steps):
        at[t] = np.atleast_1d(tree.query(now, many)[1])[ranks[t]] + lags
        now = np.concatenate([now[z.shape[1] :], z[at[t]]])
    return np.asarray(x[at])
