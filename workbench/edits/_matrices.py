"""Which tensors of a checkpoint are weight matrices."""

from __future__ import annotations

from workbench.core.errors import MissingError, suggest
from workbench.core.patterns import matching
from workbench.subjects.checkpoint import Checkpoint


def matrices(checkpoint: Checkpoint, at: str) -> tuple[str, ...]:
    """Return the names of the tensors of two or more dimensions that match and hold floating point; none is read.

    Raises
    ------
    MissingError
        There is none: positions and the like are no weights.
    """
    wide = [n for n, t in checkpoint.tensors.items() if len(t.shape) >= 2 and t.floating]
    names = tuple(matching(wide, at))
    if not names:
        raise MissingError(f"{checkpoint.name} has no weight matrix that matches {at!r}. {suggest(at, wide)}")
    return names
