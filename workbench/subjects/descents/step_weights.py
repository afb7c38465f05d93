"""Weights at several steps: where they lie, that they are alike at all of them, and one step's, read one by one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Protocol

import numpy as np

from workbench.core.digest import digest
from workbench.core.errors import DataError, MissingError, suggest
from workbench.core.rows import floats, frozen
from workbench.subjects.checkpoint import TensorInfo

_DTYPES = {
    "float16": "F16",
    "float32": "F32",
    "float64": "F64",
    "int64": "I64",
    "int32": "I32",
    "bool": "BOOL",
}


class WeightSource(Protocol):
    """Where a trajectory's weights lie, read one by one.

    Attributes
    ----------
    steps : those that have weights, ascending.
    tensors : what there is at each of them; the same names, shapes and dtypes at all.
    parameters : the names of those that were trained; the others are buffers and frozen weights.
    """

    @property
    def steps(self) -> Sequence[int]: ...
    @property
    def tensors(self) -> Mapping[str, TensorInfo]: ...
    @property
    def parameters(self) -> Sequence[str]: ...

    def read(self, step: int, name: str) -> np.ndarray:
        """One tensor at one step; bfloat16 as float32, others as stored."""

    def digest(self, step: int) -> str:
        """Digest of the content at a step."""

    def error(self, step: int, name: str) -> float:
        """Relative error of what is read; 0 where it is exact."""

    def state(self, step: int) -> Mapping[str, Mapping[str, np.ndarray]]:
        """The optimizer's state, parameter to name to array; empty where it wasn't recorded."""


class ArrayWeights:
    """Weights in memory: step to name to array.

    Raises
    ------
    DataError
        A tensor is missing at a step, or has another shape or dtype there.
    """

    def __init__(
        self, arrays: Mapping[int, Mapping[str, np.ndarray]], parameters: Sequence[str] | None = None
    ):
        self._arrays = {
            int(s): {n: frozen(np.asarray(a)) for n, a in arrays[s].items()} for s in sorted(arrays)
        }
        self.steps = tuple(self._arrays)
        described = {
            s: {
                n: TensorInfo(n, a.shape, _DTYPES.get(str(a.dtype), str(a.dtype)), a.nbytes)
                for n, a in found.items()
            }
            for s, found in self._arrays.items()
        }
        self.tensors = require_alike(described, "trajectory")
        self.parameters = tuple(parameters if parameters is not None else self.tensors)

    def read(self, step: int, name: str) -> np.ndarray:
        return self._arrays[step][name]

    def digest(self, step: int) -> str:
        return digest({n: digest(a) for n, a in self._arrays[step].items()})

    def error(self, step: int, name: str) -> float:
        return 0.0

    def state(self, step: int) -> Mapping[str, Mapping[str, np.ndarray]]:
        return {}


def require_alike(steps: Mapping[int, Mapping[str, TensorInfo]], owner: str) -> dict[str, TensorInfo]:
    """Return what every step holds; refuse a tensor that is missing, or changes its shape or dtype.

    Raises
    ------
    DataError
        With the tensor and the two steps.
    """
    if not steps:
        return {}
    first, *others = steps
    held = dict(steps[first])
    for step in others:
        here = steps[step]
        for name in [*held, *here]:
            if name not in here or name not in held:
                there, gone = (first, step) if name in held else (step, first)
                raise DataError(
                    f"{owner}: {name} is there at step {there} and not at step {gone}. A trajectory has the same tensors at "
                    f"every step; open the steps that belong together."
                )
            a, b = held[name], here[name]
            if a.shape != b.shape:
                raise DataError(
                    f"{owner}: {name} has the shape {a.shape} at step {first} and {b.shape} at step {step}. A trajectory "
                    f"keeps its shapes; record from the step on where they changed as one of its own."
                )
            if a.dtype != b.dtype:
                raise DataError(
                    f"{owner}: {name} is stored as {a.dtype} at step {first} and as {b.dtype} at step {step}. Differences "
                    f"between steps would be those of rounding; store every step in one dtype."
                )
    return held


class StepWeights(Mapping[str, np.ndarray]):
    """The weights at one step, each read when it is asked for."""

    def __init__(self, source: WeightSource, step: int, names: Sequence[str], owner: str):
        self.step = step
        self._source, self._names, self._owner = source, tuple(names), owner

    def __getitem__(self, name: str) -> np.ndarray:
        if name not in self._names:
            raise MissingError(f"{self._owner} has no tensor {name!r}. {suggest(name, self._names)}")
        return self._source.read(self.step, name)

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)

    def vector(self) -> np.ndarray:
        """All of them in one vector, in the order of the names, (D,) float32 or float64."""
        return (
            np.concatenate([floats(self[n]).ravel() for n in self])
            if self._names
            else np.empty(0, np.float32)
        )
