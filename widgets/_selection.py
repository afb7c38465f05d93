"""One selection for every open view of the same rows."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol
from weakref import WeakSet, WeakValueDictionary

import numpy as np


class View(Protocol):
    """What shows a selection."""

    def mark(self, ids: np.ndarray) -> None:
        """Show these rows as selected; none of them need be there."""


class Shared:
    """The selected rows of one set of row ids (a result's or subject's ``space``).

    Attributes
    ----------
    ids : (n,) row ids, sorted.
    """

    def __init__(self) -> None:
        self.ids = np.empty(0, dtype=np.int64)
        self._views: WeakSet[View] = WeakSet()

    def join(self, view: View) -> None:
        """Tell ``view`` of the present selection and of every later one, for as long as it lives."""
        self._views.add(view)
        if len(self.ids):
            view.mark(self.ids)

    def leave(self, view: View) -> None:
        """Tell ``view`` of no later selection."""
        self._views.discard(view)

    def set(self, ids: Iterable[int] | np.ndarray) -> None:
        """Select these rows in every view."""
        chosen = np.unique(np.asarray(ids if isinstance(ids, np.ndarray) else list(ids), dtype=np.int64))
        if np.array_equal(chosen, self.ids):
            return
        self.ids = chosen
        for view in list(self._views):
            view.mark(chosen)


_spaces: WeakValueDictionary[str, Shared] = WeakValueDictionary()


def shared(space: str) -> Shared:
    """The selection of a space; views of no space have one each."""
    if not space:
        return Shared()
    found = _spaces.get(space)
    if found is None:
        found = _spaces[space] = Shared()
    return found
