"""The tensors of what ``torch.save`` was given, under names that say where they stood, and what is set aside."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from workbench.io.torch_pickles import StandIn, StoredArray

if TYPE_CHECKING:
    import torch

# Where training scripts put the weights beside the optimizer and the rest.
WRAPPERS = ("state_dict", "model_state_dict", "model", "module", "network", "net", "weights", "params")
# What they put beside the weights that isn't a network's.
_TRAINING = (
    "callbacks",
    "loops",
    "lr_schedulers",
    "scheduler",
    "lr_scheduler",
    "scaler",
    "grad_scaler",
    "amp",
)
_MAX_DEPTH = 64
LONE = "tensor"  # what a tensor is called that was saved by itself
_MODULE = ("_parameters", "_buffers", "_modules")


@dataclass(frozen=True)
class Named:
    """Tensors by path; of them those that lay in the pickle itself, as numpy's arrays do; and names of what was left."""

    tensors: dict[str, torch.Tensor]
    pickled: frozenset[str]
    aside: tuple[str, ...]


def named_tensors(value: Any) -> Named:
    """Name the tensors by where they stand: dictionaries, lists, tuples and whole modules give dotted names.

    Of a training state (``{"state_dict": ..., "optimizer": ...}``) the network's own names are given where it has one
    network, and paths where it has several. Numbers, texts and objects are left, as is what belongs to the training;
    a dictionary that stands in several places counts once.
    """
    walk = _Walk()
    walk.gather(walk.network_part(value), "", 0)
    return Named(walk.tensors, frozenset(walk.pickled), tuple(dict.fromkeys(walk.aside)))


class _Walk:
    def __init__(self) -> None:
        self.tensors: dict[str, torch.Tensor] = {}
        self.pickled: set[str] = set()
        self.aside: list[str] = []
        self._seen: set[int] = set()
        self._holding: dict[int, bool] = {}

    def network_part(self, value: Any) -> Any:
        """What belongs to the network, unwrapped where it is all that holds tensors."""
        for _ in range(_MAX_DEPTH):  # a dictionary may hold itself
            if not isinstance(value, dict):
                break
            wrapped = any(_is_wrapper(k, v) for k, v in value.items())
            parts = {k: v for k, v in value.items() if self._holds(v, 0) and not _of_training(k, v, wrapped)}
            inner = next((v for k, v in parts.items() if _is_wrapper(k, v)), None)
            if len(parts) != 1 or inner is None:
                self.aside += [str(k) for k in value if k not in parts]
                return parts
            self.aside += [str(k) for k in value if k not in parts]
            value = inner
        return value

    def _holds(self, value: Any, depth: int) -> bool:
        """Whether there is a tensor in it; each container is looked into once."""
        import torch

        if isinstance(value, torch.Tensor | StoredArray):
            return True
        if depth > _MAX_DEPTH or not isinstance(value, dict | list | tuple | StandIn):
            return False
        if id(value) not in self._holding:
            self._holding[id(value)] = False  # of what holds itself, until it is known
            self._holding[id(value)] = any(self._holds(inner, depth + 1) for _, inner in _items(value))
        return self._holding[id(value)]

    def gather(self, value: Any, name: str, depth: int) -> None:
        import torch

        if isinstance(value, StoredArray):
            array = value.array()
            value = None if array is None else _as_tensor(array)
            self.pickled.add(name or LONE)
        if isinstance(value, torch.Tensor):
            if name in self.tensors:
                self.aside.append(f"a second {name}")
            self.tensors.setdefault(name or LONE, value)
        elif isinstance(value, dict | list | tuple | StandIn) and self._holds(value, 0):
            if id(value) in self._seen or depth > _MAX_DEPTH:
                self.aside.append(name)
                return
            self._seen.add(id(value))
            for key, inner in _items(value):
                self.gather(inner, ".".join(k for k in (name, key) if k), depth + 1)
        elif name:
            self.aside.append(name)


def _items(value: Any) -> Iterator[tuple[str, Any]]:
    """What a container holds, by name; of a whole module its parameters, buffers and modules, as in its state_dict."""
    if isinstance(value, StandIn):
        state = value.state
        if isinstance(state, tuple) and len(state) == 2 and isinstance(state[0], dict | None):
            state = {**(state[0] or {}), **(state[1] if isinstance(state[1], dict) else {})}  # of slots
        if isinstance(state, dict) and all(isinstance(state.get(k), dict) for k in _MODULE):
            passing = state.get("_non_persistent_buffers_set")
            for part in _MODULE:
                for key, inner in state[part].items():
                    if not (part == "_buffers" and isinstance(passing, set) and key in passing):
                        yield str(key), inner
            return
        value = state
    if isinstance(value, dict):
        for key, inner in value.items():
            yield (
                key
                if isinstance(key, str)
                else key.decode(errors="replace")
                if isinstance(key, bytes)
                else str(key),
                inner,
            )
    elif isinstance(value, list | tuple):
        for i, inner in enumerate(value):
            yield str(i), inner


def _is_wrapper(key: Any, value: Any) -> bool:
    return isinstance(value, dict | StandIn) and (key in WRAPPERS or str(key).endswith("state_dict"))


def _of_training(key: Any, value: Any, wrapped: bool) -> bool:
    """Whether it belongs to the training; ``wrapped`` says that a network stands beside it under a name of its own."""
    if isinstance(value, dict) and ("optim" in str(key) or "param_groups" in value):
        return True
    name = str(key)
    if not wrapped or (name in WRAPPERS or (name.endswith("state_dict") and not name.startswith(_TRAINING))):
        return False
    return name.startswith(_TRAINING) or "optim" in name or "rng_state" in name or _is_number(value)


def _is_number(value: Any) -> bool:
    """Whether it is a tensor of one number, such as the best accuracy so far."""
    return hasattr(value, "numel") and value.numel() == 1


def _as_tensor(array: np.ndarray) -> torch.Tensor | None:
    import torch

    try:
        return torch.from_numpy(array)
    except TypeError:  # numbers that torch doesn't have
        return None
