"""Linear process: the series is linear Gaussian noise of its own spectrum, seen through a monotone function of each channel."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from workbench.core.evidence import Alternative
from workbench.evidence.nulls.named import Null
from workbench.numerics.controls import Draw, hardest
from workbench.numerics.surrogates import autoregressive, phase_randomised, unit_root

if TYPE_CHECKING:
    from jaxtyping import Float

NULL = Null(
    "linear_process",
    "the series is a linear process of this spectrum, seen through a monotone function",
    "linear series like it",
)
MAY_WANDER = (
    "it may be a random walk or have a trend (augmented Dickey-Fuller test): linear series like it can't be told from such a "
    "one's length alone; give its steps' differences, or more steps"
)


STANDS_STILL = "it stands still in the steps that are compared"


def fourier(x: Float[np.ndarray, "T c"]) -> Draw:
    """Return what draws iterated amplitude-adjusted Fourier surrogates; see `phase_randomised`. The ends should meet."""
    return lambda rng: phase_randomised(x, rng)


MEMBERS: dict[str, Callable[[np.ndarray], Draw]] = {
    "Fourier surrogates": fourier,
    "of a fitted autoregression": autoregressive,
}


def beside_linear(
    x: Float[np.ndarray, "T c"],
    statistics: Callable[[np.ndarray], Float[np.ndarray, " s"]],
    values: Float[np.ndarray, " s"],
    alternatives: Sequence[Alternative],
    *,
    n_null: int,
    random_state: int,
    what: str,
) -> list[dict[str, Any]]:
    """Set statistics of a series beside those of linear series like it, for each the fields of `Evidence` from ``null`` on.

    The series may be of either kind: the draws kept are of the one that contradicts the statistic least. A series that may
    have a unit root or a trend isn't tested.

    Parameters
    ----------
    x : a stretch whose ends meet (`meeting_ends`).
    values : its own statistics. what : the method's name, for progress.
    """
    if n_null and not np.ptp(x, axis=0).all():
        return [NULL.refused(STANDS_STILL, a) for a in alternatives]
    if n_null and any(unit_root(channel) for channel in x.T):
        return [NULL.refused(MAY_WANDER, a) for a in alternatives]
    members = {name: partial(make, x) for name, make in MEMBERS.items()}
    drawn = hardest(members, statistics, values, alternatives, n_null, random_state, f"{what}: null")
    return [NULL.said(d, a) for d, a in zip(drawn, alternatives, strict=True)]
