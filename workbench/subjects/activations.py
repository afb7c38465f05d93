"""Captured activations: arrays with the same rows, one a site."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from workbench.core.digest import digest
from workbench.core.errors import DataError, MissingError, ViewError, suggest
from workbench.core.patterns import matching
from workbench.core.rows import flat, floats, frozen, owned, require_finite, taken_for_rows
from workbench.core.subject import FINITE, Rowed
from workbench.core.view import Rows, View
from workbench.subjects.in_order import said_of_order
from workbench.subjects.points import PointCloud, Points

if TYPE_CHECKING:
    import pandas as pd
    from jaxtyping import Float


@dataclass(frozen=True, eq=False)
class Aligned(Rows):
    """Two or more arrays with the same rows: layers of one network, or the same rows in two networks.

    Attributes
    ----------
    arrays : name to (n, d_i) floating point, finite; at least two.
    ids : (n,) row ids that all arrays share.
    """

    needs: ClassVar[str] = "two or more arrays with the same rows (several layers)"
    rowwise: ClassVar[tuple[str, ...]] = ("arrays",)
    arrays: dict[str, Float[np.ndarray, "n _"]]

    def notes(self, parameters: Mapping[str, Any]) -> tuple[str, ...]:
        """With what is to be said where distances may have been taken for rows, or rows of one text for independent ones."""
        found = [taken_for_rows(f"{self.name} at {site}", x, parameters) for site, x in self.arrays.items()]
        found += [said_of_order(self, x, parameters) for x in self.arrays.values()]
        return *super().notes(parameters), *(sentence for said in found for sentence in said)


class Activations(Rowed):
    """Captured arrays, one row a token or sample, with a table that says which.

    Parameters
    ----------
    sites : module name to an array (n, ...), usually memory-mapped; all with the same rows.
    table : one line a row (text, token, position, label ...), indexed by row id.
    content : digest of the captured content; None digests the arrays.
    rows : positions of the rows in ``sites`` that this subject has; None for all.
    note : what of its source was left out, in a sentence; every answer about it says so.
    """

    def __init__(
        self,
        sites: Mapping[str, np.ndarray],
        table: pd.DataFrame,
        *,
        name: str = "activations",
        content: str | None = None,
        space: str | None = None,
        rows: np.ndarray | None = None,
        note: str = "",
    ):
        super().__init__(name, table, space)
        self.note = note
        self._arrays = {site: frozen(np.asarray(array)) for site, array in sites.items()}
        self._content = content
        self._rows = rows
        if not self._arrays:
            raise DataError(f"{name}: no site was captured.")
        for site, array in self._arrays.items():
            if rows is None and len(array) != len(table):
                raise DataError(f"{name}: site {site} has {len(array):,} rows, the table {len(table):,}.")

    @classmethod
    def example(cls, variant: int = 0) -> Activations:
        """Three layers of 96 rows in three groups, each noisier than the last."""
        cloud = PointCloud.example()
        rng = np.random.default_rng([1, variant])
        noisy = {
            f"layer.{i}": (cloud.values + i * rng.standard_normal(cloud.values.shape)).astype(np.float32)
            for i in range(3)
        }
        return cls(noisy, cloud.table, name="layers")

    narrows: ClassVar[Mapping[type[View], str]] = {
        Points: "encoder.layer.5",
        Aligned: "encoder.layer.*",
    }
    typed: ClassVar[str] = "minilm"

    @property
    def sites(self) -> list[str]:
        """Names of the captured sites, in the network's order."""
        return list(self._arrays)

    @cached_property
    def _arrays_digest(self) -> str:
        return self._content or digest(*self._arrays.values())

    @property
    def digest(self) -> str:
        return digest("activations", self._arrays_digest, self.sites, self.table_digest)

    @property
    def space(self) -> str:
        return self._space or digest("rows of", self._arrays_digest)

    @property
    def holds(self) -> str:
        shown = ", ".join(self.sites[:3]) + (
            f" and {len(self.sites) - 3} more" if len(self.sites) > 3 else ""
        )
        note = f". {self.note.rstrip('.')}" if self.note else ""
        return f"activations of {len(self):,} rows at {len(self.sites)} sites ({shown}){note}"

    def parts(self, kind: type[View] | None = None) -> tuple[str, ...]:
        """The sites, where there are several and the view is of one."""
        return tuple(self._arrays) if kind in (None, Points) and len(self._arrays) > 1 else ()

    def default_part(self, kind: type[View] | None = None) -> str | None:
        """The last site: what the network made of its input in the end."""
        return next(reversed(self.parts(kind)), None)

    def at(self, *patterns: str) -> Activations:
        """Return the sites that match one of the patterns (``encoder.layer.*``); see `core.patterns`.

        Raises
        ------
        MissingError
            A pattern matches nothing; the sites that exist are listed.
        """
        for pattern in patterns:
            if not matching(self.sites, pattern):
                raise MissingError(f"{self.name} has no site {pattern!r}. {suggest(pattern, self.sites)}")
        found = {s: self._arrays[s] for s in matching(self.sites, patterns)}
        made = Activations(
            found, self.table, content=self._content, space=self.space, rows=self._rows, note=self.note
        )
        made.with_table_of(self)
        label = next(iter(found)) if len(found) == 1 < len(self._arrays) else ""
        return self.derived(made, "at", label, {"*": patterns})

    def _take(self, at: np.ndarray) -> Activations:
        rows = at if self._rows is None else self._rows[at]
        return Activations(
            self._arrays,
            self.table.iloc[at],
            name=self.name,
            content=self._content,
            space=self.space,
            rows=rows,
            note=self.note,
        )

    def array(self, site: str) -> np.ndarray:
        """One site's rows, (n, ...); a memory-mapped array unless rows were selected."""
        if site not in self._arrays:
            raise MissingError(f"{self.name} has no site {site!r}. {suggest(site, self.sites)}")
        array = self._arrays[site]
        return array if self._rows is None else owned(array[self._rows])

    @property
    def values(self) -> Float[np.ndarray, "n d"]:
        """The rows at the only site, (n, d); sites with more dimensions are flattened.

        Raises
        ------
        ViewError
            There are several sites; choose one with ``at``.
        """
        if len(self._arrays) != 1:
            raise ViewError(
                f"{self.name} holds {len(self.sites)} sites and this needs one: choose with "
                f".at(name), for example .at({self.sites[-1]!r})."
            )
        return flat(self.array(self.sites[0]))

    def drop_nonfinite(self) -> Activations:
        """Return the rows without NaN or infinite values at any site."""
        ok = [np.isfinite(flat(self.array(s))).all(axis=1) for s in self.sites]
        return self.select(np.logical_and.reduce(ok), reason=FINITE)

    def as_points(self) -> Points:
        values = floats(self.values)
        require_finite(values, self.name)
        about: dict[str, Any] = {"note": self.note, "grouped_by": self.grouped_by}
        return Points(self.name, self._seen, self.space, self.ids, self.table, values, **about)

    def as_aligned(self) -> Aligned:
        if len(self._arrays) < 2:
            raise ViewError(
                f"{self.name} holds one site and this needs several: widen the pattern given to .at()."
            )
        arrays = {s: floats(flat(self.array(s))) for s in self.sites}
        for site, array in arrays.items():
            require_finite(array, f"{self.name} at {site}")
        about: dict[str, Any] = {"note": self.note, "grouped_by": self.grouped_by}
        return Aligned(self.name, self._seen, self.space, self.ids, self.table, arrays, **about)
