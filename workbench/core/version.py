"""Versions of methods: the digest of a method's source and of all that it imports of the workbench.

Found from the source alone, without importing anything: changed code never answers from an old cache, and a change
elsewhere leaves its answers valid. Each file is read once a process.
"""

from __future__ import annotations

import functools
import hashlib
import importlib.util
import inspect
import re
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

# An import statement, with what is in its brackets: a line that only looks like one (in a docstring) costs nothing but a
# digest that is a little wider than it need be.
_IMPORT = re.compile(
    r"^[ \t]*(?:from[ \t]+([\w.]+)[ \t]+import[ \t]+(\([^)]*\)|[^\n#]+)|import[ \t]+([^\n#]+))", re.MULTILINE
)
_FINDS_ITS_FILES = re.compile(r"\bpkgutil\b|\bimport_module\(|\bmodules\(__name__|\brglob\(")


@functools.cache
def source_digest(module: str) -> bytes:
    """Digest the source of a module and of everything of the same package, or of the workbench, that it imports.

    A file that looks for others by their names (``pkgutil``) depends on all that lie in its folder.
    """
    seen: dict[str, bytes] = {}
    package = module.split(".")[0]
    waiting = [module]
    while waiting:
        name = waiting.pop()
        if name in seen:
            continue
        seen[name], imported = _file(name, frozenset({package, "workbench"}))
        waiting += imported
    h = hashlib.blake2b(digest_size=16)
    for name in sorted(seen):
        h.update(name.encode() + b"\0" + seen[name])
    return h.digest()


@functools.cache
def _file(module: str, packages: frozenset[str]) -> tuple[bytes, tuple[str, ...]]:
    """Digest of one file, and the modules of some packages that it imports."""
    path = source_file(module)
    if path is None:
        return b"", ()
    raw = path.read_bytes()
    text = raw.decode("utf-8", "replace")
    found = set()
    for source, names, plain in _IMPORT.findall(text):
        if source:
            found |= _imported(source, re.findall(r"[\w.]+", names.strip("()")))
        else:
            found |= {part.split()[0] for part in plain.split(",") if part.split()}
    if _FINDS_ITS_FILES.search(text):
        home = path.parent
        inside = module if path.name == "__init__.py" else module.rpartition(".")[0]
        found |= {
            ".".join([inside, *p.relative_to(home).with_suffix("").parts]).removesuffix(".__init__")
            for p in home.rglob("*.py")
        }
    ours = {n for n in found if n.split(".")[0] in packages and source_file(n) is not None}
    # importing a.b.c runs a/b/__init__.py too; the top one only names what is where
    parents = {n.rsplit(".", k)[0] for n in ours for k in range(1, n.count("."))}
    return hashlib.blake2b(raw, digest_size=16).digest(), tuple(sorted(ours | parents))


def _imported(source: str, names: list[str]) -> set[str]:
    """``from a import b`` means the module a.b if there is one, else a name in a."""
    found = {f"{source}.{n}" for n in names if source_file(f"{source}.{n}") is not None}
    return found if len(found) == len(names) else found | {source}


@functools.cache
def source_file(module: str) -> Path | None:
    """The file of a module, found without importing it; its topmost package alone is looked up by Python."""
    top, *rest = module.split(".")
    home = _home(top)
    if home is None:
        return None
    where = home.joinpath(*rest)
    for path in (where / "__init__.py", where.with_suffix(".py")) if rest else (home / "__init__.py",):
        if path.is_file():
            return path
    return None


@functools.cache
def _home(package: str) -> Path | None:
    try:
        spec = importlib.util.find_spec(package)
    except (ImportError, ValueError):
        return None
    if spec is None or not spec.submodule_search_locations:
        return None
    return Path(next(iter(spec.submodule_search_locations)))


def function_digest(function: Callable[..., Any]) -> str:
    """Digest a method's function: of the file that it lies in, or, where it lies in none, of its own code.

    A function of a notebook's cell is digested with every function and value of the notebook that it reaches.
    """
    module = function.__module__
    if source_file(module) is not None:
        return hashlib.blake2b(source_digest(module), digest_size=8).hexdigest()
    h = hashlib.blake2b(digest_size=8)
    for part in sorted(set(_reached(function, set()))):
        h.update(part)
    return h.hexdigest()


def _reached(thing: Any, seen: set[int]) -> Iterator[bytes]:
    """What a function that lies in no file depends on, each as bytes."""
    if id(thing) in seen:
        return
    seen.add(id(thing))
    if isinstance(thing, types.ModuleType):
        yield thing.__name__.encode() + source_digest(thing.__name__)
        return
    function = inspect.unwrap(thing) if callable(thing) else thing
    module = getattr(function, "__module__", None)
    if isinstance(module, str) and source_file(module) is not None:
        yield module.encode() + source_digest(module)
        return
    if isinstance(function, types.FunctionType):
        yield from _code(function.__code__)
        yield repr((function.__defaults__, function.__kwdefaults__)).encode()
        for cell in function.__closure__ or ():
            yield from _reached(cell.cell_contents, seen)
        for name in sorted(_names(function.__code__)):
            if name in function.__globals__:
                yield name.encode()
                yield from _reached(function.__globals__[name], seen)
    elif isinstance(function, type):
        for member in vars(function).values():
            if isinstance(member, types.FunctionType):
                yield from _reached(member, seen)
    else:
        yield repr(thing).encode()


def _code(code: types.CodeType) -> Iterator[bytes]:
    yield code.co_code
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _code(constant)
        else:
            yield repr(constant).encode()
    yield repr((code.co_names, code.co_varnames)).encode()


def _names(code: types.CodeType) -> set[str]:
    inner = (c for c in code.co_consts if isinstance(c, types.CodeType))
    return set(code.co_names).union(*map(_names, inner))
