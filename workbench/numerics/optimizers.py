"""Optimizers by name, and those whose update of a number needs no other number of the network."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

from workbench.core.errors import ParameterError, suggest

if TYPE_CHECKING:
    import torch

OptimizerName = Literal["sgd", "momentum", "adam", "adamw"]
ELEMENTWISE = (
    "SGD",
    "Adam",
    "AdamW",
    "NAdam",
    "RAdam",
    "Adamax",
    "Adagrad",
    "Adadelta",
    "RMSprop",
    "ASGD",
    "Rprop",
)
"""Classes in `torch.optim` that treat every entry alone, so that networks stacked in one tensor don't meet."""
_HOW = ("foreach", "fused", "capturable", "differentiable", "maximize", "lr")  # not what, or given apart


def optimizer_of(name: str, parameters: Any, learning_rate: float) -> torch.optim.Optimizer:
    """An optimizer by its name: ``momentum`` is SGD with momentum 0.9."""
    import torch

    if name in ("sgd", "momentum"):
        return torch.optim.SGD(parameters, lr=learning_rate, momentum=0.9 if name == "momentum" else 0.0)
    return (torch.optim.AdamW if name == "adamw" else torch.optim.Adam)(parameters, lr=learning_rate)


def optimizer_like(
    recorded: str, settings: Mapping[str, Any], groups: Any, learning_rate: float
) -> torch.optim.Optimizer:
    """An optimizer as a recording names it: its class and the settings that it had.

    Raises
    ------
    ParameterError
        It isn't one of `ELEMENTWISE`.
    """
    import torch

    if recorded not in ELEMENTWISE:
        raise ParameterError(
            f"The descent was made by {recorded or 'an optimizer that is not recorded'}, which isn't one of {', '.join(ELEMENTWISE)}. "
            f"Choose one: optimizer='adam'. {suggest(recorded, ELEMENTWISE) if recorded else ''}".strip()
        )
    kind = getattr(torch.optim, recorded)
    known = inspect.signature(kind).parameters
    kept = {k: v for k, v in settings.items() if k in known and k not in _HOW}
    if "betas" in known and "betas" in kept:
        kept["betas"] = tuple(kept["betas"])
    return kind(groups, lr=learning_rate, **kept)
