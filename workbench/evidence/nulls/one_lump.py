"""One lump: the rows have no groups, holes, branches or bends, whatever their covariance, tails, margins and groups."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from workbench.core.evidence import Alternative
from workbench.core.view import Rows
from workbench.evidence.nulls.named import Null
from workbench.evidence.nulls.sampling import about, details, sampled, too_few
from workbench.numerics.controls import Drawn, hardest
from workbench.numerics.exchangeable import Sample
from workbench.numerics.lumps import LUMPS
from workbench.numerics.threads import one_thread

if TYPE_CHECKING:
    from jaxtyping import Float

NULL = Null(
    "one_lump",
    "the rows are one lump, of whatever covariance, tails and margins",
    "one lump like it",
)


class Tested(NamedTuple):
    """Statistics of a sample of rows, beside those of lumps like it.

    Attributes
    ----------
    sample : the rows; ``values`` (s,) their statistics; ``drawn`` draws of each.
    said : for each statistic, the fields of `Evidence` from ``null`` to ``effective``.
    """

    sample: Sample
    values: Float[np.ndarray, " s"]
    drawn: list[Drawn]
    said: list[dict[str, Any]]

    def against(self, values: Float[np.ndarray, " s"], n: int, s: int) -> dict[str, Any]:
        """The fields of `Evidence`, from ``value`` on, of a statistic that is ``values[s]`` of all ``n`` rows.

        Where rows that come again were left out, the value is that of the sample. Else it is that of all rows: the draws
        are shifted by what fewer rows change, which leaves the p-value as that of equally many rows.
        """
        said = self.said[s]
        if self.sample.thinned and np.isfinite(self.values[s]):
            return {"value": self.values[s], "n": len(self.sample.at), **said}
        draws = np.asarray(said.get("null_values", ())) + (values[s] - self.values[s])
        return {"value": values[s], "n": n, **said, **({"null_values": tuple(draws)} if len(draws) else {})}


def beside_lumps(
    view: Rows,
    x: Float[np.ndarray, "n d"],
    statistics: Callable[[np.ndarray], Float[np.ndarray, " s"]],
    alternatives: Sequence[Alternative],
    *,
    rows: int,
    n_null: int,
    random_state: int,
    what: str,
    least: int = 0,
) -> Tested:
    """Compute statistics on a sample of the rows, and of lumps with its covariance, tails, margins and groups.

    The lump may be any of those of `workbench.numerics.lumps`: the draws kept are of the one that contradicts the
    statistic least.

    Parameters
    ----------
    view, x : the rows, and their numbers as the method sees them.
    statistics : of (m, d) rows, in any order, of about as many rows as the sample has.
    rows : of the sample, at most.
    what : the method's name, for progress.
    least : rows that the statistics take; of a sample of fewer they are NaN, and it is said why they aren't tested.
    """
    some = sampled(view, x, rows=rows, random_state=random_state)
    own = np.asarray(x[some.at], dtype=np.float64)
    shared = about(view, own, some)
    if len(own) < least:
        values = np.full(len(alternatives), np.nan)
    else:
        with one_thread():
            values = np.asarray(statistics(own), dtype=np.float64)
    if (n_null or len(own) < least) and (why := too_few(view, some, least)):
        said = [{**NULL.refused(why, a), **shared} for a in alternatives]
        return Tested(some, values, [Drawn(np.empty(0))] * len(values), said)
    members = {name: partial(make, own, some.groups) for name, make in LUMPS.items()}
    drawn = hardest(members, statistics, values, alternatives, n_null, random_state, f"{what}: null")
    said = [
        {**NULL.said(d, a, details=details(view, some)), **shared}
        for d, a in zip(drawn, alternatives, strict=True)
    ]
    return Tested(some, values, drawn, said)
