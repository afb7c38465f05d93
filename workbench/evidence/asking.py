"""Asking where an answer may be refused: what can't be asked is told, and the rest goes on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from workbench.core.errors import DataError, ViewError
from workbench.core.result import Result

R = TypeVar("R", bound=Result)


def ask(method: Callable[..., R], subject: Any, **parameters: Any) -> R | None:
    """Ask a method; where this subject can't answer it, print why and return None."""
    try:
        return method(subject, **parameters)
    except (DataError, ViewError) as e:
        print(f"Not asked: {e}")
        return None


def ask_each(method: Callable[..., R], subjects: Mapping[str, Any], **parameters: Any) -> dict[str, R]:
    """Ask a method of every subject, by name; where one of them can't answer it, print why and return nothing."""
    try:
        return {name: method(s, **parameters) for name, s in subjects.items()}
    except (DataError, ViewError) as e:
        print(f"Not asked: {e}")
        return {}
