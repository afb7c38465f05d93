"""What a source of tethers is: a value that a file of `tethers.sources` holds under the name ``SOURCE``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from workbench.numerics.tethers.place import Place, Tensors

if TYPE_CHECKING:
    import torch

Contributions = dict[str, "torch.Tensor"]
"""What single samples contribute: layer to (m, ...)."""


def nothing(place: Place) -> None:
    """A source that can be had everywhere."""


def each_as_it_is(weights: Tensors, mean: Tensors) -> Tensors:
    """The mean contribution is the tether."""
    return {n: np.asarray(m, np.float64) for n, m in mean.items()}


def where_positive(weights: Tensors, mean: Tensors) -> Tensors:
    """The mean contribution is the tether where it is positive; elsewhere it is 0."""
    return {n: np.maximum(m, 0) for n, m in mean.items()}


def four_copies(place: Place) -> int:
    """What automatic differentiation holds of each sample's gradient."""
    return 4


@dataclass(frozen=True)
class Unsampled:
    """A source that looks at no samples.

    Attributes
    ----------
    about : what an edge's tether is, in a sentence.
    position : where it stands among the sources in lists and figures.
    compute : place and seed to the tethers of all its layers, float64 and not negative; refuses what ``require`` does.
    require : refuses a place that lacks what the source needs (`ViewError`, `MissingError`), computing nothing.
    """

    about: str
    position: int
    compute: Callable[[Place, int], Tensors]
    require: Callable[[Place], object] = nothing


@dataclass(frozen=True)
class Sampled:
    """A source that is a function of a mean over the probe's samples, and so has an interval over samples.

    Attributes
    ----------
    about, position, require : as `Unsampled`; network and probe are asked for in any case.
    contribute : place, network, and inputs and targets of m samples to what each contributes, layer to (m, ...).
    of_mean : weights and mean contributions (float64, of the same layers) to tethers.
    copies : how often what one sample contributes is held in memory meanwhile.
    sums : gives the contributions of a whole batch added up, (b, n) shares of its samples to layer to (b, ...), without each
        of them; None where it can't for this network, or for this source.
    """

    about: str
    position: int
    contribute: Callable[[Place, torch.nn.Module, Any, torch.Tensor], Contributions]
    of_mean: Callable[[Tensors, Tensors], Tensors] = each_as_it_is
    require: Callable[[Place], object] = nothing
    copies: Callable[[Place], int] = four_copies
    sums: Callable[[Place, torch.nn.Module, Any, torch.Tensor, torch.Tensor], Contributions | None] | None = (
        None
    )


Source = Unsampled | Sampled
