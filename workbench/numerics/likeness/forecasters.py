"""Forecasters that are learnt from one series and tried on another."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Literal

import numpy as np

if TYPE_CHECKING:
    from jaxtyping import Float

Kind = Literal["boosted", "linear"]
ROUNDS, RATE, LEAVES, LEAST = (
    30,
    0.2,
    8,
    10,
)  # of a boosted forecaster: trees, how far one is followed, leaves, rows of a leaf
PENALTIES = np.logspace(-3, 4, 15)  # of a linear one, chosen by leaving out each row

Forecast = Callable[[np.ndarray], np.ndarray]


def rows(
    x: Float[np.ndarray, "n c"], lags: int, ahead: int
) -> tuple[Float[np.ndarray, "m p"], Float[np.ndarray, "m c"]]:
    """What each forecast sees, its last steps side by side, and what came ``ahead`` steps later."""
    m = len(x) - lags - ahead + 1
    return np.concatenate([x[i : i + m] for i in range(lags)], axis=1), x[lags + ahead - 1 :]


def learn(
    past: Float[np.ndarray, "m p"], future: Float[np.ndarray, "m c"], kind: Kind, seed: int = 0
) -> Forecast:
    """Fit a forecaster: gradient-boosted trees of each channel, or ridge regression.

    References
    ----------
    Friedman 2001, Greedy function approximation: a gradient boosting machine, Ann. Statist. 29. Hoerl and Kennard 1970, Ridge
    regression, Technometrics 12.
    """
    if kind == "linear":
        from sklearn.linear_model import RidgeCV

        linear = RidgeCV(PENALTIES).fit(past, future)
        return lambda x: np.asarray(linear.predict(x)).reshape(len(x), -1)
    from sklearn.ensemble import HistGradientBoostingRegressor

    trees = [
        HistGradientBoostingRegressor(
            max_iter=ROUNDS,
            learning_rate=RATE,
            max_leaf_nodes=LEAVES,
            min_samples_leaf=LEAST,
            early_stopping=False,
            random_state=seed,
        ).fit(past, y)
        for y in future.T
    ]
    return lambda x: np.stack([t.predict(x) for t in trees], axis=1)


def stretches(m: int, length: int, rng: np.random.Generator) -> np.ndarray:
    """Positions of ``m`` rows drawn anew in stretches of ``length`` that go round at the end (circular block bootstrap).

    References
    ----------
    Politis and Romano 1992, A circular block-resampling procedure for stationary data, in Exploring the limits of bootstrap.
    """
    starts = rng.integers(0, m, -(-m // length))
    return np.asarray(((starts[:, None] + np.arange(length)).ravel() % m)[:m])
