"""Renormalizations: what may be done to a network in mid-descent, each with its invariant, one file each.

An operator takes a network, data to measure it on, settings and a seed, leaves the network alone and gives a changed copy.
`OPERATORS` says of each whether the copy computes the same function, and `act` checks that it does.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING

from workbench.core.errors import DataError
from workbench.core.patterns import layer_said
from workbench.numerics.objectives import Probe

if TYPE_CHECKING:
    import torch

PRESERVED = 1e-5  # of the largest output, by which outputs may move where the function is preserved


@dataclass(frozen=True)
class Settings:
    """What operators are set by; each reads its own.

    Attributes
    ----------
    layers : pattern of the names of the layers that are acted on.
    strength : how far whitening, flattening and tethering go; 1 is all the way.
    shrink : what weights are multiplied by. noise : standard deviation of what is added, of a tensor's own; in widening,
        by how much the shares of copies differ.
    widening : units after over units before. tethered : share of edges held. source : of the tethers.
    """

    layers: str = "*"
    strength: float = 1.0
    shrink: float = 0.5
    noise: float = 0.1
    widening: float = 1.5
    tethered: float = 0.1
    source: str = "gradient_weight"


@dataclass(frozen=True)
class Renormalized:
    """What an operator made.

    Attributes
    ----------
    network : the changed copy. acted : layers that were changed.
    refused : layers that could not be, each with the reason.
    moved : by how much the outputs changed, of the largest output; see `moved`.
    """

    network: torch.nn.Module
    acted: tuple[str, ...]
    refused: dict[str, str]
    moved: float = float("nan")


@dataclass(frozen=True)
class Operator:
    """What an operator promises.

    Attributes
    ----------
    preserves : whether the function stays as it is, to `PRESERVED`, in evaluation mode.
    random : whether the seed counts. about : what it does, in a sentence.
    """

    preserves: bool
    random: bool
    about: str


OPERATORS: dict[str, Operator] = {
    "whitening": Operator(
        True,
        False,
        "each layer's inputs are whitened: W = V·M with M the inverse square root of their second moments, which stays "
        "as it is while V is trained",
    ),
    "flattening": Operator(
        True,
        False,
        "each weight is split into M·V with V's singular values made equal and M compensating; both are trained",
    ),
    "weight_norm": Operator(
        True, False, "each row of a weight is a length times a direction, which are trained apart"
    ),
    "batch_norm": Operator(
        True,
        False,
        "batch normalization follows each hidden layer, set to undo itself: the function stays in evaluation mode, and in "
        "training follows each batch's own moments",
    ),
    "widening": Operator(
        True,
        True,
        "hidden units are copied and what they send on is shared among the copies, unevenly so that they part",
    ),
    "shrink_perturb": Operator(False, True, "all weights are shrunk and noise is added"),
    "tethering": Operator(
        False,
        True,
        "all edges but the tethered ones get the same size, keeping their signs and their layer's norm",
    ),
}
"""Names of the operators; each is the function of its name in the module of its name."""

Act = Callable[["torch.nn.Module", Probe, Settings, int], Renormalized]


def act(
    name: str, network: torch.nn.Module, data: Probe, settings: Settings | None = None, random_state: int = 0
) -> Renormalized:
    """Renormalize a copy of a network, and measure what that did to its outputs.

    Parameters
    ----------
    name : from `OPERATORS`. data : what moments and gradients are measured on.

    Raises
    ------
    DataError
        No layer can be acted on (each is named with the reason), or the outputs moved where they must not.
    """
    function: Act = getattr(import_module(f"workbench.numerics.renormalizing.{name}"), name)
    made = function(network, data, settings or Settings(), random_state)
    if not made.acted:
        reasons = in_words(made.refused) or "no layer matches"
        raise DataError(f"{name} acts on no layer of {type(network).__name__}: {reasons}.")
    change = moved(network, made.network, data)
    if OPERATORS[name].preserves and not change <= PRESERVED:
        raise DataError(
            f"{name} moved the outputs of {type(network).__name__} by {change:.2g} of the largest, more than {PRESERVED:g}, so that it "
            f"doesn't preserve the function here (rounding, or a layer that isn't what it seems). Lower strength, or name other layers."
        )
    return Renormalized(made.network, made.acted, made.refused, change)


def in_words(refused: Mapping[str, str]) -> str:
    """Layers with the reason for each; of many that are refused alike, but for their sizes, the first and how many more."""
    alike: dict[str, list[str]] = {}
    for name, why in refused.items():
        alike.setdefault(re.sub(r"\d+", "0", why), []).append(f"{layer_said(name)} {why}")
    return "; ".join(
        lines[0] + (f" (and {len(lines) - 1} more like it)" if lines[1:] else "") for lines in alike.values()
    )


def moved(before: torch.nn.Module, after: torch.nn.Module, data: Probe) -> float:
    """Largest change of an output between two networks, of the largest output, in evaluation mode."""
    import torch

    from workbench.numerics.per_sample import answers

    with torch.no_grad():
        one, other = (answers(n.eval(), data).double() for n in (before, after))
    return float((one - other).abs().max() / one.abs().max().clamp(min=torch.finfo(torch.float64).tiny))
