"""What tours are tried on: networks and descents with something planted in them that a tour ought to find, or with nothing.

One module a tour, which has its ``KINDS``; the ``PARAMETERS`` that the tour is run with, small; and ``opened(kind, seed)``,
what stands in the tour's cells in place of what it opens.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any


@dataclass(frozen=True)
class Planted:
    """A kind of network or descent whose truth is known.

    Attributes
    ----------
    says : what was planted, in a sentence.
    plant : makes it, or writes it into what was drawn.
    claims : patterns of evidence that a tour ought to claim, to the way it differs. Where one pattern fits several, one of
        them is enough.
    never : patterns of evidence in which there is nothing, so that a claim is false.
    """

    says: str
    plant: Callable[..., Any]
    claims: Mapping[str, str] = field(default_factory=dict)
    never: tuple[str, ...] = ()

    def is_false(self, name: str) -> bool:
        """Whether a claim about this evidence is false, whichever way."""
        return any(fnmatchcase(name, pattern) for pattern in self.never)
