"""Whether what a network gives for a sample depends on the samples that are run with it.

Where the first axis isn't the sample (recurrent networks and transformers without ``batch_first``), or samples see
each other (normalisation or attention over the batch, padding that no mask hides), every answer would depend on
``batch_size``, unseen. So some samples are run together and one by one before anything is stored.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from workbench.capturing.feeds import Fed, Feed
from workbench.core.errors import MethodError, ViewError
from workbench.core.progress import tell

if TYPE_CHECKING:
    import torch

OUTPUT = ""
"""Stands for the network's own output among the sites."""
_ROUNDING = 1e-4
"""By how much of its length a row may differ where the sums are the same and their order is another.

A sum of k numbers in another order moves by about the square root of k roundings, and each layer adds its own:
for float32, k = 4,096 and 100 layers that is 64 * 10 * 6e-8 = 4e-5.
"""
_ROUNDINGS = 8
"""As many roundings of a narrower format, which sums in float32 and rounds each layer's output once."""
_TF32 = 2.0**-11
"""The rounding of what a GPU may multiply float32 in: convolutions by default, and not by every algorithm."""


def dependence(
    name: str,
    feed: Feed,
    rows_of: Callable[[Fed], dict[str, np.ndarray]],
    dtype: torch.dtype,
    device: torch.device,
) -> str:
    """Say at which sites a sample's rows depend on its batch, by more than rounding; "" where they don't.

    Parameters
    ----------
    rows_of : runs a batch and gives each site's rows, those of the network's output as `OUTPUT`.
    dtype, device : of the network's numbers.
    """
    import torch

    if not feed.compared:
        return ""
    together = rows_of(feed.compared[0])
    coarsest = max(torch.finfo(dtype).eps, _TF32 if device.type == "cuda" else 0)
    tolerance = max(_ROUNDING, _ROUNDINGS * coarsest)
    try:
        alone = [rows_of(fed) for fed in feed.compared[1:]]
    except MethodError as e:
        differing, by = list(together), f"fails on one alone ({str(e.__cause__)[:200]})"
    else:
        apart = {site: _distance(rows, [a.get(site) for a in alone]) for site, rows in together.items()}
        differing = [site for site, distance in apart.items() if distance > tolerance]
        most = max((apart[site] for site in differing), default=0.0)
        size = (
            "rows of another shape" if np.isinf(most) else f"other numbers, by {most:.2g} of a row's length,"
        )
        by = f"gives {size} for one alone"
    if not differing or _varies(together, rows_of(feed.compared[0]), tolerance):
        return ""
    sites = [site for site in differing if site != OUTPUT]
    if not sites:
        tell(f"capture: {name}'s output for a sample depends on what else is in its batch; its sites don't")
        return ""
    where = ", ".join(sites[:6]) + (f" and {len(sites) - 6} more" if len(sites) > 6 else "")
    return f"of {len(feed.compared) - 1} samples that {name} ran together and one by one, {where} {by}"


def settled(name: str, feed: Feed, cause: str) -> tuple[Feed, str]:
    """What is run where rows depend on the batch, and what is to be said of it.

    Raises
    ------
    ViewError
        The batches are of our own making and it isn't known that the first axis is the sample.
    """
    if not cause:
        return feed, ""
    if feed.batched:
        return feed, f"{cause}: what is captured holds for these batches alone"
    if feed.alone is not None:
        return feed.alone(), f"{cause}: each text is run by itself"
    raise ViewError(
        f"{name} can't be run in batches: {cause}. Either its first axis isn't the sample (torch's recurrent networks and "
        f"transformers want batch_first=True), or its samples see each other. Put the samples first, or say what is run "
        f"together: batch_size=1 takes each by itself, and a list of batches (such as [x], all in one) is run as it is."
    )


def caution(sentence: str) -> None:
    """Say what a capture is to be read with, to who follows its progress and to who doesn't."""
    if sentence:
        tell(f"capture: {sentence}")
        warnings.warn(f"capture: {sentence}.", RuntimeWarning, stacklevel=2)


def _varies(before: dict[str, np.ndarray], now: dict[str, np.ndarray], tolerance: float) -> bool:
    """Whether the same batch gives other rows each time: a network that draws at random tells nothing of batches."""
    return any(_distance(rows, [now.get(site)]) > tolerance for site, rows in before.items())


def _distance(together: np.ndarray, alone: Sequence[np.ndarray | None]) -> float:
    """The greatest distance of a row from itself, as a part of its length and the typical row's; infinite for other shapes.

    Of whole rows rather than of single numbers, since the greatest of very many roundings is no measure.
    """
    parts = [rows for rows in alone if rows is not None]
    if len(parts) < len(alone) or {rows.shape[1:] for rows in parts} != {together.shape[1:]}:
        return np.inf
    one_by_one = np.concatenate(parts)
    if len(one_by_one) != len(together):
        return np.inf
    first, second = (rows.reshape(len(rows), -1).astype(np.float64) for rows in (together, one_by_one))
    same = (first == second) | (np.isnan(first) & np.isnan(second))
    with np.errstate(invalid="ignore"):
        apart = np.linalg.norm(np.where(same, 0, first - second), axis=1)
        length = np.linalg.norm(np.where(np.isfinite(first), first, 0), axis=1)
    scale = length + np.sqrt(np.mean(np.square(length)))
    ratio = np.divide(apart, scale, out=np.where(apart > 0, np.inf, 0.0), where=scale > 0)
    return float(np.nan_to_num(ratio, nan=np.inf).max(initial=0.0))
