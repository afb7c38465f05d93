"""Where tethers come from: one source a file, found by file. Another is one more file here, or an entry point of this package's name.

A file's name is the source's, and ``SOURCE`` in it is a `tethers.source.Unsampled` or `tethers.source.Sampled`.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Literal

from workbench.core.discovery import modules
from workbench.core.errors import ParameterError, suggest
from workbench.numerics.tethers.source import Sampled, Source


def _in_files() -> dict[str, Source]:
    held = {name: import_module(module).SOURCE for name, module in modules(__name__).items()}
    return dict(sorted(held.items(), key=lambda item: (item[1].position, item[0])))


SOURCES: dict[str, Source] = _in_files()
"""The sources by name, in the order in which they are listed."""

SAMPLED: tuple[str, ...] = tuple(name for name, s in SOURCES.items() if isinstance(s, Sampled))
"""Names of those that are a function of a mean over the probe's samples, and so have an interval over samples."""

if TYPE_CHECKING:
    SourceName = str
else:
    SourceName = Literal[tuple(SOURCES)]  # the legal values of a method's parameter
"""A source's name, as the annotation of a parameter."""


def require_source(name: Any) -> str:
    """Return the name of a source that there is, or refuse it with those that there are."""
    if name not in SOURCES:
        raise ParameterError(f"There is no tether source {name!r}. {suggest(str(name), SOURCES)}")
    return str(name)
