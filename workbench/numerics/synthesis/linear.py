"""Linear series: a vector autoregression, and a Gaussian copula of neighbouring steps."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np

from workbench.core.errors import DataError
from workbench.numerics.extras import MissingExtra
from workbench.numerics.medusa.reservoir import REACH, SETTLING, scored, unscored

if TYPE_CHECKING:
    from jaxtyping import Float

MOST_ORDER = 12
TINY = 1e-6  # of a variance, added so that channels that are sums of each other can be conditioned on


def var(
    x: Float[np.ndarray, "T c"],
    steps: int,
    seed: int,
    *,
    innovations: Literal["gaussian", "resampled"] = "gaussian",
) -> Float[np.ndarray, "steps c"]:
    """A vector autoregression whose order Schwarz's criterion (BIC) chooses, fitted by statsmodels.

    Parameters
    ----------
    innovations : Gaussian of the residuals' covariance, or residuals themselves.

    Raises
    ------
    MissingExtra
        There is no statsmodels. DataError : it can't fit the series.

    References
    ----------
    Lütkepohl 2005, New introduction to multiple time series analysis, chapters 3 and 4.
    """
    try:
        from statsmodels.tsa.ar_model import AutoReg
        from statsmodels.tsa.vector_ar.var_model import VAR
    except ImportError:
        raise MissingExtra(
            "maker='var' needs statsmodels, which is an extra: python -m pip install 'workbench[synthetic]' (or "
            "'statsmodels>=0.15'). The other methods do without."
        ) from None
    mean, spread = x.mean(axis=0), x.std(axis=0)
    z, c = (x - mean) / spread, x.shape[1]
    most = max(1, min(MOST_ORDER, (len(z) // 3 - 1) // c))
    try:
        if c == 1:
            found = min(
                (AutoReg(z[most - p :, 0], p, trend="c").fit() for p in range(1, most + 1)),
                key=lambda f: f.bic,
            )
            intercept, by_lag = found.params[:1], found.params[1:, None, None]
            left = found.resid[:, None]
        else:
            fitted = VAR(z).fit(maxlags=most, ic="bic")
            intercept, by_lag, left = np.asarray(fitted.intercept), fitted.coefs, np.asarray(fitted.resid)
    except (np.linalg.LinAlgError, ValueError) as e:
        raise DataError(
            f"statsmodels can't fit a vector autoregression of {len(z):,} steps in {c} channels: {e}. Leave out channels that are "
            "sums of others, or take another method."
        ) from e
    rng = np.random.default_rng([seed, 0x766172])
    drawn = left[rng.integers(0, len(left), steps + SETTLING)]
    if innovations == "gaussian":
        covariance = np.cov(left.T).reshape(c, c)
        drawn = rng.multivariate_normal(np.zeros(c), covariance, steps + SETTLING, method="eigh")
    made = _run(by_lag, intercept, drawn, REACH * np.abs(z).max(axis=0))
    return made * spread + mean


def copula(
    x: Float[np.ndarray, "T c"], steps: int, seed: int, *, lags: int = 4
) -> Float[np.ndarray, "steps c"]:
    """Each step drawn given the last ``lags``, normal scores of all of them being jointly Gaussian; ranks are mapped back.

    References
    ----------
    Joe 1997, Multivariate models and dependence concepts, chapter 8; Biller and Nelson 2003, Modeling and generating multivariate
    time-series input processes using a vector autoregressive technique, ACM TOMACS 13.
    """
    z, c = scored(x, True), x.shape[1]
    lags = max(1, min(lags, (len(z) - 2) // (2 * c)))
    rows = np.concatenate([z[i : len(z) - lags + i] for i in range(lags + 1)], axis=1)
    covariance = rows.T @ rows / len(rows)
    covariance += TINY * np.diag(np.diag(covariance))
    past = lags * c
    by_past = np.linalg.solve(
        covariance[:past, :past], covariance[:past, past:]
    ).T  # (c, past), the oldest step first
    left = covariance[past:, past:] - by_past @ covariance[:past, past:]
    rng = np.random.default_rng([seed, 0x636F70])
    drawn = rng.multivariate_normal(np.zeros(c), (left + left.T) / 2, steps + SETTLING, method="eigh")
    by_lag = by_past.reshape(c, lags, c).transpose(1, 0, 2)[::-1]
    return unscored(_run(by_lag, np.zeros(c), drawn, REACH * np.abs(z).max(axis=0)), x, True)


def _run(by_lag: np.ndarray, intercept: np.ndarray, drawn: np.ndarray, held: np.ndarray) -> np.ndarray:
    """A linear recursion from rest, its first steps left out, held within some reach: an estimate may be unstable."""
    order = len(by_lag)
    made = np.zeros((order + len(drawn), len(held)))
    for t, e in enumerate(drawn):
        forecast = intercept + sum(by_lag[k] @ made[order + t - 1 - k] for k in range(order))
        made[order + t] = np.clip(forecast + e, -held, held)
    return made[order + SETTLING :]
