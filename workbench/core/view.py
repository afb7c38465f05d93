"""View: what a method needs of what it is given. The annotation of an input chooses one.

A view is defined beside the subject that gives it most naturally, in `workbench.subjects`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

import numpy as np

from workbench.core.digest import digest
from workbench.core.errors import ViewError
from workbench.core.rows import codes

if TYPE_CHECKING:
    from typing import Self

    import pandas as pd
    from jaxtyping import Int

KIND = "token"
"""The column that says of which kind a row is."""
UNITS = {"text_id": "texts", "sample": "samples", "group": "groups", "": "series"}
VIEWS: dict[str, type[View]] = {}
"""Every view that was imported, by name."""


@dataclass(frozen=True, eq=False)
class View:
    """What every view carries beside its arrays.

    Attributes
    ----------
    name : the subject's, for titles and messages.
    digest : of the content; part of a run's key.
    space : which set of row ids ``ids`` belongs to; figures with the same space share a selection.
    note : what a reader of any answer about it has to know, in a sentence; "" where that is nothing.
    """

    needs: ClassVar[str] = ""
    name: str
    digest: str
    space: str
    note: str = dataclasses.field(default="", kw_only=True)

    def __init_subclass__(cls) -> None:
        VIEWS[cls.__name__] = cls

    def notes(self, parameters: Mapping[str, Any]) -> tuple[str, ...]:
        """What a reader of an answer to a question with these parameters has to know of what was asked, in sentences."""
        return (self.note,) if self.note else ()

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Shapes of the arrays, for messages."""
        return {n: v.shape for n, v in vars(self).items() if isinstance(v, np.ndarray)}


@dataclass(frozen=True, eq=False)
class Rows(View):
    """Base of the views whose arrays have one entry a row, so that several can be brought to the same rows.

    Attributes
    ----------
    ids : (n,) stable row ids. table : one line a row, indexed by id; may have no columns.
    grouped_by : the column whose values say which rows belong together, so that nulls and intervals take them as one; None
        where each row stands for itself, "" where all are one series in order.

    A column ``token`` says of which kind each row is: rows of one kind may be nearly the same row again.
    """

    rowwise: ClassVar[tuple[str, ...]] = ("values",)
    """Fields with one entry a row: arrays, or dictionaries of arrays."""
    in_columns: ClassVar[bool] = False
    """Whether the values are samples by columns, in any order, as scikit-learn's ``X`` is."""
    ids: Int[np.ndarray, " n"]
    table: pd.DataFrame
    grouped_by: str | None = dataclasses.field(default=None, kw_only=True)

    @property
    def n(self) -> int:
        """Number of rows."""
        return len(self.ids)

    @cached_property
    def groups(self) -> Int[np.ndarray, " n"] | None:
        """Which group each row is in, from 0 in order of appearance; None where each stands for itself.

        Where the group of some row isn't known (`ungrouped`), it may be any, so that all rows are one group.
        """
        if self.grouped_by is None:
            return None
        if not self.grouped_by or self.ungrouped:
            return np.zeros(self.n, np.int64)
        return codes(self.table[self.grouped_by])

    @cached_property
    def ungrouped(self) -> str:
        """Why it isn't known which rows belong together, and what to do; "" where it is known."""
        missing = int(self.table[self.grouped_by].isna().sum()) if self.grouped_by else 0
        if not missing:
            return ""
        return (
            f"{missing:,} of {self.n:,} rows have no {self.grouped_by}, so that it isn't known which rows belong together: leave "
            f"them out (.select('`{self.grouped_by}` != None')), fill the column in, or name another (.group_by(...))"
        )

    @property
    def unit(self) -> str:
        """What the groups are, in words: ``texts``, ``samples``, ``groups (speaker)``; ``rows`` without groups."""
        if self.grouped_by is None:
            return "rows"
        return UNITS.get(self.grouped_by, f"groups ({self.grouped_by})")

    @cached_property
    def kinds(self) -> Int[np.ndarray, " n"] | None:
        """Of which kind each row is (its token), from 0; None where the table doesn't say, or no kind comes twice."""
        found = codes(self.table[KIND]) if KIND in self.table.columns else None
        return None if found is None or found.max(initial=-1) + 1 == len(found) else found

    def take(self, at: Int[np.ndarray, " m"]) -> Self:
        """Return the view with the rows at some positions, in that order."""
        changed: dict[str, Any] = {}
        for field in self.rowwise:
            value = getattr(self, field)
            changed[field] = {k: v[at] for k, v in value.items()} if isinstance(value, dict) else value[at]
        ids = self.ids[at]
        return replace(
            self, ids=ids, table=self.table.iloc[at], digest=digest("rows", self.digest, ids), **changed
        )


V = TypeVar("V")


class Giving:
    """What can be asked for views: a subject, and a result that has rows of its own.

    A class gives a view by having a method of its name: ``as_points`` gives `Points`.
    """

    def view(self, kind: type[V]) -> V:
        """Return the view (or the network) of the asked ``kind``, or raise `ViewError` saying what is held instead."""
        make = getattr(self, f"as_{kind.__name__.lower()}", None)
        if make is None:
            raise ViewError(
                f"{self.called} is {self.holds}; this needs {getattr(kind, 'needs', kind.__name__)}. "
                f"It can give: {', '.join(self.gives) or 'no view'}."
            )
        return make()

    @property
    def gives(self) -> list[str]:
        """Names of the views that it can be asked for."""
        return [name for name in VIEWS if hasattr(type(self), f"as_{name.lower()}")]

    @property
    def called(self) -> str:
        """What it is called, for messages."""
        raise NotImplementedError

    @property
    def holds(self) -> str:
        """What is inside, in words, for messages."""
        raise NotImplementedError
