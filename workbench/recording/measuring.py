"""What is measured of a step: norms of gradients and updates, learning rates, and the optimizer's own state.

On a GPU all of it stays in torch tensors there, so that nothing waits; rows become numbers when a chunk of them is
handed to the writer.
"""

from __future__ import annotations

from array import array
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch

from workbench.core.errors import DataError


def meter(parameters: Mapping[str, torch.nn.Parameter], rows: int) -> Meter:
    """The quickest meter for these parameters.

    Parameters
    ----------
    parameters : name to parameter, in the order of the columns. rows : of a chunk.
    """
    alike = all(
        p.device.type == "cpu" and p.dtype == torch.float32 and p.is_contiguous() for p in parameters.values()
    )
    return (FusedMeter if alike else TorchMeter)(parameters, rows)


class Meter:
    """Norms of each trained parameter's gradient and update, row by row of a chunk."""

    def __init__(self, parameters: Mapping[str, torch.nn.Parameter], rows: int):
        self.names = list(parameters)
        self.owners: list[torch.Tensor] = list(parameters.values())
        self.shapes = [p.shape for p in self.owners]
        self.rows = rows

    def gradient(self, row: int) -> None:
        """Measure the gradients; a parameter without one has norm 0."""
        raise NotImplementedError

    def before(self, row: int | None) -> None:
        """Remember the parameters as they are before the update, and measure the gradients if there is a row for them."""
        raise NotImplementedError

    def update(self, row: int) -> None:
        """Measure what the update changed."""
        raise NotImplementedError

    def finite(self, row: int) -> bool:
        """Whether the gradients of a row are."""
        raise NotImplementedError

    def moved(self, row: int) -> bool:
        """Whether the update of a row changed anything."""
        raise NotImplementedError

    def divide(self, row: int, scale: torch.Tensor) -> None:
        """Divide the gradients of a row by what the loss was multiplied by."""
        raise NotImplementedError

    def take(self, n: int) -> tuple[np.ndarray, np.ndarray]:
        """The first ``n`` rows of gradients and updates, (n, P) float32, which are measured anew from here on."""
        raise NotImplementedError

    def require_shapes(self) -> None:
        """Refuse parameters that are no longer what they were when the recording began.

        Raises
        ------
        DataError
            With the parameter and both shapes.
        """
        for name, p, shape in zip(self.names, self.owners, self.shapes, strict=True):
            if p.shape != shape:
                raise DataError(f"{name} changed its shape from {tuple(shape)} to {tuple(p.shape)}")


class TorchMeter(Meter):
    """On any device, in any dtype."""

    def __init__(self, parameters: Mapping[str, torch.nn.Parameter], rows: int):
        super().__init__(parameters, rows)
        self._before = [torch.empty_like(p, requires_grad=False) for p in self.owners]
        self._device = self.owners[0].device
        double = any(p.dtype == torch.float64 for p in self.owners)
        self._sum = torch.float64 if double else torch.float32  # halves are summed in float32
        self._one_place = len({(p.device, p.dtype) for p in self.owners}) == 1
        self._clear()

    def _clear(self) -> None:
        self._gradients = torch.zeros(self.rows, len(self.names), device=self._device, dtype=self._sum)
        self._updates = torch.zeros_like(self._gradients)

    @torch.no_grad()
    def gradient(self, row: int) -> None:
        grads = [p.grad for p in self.owners]
        whole = [g for g in grads if g is not None and not g.is_sparse]
        found: Sequence[torch.Tensor]
        if len(whole) == len(grads):
            found = torch._foreach_norm(whole, 2, self._sum)
        else:
            found = [_norm(g, p).to(self._sum) for g, p in zip(grads, self.owners, strict=True)]
        self._put(self._gradients, row, found)

    @torch.no_grad()
    def before(self, row: int | None) -> None:
        self.require_shapes()
        torch._foreach_copy_(self._before, self.owners)
        if row is not None:
            self.gradient(row)

    @torch.no_grad()
    def update(self, row: int) -> None:
        torch._foreach_sub_(self._before, self.owners)
        self._put(self._updates, row, torch._foreach_norm(self._before, 2, self._sum))

    def finite(self, row: int) -> bool:
        return bool(self._gradients[row].isfinite().all())

    def moved(self, row: int) -> bool:
        return bool(self._updates[row].any())

    def divide(self, row: int, scale: torch.Tensor) -> None:
        self._gradients[row] /= scale.to(self._device, self._sum)

    def take(self, n: int) -> tuple[np.ndarray, np.ndarray]:
        gradients, updates = (t[:n].float().cpu().numpy() for t in (self._gradients, self._updates))
        self._clear()
        return gradients, updates

    def _put(self, buffer: torch.Tensor, row: int, norms: Sequence[torch.Tensor]) -> None:
        if not self._one_place:
            norms = [n.to(self._device, self._sum) for n in norms]
        torch.stack(list(norms), out=buffer[row])


class FusedMeter(Meter):
    """Contiguous float32 on a CPU, in one pass of compiled code (`passes`)."""

    def __init__(self, parameters: Mapping[str, torch.nn.Parameter], rows: int):
        super().__init__(parameters, rows)
        from workbench.recording import passes

        self._passes = passes
        count = len(self.owners)
        sizes = array("q", [p.numel() for p in self.owners])
        self._each = [(i, p, 4 * p.numel()) for i, p in enumerate(self.owners)]
        vector = np.empty(sum(sizes), np.float32)
        self._places = [array("q", bytes(8 * count)) for _ in range(2)]  # where parameters and gradients lie
        own, grads = (p.buffer_info()[0] for p in self._places)
        size, kept = sizes.buffer_info()[0], vector.ctypes.data
        self._held = (sizes, vector)  # their memory is used by address
        self._keep = (count, own, size, kept)
        self._keep_and_norms = (count, own, grads, size, kept)
        self._norms = (count, grads, size)
        self._known: list[int] = []
        self._clear()
        self._require_addresses()  # and compile, or load what was compiled, before the first step
        self._places[1][:] = self._places[0]
        passes.keep(*self._keep)
        passes.keep_and_norms(*self._keep_and_norms, self._gradients_at)
        passes.moved(*self._keep, self._updates_at)
        passes.norms(*self._norms, self._gradients_at)
        self._clear()

    def _clear(self) -> None:
        self._gradients = np.zeros((self.rows, len(self.names)), np.float32)
        self._updates = np.zeros_like(self._gradients)
        self._gradients_at, self._updates_at = self._gradients.ctypes.data, self._updates.ctypes.data
        self._row_bytes = 4 * len(self.names)

    def before(self, row: int | None) -> None:
        self._require_addresses()
        if row is not None and self._find_gradients():
            self._passes.keep_and_norms(*self._keep_and_norms, self._gradients_at + row * self._row_bytes)
            return
        self._passes.keep(*self._keep)
        if row is not None:
            self._gradients[row] = self._norms_one_by_one()

    def gradient(self, row: int) -> None:
        if self._find_gradients():
            self._passes.norms(*self._norms, self._gradients_at + row * self._row_bytes)
        else:
            self._gradients[row] = self._norms_one_by_one()

    def _norms_one_by_one(self) -> list[float]:
        return [float(_norm(p.grad, p)) for p in self.owners]

    def update(self, row: int) -> None:
        self._require_addresses()
        self._passes.moved(*self._keep, self._updates_at + row * self._row_bytes)

    def finite(self, row: int) -> bool:
        return bool(np.isfinite(self._gradients[row]).all())

    def moved(self, row: int) -> bool:
        return bool(self._updates[row].any())

    def divide(self, row: int, scale: torch.Tensor) -> None:
        self._gradients[row] /= float(scale)

    def take(self, n: int) -> tuple[np.ndarray, np.ndarray]:
        found = self._gradients[:n], self._updates[:n]
        self._clear()
        self._known = []
        return found

    def _require_addresses(self) -> None:
        """Look up where the parameters lie; they are looked at closely where that has changed, and once a chunk."""
        if list(map(_address, self.owners)) != self._known:
            self._look_closely()

    def _look_closely(self) -> None:
        self.require_shapes()
        if not all(p.is_cpu and p.dtype == torch.float32 and p.is_contiguous() for p in self.owners):
            raise DataError(
                "parameters changed their dtype, device or order in memory; record anew from there on"
            )
        self._known = list(map(_address, self.owners))
        self._places[0][:] = array("q", self._known)

    def _find_gradients(self) -> bool:
        """Look up where the gradients lie; False if they aren't what the compiled code takes."""
        places = self._places[1]
        try:
            for i, p, nbytes in self._each:  # one loop: several comprehensions take twice as long
                g = p.grad
                if g.nbytes != nbytes or not g.is_contiguous():  # type: ignore[union-attr]
                    return False
                places[i] = g.data_ptr()  # type: ignore[union-attr]
        except (AttributeError, RuntimeError):  # a parameter without a gradient, a sparse gradient
            return False
        return True


_address = torch.Tensor.data_ptr
_NONE = float("nan")


def _norm(gradient: torch.Tensor | None, parameter: torch.Tensor) -> torch.Tensor:
    if gradient is None:
        return torch.zeros((), device=parameter.device)
    values = gradient.coalesce().values() if gradient.is_sparse else gradient
    return torch.linalg.vector_norm(values, dtype=torch.promote_types(values.dtype, torch.float32))


def trained_by(optimizer: torch.optim.Optimizer) -> list[torch.Tensor]:
    """What an optimizer trains as it is now."""
    return [p for g in optimizer.param_groups for p in g["params"] if p.requires_grad]


def idle_in(optimizer: torch.optim.Optimizer) -> list[torch.Tensor]:
    """What it holds, and would train if it were unfrozen."""
    return [p for g in optimizer.param_groups for p in g["params"] if not p.requires_grad]


def learning_rates(optimizer: torch.optim.Optimizer, groups: int) -> list[Any]:
    """The learning rate of each of the first groups, numbers or, for a captured graph, tensors."""
    rates = [g.get("lr", _NONE) for g in optimizer.param_groups[:groups]]
    return [lr if type(lr) is float else _copied(lr) for lr in rates]


def _copied(lr: Any) -> Any:
    return lr.detach().clone() if isinstance(lr, torch.Tensor) else lr


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
    summary = {}
    for key, values in parts.items():
        device = values[0].device
        sums = torch.stack([v.abs().sum(dtype=torch.float32).to(device) for v in values])
        summary[f"{key}_mean"] = sums.sum() / sum(v.numel() for v in values)
        summary[f"{key}_max"] = torch.stack([v.abs().max().float().to(device) for v in values]).max()
    return summary


def state_arrays(
    optimizer: torch.optim.Optimizer, parameters: Mapping[str, torch.nn.Parameter]
) -> dict[str, Any]:
    """All tensors of the optimizer's state, copied, under ``<part>/<parameter>``."""
    arrays = {}
    for name, p in parameters.items():
        for key, value in optimizer.state.get(p, {}).items():
            if isinstance(value, torch.Tensor):
                arrays[f"{key}/{name}"] = value.detach().to("cpu", copy=True)
    return arrays
