"""Several arrays under names: what a dictionary, a tuple or an archive of arrays is opened as."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from workbench.core.digest import digest
from workbench.core.errors import DataError, MissingError, ViewError, suggest
from workbench.core.rows import (
    flat,
    floats,
    frozen,
    group_column,
    require_finite,
    row_table,
    table_digest,
)
from workbench.core.subject import Subject
from workbench.core.view import View
from workbench.subjects.activations import Aligned
from workbench.subjects.points import PointCloud, Points

if TYPE_CHECKING:
    import pandas as pd


class Arrays(Subject):
    """Arrays of numbers under names, each of which is a cloud; they may have other numbers of rows.

    Parameters
    ----------
    arrays : name to (n, ...) of any real dtype, at least one.
    table : one line a row, where all have the same rows.

    Raises
    ------
    DataError
        There is none, or one holds no rows of real numbers.
    """

    takes: ClassVar[str] = "a dictionary or tuple of arrays"
    narrows: ClassVar[Mapping[type[View], str]] = {Points: "first"}

    def __init__(
        self,
        arrays: Mapping[str, Any],
        *,
        name: str = "arrays",
        table: pd.DataFrame | None = None,
        truth: Mapping[str, Any] | None = None,
    ):
        self.name = name
        self.arrays = {str(k): frozen(a) for k, a in arrays.items()}
        self.truth = dict(truth or {})
        if not self.arrays:
            raise DataError(f"{name} holds no array.")
        for key, array in self.arrays.items():
            if array.ndim == 0 or array.dtype.kind not in "fiub":
                raise DataError(
                    f"{name}: {key} has the shape {array.shape} and the dtype {array.dtype}; each array has rows of real "
                    "numbers."
                )
        self._table = None if table is None else row_table(table, self._rows(), name)

    @classmethod
    def of(cls, thing: Any) -> Arrays | None:
        if isinstance(thing, tuple | list) and thing and all(map(_is_array, thing)):
            thing = {str(i): a for i, a in enumerate(thing)}
        if not isinstance(thing, Mapping) or not thing or not all(map(_is_array, thing.values())):
            return None
        return cls({str(k): a for k, a in thing.items()})

    @classmethod
    def example(cls, variant: int = 0) -> Arrays:
        """Two clouds of the same 40 rows, the second a turned and noisy copy of the first."""
        rng = np.random.default_rng(variant)
        x = rng.standard_normal((40, 3))
        turned = x @ np.linalg.qr(rng.standard_normal((3, 3)))[0] + 0.1 * rng.standard_normal((40, 3))
        return cls({"first": x, "second": turned}, name="pair")

    @cached_property
    def digest(self) -> str:
        table = "" if self._table is None else table_digest(self._table)
        return digest("arrays", list(self.arrays), *self.arrays.values(), table)

    @property
    def holds(self) -> str:
        shown = ", ".join(f"{k} {list(a.shape)}" for k, a in list(self.arrays.items())[:4])
        return f"{len(self.arrays)} arrays ({shown}{' …' if len(self.arrays) > 4 else ''})"

    def parts(self, kind: type[View] | None = None) -> tuple[str, ...]:
        """The names, where a view is of one array."""
        return tuple(self.arrays) if kind in (None, Points) else ()

    def at(self, name: str) -> PointCloud:
        """Return one array as a cloud.

        Raises
        ------
        MissingError
            There is none of that name; those that there are are named.
        """
        if name not in self.arrays:
            raise MissingError(f"{self.name} has no array {name!r}. {suggest(name, self.arrays)}")
        space = digest("rows of", self.digest) if self._rows() else None
        cloud = PointCloud(flat(self.arrays[name]), table=self._table, space=space)
        return self.derived(cloud, "at", name, {"*": (name,)})

    def as_points(self) -> Any:
        if len(self.arrays) > 1:
            raise ViewError(
                f"{self.name} holds {len(self.arrays)} arrays and this needs one: choose with .at(name), for example "
                f".at({next(reversed(self.arrays))!r})."
            )
        return self.at(next(iter(self.arrays))).as_points()

    def as_aligned(self) -> Aligned:
        n = self._rows()
        if len(self.arrays) < 2 or not n:
            sizes = ", ".join(f"{k} {len(a):,}" for k, a in self.arrays.items())
            raise ViewError(f"{self.name} needs several arrays with the same rows for this; it has {sizes}.")
        arrays = {k: floats(flat(a)) for k, a in self.arrays.items()}
        for key, array in arrays.items():
            require_finite(array, f"{self.name} · {key}")
        table = row_table(self._table, n, self.name)
        space = digest("rows of", self.digest)
        ids = table.index.to_numpy(np.int64)
        return Aligned(self.name, self.digest, space, ids, table, arrays, grouped_by=group_column(table))

    def _rows(self) -> int:
        """How many rows all have, or 0 where they differ."""
        sizes = {len(a) for a in self.arrays.values()}
        return sizes.pop() if len(sizes) == 1 else 0


def _is_array(thing: Any) -> bool:
    return isinstance(thing, np.ndarray) or hasattr(thing, "detach")
