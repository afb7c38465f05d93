"""Folders of recordings: several descents of one task, opened as one subject."""

from __future__ import annotations

from pathlib import Path

from workbench.core.errors import FormatError
from workbench.io.files import unreadable
from workbench.recording.layout import is_recording
from workbench.recording.reading import open_recording
from workbench.subjects.descents.siblings import Siblings


def recordings_in(folder: Path) -> list[Path]:
    """The recordings that lie in a folder, by name."""
    try:
        return [p for p in sorted(folder.iterdir()) if p.is_dir() and is_recording(p)]
    except OSError as e:
        raise unreadable(folder, e) from None


def open_siblings(folder: Path, name: str) -> Siblings:
    """Open the recordings in a folder as siblings.

    Raises
    ------
    FormatError
        There are fewer than two.
    DataError, ViewError
        They aren't alike; see `Siblings`.
    """
    found = recordings_in(folder)
    if len(found) < 2:
        raise FormatError(
            f"{folder} holds {len(found)} recordings; siblings are two or more, each in a folder of its own."
        )
    return Siblings([open_recording(p, name=f"{name} {p.name}") for p in found], name=name)
