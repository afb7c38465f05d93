"""Subjects: what is opened. Immutable, with a name, a content digest and stable row ids.

A subject answers ``view(Points)`` and the like with what a method needs, or refuses and says what it
holds instead. Rows are selected with ``select`` (ids, a boolean mask or a query on the row table); the
selection is a subject too, with the same ids. Each class lies in a file of `workbench.subjects`.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

import numpy as np

from workbench.core.digest import digest
from workbench.core.discovery import import_all
from workbench.core.errors import DataError, MissingError, ParameterError, ViewError
from workbench.core.lineage import IDS_KEPT, InMemory, Origin
from workbench.core.markup import card, listed
from workbench.core.parameters import require_integer
from workbench.core.query import matching
from workbench.core.rows import frozen, group_column, table_column, table_digest
from workbench.core.run import Run
from workbench.core.view import Giving, View

if TYPE_CHECKING:
    from typing import Self

    import pandas as pd
    from jaxtyping import Int

S = TypeVar("S", bound="Subject")
PACKAGE = "workbench.subjects"
FINITE = "no NaN or infinity"
"""Why rows are selected in `drop_nonfinite`."""
SHOWN_PARTS, SHOWN_COLUMNS = 6, 12
BY_NAME = "*"  # no column: the groups are those of the first column that is called as groups are
SUBJECTS: dict[str, type[Subject]] = {}
"""Every class that was imported, by name; see `subjects`."""


class Subject(Giving):
    """Base of everything that is opened.

    Attributes
    ----------
    name : short, for titles; a file's stem or what the user gave.
    truth : what is known of it because it was made so (``{"betti": (1, 1), "dimension": 1}``); empty where it was found.
    """

    takes: ClassVar[str] = ""
    """What `of` makes one from, in words, for messages."""
    needs: ClassVar[str] = "a subject"
    """What it is, in words, where a method takes this class."""
    narrows: ClassVar[Mapping[type[View], str]] = MappingProxyType({})
    """The views for which ``at`` narrows it, to one part or to several of a pattern; each with an example of what it takes."""
    typed: ClassVar[str] = ""
    """How one is named at a command line, for examples; "" where nothing there can be one."""
    name: str
    truth: Mapping[str, Any] = MappingProxyType({})
    _origin: Origin | None = None
    _run: Run | None = None

    def __init_subclass__(cls) -> None:
        SUBJECTS[cls.__name__] = cls

    @classmethod
    def of(cls, thing: Any) -> Subject | None:
        """Return a subject of this class made from something else that a user passes, or None if it is none for it."""
        return None

    suffixes: ClassVar[tuple[str, ...]] = ()
    """Endings of the file that `save` writes; empty where it writes a folder."""

    def save(self, path: str | Path) -> Path:
        """Write it so that `workbench.open` opens it again, whole or not at all.

        Raises
        ------
        ViewError
            This class can't be written.
        StorageError
            It can't be written there.
        """
        raise ViewError(
            f"{self.name} is {self.holds}, which can't be written. Keep what it was made from instead."
        )

    @classmethod
    def read(cls, path: Path) -> Subject | None:
        """Return what was saved to a file or folder by this class, or None where that holds something else.

        Only looking must be cheap, and nothing may be believed of the file: it may come from anybody.
        """
        return None

    @property
    def digest(self) -> str:
        """Digest of the content: equal for equal content, wherever it was read from."""
        raise NotImplementedError

    @property
    def called(self) -> str:
        return self.name

    def parts(self, kind: type[View] | None = None) -> tuple[str, ...]:
        """Return the names that ``at`` can choose one part by, the likeliest choice last; none where it is one thing.

        Parameters
        ----------
        kind : only parts that can give this view.
        """
        return ()

    def at(self, *patterns: Any) -> Subject:
        """Return the part, or parts, of that name; see `parts`.

        Raises
        ------
        MissingError
            It is one thing, without parts, or has none of that name.
        """
        raise MissingError(f"{self.name} is {self.holds}: it has no parts to choose from.")

    def default_part(self, kind: type[View] | None = None) -> str | None:
        """Return which of `parts` is meant where none was named, or None where that would be a guess."""
        return None

    @classmethod
    def example(cls, variant: int = 0) -> Subject | None:
        """Return a small subject of this class, for tests and for documentation; None where none can be made.

        Variants have the same rows and other numbers, so that a method of two inputs can be asked about two of them.
        """
        return None

    @property
    def run(self) -> Run | None:
        """How it came to be; None for what was made in memory. Digests of what it was made from are computed now."""
        if self._run is None and self._origin is not None:
            self._run, self._origin = self._origin.run(), None
        return self._run

    def with_run(self, run: Run) -> Self:
        """Say how this came to be; for whoever makes it."""
        self._run, self._origin = run, None
        return self

    def made_by(self, origin: Origin) -> Self:
        """Say how this came to be, before digests are known; for whoever makes it."""
        self._run, self._origin = None, origin
        return self

    def derived(
        self,
        made: S,
        method: str,
        label: str,
        parameters: Mapping[str, Any] = MappingProxyType({}),
        others: Mapping[str, Any] = MappingProxyType({}),
    ) -> S:
        """Return ``made`` as what a call of this subject gave: its name says what was done, and its lineage how.

        Parameters
        ----------
        parameters : keywords of the call, the positional ones under ``"*"``.
        others : further inputs of the call, such as a module.
        """
        made.name = f"{self.name} · {label}" if label else self.name
        if isinstance(self, Rowed) and isinstance(made, Rowed) and made._group == BY_NAME:
            made._group = self._group if not self._group or self._group in made._table.columns else BY_NAME
        if type(made) is type(self):
            made.truth = self.truth
        more: dict[str, Any] = {n: v if isinstance(v, Giving) else InMemory.of(v) for n, v in others.items()}
        return made.made_by(Origin(method, {"subject": self, **more}, parameters, verb="call"))

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name}: {self.holds}>"

    def _repr_html_(self) -> str:
        return card(type(self).__name__, self.name, _sentence(self.holds), *self._more())

    def _more(self) -> list[str]:
        """What else a notebook shows of it, in lines."""
        parts = self.parts()[::-1]  # the likeliest first
        return [f"Parts, for .at(name): {listed(parts, SHOWN_PARTS)}"] if parts else []


class Rowed(Subject):
    """A subject with rows: ids, a table that says which is which, and selection by either.

    Parameters
    ----------
    name : see `Subject`.
    table : one line a row. Its index gives the row ids (integers, unique).
    space : which set of ids these are; None makes a new one from the content.
    """

    def __init__(self, name: str, table: pd.DataFrame, space: str | None = None):
        self.name = name
        # copied when either is written to, which leaves the other as it is
        self._table = table.copy(deep=False)
        self._digested: tuple[pd.DataFrame | None, str] = None, ""
        self._whole: Rowed | None = None
        self._space = space
        self._group: str | None = BY_NAME

    @property
    def table(self) -> pd.DataFrame:
        """The row table, one line a row, indexed by row id; writing to it changes nothing here."""
        return self._table.copy(deep=False)

    def with_table_of(self, whole: Rowed) -> Self:
        """Share the row table of what this is a part of, so that it is digested once for all parts."""
        self._table, self._whole = whole._table, whole
        return self

    @property
    def table_digest(self) -> str:
        """Digest of the row table, kept with it: of a million rows with texts it takes two seconds."""
        table, known = self._digested
        if table is not self._table:
            whole = self._whole
            if whole is not None and whole._table is self._table:
                known = whole.table_digest
            else:
                known = table_digest(self._table)
            self._digested = self._table, known
        return known

    @property
    def space(self) -> str:
        """Which set of row ids this subject's rows belong to."""
        return self._space or self.digest

    @cached_property
    def ids(self) -> Int[np.ndarray, " n"]:
        """Row ids, (n,) int64."""
        return frozen(self._table.index.to_numpy(dtype=np.int64))

    def __len__(self) -> int:
        return len(self._table)

    def _more(self) -> list[str]:
        columns = listed(map(str, self._table.columns), SHOWN_COLUMNS)
        return [*super()._more(), *([f"Columns: {columns}"] if columns else [])]

    @property
    def grouped_by(self) -> str | None:
        """The column whose values say which rows belong together, None where each row stands for itself.

        Nulls and intervals take rows that belong together as one. Without `group_by` it is ``text_id``, ``sample`` or
        ``group``, whichever the table has first with a value that comes again.
        """
        return group_column(self._table) if self._group == BY_NAME else self._group

    def group_by(self, column: str | None) -> Self:
        """Return the same rows, those with the same value in a column belonging together; None: each stands for itself.

        Raises
        ------
        MissingError
            There is no such column.
        """
        if column is not None:
            table_column(self._table, column, self.name)
        made = copy.copy(self)
        made._group = column
        label = "rows for themselves" if column is None else f"grouped by {column}"
        return self.derived(made, "group_by", label, {"column": column})

    @property
    def _seen(self) -> str:
        """Digest of the rows as a view shows them: with what belongs together, where that was chosen."""
        return self.digest if self._group == BY_NAME else digest(self.digest, "grouped by", self._group)

    def column(self, name: str) -> np.ndarray:
        """Return a column of the row table.

        Raises
        ------
        MissingError
            There is no such column; those that there are are named.
        """
        return table_column(self._table, name, self.name)

    def select(self, rows: Any, *, reason: str = "") -> Self:
        """Return the chosen rows as a subject with the same ids.

        Rows that are chosen by their ids or a mask count as chosen by looking at them, so that no method tests what shape
        they have; those of a query, or for a reason, don't.

        Parameters
        ----------
        rows : row ids (integers), a boolean mask (one a row), or a query on the row table, such as
            ``"label == 'noun' and position > 3"``; see `workbench.core.query`.
        reason : why these ids, in words, where it wasn't what their numbers look like: "the texts that were checked by hand".

        Raises
        ------
        MissingError
            An id that isn't there, or a query on a column that isn't there.
        ParameterError
            A query that isn't read: calls, attributes and variables aren't.
        DataError
            A mask of the wrong length, or no row left.
        """
        if isinstance(rows, str):
            mask = matching(self._table, rows, self.name)
            at = np.flatnonzero(mask)
        else:
            at = self._positions(np.asarray(rows))
        if len(at) == 0:
            raise DataError(f"{self.name}: the selection {rows!r} holds no row of {len(self):,}.")
        said = f"{rows} ({len(at):,} rows)" if isinstance(rows, str) else f"{len(at):,} selected rows"
        ids = self.ids[at]
        why = {"reason": reason} if reason else {}
        if not isinstance(rows, str) and len(ids) > IDS_KEPT:  # too many to be written down
            return self.derived(self._take(at), "select", said, why, {"rows": ids})
        asked = rows if isinstance(rows, str) else tuple(ids.tolist())
        return self.derived(self._take(at), "select", said, {"rows": asked, **why})

    def with_label(self, labels: Any, name: str = "cluster") -> Self:
        """Return the same rows with a column more: the groups that a method put them into.

        The lineage says where the labels come from, so that no method tests on these rows what was found in them.

        Parameters
        ----------
        labels : a result with a group for each row, such as that of `spectral_clustering`.
        name : of the column.

        Raises
        ------
        ViewError
            ``labels`` has no groups of rows.
        ParameterError
            There is such a column already.
        DataError
            A row has no group in it.
        """
        codes = getattr(labels, "labels", None)
        if codes is None or getattr(labels, "ids", None) is None or not hasattr(labels, "name_of"):
            raise ViewError(
                f"with_label takes a result with a group for each row, such as spectral_clustering's; "
                f"{getattr(labels, 'called', type(labels).__name__)} has none."
            )
        if name in self._table.columns:
            raise ParameterError(f"{self.name} has a column {name!r} already: give the labels another name.")
        of = dict(zip(labels.ids.tolist(), codes.tolist(), strict=True))
        missing = [i for i in self.ids.tolist() if i not in of]
        if missing or labels.space != self.space:
            raise DataError(
                f"{labels.called} has no group for {len(missing) or len(self):,} of the {len(self):,} rows of {self.name}: "
                "label the rows that it was asked of."
            )
        made = copy.copy(self)
        made._table = self._table.assign(
            **{name: [labels.name_of(of[i]) if of[i] >= 0 else "" for i in self.ids.tolist()]}
        )
        vars(made).pop("digest", None)  # kept by some classes, of the table as it was
        made._space = self.space
        return self.derived(made, "with_label", f"with {name}", {"name": name}, {"labels": labels})

    def _positions(self, rows: np.ndarray) -> np.ndarray:
        if rows.dtype == bool:
            if len(rows) != len(self):
                raise DataError(f"{self.name}: the mask has {len(rows):,} entries for {len(self):,} rows.")
            return np.flatnonzero(rows)
        at = self._table.index.get_indexer(rows)
        if (at < 0).any():
            raise MissingError(
                f"{self.name} has no row {rows[at < 0][0].item()!r}; ids run from {self.ids.min()} to {self.ids.max()}."
            )
        return at

    def sample(self, n: int, random_state: int = 0) -> Self:
        """Return ``n`` rows drawn without replacement (all, if there are no more), in row order.

        Raises
        ------
        ParameterError
            ``n`` is not an integer of at least 1, or ``random_state`` no seed.
        """
        n = require_integer(n, "n", "sample", low=1)
        random_state = require_integer(random_state, "random_state", "sample", low=0)
        if n >= len(self):
            return self
        at = np.sort(np.random.default_rng(random_state).choice(len(self), n, replace=False))
        asked = {"n": n, "random_state": random_state}
        return self.derived(self._take(at), "sample", f"{n:,} of {len(self):,} rows", asked)

    def _take(self, at: np.ndarray) -> Self:
        raise NotImplementedError


def subjects() -> list[type[Subject]]:
    """Every class of subject there is, by name."""
    import_all(PACKAGE)
    return [SUBJECTS[name] for name in sorted(SUBJECTS)]


def as_subject(thing: Any) -> Subject:
    """Return a subject for what a user passes: a subject, or what one of the subjects takes (an array, a table ...).

    Raises
    ------
    ViewError
        It is none of these.
    """
    if isinstance(thing, Subject):
        return thing
    for cls in subjects():
        if (found := cls.of(thing)) is not None:
            return found
    if isinstance(thing, str):
        raise ViewError(f"{thing!r} is a name, not a subject: open it first with workbench.open({thing!r}).")
    taken = ", ".join(dict.fromkeys(cls.takes for cls in subjects() if cls.takes))
    raise ViewError(
        f"A method is asked of a subject (workbench.open, workbench.capture) or of {taken}; "
        f"{type(thing).__name__} is none of these."
    )


def _sentence(words: str) -> str:
    return f"{words[:1].upper()}{words[1:].rstrip('.')}."
