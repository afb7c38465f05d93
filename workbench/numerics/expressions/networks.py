"""Parts of torch modules as expressions: a unit of a linear layer, and what layers before it make of the inputs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from workbench.core.errors import MissingError, ParameterError, suggest
from workbench.numerics.expressions.dag import FUNCTIONS, Dag

if TYPE_CHECKING:
    import torch
    from jaxtyping import Float

_NAMED = {
    "ReLU": "relu",
    "GELU": "gelu",
    "GELUActivation": "gelu",
    "Tanh": "tanh",
    "Sigmoid": "sigmoid",
    "SiLU": "silu",
    "SiLUActivation": "silu",
}


class Layer(NamedTuple):
    """A linear layer and the function behind it.

    Attributes
    ----------
    name : of its module. weight : (units, inputs) as stored. bias : (units,). function : one of `FUNCTIONS`, or "" for none.
    """

    name: str
    weight: Float[np.ndarray, "u d"]
    bias: Float[np.ndarray, " u"]
    function: str

    def values(self, x: Float[np.ndarray, "n d"]) -> Float[np.ndarray, "n u"]:
        """What all units give, in double precision."""
        out = x @ self.weight.T.astype(np.float64) + self.bias
        return FUNCTIONS[self.function](out) if self.function else out


def layers_to(module: torch.nn.Module, at: str | None, depth: int) -> list[Layer]:
    """Return a linear layer, and up to ``depth - 1`` before it in the same sequence.

    Parameters
    ----------
    at : the layer's name; None for the last.

    Raises
    ------
    MissingError
        The network has no such linear layer.
    ParameterError
        Before it stands something that can't be written out, or fewer layers.
    """
    from torch import nn

    modules = dict(module.named_modules())
    linear = [n for n, m in modules.items() if isinstance(m, nn.Linear)]
    if not linear:
        raise MissingError(
            "This network has no linear layer (torch.nn.Linear) whose units could be written as formulas."
        )
    at = linear[-1] if at is None else at
    if at not in linear:
        raise MissingError(
            f"neuron_formula: at={at!r} is no linear layer of the network. {suggest(at, linear)}"
        )
    parent = modules[at.rpartition(".")[0]] if "." in at or at else module
    inside = isinstance(parent, nn.Sequential)
    children = list(parent.named_children()) if at else []
    place = [n for n, _ in children].index(at.rpartition(".")[2]) if at else 0
    found = [_layer(at, modules[at], _behind(children, place, inside))]
    while len(found) < depth:
        before = [i for i in range(place) if isinstance(children[i][1], nn.Linear)]
        if not inside or not before:
            raise ParameterError(
                f"neuron_formula: depth={depth} is not legal at {at!r}: {len(found)} linear layer{'s' if len(found) > 1 else ''} of "
                f"its sequence can be written out. Give depth={len(found)}."
            )
        between = [m for _, m in children[before[-1] + 1 : place]]
        if len(between) > 1 or any(type(m).__name__ not in _NAMED for m in between):
            kinds = ", ".join(type(m).__name__ for m in between)
            raise ParameterError(
                f"neuron_formula: depth={depth} reaches past {kinds} before {at!r}, which can't be written out."
            )
        place = before[-1]
        name = f"{at.rpartition('.')[0]}.{children[place][0]}".lstrip(".")
        found.insert(0, _layer(name, children[place][1], _behind(children, place, True)))
    return found


def _behind(children: list[tuple[str, torch.nn.Module]], place: int, sequence: bool) -> str:
    """The function that is applied to a layer: the next of its sequence, or the one that stands beside it in a block of two."""
    near = [m for _, m in children[place + 1 : place + 2]] if sequence or len(children) == 2 else []
    if not near or getattr(near[0], "approximate", "none") != "none":  # a GELU by tanh is another function
        return ""
    return _NAMED.get(type(near[0]).__name__, "")


def _layer(name: str, linear: Any, function: str) -> Layer:
    weight = linear.weight.detach().float().cpu().numpy()
    bias = np.zeros(len(weight)) if linear.bias is None else linear.bias.detach().float().cpu().numpy()
    return Layer(name, weight, bias, function)


def unit(
    dag: Dag, layers: list[Layer], neuron: int, *, kept: np.ndarray | None = None, shift: float = 0.0
) -> int:
    """The expression of one unit of the last layer, of inputs x1, x2 ..., exactly as its weights are stored.

    Parameters
    ----------
    kept : places of the terms of the last sum that stay; None for all. shift : what is added in place of the others.
    """
    nodes = [dag.variable(f"x{j + 1}") for j in range(layers[0].weight.shape[1])]
    for layer in layers[:-1]:
        nodes = [
            _applied(dag, layer.function, dag.affine(nodes, w, float(b)))
            for w, b in zip(layer.weight, layer.bias, strict=True)
        ]
    last = layers[-1]
    places = np.arange(len(nodes)) if kept is None else kept
    bias = float(last.bias[neuron]) + shift
    return _applied(
        dag, last.function, dag.affine([nodes[i] for i in places], last.weight[neuron][places], bias)
    )


def _applied(dag: Dag, function: str, node: int) -> int:
    return dag.apply(function, node) if function else node
