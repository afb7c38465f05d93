"""Which layers of a network can be acted on, what they are given, and why the others can't."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from workbench.core.errors import ParameterError, suggest
from workbench.core.patterns import matching
from workbench.numerics.objectives import Probe
from workbench.numerics.per_sample import answers

CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
MATRICES = (nn.Linear, *CONVOLUTIONS)
TRANSPOSED = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)


@dataclass
class Layer:
    """A linear layer or convolution, as it was met on a forward pass.

    Attributes
    ----------
    inputs, outputs : what it was last given and gave. calls : how often it ran.
    last : whether it ran last of all.
    """

    name: str
    module: Any
    inputs: torch.Tensor
    outputs: torch.Tensor
    calls: int = 1
    last: bool = False


def copied(network: nn.Module) -> nn.Module:
    """A copy in evaluation mode, whose tensors are its own."""
    return copy.deepcopy(network).eval()


def layers_of(network: nn.Module, data: Probe, pattern: str) -> tuple[list[Layer], dict[str, str]]:
    """Layers that can be acted on, in the order in which they run, and the others with the reason.

    Raises
    ------
    ParameterError
        The pattern matches no layer with a weight.
    """
    names = [n for n, m in network.named_modules() if _weights(m)]
    wanted = set(matching(names, pattern))
    if not wanted:
        raise ParameterError(f"layers={pattern!r} matches no layer with a weight. {suggest(pattern, names)}")
    met = _met(network, data)
    refused = {
        n: why for n, m in network.named_modules() if n in wanted and (why := _unfit(network, n, m, met))
    }
    return [layer for n, layer in met.items() if n in wanted and n not in refused], refused


def last_layer(network: nn.Module, data: Probe) -> Layer:
    """The linear layer or convolution that runs last."""
    return list(_met(network, data).values())[-1]


def replace(network: nn.Module, name: str, module: nn.Module) -> None:
    """Put a module in the place of another."""
    parent, _, own = name.rpartition(".")
    setattr(network.get_submodule(parent), own, module)


def folded(network: nn.Module) -> nn.Module:
    """A copy in which every weight is one tensor of its layer's own shape again.

    Torch's `remove_parametrizations` would take the factors away from all copies of a network, which share a class.
    """
    from torch.nn.utils import parametrize

    made = copy.deepcopy(network)
    for module in list(made.modules()):
        if not parametrize.is_parametrized(module):
            continue
        values = {n: getattr(module, n).detach().clone() for n in module.parametrizations}  # type: ignore[union-attr]
        del module.parametrizations
        module.__class__ = type(module).__bases__[0]
        for name, value in values.items():
            module.register_parameter(name, nn.Parameter(value))
    return made


def tied(network: nn.Module) -> dict[str, str]:
    """Names of parameters that are the same tensor as another, with the other's name."""
    owners: dict[int, list[str]] = {}
    for name, p in network.named_parameters(remove_duplicate=False):
        owners.setdefault(id(p), []).append(name)
    return {n: next(o for o in names if o != n) for names in owners.values() if len(names) > 1 for n in names}


def _weights(module: nn.Module) -> list[str]:
    """Names of a module's own trained or frozen weights of two dimensions or more, parametrized ones too."""
    from torch.nn.utils import parametrize

    found = [n for n, p in module.named_parameters(recurse=False) if p.ndim >= 2]
    if parametrize.is_parametrized(module):
        found += list(module.parametrizations)  # type: ignore[arg-type]
    return found


def _met(network: nn.Module, data: Probe) -> dict[str, Layer]:
    found: dict[str, Layer] = {}

    def keep(name: str) -> Any:
        def hook(module: nn.Module, given: Any, out: Any) -> None:
            calls = found[name].calls + 1 if name in found else 1
            found.pop(name, None)  # so that the order is that of the last calls
            found[name] = Layer(name, module, given[0].detach(), out.detach(), calls)

        return hook

    modules = [(n, m) for n, m in network.named_modules() if isinstance(m, MATRICES)]
    handles = [m.register_forward_hook(keep(n)) for n, m in modules]
    try:
        with torch.no_grad():
            answers(network.eval(), data)
    finally:
        for handle in handles:
            handle.remove()
    if found:
        list(found.values())[-1].last = True
    return found


def _unfit(network: nn.Module, name: str, module: nn.Module, met: dict[str, Layer]) -> str:
    """Why a layer can't be acted on, or ""."""
    from torch.nn.utils import parametrize

    kind = type(module).__name__
    if parametrize.is_parametrized(module):
        return "has a parametrization already; fold it first (torch.nn.utils.parametrize.remove_parametrizations)"
    if isinstance(module, TRANSPOSED):
        return f"is of the kind {kind}, whose weight isn't a matrix over its inputs"
    if not isinstance(module, MATRICES):
        return f"is of the kind {kind}, whose weights aren't one matrix that multiplies its inputs"
    if isinstance(module, CONVOLUTIONS) and module.groups != 1:
        return f"is a convolution in {module.groups} groups, whose weight isn't one matrix over all of its inputs"
    other = tied(network).get(f"{name}.weight" if name else "weight")
    if other:
        return f"has the same weight tensor as {other} (tied): what is done here would be done there"
    if not module.weight.requires_grad:
        return "isn't trained"
    return "" if name in met else "doesn't run in a forward pass"


def rows_of(weight: torch.Tensor) -> torch.Tensor:
    """A weight as a matrix, outputs by everything that one output reads, float64."""
    return weight.detach().double().reshape(len(weight), -1)


def each_trained(network: nn.Module) -> Iterator[tuple[str, nn.Parameter]]:
    """Trained parameters."""
    return ((n, p) for n, p in network.named_parameters() if p.requires_grad)
