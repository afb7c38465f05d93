"""What is open: subjects, kinds of result, edits and methods, found where they lie.

The files of a package (``workbench.subjects``), the entry points of its name that other packages declare, and
whatever this process has defined, a notebook's cell among it. Nothing here names one of them.
"""

from __future__ import annotations

import functools
import importlib
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import TypeVar

from workbench.core.errors import MissingError, suggest

T = TypeVar("T")


def entry_points(group: str) -> dict[str, str]:
    """What other packages declare for a group: name to the module that defines it."""
    return {entry.name: entry.module for entry in metadata.entry_points(group=group)}


@functools.cache
def modules(package: str) -> dict[str, str]:
    """Names of a package's public files, folders and all, to their modules; nothing but the package is imported."""
    home = importlib.import_module(package)
    found = {}
    for folder in map(Path, home.__path__):
        for file in sorted(folder.rglob("*.py")):  # a new folder needs no __init__.py
            parts = file.relative_to(folder).with_suffix("").parts
            if not any(part.startswith("_") for part in parts):
                found[parts[-1]] = ".".join([package, *parts])
    return found


@functools.cache
def import_all(package: str) -> None:
    """Import every file of a package and what others declare for it, so that what they define is known."""
    for name in (*modules(package).values(), *entry_points(package).values()):
        importlib.import_module(name)


def named(name: str, known: Mapping[str, T], package: str, what: str) -> T:
    """Return what is called ``name``: what this process knows, a file of that name, or another package's.

    Parameters
    ----------
    known : fills itself as files of ``package`` are imported. what : is looked for, in words, for the message.

    Raises
    ------
    MissingError
        There is none; near names are suggested.
    """
    if name not in known and name in (files := modules(package)):
        importlib.import_module(files[name])
    if name not in known:
        import_all(package)
    if name not in known:
        raise MissingError(f"There is no {what} {name!r}. {suggest(name, known)}")
    return known[name]
