"""One registry: ``@source``, ``@analysis`` and ``@edit`` make a function a method of the workbench.

A method's module lies under ``workbench/sources``, ``workbench/models`` (sources that train),
``workbench/analyses/<family>`` or ``workbench/edits``, is named as the method, and imports nothing heavy at its top; so
a name is found without importing the others, and a new file is all that a new method needs. Other packages declare
theirs as entry points of the group ``workbench.methods``, and one that a notebook's cell or a script defines is known
as soon as it is defined.
"""

from __future__ import annotations

import functools
import importlib
import re
from collections.abc import Callable
from typing import Any

from workbench.core.discovery import entry_points, modules
from workbench.core.errors import MissingError, suggest
from workbench.core.method import Method, Verb
from workbench.core.version import source_file

HOMES = ("workbench.sources", "workbench.models", "workbench.analyses", "workbench.edits")
ENTRY_POINTS = "workbench.methods"
DEFINED: dict[str, Method] = {}
"""Methods that lie in none of these places: of a notebook's cell, a script or a test."""


def analysis(
    function: Callable[..., Any] | None = None,
    *,
    estimator: Callable[..., Any] | None = None,
    title: str = "",
) -> Any:
    """Register a function from inputs and parameters to a Result.

    Parameters
    ----------
    estimator : builds the scikit-learn style estimator behind the function from (some of) the same
        parameters.
    title : what it is called in titles; its name in words without one.
    """
    if function is None:
        return lambda f: _register(f, "analysis", estimator, title)
    return _register(function, "analysis", estimator, title)


def source(function: Callable[..., Any]) -> Method:
    """Register a function from parameters to a Subject."""
    return _register(function, "source")


def edit(function: Callable[..., Any]) -> Method:
    """Register a function from inputs and parameters to an Edit, a value that a checkpoint or network can be given."""
    return _register(function, "edit")


def _register(
    function: Callable[..., Any], verb: Verb, estimator: Callable[..., Any] | None = None, title: str = ""
) -> Method:
    made = Method(function, verb, estimator, title)
    home = _modules().get(made.name)
    if home is None:
        DEFINED[made.name] = made
    elif home != function.__module__:
        raise TypeError(f"There is a method {made.name} already, in {home}: give this one another name.")
    return made


@functools.cache
def _modules() -> dict[str, str]:
    """Method name to module name, from the file names and the entry points alone."""
    found = entry_points(ENTRY_POINTS)
    for home in HOMES:
        found |= {n: m for n, m in modules(home).items() if _defines(m, n)}
    return found


def _defines(module: str, name: str) -> bool:
    """Whether a file defines a function of its own name: a kind of edit lies beside the methods and is none."""
    path = source_file(module)
    return (
        path is not None
        and re.search(rf"^def {name}\(", path.read_text(encoding="utf-8"), re.MULTILINE) is not None
    )


def names() -> list[str]:
    """Names of all methods, sorted."""
    return sorted({*_modules(), *DEFINED})


def method(name: str) -> Method:
    """Return a method by name, importing only its own file.

    Raises
    ------
    MissingError
        There is no such method; near names are suggested.
    """
    name = name.replace("-", "_")
    if name in DEFINED:
        return DEFINED[name]
    if name not in _modules():
        raise MissingError(
            f"There is no method {name!r}. {suggest(name, names(), limit=40)} See: workbench list."
        )
    module = importlib.import_module(_modules()[name])
    found = getattr(module, name, None)
    if not isinstance(found, Method):
        raise TypeError(
            f"{module.__name__} must define a method named {name} (with @analysis, @source or @edit)"
        )
    return found


def methods() -> list[Method]:
    """All methods, by verb, family and name."""
    return sorted((method(n) for n in names()), key=lambda m: (m.verb, m.family, m.name))
