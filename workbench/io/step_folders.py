"""Folders of checkpoints, one for each of several steps, as a trajectory: ``checkpoint-100/``, ``step_200.safetensors``."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from workbench.core.errors import DataError, FormatError, MissingError
from workbench.io.files import checkpoint, listed, read_json, unreadable
from workbench.io.huggingface import find_weights, open_directory
from workbench.io.safetensors_files import read_safetensors
from workbench.io.torch_files import read_torch
from workbench.subjects.checkpoint import Checkpoint, TensorInfo
from workbench.subjects.descents.record import Record
from workbench.subjects.descents.step_weights import require_alike
from workbench.subjects.descents.trajectory import Trajectory

if TYPE_CHECKING:
    import pandas as pd

# Behind the step, Lightning writes what it watched (``-val_loss=0.31``) and which try it was (``-v1``).
_STEP = re.compile(
    r"(?:.*?[-_.])?(?:global[-_])?(?:checkpoint|ckpt|step|iter|iteration|update|epoch)[-_.=]?(\d{1,12})"
    r"(?:[-_][a-z]\w*=[-+.\de]+)*(?:-v\d+)?",
    re.I,
)
_FILES = {
    ".safetensors": read_safetensors,
    **dict.fromkeys((".pt", ".pth", ".bin", ".ckpt", ".pth.tar", ".pt.tar", ".ckpt.tar"), read_torch),
}
_BUFFERS = ("running_mean", "running_var", "num_batches_tracked")
_LOGGED = {"loss": "loss", "learning_rate": "lr", "grad_norm": "grad_norm"}


def holds_steps(folder: Path) -> bool:
    """Whether a folder holds checkpoints of two steps or more, and no weights beside them."""
    try:
        if len(_entries(folder)) < 2:
            return False
        weights = find_weights(folder)
    except FormatError:
        return True  # several files of weights, or none but those in its folders
    return _step_of(weights) is not None


def open_steps(folder: Path, name: str) -> Trajectory:
    """Open a folder of checkpoints as a trajectory; what the Trainer logged (``trainer_state.json``) gives its curves.

    Raises
    ------
    FormatError
        It holds no checkpoints that are called by their step, or two of one step.
    DataError
        A tensor is missing at a step, or has another shape or dtype there.
    MissingError
        A checkpoint holds no weights: it was interrupted.
    """
    found = _entries(folder)
    if not found:
        raise FormatError(
            f"{folder} holds no checkpoints that are called by their step, such as checkpoint-100/ or step_200.safetensors."
        )
    twice = [s for s, n in Counter(s for s, _ in found).items() if n > 1]
    if twice:
        both = [p.name for s, p in found if s == twice[0]]
        raise FormatError(
            f"{folder} holds {listed(both)} for step {twice[0]}. Leave one checkpoint a step in a folder."
        )
    opened = {step: _open(path, name) for step, path in sorted(found)}
    weights = CheckpointWeights(opened, name)
    logged = _logged(found[-1][1] if found[-1][1].is_dir() else folder)
    table = _table(weights.steps, logged)
    return Trajectory(table, Record(weights=weights, about={"folder": folder.name}), name=name)


class CheckpointWeights:
    """Checkpoints as the weights of a trajectory; see `workbench.subjects.descents.step_weights.WeightSource`."""

    def __init__(self, steps: Mapping[int, Checkpoint], owner: str):
        self._steps = dict(steps)
        self.steps = tuple(self._steps)
        held = require_alike({s: c.tensors for s, c in self._steps.items()}, owner)
        noisy = next((t for t in held.values() if t.noise or t.packed), None)
        if noisy is not None:
            raise DataError(
                f"{owner}: {noisy.name} is stored as {noisy.dtype}: differences between steps would be those of quantization. "
                f"Open checkpoints that aren't quantized."
            )
        buffers = [
            n
            for n, t in held.items()
            if n.endswith(_BUFFERS) or (t.dtype[:1] in ("I", "U", "B") and t.dtype != "BF16")
        ]
        self.parameters = tuple(n for n in held if n not in buffers)
        self.tensors: dict[str, TensorInfo] = {n: held[n] for n in (*self.parameters, *buffers)}

    def read(self, step: int, name: str) -> np.ndarray:
        return self._steps[step][name]

    def digest(self, step: int) -> str:
        return self._steps[step].digest

    def error(self, step: int, name: str) -> float:
        return 0.0

    def state(self, step: int) -> Mapping[str, Mapping[str, np.ndarray]]:
        return {}


def _entries(folder: Path) -> list[tuple[int, Path]]:
    try:
        paths = sorted(folder.iterdir())
    except OSError as e:
        raise unreadable(folder, e) from None
    steps = [(s, p) for p in paths if (s := _step_of(p)) is not None]
    return sorted(steps)


def _step_of(path: Path) -> int | None:
    """The step that a file or folder is called by."""
    ending = "" if path.is_dir() else _ending(path)
    if ending is None:
        return None
    match = _STEP.fullmatch(path.name.removesuffix(ending))
    return int(match[1]) if match else None


def _ending(path: Path) -> str | None:
    """The ending of a file of weights as it is spelled there, the longest that is read; None for other files."""
    ends = [e for e in _FILES if path.name.lower().endswith(e)]
    return path.name[-len(max(ends, key=len)) :] if ends else None


def _open(path: Path, owner: str) -> Checkpoint:
    if ending := None if path.is_dir() else _ending(path):
        return checkpoint(_FILES[ending.lower()](path), f"{owner} {path.name.removesuffix(ending)}", path)
    try:
        return open_directory(path, f"{owner} {path.name}")
    except FormatError as e:
        if any(_ending(p) for p in path.iterdir()):
            raise
        raise MissingError(
            f"{path} holds no weights: saving that checkpoint was interrupted, or they were removed. Remove the folder, or restore "
            f"its weights."
        ) from e


def _logged(folder: Path) -> list[dict[str, Any]]:
    """What transformers' Trainer logged up to its last checkpoint."""
    file = folder / "trainer_state.json"
    if not file.is_file():
        return []
    lines = read_json(file, "the Trainer's log").get("log_history")
    if not isinstance(lines, list):
        return []
    return [x for x in lines if isinstance(x, dict) and type(x.get("step")) is int and "loss" in x]


def _table(steps: tuple[int, ...], logged: list[dict[str, Any]]) -> pd.DataFrame:
    import pandas as pd

    rows: dict[int, dict[str, float]] = {s: {} for s in steps}
    for line in logged:
        rows.setdefault(line["step"], {}).update(
            {
                ours: float(line[theirs])
                for theirs, ours in _LOGGED.items()
                if isinstance(line.get(theirs), int | float)
            }
        )
    ids = sorted(rows)
    columns = [c for c in _LOGGED.values() if any(c in r for r in rows.values())]
    return pd.DataFrame(
        {c: [rows[i].get(c, np.nan) for i in ids] for c in columns}, index=pd.Index(ids), dtype=np.float64
    )
