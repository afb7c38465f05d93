"""What a probe is asked to predict, and for which rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from workbench.core.errors import DataError
from workbench.numerics.lag import resemble_the_next
from workbench.subjects.points import Points

if TYPE_CHECKING:
    from jaxtyping import Int

NOT_LABELS = ("text", "token", "text_id", "position", "sample")
MAX_CLASSES = 200
MANY_GROUPS = 20  # are taken whole, whatever number of rows they hold
LOOKED_AT = 10_000  # rows, from the first on, by which it is told whether rows resemble the next, where not all are drawn


@dataclass(frozen=True)
class Task:
    """What is predicted for which rows.

    Attributes
    ----------
    rows : (m,) positions of the rows that a probe learns from and is tested on.
    truth : (m,) class of each row from 0, or its standardized number.
    others : (o,) positions of rows that weren't drawn. others_truth : theirs, as ``truth``.
    groups : (m,) group of each row from 0, where ``grouped``; else each row is one.
    classes : how many; 0 for a number.
    """

    name: str
    rows: Int[np.ndarray, " m"]
    truth: np.ndarray
    groups: Int[np.ndarray, " m"]
    grouped: bool
    classes: int
    caveat: str
    others: Int[np.ndarray, " o"]
    others_truth: np.ndarray

    @classmethod
    def of(cls, points: Points, label: str | None, cv: int, max_rows: int, random_state: int) -> Task:
        """Take the label's rows, by classes or as a number; of more than ``max_rows``, whole groups drawn at random.

        Raises
        ------
        DataError
            One class only, too few groups, rows whose group isn't known, more than 200 classes, or a number that is the same in all rows.
        """
        name = label if label is not None else _default_label(points)
        if points.ungrouped:
            raise DataError(f"{points.name}: {points.ungrouped}.")
        values = points.column(name)
        groups = np.arange(points.n) if points.groups is None else points.groups
        if values.dtype.kind == "f" or (values.dtype.kind in "iu" and len(np.unique(values)) > 20):
            own = values.astype(np.float64)
            drawn = _drawn(groups, np.isfinite(own), max_rows, random_state)
            return cls._numeric(name, own, groups, drawn, points, cv)
        codes, names = _codes(values)
        known = codes >= 0
        drawn = _drawn(groups, known, max_rows, random_state)
        pairs = np.unique(np.column_stack([codes, groups])[drawn], axis=0)
        enough = np.bincount(pairs[:, 0], minlength=len(names)) >= cv
        if enough.sum() < 2:
            raise DataError(
                f"{name} has {len(names)} values in {points.name}, of which {int(enough.sum())} occur in at least cv={cv} "
                f"{points.unit}; a probe needs two. {_more(points, cv)}"
            )
        if enough.sum() > MAX_CLASSES:
            raise DataError(
                f"{name} has {int(enough.sum())} values; a probe tells at most {MAX_CLASSES} apart. Choose a coarser label."
            )
        kept, numbers = enough[codes] & known, np.cumsum(enough) - 1
        rows, others = np.flatnonzero(kept & drawn), np.flatnonzero(kept & ~drawn)
        few = int(known.sum()) - len(rows) - len(others)
        said = [f"{few:,} rows of {int((~enough).sum())} rare values of {name} were left out."] if few else []
        said += [f"{int((~known).sum()):,} rows have no {name}."] if not known.all() else []
        said += _said_of(rows, others)
        return cls(
            name,
            rows,
            numbers[codes[rows]],
            numbered(groups[rows]),
            points.groups is not None,
            int(enough.sum()),
            " ".join(said),
            others,
            numbers[codes[others]],
        )

    @classmethod
    def _numeric(
        cls, name: str, values: np.ndarray, groups: np.ndarray, drawn: np.ndarray, points: Points, cv: int
    ) -> Task:
        rows, others = np.flatnonzero(drawn), np.flatnonzero(np.isfinite(values) & ~drawn)
        if len(rows) < 2 or values[rows].std() == 0:
            raise DataError(f"{name} is the same in all rows that have it: there is nothing to predict.")
        if len(np.unique(groups[rows])) < cv:
            raise DataError(
                f"{name} is known in {len(np.unique(groups[rows]))} {points.unit}; cv={cv} takes at least as many. Lower cv."
            )
        truth, theirs = ((values[at] - values[rows].mean()) / values[rows].std() for at in (rows, others))
        few = len(values) - len(rows) - len(others)
        said = [f"{few:,} rows without a finite {name} were left out."] if few else []
        said += _said_of(rows, others)
        grouped = points.groups is not None
        return cls(name, rows, truth, numbered(groups[rows]), grouped, 0, " ".join(said), others, theirs)

    @property
    def measure(self) -> str:
        return "balanced accuracy" if self.classes else "R²"

    @property
    def units(self) -> int:
        """How many groups, or rows that stand for themselves, there are."""
        return int(self.groups.max()) + 1

    @property
    def of_groups(self) -> np.ndarray:
        """The label of each group's first row."""
        return self.truth[np.unique(self.groups, return_index=True)[1]]

    @property
    def constant(self) -> bool:
        """Whether every group has one label."""
        return bool((self.truth == self.of_groups[self.groups]).all())

    def in_order(self, points: Points, random_state: int) -> tuple[bool, bool]:
        """Whether rows, beyond what their labels give, and labels resemble those of the next row.

        A table sorted by label doesn't make rows resemble each other by itself, but texts do that nobody named. Of many
        rows the first are looked at, drawn or not, since those that were drawn aren't next to each other.
        """
        at, truth = self.rows, self.truth
        if len(self.others):
            at, back = np.unique(np.concatenate([self.rows, self.others]), return_index=True)
            at, back = at[:LOOKED_AT], back[:LOOKED_AT]
            truth = np.concatenate([self.truth, self.others_truth])[back]
        x = points.values[at]
        labels = np.eye(self.classes)[truth] if self.classes else truth[:, None]
        of_label = labels / np.sqrt(np.maximum(np.square(labels).sum(axis=0), np.finfo(float).tiny))
        if self.classes:
            left = x - of_label @ (of_label.T @ x)
        else:
            centred = x - x.mean(axis=0)
            left = centred - of_label @ (of_label.T @ centred)
        spread = left.std(axis=0)
        left = left / np.where(spread > 0, spread, np.inf)
        return resemble_the_next(left, random_state), resemble_the_next(labels, random_state)


def _drawn(groups: Int[np.ndarray, " n"], known: np.ndarray, max_rows: int, random_state: int) -> np.ndarray:
    """Which of the known rows are taken, where they are more than ``max_rows``: whole groups, and never a few alone."""
    if np.count_nonzero(known) <= max_rows:
        return known
    sizes = np.bincount(groups[known], minlength=int(groups.max()) + 1)
    order = np.random.default_rng([random_state, 0x64726E]).permutation(np.flatnonzero(sizes))
    taken = np.zeros(len(sizes), bool)
    taken[order[(sizes[order].cumsum() <= max_rows) | (np.arange(len(order)) < MANY_GROUPS)]] = True
    return known & taken[groups]


def _said_of(rows: np.ndarray, others: np.ndarray) -> list[str]:
    if not len(others):
        return []
    return [
        f"The probe learnt from {len(rows):,} of {len(rows) + len(others):,} rows, drawn at random, and is tested on these; the "
        "others are predicted by what all of these teach."
    ]


def numbered(values: np.ndarray) -> np.ndarray:
    """Number groups from 0 in order of appearance."""
    import pandas as pd

    return pd.factorize(np.asarray(values), use_na_sentinel=False)[0].astype(np.int64)


def _more(points: Points, cv: int) -> str:
    """What to do where classes occur in too few groups."""
    rows = "more rows" if points.groups is None else f"rows of more {points.unit}"
    return f"Give {rows}{', or lower cv' if cv > 2 else ''}."


def _codes(values: np.ndarray) -> tuple[np.ndarray, list[str]]:
    """Number values from 0 in order of their names; -1 where there is none."""
    import pandas as pd

    plain = np.asarray(values, dtype=object)
    strings = plain.astype(str).astype(object)
    strings[pd.isna(plain)] = None
    codes, names = pd.factorize(strings, sort=True)
    return codes.astype(np.int64), [str(n) for n in names]


def _default_label(points: Points) -> str:
    for column in points.table.columns:
        if column not in NOT_LABELS and points.table[column].nunique() > 1:
            return str(column)
    raise DataError(
        f"{points.name} has no label to predict (columns: {', '.join(map(str, points.table.columns)) or 'none'}). "
        f"Give a row table with one, or name it with label=."
    )
