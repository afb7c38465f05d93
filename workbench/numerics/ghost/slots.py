"""A memory of learned slots: keys and values that are weights, so that what it knows can't be listed, changed or removed.

The baseline of the written memory.
"""

from __future__ import annotations

import torch
from torch import nn

from workbench.numerics.ghost.mixer import State
from workbench.numerics.ghost.names import Query

FIRST_GATE = -2.0


class Slots(nn.Module):
    """Attention of every position to learned slots, let in by a gate.

    Parameters
    ----------
    width : of the stream. slots : how many there are. temperature : τ of softmax(Q Kᵀ / (√width τ)) V.
    query : what asks: each ``position``, or the ``mean`` of those up to it.
    """

    def __init__(self, width: int, slots: int, *, temperature: float = 1.0, query: Query = "position"):
        super().__init__()
        self.query = query
        self.scale = width**-0.5 / temperature
        self.q_proj = nn.Linear(width, width, bias=False)
        self.keys = nn.Parameter(torch.empty(slots, width))
        self.values = nn.Parameter(torch.empty(slots, width))
        self.gate = nn.Linear(2 * width, 1)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw keys and values, the gate mostly shut."""
        nn.init.normal_(self.keys)
        nn.init.normal_(self.values, std=0.02)
        nn.init.constant_(self.gate.bias, FIRST_GATE)

    def forward(self, x: torch.Tensor, state: State | None = None) -> torch.Tensor:
        """(b, t, width) to what is added to it; ``state`` is read and brought up to date."""
        asking = self._mean(x, state) if self.query == "mean" else x
        given = (self.q_proj(asking) @ self.keys.T * self.scale).softmax(-1) @ self.values
        return torch.sigmoid(self.gate(torch.cat([x, given], -1))) * given

    def _mean(self, x: torch.Tensor, state: State | None) -> torch.Tensor:
        """The mean of each position and those before it."""
        own = {} if state is None else state
        summed = x.double().cumsum(1) + own.get("sum", 0)
        count = torch.arange(1, x.shape[1] + 1, device=x.device) + own.get("count", 0)
        if state is not None and x.shape[1]:
            state["sum"], state["count"] = summed[:, -1:].detach(), count[-1]
        return (summed / count[:, None]).to(x.dtype)
