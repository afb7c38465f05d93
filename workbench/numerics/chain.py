"""A chain of layers that its configuration describes: what a smaller network of another shape is saved as and built from."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Annotated, Any, Literal

import torch
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from torch import nn

WIDEST, LONGEST, MOST = 1 << 20, 1 << 12, 1 << 32
"""Of a layer, of a chain, and numbers of all weights."""
Width = Annotated[int, Field(ge=1, le=WIDEST)]


class ChainLayer(BaseModel):
    """One layer.

    Attributes
    ----------
    kind : ``linear``, a norm, or an activation. width, inputs : numbers that come out, and that go into a linear one.
    scaled : whether a linear layer has a bias, or a norm its scale and shift. number : slope of a leaky rectifier, eps of a norm.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    kind: Literal[
        "linear",
        "layer_norm",
        "batch_norm",
        "relu",
        "leaky",
        "gelu",
        "gelu_tanh",
        "silu",
        "tanh",
        "sigmoid",
        "softmax",
    ]
    width: Width = 1
    inputs: Width = 1
    scaled: bool = True
    number: Annotated[float, Field(allow_inf_nan=False)] = 0.0


class ChainConfig(BaseModel):
    """What the ``config.json`` of a chain holds."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    model_type: Literal["workbench_chain"] = "workbench_chain"
    layers: Annotated[tuple[ChainLayer, ...], Field(min_length=1, max_length=LONGEST, strict=False)]

    @classmethod
    def of(cls, read: Mapping[str, Any]) -> ChainConfig:
        """That of a ``config.json``; raises ValueError, which says what is wrong where."""
        try:
            return cls.model_validate_json(json.dumps(dict(read)))
        except ValidationError as e:
            first = e.errors()[0]
            raise ValueError(f"{'.'.join(map(str, first['loc'])) or 'its sizes'}: {first['msg']}") from None

    def as_json(self) -> dict[str, Any]:
        """What ``config.json`` holds."""
        return self.model_dump(mode="json")

    @model_validator(mode="after")
    def _fits(self) -> ChainConfig:
        width = 0
        for i, layer in enumerate(self.layers):
            if layer.kind == "linear":
                if width and layer.inputs != width:
                    raise ValueError(
                        f"layer {i} takes {layer.inputs} numbers, and the one before gives {width}"
                    )
                width = layer.width
            elif layer.kind in ("layer_norm", "batch_norm"):
                if width and layer.width != width:
                    raise ValueError(f"layer {i} is {layer.width} wide, and the one before {width}")
                if not layer.number >= 0:
                    raise ValueError(f"the eps of layer {i} is negative")
                width = layer.width
        if sum(layer.inputs * layer.width for layer in self.layers) > MOST:
            raise ValueError(f"it has more than {MOST:,} weights")
        return self


class Chain(nn.Sequential):
    """Layers one after another, as a configuration has them; in evaluation mode."""

    def __init__(self, config: ChainConfig):
        super().__init__(*map(_made, config.layers))
        self.config = config
        self.eval()


def _made(layer: ChainLayer) -> nn.Module:
    if layer.kind == "linear":
        return nn.Linear(layer.inputs, layer.width, bias=layer.scaled)
    if layer.kind == "layer_norm":
        return nn.LayerNorm(layer.width, eps=layer.number, elementwise_affine=layer.scaled, bias=layer.scaled)
    if layer.kind == "batch_norm":
        return nn.BatchNorm1d(layer.width, eps=layer.number, affine=layer.scaled)
    if layer.kind == "leaky":
        return nn.LeakyReLU(layer.number)
    if layer.kind == "gelu_tanh":
        return nn.GELU(approximate="tanh")
    if layer.kind == "softmax":
        return nn.Softmax(-1)
    names = {"relu": "ReLU", "gelu": "GELU", "silu": "SiLU", "tanh": "Tanh", "sigmoid": "Sigmoid"}
    made: nn.Module = getattr(nn, names[layer.kind])()
    return made


def put(module: nn.Module, **arrays: object) -> None:
    """Fill parameters and buffers with what isn't None."""
    with torch.no_grad():
        for name, values in arrays.items():
            if values is not None:
                getattr(module, name).copy_(torch.as_tensor(values))
