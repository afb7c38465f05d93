"""Who makes a series after another, by name, and settings chosen inside what is learnt from."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np

from workbench.numerics.likeness.forecasters import learn, rows
from workbench.numerics.medusa import relay
from workbench.numerics.medusa import reservoir as plain
from workbench.numerics.synthesis.gated import gru
from workbench.numerics.synthesis.linear import copula, var
from workbench.numerics.synthesis.resampled import analogs, stationary_bootstrap

if TYPE_CHECKING:
    from jaxtyping import Float

MakerName = Literal["reservoir", "medusa", "stationary_bootstrap", "var", "copula", "analogs", "gru"]
Settings = Mapping[str, Any]
JUDGED = 1 / 3  # of what is learnt from, its end, on which settings are tried
LAGS = 4  # steps that the forecaster sees by which they are tried
TRIES = 2  # series of each setting


def reservoir(
    x: Float[np.ndarray, "T c"], steps: int, seed: int, **settings: Any
) -> Float[np.ndarray, "steps c"]:
    """A free run of a reservoir that has learnt the series; see `workbench.numerics.medusa.reservoir`."""
    return plain.fit(x, plain.Settings(**settings), seed).run(steps, seed)


def medusa(
    x: Float[np.ndarray, "T c"], steps: int, seed: int, **settings: Any
) -> Float[np.ndarray, "steps c"]:
    """A free run of the relay, driven by the series that it has learnt; see `workbench.numerics.medusa.relay`."""
    return relay.fit(x, relay.Settings(**settings), seed).run(steps, seed)


MAKERS: dict[str, Callable[..., np.ndarray]] = {
    "reservoir": reservoir,
    "medusa": medusa,
    "stationary_bootstrap": stationary_bootstrap,
    "var": var,
    "copula": copula,
    "analogs": analogs,
    "gru": gru,
}
TRIED: dict[str, tuple[dict[str, Any], ...]] = {
    "reservoir": (
        {},
        {"state_noise": 0.1},
        {"state_noise": 0.1, "lags": 4},
        {"lags": 4, "leak": 1.0},
        {"share": 0.01},
        {"share": 0.2, "leak": 1.0},
    ),
    "medusa": (
        {},
        {"noise": False},
        *({switch: True} for switch in ("waves", "adapters", "heads")),
        dict.fromkeys(relay.SWITCHES, True),
    ),
    "stationary_bootstrap": tuple({"block": b} for b in (20.0, 5.0, 10.0, 40.0, 80.0)),
    "var": ({}, {"innovations": "resampled"}),
    "copula": tuple({"lags": n} for n in (4, 1, 2, 8)),
    "analogs": (
        {},
        {"lags": 2},
        {"lags": 8},
        {"lags": 4, "nearest": 20},
        {"lags": 1, "nearest": 10},
    ),
    "gru": ({}, {"width": 64}, {"width": 16, "updates": 400}),
}
"""Settings that are tried of each, the usual ones first."""
assert set(MAKERS) == set(TRIED) == set(get_args(MakerName))


def make(
    x: Float[np.ndarray, "T c"], maker: str, steps: int, seed: int, settings: Settings
) -> Float[np.ndarray, "steps c"]:
    """Make a series like another one.

    Parameters
    ----------
    x : finite, 50 steps or more, no channel constant; see `medusa.reservoir.require_learnable`. maker : of `MAKERS`.
    settings : of that maker, by keyword.

    Raises
    ------
    DataError, MissingExtra
        The maker can't learn the series, or needs what isn't there.
    """
    return MAKERS[maker](np.asarray(x, np.float64), steps, seed, **settings)


def chosen(x: Float[np.ndarray, "T c"], maker: str, seed: int) -> dict[str, Any]:
    """The settings of those that are tried by which forecasts of the series' end err least.

    They make series after its first two thirds, a boosted forecaster learns from these, and forecasts the rest one step ahead.
    """
    tried = TRIED[maker]
    if len(x) - round(JUDGED * len(x)) < plain.FEWEST:
        return dict(tried[0])
    best: dict[str, Any] = min(
        tried, key=lambda settings: np.mean([off(x, maker, seed + i, settings) for i in range(TRIES)])
    )
    return dict(best)


def off(x: Float[np.ndarray, "T c"], maker: str, seed: int, settings: Settings) -> float:
    """How far off a forecaster is that learnt from what is made of the first two thirds, in the rest: log mean squared error."""
    cut = len(x) - round(JUDGED * len(x))
    mean, spread = x[:cut].mean(axis=0), np.maximum(x[:cut].std(axis=0), np.finfo(float).tiny)
    past, future = rows((x[cut:] - mean) / spread, LAGS, 1)
    made = (make(x[:cut], maker, cut, seed, settings) - mean) / spread
    forecast = learn(*rows(made, LAGS, 1), "boosted")
    return float(np.log(np.square(forecast(past) - future).mean()))
