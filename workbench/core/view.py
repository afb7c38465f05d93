"""View: what a method needs of a subject. The annotation of an input chooses one.

A view is defined beside the subject that gives it most naturally, in `workbench.subjects`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

VIEWS: dict[str, type[View]] = {}
"""Every view that was imported, by name; `workbench.core.discovery` imports those that there are."""


@dataclass(frozen=True, eq=False)
class View:
    """What every view carries beside its arrays.

    Attributes
    ----------
    name : the subject's, for titles and messages.
    digest : of the content; part of a run's key.
    space : which set of row ids ``ids`` belongs to; figures with the same space share a selection.
    """

    needs: ClassVar[str] = ""
    name: str
    digest: str
    space: str

    def __init_subclass__(cls) -> None:
        VIEWS[cls.__name__] = cls
