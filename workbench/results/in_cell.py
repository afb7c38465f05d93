"""Early answers in a notebook's cell: drawn among its outputs while the control is computed, and taken away when it is.

Only where a person's front end runs the cell: a notebook that a program runs as a whole (a report, papermill) has the
finished answers alone.
"""

from __future__ import annotations

import dataclasses
import sys
import threading
from typing import TYPE_CHECKING

from workbench.core.history import attended, request

if TYPE_CHECKING:
    from workbench.core.early import Screen
    from workbench.core.result import Result

_last = ""  # the output that is there for the cell that runs; one for all of its early answers


def screen() -> Screen | None:
    """The cell that is being run, or None where there is none whose outputs can be exchanged.

    A front end that names the cell has outputs that can be; a console prints them once and for all.
    """
    if "ipykernel" not in sys.modules or threading.current_thread() is not threading.main_thread():
        return None
    asked = request()
    if not asked.get("metadata", {}).get("cellId") or not attended():
        return None
    name = f"workbench-early-{asked['header']['msg_id']}"
    return lambda early: _put(name, early)


def _put(name: str, early: Result | None) -> None:
    from IPython.display import display, update_display

    global _last
    shown = {}
    if early is not None:
        early = dataclasses.replace(early, title=f"{early.title}: it is being computed")
        shown = {**early.drawn(), "text/plain": early.title}
    if name == _last:
        update_display(shown, raw=True, display_id=name)
    else:
        display(shown, raw=True, display_id=name)
    _last = name
