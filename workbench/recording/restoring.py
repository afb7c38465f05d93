"""Between a module and a recording: copies of its tensors, and the way back."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from workbench.core.errors import DataError
from workbench.recording import codecs
from workbench.recording.layout import DTYPES, Layout
from workbench.recording.reading import open_weights


def copied(
    model: torch.nn.Module,
    layout: Layout,
    before: Mapping[str, np.ndarray],
    buffers: Mapping[str, torch.Tensor],
) -> dict[str, np.ndarray]:
    """Copies of all recorded tensors.

    Parameters
    ----------
    before : earlier copies. What this optimizer doesn't train is compared with them bit by bit, whoever may have changed it, and
        copied only where it did change: a frozen base isn't held twice.
    buffers : some, by name, that count for those in the model.

    Raises
    ------
    DataError
        A tensor is gone, or has another shape or dtype than when the recording began.
    """
    held: dict[str, torch.Tensor] = {
        **dict(model.named_parameters()),
        **dict(model.named_buffers()),
        **buffers,
    }
    copies = {}
    for t in layout.tensors:
        if t.name not in held:
            raise DataError(f"{t.name} is no longer in the model")
        tensor = held[t.name]
        if tuple(tensor.shape) != t.shape:
            raise DataError(f"{t.name} changed its shape from {t.shape} to {tuple(tensor.shape)}")
        dtype = DTYPES.get(str(tensor.dtype).removeprefix("torch."))
        if dtype != t.dtype:
            raise DataError(f"{t.name} changed its dtype from {t.dtype} to {dtype or tensor.dtype}")
        last = before.get(t.name) if t.role != "parameter" else None
        place = tensor.detach()
        there = place.contiguous().cpu() if last is not None else place.to("cpu", copy=True).contiguous()
        array = (there.view(torch.uint16) if t.dtype == "BF16" else there).numpy()
        if last is not None:
            array = last if np.array_equal(codecs.bits(array), codecs.bits(last)) else array.copy()
        copies[t.name] = array
    return copies


def restore(
    folder: Path,
    model: torch.nn.Module,
    optimizer: torch.optim.Optimizer,
    parameters: Mapping[str, torch.nn.Parameter],
) -> int:
    """Put the last recorded weights into a model, and the optimizer's state where it was kept.

    Returns
    -------
    int
        Their step; 0, and nothing is changed, where the recording was ended before it held anything.

    Raises
    ------
    DataError
        There are steps and no weights.
    """
    source = open_weights(folder)
    if not source.steps:
        if source.until == 0:
            return 0
        raise DataError(
            f"{folder} holds no weights to go on from. Load your own checkpoint, and give its step=."
        )
    step = int(source.steps[-1])
    held: dict[str, torch.Tensor] = {**dict(model.named_parameters()), **dict(model.named_buffers())}
    with torch.no_grad():
        for name in source.tensors:
            held[name].copy_(torch.from_numpy(np.array(source.read(step, name))))
    for name, kept in source.state(step).items():
        if name in parameters:
            p = parameters[name]
            optimizer.state[p] = {k: _like(k, a, p) for k, a in kept.items()}
    return step


def _like(key: str, array: np.ndarray, parameter: torch.Tensor) -> Any:
    made = torch.from_numpy(np.array(array))
    return made if key == "step" else made.to(parameter.device)  # as Optimizer.load_state_dict does
