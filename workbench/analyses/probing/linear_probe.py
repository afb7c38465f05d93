"""Linear probe: whether a label can be read off the rows by a weighted sum of their columns."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, nullcontext
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
from annotated_types import Interval
from typing_extensions import Doc

from workbench.analyses.probing._task import MANY_GROUPS, Task, numbered
from workbench.core.early import show_early
from workbench.core.evidence import Evidence, monte_carlo_p
from workbench.core.parameters import BootstrapDraws, NullDraws, Seed
from workbench.core.registry import analysis
from workbench.evidence.nulls.label_given_groups import NAME, Draw, Exchange, constant, exchange, few_ways
from workbench.evidence.nulls.named import Null
from workbench.numerics.controls import draw_until_clear
from workbench.numerics.exchangeable import FEWEST_GROUPS, effective_rows, exchanged
from workbench.numerics.heldout import ALPHAS, Folds, HeldOut, score
from workbench.numerics.resampling import LEVEL
from workbench.numerics.threads import in_order, one_thread
from workbench.results.estimate import Estimate
from workbench.subjects.points import Points

if TYPE_CHECKING:
    from jaxtyping import Float

LARGE = 1 << 24  # numbers, from which on a product of rows is worth several threads
BLOCK = 20_000  # rows that weren't drawn, predicted at a time
HALF = 0.5  # of the groups make a subsample
MOST_ROWS = 5000  # unless many groups of them hold so many rows: then about as many do


@analysis
def linear_probe(
    points: Points,
    *,
    label: Annotated[
        str | None, Doc("Column of the row table to predict; None: the first that isn't text.")
    ] = None,
    group: Annotated[
        str | None,
        Doc(
            "Column whose values say which rows belong together and are held out together; None: as the rows are grouped, "
            "by text_id if there is one. A column that differs in every row says that each stands for itself."
        ),
    ] = None,
    control: Annotated[
        str | None,
        Doc("Column whose values get labels at random for a control task (token, say). None: no such task."),
    ] = None,
    alpha: Annotated[
        float | None,
        Interval(gt=0, le=1e9),
        Doc("Strength of the penalty, for columns of unit variance; None: chosen by nested folds."),
    ] = None,
    cv: Annotated[int, Interval(ge=2, le=50), Doc("Parts that are held out in turn.")] = 5,
    max_rows: Annotated[
        int,
        Interval(ge=20, le=10_000_000),
        Doc(
            "Rows that are learnt from and tested on, in whole groups drawn where there are more; all are predicted."
        ),
    ] = 100_000,
    n_null: NullDraws = 399,
    n_boot: BootstrapDraws = 40,
    random_state: Seed = 0,
) -> Estimate:
    """Predict a label from the columns by a linear probe, on groups of rows that it hasn't seen.

    Classes are told apart by a linear discriminant with a ridge penalty in which all classes are as likely, so that rare ones
    count; a number is predicted by ridge regression. The penalty is chosen for each fold by what scores best on the
    others, for the labels and for each draw of the null alike. The score is balanced accuracy, or R² for a number: what a
    probe trained on this many rows is expected to score, which its interval (the probe fitted anew to subsamples of half
    the groups, or of some 5,000 rows) is of; that of a balanced accuracy is of at least 95 %.

    The null permutes the labels of whole groups, each in its order, so that rows of one text don't count as many
    independent ones; of fewer than six groups, it shifts the labels within each in a circle. With ``control`` the probe is
    also compared with itself on labels that go with the values of that column alone: what it reads there it remembers,
    and only what it reads beyond is in the rows (selectivity). Where the table doesn't say which rows belong together,
    and both rows and labels resemble those next to them, nothing is tested.

    Of more than ``max_rows`` rows whole groups are drawn at random (20 at least). What is said is of a probe of these; rows that
    weren't drawn are predicted by one that has learnt from all that were.

    Returns
    -------
    Estimate
        ``per_row`` (n, 1): 1 where the held-out row was predicted right and 0 where not (its squared error for a
        numeric label). Rows of classes with fewer than ``cv`` groups are left out, which the caveat says.

    Raises
    ------
    MissingError
        No such column.
    DataError
        No label, one class only, too few groups, or more than 200 classes.

    References
    ----------
    Alain and Bengio 2017, Understanding intermediate layers using linear classifier probes, ICLR workshop; Friedman 1989,
    Regularized discriminant analysis, JASA 84; Hewitt and Liang 2019, Designing and interpreting probes with control
    tasks, EMNLP; Ojala and Garriga 2010, Permutation tests for studying classifier performance, JMLR 11; Bates, Hastie and
    Tibshirani 2023, Cross-validation: what does it estimate and how well does it do it?, JASA 119.
    """
    if group is not None:
        points.column(group)  # refused where there is none
        points = replace(points, grouped_by=group)
    task = Task.of(points, label, cv, max_rows, random_state)
    x = points.values[task.rows]
    with one_thread() if x.size < LARGE else nullcontext():
        fit = HeldOut(
            x, Folds.of(task.groups, cv, random_state), ALPHAS if alpha is None else (alpha,), task.classes
        )
        guessed, used = fit.predict(task.truth[:, None], once=True)
    value = score(task.truth, guessed[:, 0], task.classes)
    permuting, said = _exchange(points, task, random_state)
    rows, right = _per_row(points, task, fit, guessed[:, 0], float(np.median(used)))
    asked = Evidence(
        id="balanced_accuracy" if task.classes else "r_squared",
        question=f"Can {task.name} be read off by a linear probe?",
        label=f"{task.measure} for {task.name}",
        value=value,
        n=len(task.rows),
    )
    result = Estimate(
        per_row=right[:, None].astype(np.float64),
        ids=points.ids[rows],
        names=("right" if task.classes else "squared error",),
        evidence=(asked,),
        caveat=" ".join(filter(None, (task.caveat, said))),
    )
    show_early(result)
    shared: dict[str, Any] = {
        "interval": _interval(task, x, value, float(np.median(used)), cv, n_boot, random_state),
        "interval_method": f"subsamples of {_subsample(task):,} of {task.units:,} {points.unit}, the probe fitted anew",
        "conservative": bool(task.classes),
        "groups": f"{task.units:,} {points.unit}" if task.grouped else "",
        "effective": round(effective_rows(x, task.groups), 1) if task.grouped else None,
    }
    draws = _draws(task, fit, value, permuting.draw, n_null, random_state)
    evidence = [replace(asked, **shared, **_tested(permuting, draws, n_null))]
    if control is not None:
        kinds = numbered(points.column(control)[task.rows])
        remembered = _draws(task, fit, value, exchanged(kinds, len(kinds)), n_null, random_state)
        tested, by = _remembered(value, permuting, draws, remembered, control, points.unit)
        evidence.append(
            replace(
                asked,
                id="beyond_control_task",
                question=f"Is {task.name} read off rather than remembered by {control}?",
                label=f"{task.measure} for {task.name}, control task",
                **shared,
                **_tested(tested, by, n_null),
            )
        )
    return replace(result, evidence=tuple(evidence))


def _remembered(
    value: float, permuting: Exchange, draws: np.ndarray, remembered: np.ndarray, control: str, unit: str
) -> tuple[Exchange, np.ndarray]:
    """The null of the control task with its draws: those of labels permuted between groups where these come closer."""
    alone = Null(
        NAME,
        f"the label goes with {control} alone, or with {unit} alone",
        f"labels permuted between values of {control}",
    )
    if permuting.draw and monte_carlo_p(value, draws.tolist(), "greater") > monte_carlo_p(
        value, remembered.tolist(), "greater"
    ):
        alone, remembered = replace(alone, drawn=permuting.null.drawn), draws
    return permuting._replace(null=alone), remembered


def _per_row(
    points: Points, task: Task, fit: HeldOut, guessed: np.ndarray, alpha: float
) -> tuple[np.ndarray, np.ndarray]:
    """Positions of all rows that are predicted, rising, and whether each was right, or its squared error."""
    rows, truth = task.rows, task.truth
    if len(task.others):
        blocks = (points.values[task.others[i : i + BLOCK]] for i in range(0, len(task.others), BLOCK))
        rows, back = np.unique(np.concatenate([rows, task.others]), return_index=True)
        guessed = np.concatenate([guessed, fit.elsewhere(task.truth, alpha, blocks)])[back]
        truth = np.concatenate([truth, task.others_truth])[back]
    return rows, guessed == truth if task.classes else np.square(guessed - truth)


def _exchange(points: Points, task: Task, random_state: int) -> tuple[Exchange, str]:
    """How labels are drawn anew, or why they aren't; and what a reader has to know of it."""
    found = exchange(points, task.name, task.groups if task.grouped else None, len(task.rows))
    if task.constant:
        few = task.grouped and task.units < FEWEST_GROUPS
        why = constant(points, task.groups) if few else task.classes and few_ways(points, task.of_groups)
        found = found._replace(draw=None, untested=why) if why else found
    if task.grouped:
        return found, ""
    rows, labels = task.in_order(points, random_state)
    if not rows:
        return found, ""
    said = "Rows resemble those next to them, and no column says which belong together: name it with group=."
    if labels:
        why = (
            f"rows and their {task.name} resemble those next to them, and no column says which rows belong together: name it "
            "with group= (one that differs in every row says that each stands for itself)"
        )
        return found._replace(draw=None, untested=why), said
    return found, said


def _tested(permuting: Exchange, draws: np.ndarray, n_null: int) -> dict[str, Any]:
    if n_null and permuting.untested:
        return permuting.null.refused(permuting.untested)
    return permuting.null.said(draws.tolist())


def _draws(
    task: Task, fit: HeldOut, value: float, draw: Draw | None, n_null: int, random_state: int
) -> np.ndarray:
    """Scores with labels drawn anew, until it is clear how the value stands among them."""
    if draw is None or n_null == 0:
        return np.empty(0)

    def labellings() -> Iterator[np.ndarray]:  # several at a time, which a product of matrices is faster for
        rng = np.random.default_rng([random_state, 0x6C61626C])
        for start in range(0, n_null, fit.at_once):
            many = min(fit.at_once, n_null - start)
            yield np.stack([task.truth[draw(rng)] for _ in range(many)], axis=1)

    def scores(truth: np.ndarray) -> list[float]:
        guessed = fit.predict(truth)[0]
        return [score(truth[:, k], guessed[:, k], task.classes) for k in range(truth.shape[1])]

    with closing(in_order(scores, labellings())) as batches:
        drawn = (one for batch in batches for one in batch)
        return draw_until_clear(
            lambda rng: next(drawn),
            np.array([value]),
            ["greater"],
            n_null,
            random_state,
            "linear probe: null",
        )[0]


def _subsample(task: Task) -> int:
    """How many groups a subsample holds: half of them, or fewer where those are many and of many rows."""
    return min(round(HALF * task.units), max(round(MOST_ROWS / len(task.rows) * task.units), MANY_GROUPS))


def _interval(
    task: Task,
    x: Float[np.ndarray, "m d"],
    value: float,
    alpha: float,
    cv: int,
    n_boot: int,
    random_state: int,
) -> tuple[float, float] | None:
    """95 % interval of the score: the delete-d jackknife over whole groups, with the probe and its folds made anew.

    References
    ----------
    Shao and Wu 1989, A general theory for jackknife variance estimation, Ann. Statist. 17.
    """
    from scipy.stats import t

    m = _subsample(task)
    if n_boot < 2 or task.units < max(FEWEST_GROUPS, 2 * cv):
        return None
    rng = np.random.default_rng([random_state, 0x70726F])
    halves = ((i, np.isin(task.groups, rng.permutation(task.units)[:m])) for i in range(n_boot))

    def again(half: tuple[int, np.ndarray]) -> float | None:
        i, kept = half
        truth = task.truth[kept]
        if len(np.unique(truth)) < 2:
            return None
        folds = Folds.of(numbered(task.groups[kept]), cv, random_state + i)
        guessed = HeldOut(x[kept], folds, (alpha * m / task.units,), task.classes).predict(truth[:, None])[0]
        return score(truth, guessed[:, 0], task.classes)

    drawn = [made for made in in_order(again, halves) if made is not None]
    if len(drawn) < max(2, n_boot / 2):
        return None
    half = float(
        t.ppf((1 + LEVEL) / 2, task.units - 1) * np.std(drawn, ddof=1) * np.sqrt(m / (task.units - m))
    )
    return (max(value - half, 0.0) if task.classes else value - half), min(value + half, 1.0)
