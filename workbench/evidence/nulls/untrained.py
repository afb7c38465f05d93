"""Untrained: a network whose weights its initializer drew has as much of it, so that training put nothing there."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from workbench.core.evidence import Evidence
from workbench.evidence.nulls.named import Null

if TYPE_CHECKING:
    from jaxtyping import Float

NULL = Null(
    "untrained",
    "the weights are one more draw of the network's initializer",
    "weights drawn anew",
)
FEWEST = 3
"""Untrained networks, under which how far chance takes a number can't be told."""
QUANTILES = 1999
"""Of the distribution of a further network, which stand for draws of it."""


def further_network(values: Float[np.ndarray, " m"]) -> Float[np.ndarray, " q"]:
    """Quantiles of where a number of one more network lies, of which there are those of ``m``.

    The prediction interval of a normal distribution of unknown mean and variance: t with m - 1 degrees of freedom about
    the mean, the standard deviation times sqrt(1 + 1/m). Ranks would need a network for each 1 / m of a p-value, and
    training ones or capturing them costs more than all else.

    References
    ----------
    Geisser 1993, Predictive inference: an introduction, chapter 2.
    """
    from scipy.special import stdtrit

    # scipy.stats.t.ppf to the last bit, without its second of imports
    m = len(values)
    steps = (np.arange(QUANTILES) + 0.5) / QUANTILES
    return np.asarray(
        values.mean() + values.std(ddof=1) * np.sqrt(1 + 1 / m) * stdtrit(m - 1, steps), dtype=np.float64
    )


def beside_untrained(trained: Sequence[Evidence], untrained: Sequence[Sequence[Evidence]]) -> Evidence:
    """Set the mean of a number over some places of a network beside those of untrained networks of its architecture.

    One mean is one question however many layers there are. The same texts are read by all networks, so that what differs
    is the weights.

    Parameters
    ----------
    trained : answers to one question, one a place (layer). untrained : the same of each untrained network.

    Returns
    -------
    Evidence
        Two-sided; its ``n`` counts networks. Its interval is the mean of the places' own, where all have one: wide enough,
        however the places depend on each other. Untested, with the reason, where fewer than three networks are given, where
        all of them have the same number, where one is missing, or where some have none of it (exactly 0): a number that is 0 in
        half of all networks and something in the others is no t distribution's, and three that are nearly 0 would make all else
        look like training.
    """
    first = trained[0]
    value = float(np.mean([e.value for e in trained]))
    others = np.array([np.mean([e.value for e in one]) for one in untrained], dtype=np.float64)
    none = sum(any(e.value == 0 for e in one) for one in untrained)
    why = ""
    if len(others) < FEWEST:
        why = f"{len(others)} untrained networks don't say how far chance takes a number"
    elif not np.isfinite([value, *others]).all():
        why = "there is no such number for some of the networks"
    elif np.ptp(others) <= 1e-9 * max(1.0, np.abs(others).max()):
        why = "all untrained networks have the same number, so that nothing says how far chance takes it"
    elif none:
        why = (
            f"{none} of {len(others)} untrained networks have none of it (0) somewhere, and so few don't say how often chance "
            "gives some"
        )
    null = (
        NULL.refused(why, "two-sided")
        if why
        else NULL.said(
            further_network(others).tolist(),
            "two-sided",
            details=f"t distribution of one network more, fitted to {len(others)}",
        )
    )
    intervals = [e.interval for e in trained if e.interval is not None]
    low, high = (
        np.mean(intervals, axis=0) if intervals and len(intervals) == len(trained) else (np.nan, np.nan)
    )
    known = bool(np.isfinite([low, high]).all())
    return Evidence(
        id=first.id,
        of=first.of,
        question=f"Is the {first.label} that of an untrained network?",
        label=first.label,
        value=value,
        n=1 + len(others),
        unit="networks",
        interval=(float(low), float(high)) if known else None,
        interval_method="mean of its places' intervals"
        if known and len(trained) > 1
        else first.interval_method,
        conservative=known and (len(trained) > 1 or first.conservative),
        **null,
    )
