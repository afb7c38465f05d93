"""Checkpoints of any kind as safetensors, those too whose loading would run code."""

from __future__ import annotations

from pathlib import Path

from workbench.core.errors import ParameterError, ViewError
from workbench.io.files import checkpoint, missing, reading, status
from workbench.io.opening import open as open_subject
from workbench.io.sniffing import format_of
from workbench.io.torch_files import read_torch
from workbench.subjects.checkpoint import Checkpoint


def convert(source: Path, target: Path) -> tuple[Path, Checkpoint]:
    """Write the tensors of what opens as a checkpoint as safetensors; see `Checkpoint.save` for what is written.

    Of a file of ``torch.save``, what would be called when it is loaded is set aside, and nothing is run.

    Returns
    -------
    tuple
        Where it was written, and what was.

    Raises
    ------
    MissingError, FormatError
        There is no such file, or it can't be read.
    ViewError
        It isn't a checkpoint.
    ParameterError
        The target ends like another format.
    StorageError
        The target can't be written; what was there before is untouched.
    """
    if status(source) == "":
        raise missing(source)
    if target.suffix and target.suffix != ".safetensors":
        raise ParameterError(
            f"{target} ends in {target.suffix}, and weights are written as .safetensors, or to a folder."
        )
    path = source.absolute()
    with reading(path):
        if status(path) == "file" and format_of(path) == "torch":
            opened = checkpoint(read_torch(path, calls_aside=True), path.stem, path)
        else:
            subject = open_subject(path)
            if not isinstance(subject, Checkpoint):
                raise ViewError(f"{source} is {subject.holds}; this converts weights.")
            opened = subject
    return opened.save(target), opened
