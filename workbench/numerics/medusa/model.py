"""A world's fixed matrices as a module: what it is saved as, and one step of it without noise."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from torch import nn

from workbench.core.errors import DataError

if TYPE_CHECKING:
    from jaxtyping import Float, Int

MOST_DENSE = 2_048  # nodes of a world whose matrices are written in full
Sparse = tuple["Int[np.ndarray, ' m']", "Int[np.ndarray, ' m']", "Float[np.ndarray, ' m']"]
"""Which row and which column each number stands in, and the numbers."""
AtLeast0 = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Said = Annotated[str, Field(max_length=200)] | bool | int | float


class WorldConfig(BaseModel):
    """What the ``config.json`` of a world holds.

    Attributes
    ----------
    nodes, channels : how many. looks : numbers of all heads together.
    h, speed, damping, holding, adapting, forgetting, from_wave, to_wave : see `Settings`.
    made : the call that made it, by which it is made again.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    model_type: Literal["workbench_medusa"] = "workbench_medusa"
    nodes: Annotated[int, Field(ge=1, le=MOST_DENSE)]
    channels: Annotated[int, Field(ge=1, le=64)]
    looks: Annotated[int, Field(ge=0, le=4096)] = 0
    h: Annotated[float, Field(gt=0, le=1)]
    speed: AtLeast0 = 1.0
    damping: AtLeast0 = 0.0
    holding: AtLeast0 = 0.0
    adapting: AtLeast0 = 0.0
    forgetting: Annotated[float, Field(gt=0, le=1)] = 0.1
    from_wave: Annotated[float, Field(allow_inf_nan=False)] = 0.3
    to_wave: Annotated[float, Field(allow_inf_nan=False)] = 0.3
    made: Annotated[dict[Annotated[str, Field(max_length=64)], Said], Field(max_length=64)] = {}

    @classmethod
    def of(cls, read: Mapping[str, Any]) -> WorldConfig:
        """That of a ``config.json``; raises ValueError, which says what is wrong where."""
        try:
            return cls.model_validate_json(json.dumps(dict(read)))
        except ValidationError as e:
            first = e.errors()[0]
            raise ValueError(f"{'.'.join(map(str, first['loc'])) or 'its sizes'}: {first['msg']}") from None

    def as_json(self) -> dict[str, Any]:
        """What ``config.json`` holds."""
        return self.model_dump(mode="json")


class WorldStep(nn.Module):
    """One step of a world without its noise, Euler's and leapfrog's, from and to (worlds, 3 nodes + looks): r, q, p, m."""

    def __init__(self, config: WorldConfig):
        super().__init__()
        n, k = config.nodes, config.looks
        self.config = config
        self.rates, self.wave = nn.Linear(n, n), nn.Linear(n, n, bias=False)
        self.seen = nn.Linear(2 * n, config.channels, bias=False)
        self.looks = nn.Linear(2 * n, k, bias=False) if k else None
        self.writes = nn.Linear(k, n, bias=False) if k else None
        self.eval()

    def forward(self, state: Float[torch.Tensor, "worlds d"]) -> Float[torch.Tensor, "worlds d"]:
        c, n = self.config, self.config.nodes
        r, q, p, m = state.split([n, n, n, c.looks], dim=-1)
        u = self.writes(m) if self.writes is not None else torch.zeros_like(r)
        fit = torch.tanh(c.adapting * r[..., :, None] * r[..., None, :])
        open_ = torch.exp2(fit)  # how much each edge lets through; 1 without adapting
        carried = torch.einsum("ij,...ij,...j->...i", self.rates.weight, open_, r) + self.rates.bias
        after = r + c.h * (torch.tanh(carried + c.from_wave * q + u) - r)
        near = self.wave.weight * open_
        pulled = torch.einsum("...ij,...j->...i", near, q) - (near.sum(-1) + c.holding) * q
        held = c.damping * c.h / 2
        p = ((1 - held) * p + c.h * (c.speed**2 * pulled + c.to_wave * r)) / (1 + held)
        q = q + c.h * p
        if self.looks is not None:
            m = (1 - c.forgetting) * m + c.forgetting * torch.tanh(self.looks(torch.cat([after, q], dim=-1)))
        return torch.cat([after, q, p, m], dim=-1)


def in_full(
    config: Mapping[str, Any], maps: Mapping[str, Sparse], given: Float[np.ndarray, " n"]
) -> WorldStep:
    """The module of a world's maps: ``rates``, ``wave``, ``seen``, and ``looks`` and ``writes`` where it has heads.

    Raises
    ------
    DataError
        More nodes than matrices are written in full for.
    """
    if config["nodes"] > MOST_DENSE:
        raise DataError(
            f"The world has {config['nodes']:,} nodes, and its matrices, nodes by nodes, are written in full for at most "
            f"{MOST_DENSE:,}. Take fewer generations; to_parquet() writes edges, which have no such bound."
        )
    made = WorldStep(WorldConfig.of(config))
    with torch.no_grad():
        made.rates.bias.copy_(torch.from_numpy(np.array(given)))
        for name, (to, of, weights) in maps.items():
            layer = getattr(made, name)
            if layer is not None:
                dense = np.zeros(tuple(layer.weight.shape))
                np.add.at(dense, (to, of), weights)
                layer.weight.copy_(torch.from_numpy(dense))
    return made
