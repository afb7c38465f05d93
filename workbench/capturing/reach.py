"""What code reaches: the names that a function looks up beyond itself, and whether code is a package's or the user's."""

from __future__ import annotations

import builtins
import dis
import functools
import hashlib
import importlib.util
import platform
import site
import sys
import sysconfig
import types
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

MISSING = object()
"""Stands for a name that has no value (yet)."""

_ANYTHING = ("eval", "exec", "globals", "__import__")
_LOADS = ("LOAD_GLOBAL", "LOAD_NAME")
_ATTRIBUTES = ("LOAD_ATTR", "LOAD_METHOD")


def reached(function: types.FunctionType) -> Iterator[tuple[str, Any]]:
    """Yield the globals that a function names and what it imports, each with its value now.

    Through modules a dotted name is followed to what is used of them: ``helpers.scale`` rather than ``helpers``.

    Raises
    ------
    ValueError
        It reaches what its code doesn't name: by ``eval`` and its like, or a module that isn't loaded yet.
    """
    loads: set[tuple[str, ...]] = set()
    imports: set[tuple[str, tuple[str, ...]]] = set()
    _look(function.__code__, loads, imports)
    for path in sorted(loads):
        value = function.__globals__.get(path[0], MISSING)
        if value is MISSING:
            if path[0] in _ANYTHING:
                raise ValueError(f"it calls {path[0]}, by which it can reach anything")
            value = getattr(builtins, path[0], MISSING)
        yield _follow(path, value)
    for name, used in sorted(imports):
        module = importlib.util.resolve_name(name, function.__globals__.get("__package__") or "")
        if module not in sys.modules:
            if package_of(module) is None:
                raise ValueError(f"it imports {module}, which isn't loaded yet")
            continue
        for part in used:
            yield _follow((module, part), sys.modules[module])
        if not used:
            yield module, sys.modules[module]
            top = module.partition(".")[0]  # which is what the statement binds
            yield top, sys.modules[top]


def _follow(path: tuple[str, ...], value: Any) -> tuple[str, Any]:
    used = 1
    for part in path[1:]:
        if not isinstance(value, types.ModuleType):
            break
        value = getattr(value, part, MISSING)
        used += 1
    return ".".join(path[:used]), value


def _look(
    code: types.CodeType, loads: set[tuple[str, ...]], imports: set[tuple[str, tuple[str, ...]]]
) -> None:
    """Collect the dotted names that begin with a global, and the imports, here and in nested code."""
    path: tuple[str, ...] = ()
    before: list[Any] = [None, None]
    for step in dis.get_instructions(code):
        if step.opname in _ATTRIBUTES and path:
            path += (str(step.argval),)
            continue
        if path:
            loads.add(path)
        path = (str(step.argval),) if step.opname in _LOADS else ()
        if step.opname == "IMPORT_NAME":
            level, names = before
            used = () if names is None or "*" in names else tuple(names)
            imports.add(("." * level + str(step.argval), used))
        before = [before[1], step.argval]
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            _look(constant, loads, imports)


@functools.cache
def package_of(module: str) -> str | None:
    """The installed package that a module belongs to, with its version; None for the user's own code.

    What is installed is known by its version and by the module's own source: some packages are edited in place. One
    that is only linked to a source folder counts as the user's, since its code changes under one version.
    """
    top = module.partition(".")[0]
    if top == "__main__":  # a notebook's cells, whose kernel was started by an installed module
        return None
    if top in sys.stdlib_module_names:
        return f"python {platform.python_version()}"
    version = _installed_version(top)
    return None if version is None else f"{top} {version} {_source_digest(module)}"


@functools.cache
def _installed_version(top: str) -> str | None:
    found = sys.modules.get(top)
    try:
        spec = getattr(found, "__spec__", None) or importlib.util.find_spec(top)
    except (ImportError, ValueError):  # a module that was made and not imported
        return None
    places = [spec.origin, *(spec.submodule_search_locations or ())] if spec else []
    roots = {
        *site.getsitepackages(),
        site.getusersitepackages(),
        *map(sysconfig.get_path, ("purelib", "platlib")),
    }
    if not any(p and Path(p).is_relative_to(root) for p in places for root in roots):
        return None
    try:
        return metadata.version(top)
    except metadata.PackageNotFoundError:
        return str(getattr(found, "__version__", ""))


def _source_digest(module: str) -> str:
    file = getattr(sys.modules.get(module), "__file__", None)
    if not file or not file.endswith(".py"):
        return ""
    try:
        return hashlib.blake2b(Path(file).read_bytes(), digest_size=8).hexdigest()
    except OSError:
        return ""


def is_installed(found: types.FunctionType | type) -> bool:
    """Whether a function or class is a package's own, as its author wrote it.

    A function's globals say where it was written (``functools.wraps`` copies its name and ``__module__``); a class
    counts only where its name leads to it, which one that a factory made doesn't.
    """
    if isinstance(found, types.FunctionType):
        return package_of(str(found.__globals__.get("__name__", ""))) is not None
    if not isinstance(found.__module__, str) or package_of(found.__module__) is None:
        return False
    value: Any = sys.modules.get(found.__module__)
    for part in found.__qualname__.split("."):
        value = getattr(value, part, None)
    return value is found


def is_others(value: Any) -> bool:
    """Whether a value was made by code of the user's."""
    if isinstance(value, types.FunctionType):
        return not is_installed(value)
    if isinstance(value, type):
        return package_of(value.__module__) is None
    if isinstance(value, functools.partial):
        return is_others(value.func)
    if isinstance(value, types.MethodType):
        return is_others(value.__func__)
    kind = type(value)
    return package_of(kind.__module__) is None and not kind.__module__.startswith("_cython")


def registered(value: Any) -> list[tuple[str, Any]]:
    """A module's value and, where it is a registry, what is registered in it under which name."""
    held = [value] if type(value) in (dict, OrderedDict) else []
    if isinstance(value, Mapping) and not held:
        held = [
            d
            for d in (*vars(type(value)).values(), *getattr(value, "__dict__", {}).values())
            if type(d) is dict
        ]
    entries = [(f"[{k!r}]" if isinstance(k, str) else "[]", v) for d in held for k, v in list(d.items())]
    return [("", value), *entries]


def cells_of(function: types.FunctionType) -> list[tuple[str, Any]]:
    """What a function closes over, by name."""
    found = []
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
        try:
            found.append((name, cell.cell_contents))
        except ValueError:
            found.append((name, MISSING))
    return found


def full_name(function: types.FunctionType) -> str:
    """What tells a package's function from its others."""
    module = str(function.__globals__.get("__name__"))
    code = function.__code__
    return f"{package_of(module)} {module}.{code.co_qualname} {code.co_firstlineno}"
