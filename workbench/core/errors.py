"""Refusals that say what was wrong, what is legal and what to do next.

Everything the workbench raises on purpose derives from :class:`WorkbenchError`, whose text is written
for the person who reads it: one paragraph, no traceback needed. The command line prints it and exits
with :attr:`WorkbenchError.exit_code`.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class WorkbenchError(Exception):
    """A refusal or failure that a user can act on.

    What it quotes of a stranger's file may hold anything: what no terminal should be sent is spelled out.
    """

    exit_code = 1

    def __str__(self) -> str:
        text = super().__str__()
        return text if text.isprintable() else "".join(map(_spelled, text))


def _spelled(character: str) -> str:
    if character.isprintable() or character == "\n":
        return character
    return character.encode("unicode_escape").decode("ascii")


class ParameterError(WorkbenchError, ValueError):
    """A parameter is unknown or outside its legal range."""

    exit_code = 2


class ViewError(WorkbenchError, TypeError):
    """A subject cannot give what a method needs."""

    exit_code = 3


class DataError(WorkbenchError, ValueError):
    """The data themselves cannot be used: NaN, too few rows, an empty corpus."""

    exit_code = 3


class FormatError(WorkbenchError, ValueError):
    """A file is truncated, contradicts itself, or is of a kind that is not read."""

    exit_code = 4


class MissingError(WorkbenchError, LookupError):
    """A name, file, package or device that was asked for is not there."""

    exit_code = 4


class StorageError(WorkbenchError, OSError):
    """Something could not be written; what was there before is untouched."""

    exit_code = 5


class MethodError(WorkbenchError, RuntimeError):
    """A method failed inside; the text carries its arguments and shapes, the cause the original error."""

    exit_code = 6


class Cancelled(WorkbenchError):
    """The user stopped the work. What was already stored stays."""

    exit_code = 130


def nearest(name: str, known: Iterable[str]) -> str:
    """Return the question whether one of the nearest names was meant; "" where none is near."""
    near = difflib.get_close_matches(name, sorted(set(known)), n=3, cutoff=0.6)
    return f"Did you mean {' or '.join(map(repr, near))}?" if near else ""


def suggest(name: str, known: Iterable[str], *, limit: int = 12) -> str:
    """Return the sentence that helps after an unknown name: the nearest ones, or the first of all.

    Parameters
    ----------
    name : what was typed.
    known : what exists.
    limit : at most so many are listed.
    """
    names = sorted(set(known))
    if near := nearest(name, names):
        return near
    if not names:
        return "There are none."
    more = f" and {len(names) - limit} more" if len(names) > limit else ""
    return f"There are: {', '.join(names[:limit])}{more}."
