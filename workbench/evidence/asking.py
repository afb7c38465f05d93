"""Asking where an answer may be refused: what can't be asked is told, and the rest goes on."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from workbench.core.errors import DataError, ViewError
from workbench.core.history import as_control
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


def ask_untrained(
    method: Callable[..., R], answered: Mapping[str, R], arms: Sequence[Mapping[str, Any]], **parameters: Any
) -> list[dict[str, R]]:
    """Ask of untrained networks what was answered of the trained one: numbers alone, since these are its control.

    They are no questions of their own and don't count in the correction; see `Findings.contrast`.

    Parameters
    ----------
    answered : the trained network's results, by name. arms : an untrained network's subjects, by the same names.

    Returns
    -------
    list
        The results of each arm that can be asked all of it.
    """
    parameters = {**parameters, **{n: 0 for n in ("n_null", "n_boot") if n in method.parameters}}  # type: ignore[attr-defined]
    with as_control():
        asked = [ask_each(method, {n: arm[n] for n in answered}, **parameters) for arm in arms]
    return [results for results in asked if results]
