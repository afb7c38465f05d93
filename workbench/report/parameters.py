"""A notebook's parameters: read from its cell without running it, checked, and as they stand in JSON and in Python."""

from __future__ import annotations

import ast
import contextlib
import math
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workbench.core.errors import FormatError, ParameterError, suggest
from workbench.report import notebooks

if TYPE_CHECKING:
    import nbformat

DECLARED, INJECTED = (
    "parameters",
    "injected-parameters",
)  # tags of the cell with the defaults, and of the one with values
MAX_CELL = 1_000_000  # characters of a parameters cell
# What the parser and the evaluator raise, the last two where brackets or operators are nested too deeply.
UNREADABLE = (ValueError, SyntaxError, TypeError, RecursionError, MemoryError)
LEGAL = "numbers, text, bytes, True, False, None, and lists, tuples, sets and dictionaries of these"  # in refusals


class Typed(str):
    """A value as it was typed: the type of the parameter's default says how it is read."""

    __slots__ = ()


def declared_parameters(path: Path) -> dict[str, Any]:
    """Names and defaults in the cell tagged ``parameters``: assignments of plain literals.

    Raises
    ------
    FormatError
        The file can't be read as a notebook.
    ParameterError
        The cell holds something else, which can't be known without running it.
    """
    cells = [c for c in notebooks.read(path).cells if DECLARED in c.metadata.get("tags", [])]
    source = cells[0].source if cells else ""
    if len(source) > MAX_CELL:
        raise ParameterError(
            f"The parameters cell of {path.name} has {len(source):,} characters; it may have {MAX_CELL:,}. Read what is "
            "large from a file, in the next cell."
        )
    declared: dict[str, Any] = {}
    try:
        for statement in ast.parse(source).body:
            value = getattr(statement, "value", None)
            for target in getattr(statement, "targets", [getattr(statement, "target", None)]):
                if isinstance(target, ast.Name) and value is not None:
                    declared[target.id] = ast.literal_eval(value)
        to_json(declared)
        assignments(declared)
    except UNREADABLE as e:
        why = (str(e) or "it is nested too deeply").partition(" <ast.")[0]
        raise ParameterError(
            f"The parameters cell of {path.name} must hold plain literals (name = 3), so that it can be read without being "
            f"run; it can't be read ({why}). Legal are {LEGAL}. Move what is computed to the next cell."
        ) from None
    return declared


def check_parameters(path: Path, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return all parameters of a notebook with the given values in place.

    Raises
    ------
    FormatError
        The file can't be read as a notebook.
    ParameterError
        A name that it doesn't have, or a value of another type than the default's.
    """
    return fitted(path.name, declared_parameters(path), given)


def fitted(notebook: str, declared: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the defaults with the given values in place, each as the type of its default; see `check_parameters`."""
    for name in given:
        if name not in declared:
            raise ParameterError(f"{notebook} has no parameter {name!r}. {suggest(name, declared)}")
    values = {**declared, **{n: _fit(f"{notebook}: {n}", v, declared[n]) for n, v in given.items()}}
    try:
        to_json(values)
    except (TypeError, ValueError, RecursionError) as e:
        raise ParameterError(f"{notebook}: {e}. Legal are {LEGAL}.") from None
    return values


def _fit(name: str, given: Any, default: Any) -> Any:
    """A value as the type of the default; None is legal for every parameter, and so is all for a default of None."""
    value = _read(given, default) if isinstance(given, Typed) else given
    kind = type(default)
    if value is None or default is None or isinstance(value, kind):
        return value
    if kind in (int, float, complex) and isinstance(value, int | float):
        return value
    if kind in (list, tuple, set) and isinstance(value, list | tuple | set):
        with contextlib.suppress(TypeError):  # what can't be in a set
            return kind(value)
    raise ParameterError(
        f"{name}={value!r} is of the type {type(value).__name__}; it takes {kind.__name__} (default {default!r})."
    )


def _read(text: Typed, default: Any) -> Any:
    """What a typed text means for a parameter with this default."""
    value = _literal(text)
    match default:
        case str():  # digits are text too
            return value if value is None or isinstance(value, str) else str(text)
        case bool() if isinstance(value, str):
            return {"true": True, "false": False}.get(value.strip().lower(), value)
        case bool() | None:
            return value
        case int() | float() if isinstance(value, str):
            for kind in (int, float):  # 007, inf, nan
                with contextlib.suppress(ValueError):
                    return kind(value)
        case bytes() if isinstance(value, str):
            return value.encode()
        case list() | tuple() | set() if isinstance(value, str) and value[:1] + value[-1:] in (
            "[]",
            "()",
            "{}",
        ):
            return [_literal(piece.strip()) for piece in split(value[1:-1]) if piece.strip()]
    return value


def _literal(text: str) -> Any:
    """The Python literal that a text spells, or the text itself."""
    try:
        return ast.literal_eval(text.strip())
    except UNREADABLE:
        return str(text)


def split(text: str) -> list[str]:
    """Split at the commas that stand outside brackets and quotation marks."""
    pieces, depth, quote = [""], 0, ""
    for c in text:
        if quote:
            quote = "" if c == quote else quote
        elif c in "'\"":
            quote = c
        elif c in "([{":
            depth += 1
        elif c in ")]}":
            depth -= 1
        elif c == "," and depth <= 0:
            pieces.append("")
            continue
        pieces[-1] += c
    return pieces


def to_json(value: Any) -> Any:
    """A literal as JSON has it; what JSON lacks is a dictionary with one key that names its type, as in ``{"tuple": [1, 2]}``.

    Raises
    ------
    TypeError
        It is no literal. Also ValueError and RecursionError, for one too long or too deep to be written.
    """
    if value is None or isinstance(value, bool | str):
        return str(value) if isinstance(value, str) else value
    match value:
        case int():
            str(value)  # refuses what is too long
            return value
        case float():
            return value if math.isfinite(value) else {"float": str(value)}
        case complex():
            return {"complex": str(value)}
        case bytes():
            return {"bytes": value.hex()}
        case list():
            return [to_json(v) for v in value]
        case tuple():
            return {"tuple": [to_json(v) for v in value]}
        case set():  # in an order that is the same in every process
            return {"set": [to_json(v) for v in sorted(value, key=repr)]}
        case dict():
            plain = all(isinstance(k, str) for k in value) and not _names_a_type(value)
            if plain:
                return {k: to_json(v) for k, v in value.items()}
            return {"dict": [[to_json(k), to_json(v)] for k, v in value.items()]}
    raise TypeError(f"{value!r} is a {type(value).__name__}")


_TYPES: dict[str, Callable[[Any], Any]] = {
    "float": float,
    "complex": complex,
    "bytes": bytes.fromhex,
    "tuple": lambda items: tuple(map(from_json, items)),
    "set": lambda items: set(map(from_json, items)),
    "dict": lambda pairs: {from_json(k): from_json(v) for k, v in pairs},
}


def _names_a_type(value: Mapping[Any, Any]) -> bool:
    return len(value) == 1 and next(iter(value)) in _TYPES


def from_json(value: Any) -> Any:
    """Read what `to_json` gave.

    Raises
    ------
    FormatError
        What stands for a type that JSON lacks is damaged.
    """
    if isinstance(value, list):
        return [from_json(v) for v in value]
    if not isinstance(value, dict):
        return value
    if not _names_a_type(value):
        return {k: from_json(v) for k, v in value.items()}
    ((kind, content),) = value.items()
    try:
        return _TYPES[kind](content)
    except (TypeError, ValueError) as e:
        raise FormatError(
            f"A parameter can't be read: {str(content)[:100]!r} is no {kind} ({e}). Write the report again."
        ) from None


def source(value: Any) -> str:
    """Python that gives a literal; its `repr`, but for infinity and NaN, which no literal spells."""
    match value:
        case float() if not math.isfinite(value):
            return f"float('{value}')"
        case list():
            return f"[{_joined(value)}]"
        case tuple():
            return f"({_joined(value)}{',' if len(value) == 1 else ''})"
        case set() if value:
            return f"{{{_joined(sorted(value, key=repr))}}}"
        case dict():
            return f"{{{', '.join(f'{source(k)}: {source(v)}' for k, v in value.items())}}}"
    return repr(value)


def _joined(values: Iterable[Any]) -> str:
    return ", ".join(map(source, values))


def shown(value: Any) -> str:
    """A value as a page shows it: text as it is, all else as Python writes it."""
    return value if isinstance(value, str) else source(value)


def assignments(values: Mapping[str, Any]) -> str:
    """The source of the cell that sets parameters."""
    return "".join(["# Parameters\n", *(f"{name} = {source(value)}\n" for name, value in values.items())])


def inject(notebook: nbformat.NotebookNode, values: Mapping[str, Any]) -> None:
    """Put a cell with these values below the one with the defaults, in place of one from an earlier run."""
    from nbformat.v4 import new_code_cell

    cells = [c for c in notebook.cells if INJECTED not in c.metadata.get("tags", [])]
    at = next((i + 1 for i, c in enumerate(cells) if DECLARED in c.metadata.get("tags", [])), 0)
    if values:
        cells.insert(at, new_code_cell(assignments(values), metadata={"tags": [INJECTED]}))
    notebook.cells = cells
