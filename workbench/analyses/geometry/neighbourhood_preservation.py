"""Neighbourhood preservation: whether rows that are near in one array are near in another."""

from __future__ import annotations

from typing import Annotated, Any

import numpy as np
from annotated_types import Interval
from typing_extensions import Doc

from workbench.core.errors import DataError
from workbench.core.evidence import Evidence
from workbench.core.parameters import NullDraws, OnDevice, Seed
from workbench.core.registry import analysis
from workbench.evidence.nulls.independent_given_groups import null_of
from workbench.evidence.nulls.sampling import about, details, sampled, too_few
from workbench.numerics.distances import PRECOMPUTED, require_distances
from workbench.numerics.exchangeable import FEWEST_GROUPS, Sample, of_one_size
from workbench.numerics.neighbours import AnyMetric
from workbench.numerics.preservation import Scores, preservation
from workbench.numerics.unit_rows import SideBySide, UnitRows
from workbench.results.estimate import Estimate
from workbench.subjects.activations import Aligned

ROW_BY_ROW = 5000  # rows; up to here all are asked
ASKED = 2000  # rows asked beyond that, each against all
CONTROL_ROWS = 1000
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
    where nothing changed and about a half by chance. Recall is the share of the nearest that are kept. Above 5,000 rows,
    2,000 of them are asked, against all.

    Rows of one text are near each other in both arrays, whatever else these have in common, and so are rows of one token.
    So the null permutes the last array's whole texts, cut to one size, on at most about 1,000 rows, one of each token; the
    interval leaves out each text in turn (or each row), and is of at least 95 %: what several rows do together counts more
    than once in it.

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
    how: dict[str, Any] = {
        "metric": metric,
        "metric_after": metric,
        "random_state": random_state,
        "device": device,
    }
    # whole groups can be permuted where they have one size
    some = of_one_size(
        _sampled(aligned, before, after, metric, max(CONTROL_ROWS, 4 * n_neighbors), random_state)
    )
    why = _untested(aligned, some, n_neighbors)
    alone = some.whole and not why
    found = preservation(
        before, after, n_neighbors, queries=asked if n > ROW_BY_ROW else None, n_null=n_null if alone else 0,
        groups=some.groups if alone else None, **how,
    )  # fmt: skip
    control, null = found, null_of(aligned, some)
    own_before, own_after = (_taken(x, some.at, metric) for x in (before, after))
    if not why and not some.whole:
        control = preservation(own_before, own_after, n_neighbors, n_null=n_null, groups=some.groups, **how)
    both = SideBySide([UnitRows(own_before), UnitRows(own_after)])
    shared: dict[str, Any] = about(aligned, both[np.arange(len(both))], some)

    def asked_of(name: str, scores: Scores, tested: Scores) -> Evidence:
        value, own = float(scores.rows.mean()), float(tested.rows.mean())
        counted = tested if some.thinned and not why else scores  # rows that come again count once
        groups = aligned.groups if counted is scores else some.groups
        draws = tested.null if some.thinned else tested.null + (value - own)
        said = (
            null.refused(why) if n_null and why else null.said(draws.tolist(), details=details(aligned, some))
        )
        grouped = groups is not None and groups.max() > 0
        return Evidence(
            question=QUESTIONS[name].format(first=first, last=last),
            id=name,
            label=f"{name} ({n_neighbors} neighbours)",
            value=float(counted.rows.mean()),
            n=len(counted.rows),
            interval=_interval(counted, groups),
            interval_method=f"jackknife over {aligned.unit if grouped else 'rows'}",
            conservative=True,
            **shared,
            **said,
        )

    return Estimate(
        per_row=np.column_stack([s.rows for s in found]).astype(np.float32),
        ids=aligned.ids[asked],
        names=found._fields,
        evidence=tuple(
            asked_of(name, s, c) for name, s, c in zip(found._fields, found, control, strict=True)
        ),
    )


def _rows(aligned: Aligned, site: str, metric: AnyMetric) -> np.ndarray:
    x = aligned.arrays[site]
    return require_distances(x, f"{aligned.name} at {site}") if metric == PRECOMPUTED else x


def _sampled(
    aligned: Aligned, before: np.ndarray, after: np.ndarray, metric: AnyMetric, rows: int, random_state: int
) -> Sample:
    """The rows of the control, those that repeat another in both arrays left out; given distances show none."""
    both = None if metric == PRECOMPUTED else SideBySide([UnitRows(before), UnitRows(after)])
    return sampled(aligned, both, rows=rows, random_state=random_state)


def _untested(aligned: Aligned, some: Sample, n_neighbors: int) -> str:
    if why := too_few(aligned, some):
        return why
    if 2 * n_neighbors >= len(some.at):
        return f"{len(some.at)} rows, one of each kind in whole {aligned.unit}, are too few for {n_neighbors} neighbours: lower n_neighbors"
    return ""


def _taken(x: np.ndarray, at: np.ndarray, metric: AnyMetric) -> np.ndarray:
    return x[np.ix_(at, at)] if metric == PRECOMPUTED else x[at]


def _interval(scores: Scores, groups: np.ndarray | None) -> tuple[float, float] | None:
    """The interval over rows, or over whole groups where there are enough to tell."""
    if groups is None:
        return scores.interval()
    return scores.interval(groups) if groups.max() + 1 >= FEWEST_GROUPS else None
