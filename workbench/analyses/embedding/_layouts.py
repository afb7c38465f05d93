"""What every layout is asked: are rows that lie together in it near in the data, and would noise do as well?"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from workbench.core.errors import DataError
from workbench.core.evidence import Evidence, Outcome
from workbench.core.progress import tell
from workbench.numerics.distances import PRECOMPUTED, require_distances
from workbench.numerics.distinct import count_distinct
from workbench.numerics.near_origin import MOVABLE, near_origin
from workbench.numerics.preservation import Scores, trustworthiness
from workbench.numerics.resampling import NORMAL, jackknife_error, shuffle_columns
from workbench.results.embedding import Embedding
from workbench.subjects.points import Points

if TYPE_CHECKING:
    from workbench.numerics.neighbours import AnyMetric

NO_COLUMNS = "Given distances and affinities have no columns to shuffle: whether noise would be laid out as well was not asked."
Fit = Callable[[np.ndarray], tuple[np.ndarray, Outcome]]
NEIGHBOURS = 10  # one number for all methods, so that their layouts compare
ROW_BY_ROW = 5000  # rows; up to here every row gets its own trustworthiness
ASKED = 2000  # rows asked about beyond that
CONTROL_ROWS = 500
SMALLEST, LARGEST = 1e-15, 1e15
ONE_SHUFFLE = (
    "The comparison with shuffled columns rests on one shuffled layout: its interval covers the choice of rows, "
    "not the method's own randomness."
)


def lay_out(
    points: Points,
    fit: Fit,
    *,
    axis: str,
    metric: AnyMetric,
    control_rows: int,
    n_null: int,
    random_state: int,
) -> Embedding:
    """Lay rows out and measure how far the layout can be trusted.

    The evidence is the layout's trustworthiness against its rows permuted, and how far it exceeds that of the
    same method's layout of shuffled columns.

    Parameters
    ----------
    fit : takes (m, d) rows and returns an (m, k) layout and how the fit ended.
    axis : name of the axes.
    control_rows : at least so many rows, where there are more, are laid out as they are and with columns shuffled.
    n_null : draws with the layout's rows permuted; 0 leaves out both controls.

    Raises
    ------
    DataError
        The layout ran off to infinity.
    """
    x = points.values
    layout, outcome = fit(x)
    distinct = count_distinct(x)
    if distinct < len(x):
        said = (
            f"{len(x) - distinct:,} of {len(x):,} rows repeat another: among equal rows, which are neighbours is arbitrary. "
            f"Leave the repeats out if they mean nothing."
        )
        outcome = replace(outcome, advice=" ".join(filter(None, (outcome.advice, said))))
    if not np.isfinite(layout).all():
        raise DataError(
            f"The layout of {points.name} ran off to infinity. Take these parameters nearer to their defaults, "
            f"or scale the columns: they run from {x.min():.3g} to {x.max():.3g}."
        )
    k = min(NEIGHBOURS, (len(x) - 1) // 2)
    queries = None
    if len(x) > ROW_BY_ROW:
        queries = np.sort(
            np.random.default_rng([random_state, 0x61736B]).choice(len(x), ASKED, replace=False)
        )
    scores = trustworthiness(
        x, layout, k, metric=metric, queries=queries, n_null=n_null, random_state=random_state
    )
    evidence = [
        Evidence(
            question="Do rows that lie together in the layout lie together in the data?",
            id="trustworthiness",
            label=f"trustworthiness ({k} neighbours)",
            value=scores.rows.mean(),
            n=len(scores.rows),
            interval=scores.interval(),
            interval_method="jackknife over rows, layout kept",
            null="the layout's rows permuted",
            hypothesis="rows lie anywhere in the layout",
            null_values=tuple(scores.null),
        )
    ]
    if n_null and metric != PRECOMPUTED:
        control_rows = max(control_rows, CONTROL_ROWS)
        known = scores if len(x) <= control_rows else None
        evidence.append(_beyond_noise(x, known, fit, metric, control_rows, random_state))
    return Embedding(
        values=layout,
        ids=points.ids,
        quality=scores.rows.astype(np.float32) if queries is None else np.empty(0, np.float32),
        quality_name="trustworthiness" if queries is None else "",
        axes=tuple(f"{axis} {i + 1}" for i in range(layout.shape[1])),
        evidence=tuple(evidence),
        outcome=outcome,
        caveat="" if not n_null else NO_COLUMNS if metric == PRECOMPUTED else ONE_SHUFFLE,
    )


def moved(points: Points, metric: AnyMetric) -> Points:
    """The points as libraries compute with them rightly.

    They are near the origin where the metric doesn't see that, since far away they would be rounded; distances are checked.
    """
    if metric == PRECOMPUTED:
        return replace(points, values=require_distances(points.values, points.name))
    return replace(points, values=near_origin(points.values)) if metric in MOVABLE else points


def require_rows(points: Points, *needs: tuple[str, float, int], metric: AnyMetric = "euclidean") -> None:
    """Refuse too few rows for a parameter, too few that differ, and rows that can't be laid out.

    Parameters
    ----------
    needs : a parameter's name, its value, and the least number of rows that this value takes.

    Raises
    ------
    DataError
        There are fewer than 4 distinct rows, or fewer than a parameter's value takes; what `require_spread` refuses;
        or rows without variation where distance is correlation.
    """
    n = points.n
    has = f"{points.name} has {n:,} {'row' if n == 1 else 'rows'}"
    for name, value, least in needs:
        if n < least:
            raise DataError(
                f"{has}, and {name}={value:g} takes at least {least:,}. Lower {name} or give more rows."
            )
    if n < 4:
        raise DataError(f"{has}, and a layout takes at least 4. Give more rows.")
    require_spread(points)
    distinct = count_distinct(points.values)
    if distinct < 4:
        raise DataError(
            f"{points.name} has {n:,} rows, of which {distinct} are distinct, and a layout takes at least 4 different ones: "
            f"neighbours among equal rows can't be told apart. Leave the repeats out, or give rows that differ."
        )
    flat = int((np.ptp(points.values, axis=1) == 0).sum()) if metric == "correlation" else 0
    if flat:
        raise DataError(
            f"{flat:,} of {n:,} rows of {points.name} have the same number in every column, which correlates with "
            f"nothing. Leave them out with select, or use another metric."
        )


def require_spread(points: Points) -> None:
    """Refuse rows that are all equal, and numbers whose squares don't fit single precision.

    Raises
    ------
    DataError
        With what is there and what to do.
    """
    x = points.values
    # nearly always the first rows differ and all squares add up to little: the columns' bounds take five times as long
    if np.ptp(x[:256], axis=0).max(initial=0) > SMALLEST and np.vdot(x, x) < LARGEST**2 / 2:
        return
    low, high = x.min(axis=0), x.max(axis=0)
    spread = float((high - low).max(initial=0))
    if spread == 0:
        raise DataError(
            f"All {points.n:,} rows of {points.name} are equal: there is nothing to lay out. Give rows that differ."
        )
    largest = float(max(-low.min(), high.max()))
    if spread <= SMALLEST or largest >= LARGEST:
        raise DataError(
            f"The numbers of {points.name} reach {largest:.3g} and spread over {spread:.3g}: squares of numbers beyond "
            f"{LARGEST:g} or under {SMALLEST:g} get lost in single precision. Multiply all columns by one constant."
        )


@contextmanager
def warnings_raised(*beginnings: str) -> Iterator[list[str]]:
    """Collect the warnings inside the block that begin with one of ``beginnings``; the others pass on."""
    matching: list[str] = []
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield matching
    for w in caught:
        if str(w.message).startswith(beginnings):
            matching.append(str(w.message))
        else:
            warnings.warn_explicit(w.message, w.category, w.filename, w.lineno)


def _beyond_noise(
    x: np.ndarray, known: Scores | None, fit: Fit, metric: AnyMetric, rows: int, random_state: int
) -> Evidence:
    rng = np.random.default_rng([random_state, 0x73687566])
    some = x if len(x) <= rows else x[np.sort(rng.choice(len(x), rows, replace=False))]
    k = min(NEIGHBOURS, (len(some) - 1) // 2)
    tell("the same layout of shuffled columns")
    own = known or trustworthiness(some, fit(some)[0], k, metric=metric)
    shuffled = shuffle_columns(some, rng)
    if metric == "correlation":  # shuffling may make rows without variation, whose correlation is undefined
        shuffled = shuffled[np.ptp(shuffled, axis=1) > 0]
    noise = trustworthiness(shuffled, fit(shuffled)[0], k, metric=metric)
    value = own.rows.mean() - noise.rows.mean()
    half = NORMAL * np.hypot(jackknife_error(own.left_out), jackknife_error(noise.left_out))
    return Evidence(
        question="Is the layout more faithful than the same method's layout of columns that share nothing?",
        id="beyond_shuffled_columns",
        label=f"trustworthiness ({k} neighbours) above that of shuffled columns",
        value=value,
        n=len(some),
        interval=(value - half, value + half),
        interval_method="jackknife over the rows of both layouts; one shuffled draw",
        untested="one layout of shuffled columns stands behind it, and its interval says whether it excludes 0",
    )
