"""What was asked in this process, so that no question is left out of the correction.

Every analysis leaves its run and its evidence here, whether its answer came from the cache or not and
whether anybody looked at it. Asking the same run again is the same question.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from workbench.core.evidence import Evidence, Outcome
from workbench.core.run import Run


@dataclass(frozen=True)
class Asked:
    """One run's questions, without the arrays of its answer."""

    run: Run
    evidence: tuple[Evidence, ...]
    outcome: Outcome
    title: str
    seconds: float
    cached: bool


_asked: dict[str, Asked] = {}


_aside: list[bool] = []


def remember(asked: Asked) -> None:
    """Add a run; the first answer to a run is kept."""
    if not _aside:
        _asked.setdefault(asked.run.key, asked)


@contextmanager
def as_control() -> Iterator[None]:
    """Ask what is no question of its own, but what another answer is set beside: it isn't remembered."""
    _aside.append(True)
    try:
        yield
    finally:
        _aside.pop()


def asked() -> list[Asked]:
    """Everything asked so far in this process, in order."""
    return list(_asked.values())


def forget() -> None:
    """Start a new family of questions; what was asked before no longer counts in the correction."""
    _asked.clear()
