"""At which steps weights are kept."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable
from typing import Any

from workbench.core.errors import ParameterError

GROWTH = 1.2


def schedule(weights_at: Any) -> Callable[[int], bool] | None:
    """Return what says of a step whether its weights are kept; None where none are.

    Parameters
    ----------
    weights_at : ``"auto"`` for steps that grow further apart (each 1.2 times the one before), a number for
        every so many steps, steps themselves, or None.

    Raises
    ------
    ParameterError
        It is none of these.
    """
    if weights_at is None:
        return None
    if isinstance(weights_at, str) and weights_at == "auto":
        return _geometric()
    if not isinstance(weights_at, str | bool):
        try:
            n = operator.index(weights_at)
        except TypeError:
            n = 0
        if n >= 1:
            return lambda step: step % n == 0
        if isinstance(weights_at, Iterable):
            chosen = list(weights_at)
            if all(
                isinstance(operator.index(s), int) and s >= 0 for s in chosen if hasattr(s, "__index__")
            ) and all(hasattr(s, "__index__") for s in chosen):
                steps = frozenset(map(operator.index, chosen))
                return lambda step: step in steps
    raise ParameterError(
        f"record: weights_at={weights_at!r} is not legal. It takes 'auto', a number (every so many steps), a list of steps from 0, "
        f"or None."
    )


def _geometric() -> Callable[[int], bool]:
    chosen, top = {0}, 0

    def due(step: int) -> bool:
        nonlocal top
        while top < step:
            top = max(top + 1, round(top * GROWTH))
            chosen.add(top)
        return step in chosen

    return due
