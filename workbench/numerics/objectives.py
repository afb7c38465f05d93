"""Objectives: the few losses that a recording can name, and the batch that it is to be evaluated on.

A recording says by a name from `LOSSES` what was minimized, never by code that opening it would run.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from workbench.core.digest import digest
from workbench.core.errors import DataError, ParameterError, suggest
from workbench.core.rows import frozen, owned

if TYPE_CHECKING:
    import torch

LOSSES = {
    "cross_entropy": "classes y (whole numbers) against logits, averaged",
    "next_token": "each token of y against the logits one position before, averaged; y < 0 is left out",
    "binary_cross_entropy": "y between 0 and 1 against logits, averaged",
    "mse": "squared error, averaged over samples and outputs",
    "half_squared_error": "half the squared error, summed over outputs and averaged over samples",
    "l1": "absolute error, averaged over samples and outputs",
    "output": "the network's own output, averaged: it computes its loss itself",
}
"""Names of losses and what each compares."""


def loss_function(name: str) -> Callable[[Any, torch.Tensor], torch.Tensor]:
    """Return the loss of that name: a function of what the network gave and of ``y``, to a scalar tensor.

    What a network gives may be a tensor, a tuple whose first is one, or an object with ``logits``.

    Raises
    ------
    ParameterError
        The name is none of `LOSSES`.
    """
    require_loss(name)
    from torch.nn import functional as F

    def cross_entropy(z: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return F.cross_entropy(z.reshape(-1, z.shape[-1]), y.reshape(-1).long())

    def next_token(z: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        target = y[..., 1:].reshape(-1).long()
        logits = z[..., :-1, :].reshape(-1, z.shape[-1])
        return F.cross_entropy(logits, target.clamp(min=-1), ignore_index=-1)

    def binary(z: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return F.binary_cross_entropy_with_logits(z.reshape(y.shape), y.to(z.dtype))

    def half_squared_error(z: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return 0.5 * (z.reshape(y.shape) - y.to(z.dtype)).square().reshape(len(y), -1).sum(1).mean()

    compare: dict[str, Callable[[torch.Tensor, torch.Tensor], torch.Tensor]] = {
        "cross_entropy": cross_entropy,
        "next_token": next_token,
        "binary_cross_entropy": binary,
        "mse": lambda z, y: F.mse_loss(z.reshape(y.shape), y.to(z.dtype)),
        "half_squared_error": half_squared_error,
        "l1": lambda z, y: F.l1_loss(z.reshape(y.shape), y.to(z.dtype)),
        "output": lambda z, y: z.mean(),
    }
    chosen = compare[name]
    return lambda answer, y: chosen(output_of(answer), y)


def require_loss(name: str) -> str:
    """Return the name of a loss that is known, or refuse it with those that are."""
    if name not in LOSSES:
        raise ParameterError(f"There is no loss {name!r}. {suggest(str(name), LOSSES)}")
    return name


def output_of(answer: Any) -> torch.Tensor:
    """The tensor in what a network gives: its ``logits``, the first of a tuple, or itself."""
    found = getattr(answer, "logits", answer)
    return found[0] if isinstance(found, tuple | list) else found


@dataclass(frozen=True, eq=False)
class Probe:
    """The batch that a trajectory's losses, Hessians and landscapes are evaluated on.

    Attributes
    ----------
    x : what the network is called with: one array, or keyword arguments by name.
    y : what its output is compared with, one a sample.
    loss : how, a name from `LOSSES`.
    """

    x: np.ndarray | Mapping[str, np.ndarray]
    y: np.ndarray
    loss: str

    def __post_init__(self) -> None:
        require_loss(self.loss)
        x = {k: frozen(v) for k, v in self.x.items()} if isinstance(self.x, Mapping) else frozen(self.x)
        object.__setattr__(self, "x", x)
        object.__setattr__(self, "y", frozen(self.y))
        inputs = self.x if isinstance(self.x, Mapping) else {"x": self.x}
        if not inputs:
            raise DataError("A probe needs inputs; x is empty.")
        for name, array in inputs.items():
            if array.ndim == 0 or len(array) != len(self.y):
                raise DataError(
                    f"A probe has one y a sample; {name} has the shape {array.shape} and y {self.y.shape}."
                )

    def __len__(self) -> int:
        return len(self.y)

    @classmethod
    def of(cls, x: Any, y: Any, loss: str) -> Probe:
        """Make a probe of arrays or torch tensors (copied)."""
        inputs = {str(k): _array(v) for k, v in x.items()} if isinstance(x, Mapping) else _array(x)
        return cls(inputs, _array(y), loss)

    @cached_property
    def digest(self) -> str:
        """Digest of inputs, targets and loss."""
        inputs = self.x if isinstance(self.x, Mapping) else {"": self.x}
        names = sorted(inputs)
        return digest("probe", names, *(inputs[n] for n in names), self.y, self.loss)

    def arrays(self) -> dict[str, np.ndarray]:
        """Inputs and targets by the names that they are stored under: ``x`` or ``x.<name>``, and ``y``."""
        inputs = {f"x.{k}": v for k, v in self.x.items()} if isinstance(self.x, Mapping) else {"x": self.x}
        return {**inputs, "y": self.y}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray], loss: str) -> Probe:
        """The inverse of `arrays`."""
        inputs = {k.removeprefix("x."): v for k, v in arrays.items() if k.startswith("x.")}
        return cls(inputs or arrays["x"], arrays["y"], loss)

    def tensors(self, like: torch.nn.Module | None = None) -> tuple[Any, torch.Tensor]:
        """Inputs and targets as torch tensors, floating inputs in the dtype and on the device of a module."""
        import torch

        first = next(iter(like.parameters()), None) if like is not None else None

        def tensor(array: np.ndarray) -> torch.Tensor:
            made = torch.from_numpy(np.array(array))
            if first is None:
                return made
            return made.to(first.device, first.dtype) if made.is_floating_point() else made.to(first.device)

        x = {k: tensor(v) for k, v in self.x.items()} if isinstance(self.x, Mapping) else tensor(self.x)
        return x, tensor(self.y)

    def evaluate(self, network: torch.nn.Module) -> torch.Tensor:
        """The loss of a network on this batch, as a scalar tensor that can be differentiated."""
        x, y = self.tensors(network)
        return loss_function(self.loss)(network(**x) if isinstance(x, Mapping) else network(x), y)


def _array(thing: Any) -> np.ndarray:
    if hasattr(thing, "detach"):
        thing = thing.detach().cpu()
        thing = thing.float() if str(thing.dtype) == "torch.bfloat16" else thing
        return owned(thing.numpy().copy())
    array = np.array(thing)
    if array.dtype.kind not in "fiub":
        raise DataError(f"A probe holds numbers; this array has the dtype {array.dtype}.")
    return owned(array)
