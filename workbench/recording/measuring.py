"""What is measured of a step: norms of gradients and updates, learning rates, and the optimizer's own state.

All of it as torch tensors on the parameters' device, so that nothing waits for a GPU; rows become numbers when a
chunk of them is handed to the writer.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from workbench.core.errors import DataError


class Meter:
    """Norms of each trained parameter's gradient and update.

    Parameters
    ----------
    parameters : name to parameter, in the order of the columns.
    rows : of a chunk.
    """

    def __init__(self, parameters: Mapping[str, torch.nn.Parameter], rows: int):
        self.names = list(parameters)
        self._owners: list[torch.Tensor] = list(parameters.values())
        self._shapes = [p.shape for p in self._owners]
        self._before = [torch.empty_like(p, requires_grad=False) for p in self._owners]
        self.device = self._owners[0].device
        self._one_place = len({(p.device, p.dtype) for p in self._owners}) == 1
        self._rows = rows
        self.clear()

    def clear(self) -> None:
        """Start a new chunk; the old one's rows belong to whoever took them."""
        self.gradients = torch.empty(self._rows, len(self.names), device=self.device)
        self.updates = torch.empty_like(self.gradients)

    def gradient(self, row: int) -> torch.Tensor:
        """Put the gradients' norms into a row of the chunk; a parameter without a gradient has norm 0."""
        grads = [p.grad for p in self._owners]
        whole = [g for g in grads if g is not None and not g.is_sparse]
        norms: Sequence[torch.Tensor]
        if len(whole) == len(grads):
            norms = torch._foreach_norm(whole, 2, torch.float32)
        else:
            norms = [_norm(g, p) for g, p in zip(grads, self._owners, strict=True)]
        return self._put(self.gradients, row, norms)

    def before(self) -> None:
        """Remember the parameters as they are before the update."""
        torch._foreach_copy_(self._before, self._owners)

    def update(self, row: int) -> torch.Tensor:
        """Put the norms of what the update changed into a row of the chunk."""
        torch._foreach_sub_(self._before, self._owners)
        return self._put(self.updates, row, torch._foreach_norm(self._before, 2, torch.float32))

    def require_shapes(self) -> None:
        """Refuse parameters that are no longer what they were when the recording began.

        Raises
        ------
        DataError
            With the parameter and both shapes.
        """
        for i, p in enumerate(self._owners):
            if p.shape != self._shapes[i]:
                raise DataError(
                    f"{self.names[i]} changed its shape from {tuple(self._shapes[i])} to {tuple(p.shape)}"
                )
            if p.dtype != self._before[i].dtype:
                raise DataError(
                    f"{self.names[i]} changed its dtype from {self._before[i].dtype} to {p.dtype}"
                )

    def _put(self, buffer: torch.Tensor, row: int, norms: Sequence[torch.Tensor]) -> torch.Tensor:
        if not self._one_place:
            norms = [n.to(self.device, torch.float32) for n in norms]
        return torch.stack(list(norms), out=buffer[row])


def _norm(gradient: torch.Tensor | None, parameter: torch.Tensor) -> torch.Tensor:
    if gradient is None:
        return torch.zeros((), device=parameter.device)
    values = gradient.coalesce().values() if gradient.is_sparse else gradient
    return torch.linalg.vector_norm(values, dtype=torch.float32)


def learning_rates(optimizer: torch.optim.Optimizer) -> list[Any]:
    """The learning rate of each group, numbers or (for a captured graph) tensors."""
    found = [g.get("lr", float("nan")) for g in optimizer.param_groups]
    return [lr.detach().clone() if isinstance(lr, torch.Tensor) else lr for lr in found]


def summaries(
    optimizer: torch.optim.Optimizer, parameters: Sequence[torch.nn.Parameter]
) -> dict[str, torch.Tensor]:
    """Mean and greatest size of each part of the optimizer's state (``exp_avg_sq_mean``), over all parameters."""
    parts: dict[str, list[torch.Tensor]] = {}
    for p in parameters:
        for key, value in optimizer.state.get(p, {}).items():
            if (
                isinstance(value, torch.Tensor)
                and value.shape == p.shape
                and value.is_floating_point()
                and p.ndim
            ):
                parts.setdefault(key, []).append(value)
    found = {}
    for key, values in parts.items():
        device = values[0].device
        sums = torch.stack([v.abs().sum(dtype=torch.float32).to(device) for v in values])
        found[f"{key}_mean"] = sums.sum() / sum(v.numel() for v in values)
        found[f"{key}_max"] = torch.stack([v.abs().max().float().to(device) for v in values]).max()
    return found


def state_arrays(
    optimizer: torch.optim.Optimizer, parameters: Mapping[str, torch.nn.Parameter]
) -> dict[str, Any]:
    """All tensors of the optimizer's state, copied, under ``<part>/<parameter>``."""
    found = {}
    for name, p in parameters.items():
        for key, value in optimizer.state.get(p, {}).items():
            if isinstance(value, torch.Tensor):
                found[f"{key}/{name}"] = value.detach().to("cpu", copy=True)
    return found
