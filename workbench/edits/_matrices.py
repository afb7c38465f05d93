"""Which tensors of a checkpoint are weight matrices."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from workbench.core.errors import MissingError, suggest
from workbench.core.patterns import matching
from workbench.core.progress import track
from workbench.subjects.checkpoint import Checkpoint


def matrices(checkpoint: Checkpoint, at: str, what: str) -> Iterator[tuple[str, np.ndarray]]:
    """Yield name and values of the tensors of two or more dimensions that match and hold floating point.

    Raises
    ------
    MissingError
        There is none: positions and the like are no weights.
    """
    wide = [n for n, t in checkpoint.tensors.items() if len(t.shape) >= 2]
    found = False
    for name in track(matching(wide, at), what):
        values = checkpoint[name]
        if values.dtype.kind == "f":
            found = True
            yield name, values
    if not found:
        raise MissingError(f"{checkpoint.name} has no weight matrix that matches {at!r}. {suggest(at, wide)}")
