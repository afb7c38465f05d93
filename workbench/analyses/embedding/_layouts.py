"""What every layout is asked: are rows that lie together in it near in the data, and would one lump be laid out as well?"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from workbench.analyses.embedding._beyond_lumps import NEIGHBOURS, Again, Lumps, beyond_lumps
from workbench.core.early import show_early
from workbench.core.errors import DataError
from workbench.core.evidence import Evidence, Outcome
from workbench.core.rows import by_blocks
from workbench.evidence.nulls.sampling import sampled, too_few
from workbench.numerics.distances import PRECOMPUTED, require_distances
from workbench.numerics.near_origin import MOVABLE, near_origin
from workbench.numerics.preservation import trust_of_rows
from workbench.results.embedding import Embedding
from workbench.subjects.few_rows import FEWEST, require_several
from workbench.subjects.points import Points

if TYPE_CHECKING:
    from workbench.numerics.neighbours import AnyMetric

NO_COLUMNS = (
    "Given distances and affinities have no covariance to make a lump of: whether one would be laid out as well was not "
    "asked."
)
Fit = Callable[[Any], tuple[np.ndarray, Outcome]]
PRODUCTS = ("euclidean", "cosine", "correlation")  # metrics that a product of matrices gives, on a GPU too
ROW_BY_ROW = 5000  # rows; up to here every row gets its own trustworthiness
ASKED = 2000  # rows asked about beyond that
CONTROL_ROWS = 200
LAYOUTS = 5
"""Layouts of each lump, by default: a layout takes long, and so few cost about as much as that of a thousand rows."""
SMALLEST, LARGEST = 1e-15, 1e15
CHANCE = (
    "by chance it is about a half, which nobody expects of a layout: what one lump comes to is asked beside it. An interval "
    "for another layout of other rows isn't known"
)


def lay_out(
    points: Points,
    fit: Fit,
    *,
    axis: str,
    metric: AnyMetric,
    least_rows: int,
    n_null: int,
    random_state: int,
    control_rows: int = CONTROL_ROWS,
    device: str = "cpu",
    again: Again | None = None,
    apart: bool = True,
    caveat: str = "",
) -> Embedding:
    """Lay rows out and measure how far the layout can be trusted.

    The evidence is the layout's trustworthiness, and how far it exceeds that of the same method's layouts of one lump
    with the rows' covariance, tails, margins and groups.

    Parameters
    ----------
    fit : takes (m, d) rows and returns an (m, k) layout and how the fit ended. On a GPU the rows are there already, but
        for metrics that are searched on the CPU.
    axis : name of the axes.
    least_rows : the control needs so many rows that don't come again.
    control_rows : about so many rows, or twice the least, are laid out beside lumps, where there are more.
    device : as resolved; where trustworthiness is measured.
    again : lays several sets of rows out at once, for the control; None does so one by one by ``fit``.
    apart : whether several threads may lay out sets of rows at once; not where warnings are listened to.
    caveat : what else is to be known of it.
    n_null : layouts of each lump; 0 leaves the control out, and fewer than 19 give no p-value.

    Raises
    ------
    DataError
        The layout ran off to infinity.
    """
    x = points.values
    held = _held(x, metric, device)
    layout, outcome = fit(held)
    distinct = points.distinct
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
    axes = tuple(f"{axis} {i + 1}" for i in range(layout.shape[1]))
    result = Embedding(values=layout, ids=points.ids, axes=axes, outcome=outcome, caveat=caveat)
    show_early(result)
    trusted, trust = _trust(held, layout, metric, device, random_state)
    evidence, not_asked = [trust], ""
    if n_null and metric == PRECOMPUTED:
        not_asked = NO_COLUMNS
    elif n_null:
        some = sampled(points, x, rows=max(control_rows, 2 * least_rows), random_state=random_state)
        if why := too_few(points, some, least_rows):
            not_asked = f"Whether one lump would be laid out as well was not asked: {why}."
        else:
            where = device if again is not None and metric in PRODUCTS else "cpu"
            lumps = Lumps(
                points,
                some,
                again or _one_by_one(fit),
                metric,
                n_null,
                random_state,
                where,
                apart=apart and where == "cpu" and metric in PRODUCTS,
                together=again is not None,
            )
            evidence.append(beyond_lumps(lumps, layout))
    return replace(
        result,
        quality=trusted.astype(np.float32) if len(trusted) == len(x) else np.empty(0, np.float32),
        quality_name="trustworthiness" if len(trusted) == len(x) else "",
        evidence=tuple(evidence),
        caveat=" ".join(filter(None, [not_asked, caveat])),
    )


def _trust(
    held: Any, layout: np.ndarray, metric: AnyMetric, device: str, random_state: int
) -> tuple[np.ndarray, Evidence]:
    """How far each row, or each of some where there are many, lies among its own neighbours; and all of them together."""
    n = len(layout)
    k = min(NEIGHBOURS, (n - 1) // 2)
    queries = None
    if n > ROW_BY_ROW:
        rng = np.random.default_rng([random_state, 0x61736B])
        queries = np.sort(rng.choice(n, ASKED, replace=False))
    trusted = trust_of_rows(held, layout, k, metric=metric, queries=queries, device=device)
    return trusted, Evidence(
        question="Do rows that lie together in the layout lie together in the data?",
        id="trustworthiness",
        label=f"trustworthiness ({k} neighbours)",
        value=trusted.mean(),
        n=len(trusted),
        untested=CHANCE,
    )


def _held(x: np.ndarray, metric: AnyMetric, device: str) -> Any:
    """The rows where they are laid out: on a GPU once, for the layout and all that is asked of it, where they fit."""
    if device == "cpu" or metric not in PRODUCTS:
        return x
    from workbench.numerics.device import fits, uploaded

    rows = x if metric == "correlation" else x.astype(np.float32, copy=False)
    return uploaded(rows, device) if fits(rows, device) else rows


def _one_by_one(fit: Fit) -> Again:
    return lambda sets: [fit(rows)[0] for rows in sets]


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
    require_several(n, points.name)
    for name, value, least in needs:
        if n < least:
            raise DataError(
                f"{points.name} has {n:,} rows, and {name}={value:g} takes at least {least:,}. Lower {name} or give more rows."
            )
    require_spread(points)
    distinct = points.distinct
    if distinct < FEWEST:
        raise DataError(
            f"{points.name} has {n:,} rows, of which {distinct} are distinct, and a layout takes at least {FEWEST} different ones: "
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
    if np.ptp(x[:256], axis=0).max(initial=0) > SMALLEST and sum(by_blocks(_square, x)) < LARGEST**2 / 2:
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


def _square(x: np.ndarray) -> float:
    return float(np.vdot(x, x))


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
