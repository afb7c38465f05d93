"""Small networks to be edited."""

from __future__ import annotations

import numpy as np

from workbench.core.digest import digest
from workbench.subjects.checkpoint import Checkpoint, TensorInfo

PROMPT = "Alice was beginning to get very tired of"


def checkpoint(**arrays: np.ndarray) -> Checkpoint:
    """A checkpoint in memory."""
    tensors = {
        n: TensorInfo(n, a.shape, f"{a.dtype.kind.upper()}{8 * a.dtype.itemsize}", a.nbytes)
        for n, a in arrays.items()
    }
    return Checkpoint(
        tensors,
        arrays.__getitem__,
        name="small",
        content=lambda: digest(sorted(arrays), *(arrays[n] for n in sorted(arrays))),
    )
