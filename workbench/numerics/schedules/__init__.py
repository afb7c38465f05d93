"""Schedules of the geometry lab: one file each, found by name. Another is one more file here.

A file's name is the schedule's, and ``Schedule`` in it is made of the number of steps. ``factor`` is what the learning rate is
multiplied by; ``observe(loss)`` goes on by one step, and ``state_dict`` and ``load_state_dict`` resume it to the last bit.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from workbench.numerics.by_name import names, part

NAMES = names(__name__)
"""Names of the schedules; none is imported by asking."""

if TYPE_CHECKING:
    ScheduleName = str
else:
    ScheduleName = Literal[NAMES]
"""A schedule's name, as the annotation of a parameter."""


def schedule_of(name: str, steps: int) -> Any:
    """The schedule of that name for so many steps.

    Raises
    ------
    ValueError
        There is none; those that there are are named.
    """
    return part(__name__, "schedule", name, NAMES).Schedule(steps)
