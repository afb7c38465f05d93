"""Memories from the folders that they were saved to: facts in a table, and the network that reads them beside it."""

from __future__ import annotations

from pathlib import Path

from workbench.core.errors import FormatError
from workbench.io.files import status
from workbench.io.huggingface import open_directory
from workbench.io.tables import read_table
from workbench.subjects.memory import FACTS, NETWORK, Memory


def is_memory(folder: Path) -> bool:
    """Whether a memory was saved to a folder."""
    return status(folder / FACTS) == "file" and status(folder / NETWORK) == "directory"


def open_memory(folder: Path, name: str) -> Memory:
    """Open a memory's folder; its facts are read anew by its network, and nothing else is believed of the file.

    Raises
    ------
    FormatError
        The table isn't one, or has no ids.
    DataError, ViewError
        The facts or the network aren't those of a memory; see `Memory`.
    """
    table = read_table(folder / FACTS, "parquet", no_rows=True)
    if "id" not in table.columns or table["id"].dtype.kind not in "iu" or not table["id"].is_unique:
        raise FormatError(
            f"{folder / FACTS} has no column 'id' of unique whole numbers, one a fact. Save the memory again."
        )
    return Memory(open_directory(folder / NETWORK, name), table.set_index("id"), name=name)
