"""Parts of the geometry lab that are swapped by name: a package's files, of which the file's name is the part's."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from workbench.core.discovery import modules
from workbench.core.errors import suggest


def names(package: str, *first: str) -> tuple[str, ...]:
    """Names of a package's parts, ``first`` at the front whether or not they are files; none is imported by asking."""
    return (*first, *sorted(modules(package).keys() - set(first)))


def part(package: str, what: str, name: str, known: tuple[str, ...]) -> Any:
    """The file of a package that has that name.

    Raises
    ------
    ValueError
        There is none among the ``known``, which are named; it begins with ``what`` was asked for.
    """
    if name not in known:
        raise ValueError(f"{what}: there is no {name!r}. {suggest(str(name), known).removesuffix('.')}")
    return import_module(modules(package)[name])
