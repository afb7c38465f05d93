"""Neighbourhood preservation: whether rows that are near in one array are near in another."""

from __future__ import annotations

from typing import Annotated

import numpy as np
from annotated_types import Interval
from typing_extensions import Doc

from workbench.core.errors import DataError
from workbench.core.evidence import Evidence
from workbench.core.parameters import NullDraws, OnDevice, Seed
from workbench.core.registry import analysis
from workbench.numerics.distances import PRECOMPUTED, require_distances
from workbench.numerics.neighbours import AnyMetric
from workbench.numerics.preservation import Scores, preservation
from workbench.results.estimate import Estimate
from workbench.subjects.activations import Aligned

ROW_BY_ROW = 5000  # rows; up to here all are asked
ASKED = 2000  # rows asked beyond that, each against all
QUESTIONS = {
    "trustworthiness": "Were rows that are near in {last} near in {first}?",
    "continuity": "Do rows that are near in {first} stay near in {last}?",
    "recall": "Are the nearest rows in {first} among the nearest in {last}?",
}


@analysis
def neighbourhood_preservation(
    aligned: Aligned,
    *,
    n_neighbors: Annotated[
        int, Interval(ge=1, le=1000), Doc("Neighbours that make a row's neighbourhood.")
    ] = 10,
    metric: Annotated[
        AnyMetric, Doc("Distance between rows, in both arrays; 'precomputed': both arrays are distances.")
    ] = "euclidean",
    n_null: NullDraws = 99,
    random_state: Seed = 0,
    device: OnDevice = "auto",
) -> Estimate:
    """Measure how well the neighbourhoods of the first array survive in the last.

    Trustworthiness falls where strangers came near, continuity where neighbours were torn apart; both are 1
    where nothing changed and about a half by chance. Recall is the share of the nearest that are kept. The
    null permutes the last array's rows; the interval leaves out each row in turn. Above 5,000 rows, 2,000
    of them are asked, against all.

    Returns
    -------
    Estimate
        ``per_row`` (n, 3) float32: the three measures of each asked row.

    Raises
    ------
    DataError
        ``n_neighbors`` is half the number of rows or more; or what are given as distances are none.

    References
    ----------
    Venna and Kaski 2001, Neighborhood preservation in nonlinear projection methods, ICANN.
    """
    first, *_, last = aligned.arrays
    before, after = (_rows(aligned, site, metric) for site in (first, last))
    n = len(aligned.ids)
    if 2 * n_neighbors >= n or n < 4:
        most = (n - 1) // 2 if n > 3 else 0
        raise DataError(
            f"{aligned.name} has {n:,} rows: n_neighbors={n_neighbors} must be less than half of that. "
            + (f"Lower it to {most} or give more rows." if most else "Give at least 4 rows.")
        )
    asked = np.arange(n)
    if n > ROW_BY_ROW:
        asked = np.sort(np.random.default_rng([random_state, 0x61736B]).choice(n, ASKED, replace=False))
    found = preservation(
        before,
        after,
        n_neighbors,
        metric=metric,
        metric_after=metric,
        queries=asked,
        n_null=n_null,
        random_state=random_state,
        device=device,
    )._asdict()

    def asked_of(name: str, scores: Scores) -> Evidence:
        return Evidence(
            question=QUESTIONS[name].format(first=first, last=last),
            id=name,
            label=f"{name} ({n_neighbors} neighbours)",
            value=scores.rows.mean(),
            n=len(asked),
            interval=scores.interval(),
            interval_method="jackknife over rows",
            null="rows permuted",
            hypothesis="which rows are near in one says nothing of the other",
            null_values=tuple(scores.null),
        )

    return Estimate(
        per_row=np.column_stack([s.rows for s in found.values()]).astype(np.float32),
        ids=aligned.ids[asked],
        names=tuple(found),
        evidence=tuple(asked_of(name, s) for name, s in found.items()),
    )


def _rows(aligned: Aligned, site: str, metric: AnyMetric) -> np.ndarray:
    x = aligned.arrays[site]
    return require_distances(x, f"{aligned.name} at {site}") if metric == PRECOMPUTED else x
