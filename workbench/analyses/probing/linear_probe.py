"""Linear probe: whether a label can be read off the rows by a weighted sum of their columns."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
from annotated_types import Interval
from typing_extensions import Doc

from workbench.core.errors import DataError
from workbench.core.evidence import Evidence
from workbench.core.parameters import BootstrapDraws, NullDraws, Seed
from workbench.core.registry import analysis
from workbench.numerics.resampling import null_draws, percentile_interval
from workbench.results.estimate import Estimate
from workbench.subjects.points import Points

if TYPE_CHECKING:
    from jaxtyping import Float, Int

NOT_LABELS = ("text", "token", "text_id", "position", "sample")
MAX_CLASSES = 200
DEAD = 1e-6  # columns that vary less than this share of the most varying one carry rounding, not signal


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
            "Rows that share a value are held out together; None: text_id if there is one, else each row alone."
        ),
    ] = None,
    control: Annotated[
        str | None,
        Doc("Column whose values get labels at random for a control task (token, say). None: no such task."),
    ] = None,
    alpha: Annotated[
        float, Interval(gt=0, le=1e9), Doc("Strength of the penalty, for columns of unit variance.")
    ] = 100.0,
    cv: Annotated[int, Interval(ge=2, le=50), Doc("Parts that are held out in turn.")] = 5,
    n_null: NullDraws = 99,
    n_boot: BootstrapDraws = 500,
    random_state: Seed = 0,
) -> Estimate:
    """Predict a label from the columns by ridge regression, on groups of rows that it hasn't seen.

    Classes are predicted by regression on their indicators (scikit-learn's RidgeClassifier); being linear in
    the labels, it can be asked for every permutation of them at the cost of a matrix product, so that the
    null is the very same procedure. The statistic is balanced accuracy, or R² for a numeric label. The null
    permutes the labels between groups where a group has one label, and within groups otherwise, so that
    rows of one text don't count as many independent ones; the interval draws groups with replacement. With
    ``control`` the probe is also compared with itself on labels that are drawn at random for each value of
    that column: what it reads there it remembers, and only what it reads beyond is in the rows (selectivity).

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
    Alain and Bengio 2017, Understanding intermediate layers using linear classifier probes, ICLR workshop;
    Hewitt and Liang 2019, Designing and interpreting probes with control tasks, EMNLP; Ojala and Garriga 2010,
    Permutation tests for studying classifier performance, JMLR 11.
    """
    task = _Task.of(points, label, group, cv)
    folds = _folds(task.groups, cv, random_state)
    fit = _Ridge(points.values[task.rows], folds, alpha)
    right = task.score_rows(fit.predict(task.targets[..., None])[..., 0])
    value = task.statistic(task.truth, right)
    interval = _interval(task, right, n_boot, random_state)

    def evidence(
        id: str,
        question: str,
        label: str,
        null: str,
        hypothesis: str,
        permuted: Callable[[np.random.Generator], np.ndarray],
    ) -> Evidence:
        drawn = null_draws(permuted, n_null, random_state, "linear probe: null").astype(np.int64)
        scores = zip(drawn, _ask(task, fit, drawn), strict=True)
        return Evidence(
            id=id,
            question=question,
            label=label,
            value=value,
            n=len(task.rows),
            interval=interval,
            interval_method="bootstrap over groups",
            null=null if n_null else "",
            hypothesis=hypothesis,
            null_values=tuple(task.statistic(task.truth[p], r) for p, r in scores),
        )

    asked = [
        evidence(
            "balanced_accuracy" if task.classes else "r_squared",
            f"Can {task.name} be read off by a linear probe?",
            f"{task.measure} for {task.name}",
            task.null,
            f"the rows say nothing of {task.name}",
            task.permuted,
        )
    ]
    if control is not None:
        own = _groups(points.column(control)[task.rows])
        asked.append(
            evidence(
                "beyond_control_task",
                f"Is {task.name} read off rather than remembered by {control}?",
                f"{task.measure} for {task.name}, control task",
                f"labels drawn for each {control}",
                f"the probe only remembers a label for each {control}",
                lambda rng: rng.integers(0, len(own), own.max() + 1)[own],
            )
        )
    return Estimate(
        per_row=right[:, None],
        ids=points.ids[task.rows],
        names=("right" if task.classes else "squared error",),
        evidence=tuple(asked),
        caveat=task.caveat,
    )


@dataclass(frozen=True)
class _Task:
    """What is predicted for which rows.

    Attributes
    ----------
    rows : (m,) positions of the rows that are asked about.
    truth : (m,) class of each row from 0, or its standardized number; ``targets`` (m, c) what is regressed.
    groups : (m,) group of each row from 0.
    constant : whether every group has one label.
    """

    name: str
    rows: Int[np.ndarray, " m"]
    truth: np.ndarray
    targets: Float[np.ndarray, "m c"]
    groups: Int[np.ndarray, " m"]
    classes: int
    constant: bool
    caveat: str

    @classmethod
    def of(cls, points: Points, label: str | None, group: str | None, cv: int) -> _Task:
        name = label if label is not None else _default_label(points)
        values = points.column(name)
        grouping = group or ("text_id" if "text_id" in points.table.columns else None)
        groups = np.arange(points.n) if grouping is None else _groups(points.column(grouping))
        if values.dtype.kind == "f" or (values.dtype.kind in "iu" and len(np.unique(values)) > 20):
            return cls._numeric(name, values.astype(np.float64), groups, cv)
        codes, names = _codes(values)
        known = codes >= 0
        pairs = np.unique(np.column_stack([codes, groups])[known], axis=0)
        enough = np.bincount(pairs[:, 0], minlength=len(names)) >= cv
        if enough.sum() < 2:
            raise DataError(
                f"{name} has {len(names)} values in {points.name}, of which {int(enough.sum())} occur in at least cv={cv} "
                f"{'rows' if grouping is None else f'groups of {grouping}'}; a probe needs two. Give more rows, or lower cv."
            )
        if enough.sum() > MAX_CLASSES:
            raise DataError(
                f"{name} has {int(enough.sum())} values; a probe tells at most {MAX_CLASSES} apart. Choose a coarser label."
            )
        rows = np.flatnonzero(enough[codes] & known)
        truth = (np.cumsum(enough) - 1)[codes[rows]]
        few = int(known.sum()) - len(rows)
        said = [f"{few:,} rows of {int((~enough).sum())} rare values of {name} were left out."] if few else []
        said += [f"{int((~known).sum()):,} rows have no {name}."] if not known.all() else []
        own = _groups(groups[rows])
        return cls(
            name,
            rows,
            truth,
            np.eye(int(enough.sum()))[truth],
            own,
            int(enough.sum()),
            _constant(truth, own),
            " ".join(said),
        )

    @classmethod
    def _numeric(cls, name: str, values: np.ndarray, groups: np.ndarray, cv: int) -> _Task:
        rows = np.flatnonzero(np.isfinite(values))
        if len(rows) < 2 or values[rows].std() == 0:
            raise DataError(f"{name} is the same in all rows that have it: there is nothing to predict.")
        if len(np.unique(groups[rows])) < cv:
            raise DataError(
                f"{name} is known in {len(np.unique(groups[rows]))} groups; cv={cv} takes at least as many. Lower cv."
            )
        own = _groups(groups[rows])
        truth = (values[rows] - values[rows].mean()) / values[rows].std()
        few = len(values) - len(rows)
        said = f"{few:,} rows without a finite {name} were left out." if few else ""
        return cls(name, rows, truth, truth[:, None], own, 0, _constant(truth, own), said)

    @property
    def measure(self) -> str:
        return "balanced accuracy" if self.classes else "R²"

    @property
    def null(self) -> str:
        return f"labels permuted {'between' if self.constant else 'within'} groups"

    def permuted(self, rng: np.random.Generator) -> np.ndarray:
        """Positions whose label each row takes under the null."""
        n = len(self.rows)
        if self.constant:
            first = np.unique(self.groups, return_index=True)[1]
            return first[rng.permutation(len(first))][self.groups]
        order = np.lexsort([rng.random(n), self.groups])
        out = np.empty(n, np.int64)
        out[np.argsort(self.groups, kind="stable")] = order
        return out

    def score_rows(
        self, predicted: Float[np.ndarray, "m c"], truth: np.ndarray | None = None
    ) -> Float[np.ndarray, " m"]:
        """1 for a right class and 0 for a wrong one; the squared error of a number."""
        truth = self.truth if truth is None else truth
        if self.classes:
            return (predicted.argmax(axis=1) == truth).astype(np.float64)
        return (predicted[:, 0] - truth) ** 2

    def statistic(self, truth: np.ndarray, scores: np.ndarray, weights: np.ndarray | None = None) -> float:
        """Balanced accuracy or R², rows weighted."""
        w = np.ones(len(truth)) if weights is None else weights
        if self.classes:
            total = np.bincount(truth, w, self.classes)
            hit = np.bincount(truth, w * scores, self.classes)
            return float((hit[total > 0] / total[total > 0]).mean())
        mean = np.average(truth, weights=w)
        spread = float((w * (truth - mean) ** 2).sum())
        return 1 - float((w * scores).sum()) / spread if spread > 0 else 0.0


class _Ridge:
    """Held-out predictions for any targets: one factorization a fold, whatever is predicted."""

    def __init__(self, x: Float[np.ndarray, "m d"], folds: Int[np.ndarray, " m"], alpha: float):
        from scipy.linalg import cho_factor

        self.folds = folds
        self.parts: list[tuple[np.ndarray, np.ndarray, Any]] = []
        for fold in range(int(folds.max()) + 1):
            train, test = x[folds != fold].astype(np.float64), x[folds == fold].astype(np.float64)
            mean, std = train.mean(axis=0), train.std(axis=0)
            std = np.where(std > DEAD * max(std.max(), np.finfo(float).tiny), std, np.inf)
            train, test = (train - mean) / std, (test - mean) / std
            dual = train.shape[0] < train.shape[1]
            gram = train @ train.T if dual else train.T @ train
            gram[np.diag_indices_from(gram)] += alpha
            # test rows in the dual: their inner products with the training rows
            self.parts.append(
                (
                    np.eye(len(train)) if dual else train.T,
                    test @ train.T if dual else test,
                    cho_factor(gram, lower=True),
                )
            )

    def predict(self, targets: Float[np.ndarray, "m c k"]) -> Float[np.ndarray, "m c k"]:
        """Predict each row from the folds that it isn't in; the mean of the training targets is added back."""
        from scipy.linalg import cho_solve

        m, c, k = targets.shape
        flat = targets.reshape(m, c * k)
        out = np.empty_like(flat)
        for fold, (left, test, factor) in enumerate(self.parts):
            known = flat[self.folds != fold]
            mean = known.mean(axis=0)
            out[self.folds == fold] = test @ cho_solve(factor, left @ (known - mean)) + mean
        return out.reshape(m, c, k)


def _ask(
    task: _Task, fit: _Ridge, permutations: Int[np.ndarray, "k m"], at_once: int = 50
) -> list[np.ndarray]:
    """Row scores under each permutation of the labels."""
    scores = []
    for start in range(0, len(permutations), at_once):
        some = permutations[start : start + at_once]
        predicted = fit.predict(np.stack([task.targets[p] for p in some], axis=-1))
        scores += [task.score_rows(predicted[..., i], task.truth[p]) for i, p in enumerate(some)]
    return scores


def _interval(task: _Task, scores: np.ndarray, n_boot: int, random_state: int) -> tuple[float, float] | None:
    if n_boot == 0:
        return None
    rng = np.random.default_rng([random_state, 0x70726F])
    g = int(task.groups.max()) + 1
    draws = [np.bincount(rng.integers(0, g, g), minlength=g)[task.groups] for _ in range(n_boot)]
    return percentile_interval(np.array([task.statistic(task.truth, scores, w) for w in draws if w.any()]))


def _folds(groups: np.ndarray, cv: int, random_state: int) -> np.ndarray:
    """Fold of each row: groups dealt out at random, without a look at the labels, which keeps the null exact."""
    order = np.random.default_rng([random_state, 0x666F6C]).permutation(int(groups.max()) + 1)
    return (np.argsort(order) % cv)[groups]


def _codes(values: np.ndarray) -> tuple[np.ndarray, list[str]]:
    """Number values from 0 in order of their names; -1 where there is none."""
    import pandas as pd

    plain = np.asarray(values, dtype=object)
    strings = plain.astype(str).astype(object)
    strings[pd.isna(plain)] = None
    codes, names = pd.factorize(strings, sort=True)
    return codes.astype(np.int64), [str(n) for n in names]


def _groups(values: np.ndarray) -> np.ndarray:
    """Number groups from 0 in order of appearance."""
    import pandas as pd

    return pd.factorize(np.asarray(values), use_na_sentinel=False)[0].astype(np.int64)


def _constant(truth: np.ndarray, groups: np.ndarray) -> bool:
    first = np.unique(groups, return_index=True)[1]
    return bool((truth == truth[first][groups]).all())


def _default_label(points: Points) -> str:
    for column in points.table.columns:
        if column not in NOT_LABELS and points.table[column].nunique() > 1:
            return str(column)
    raise DataError(
        f"{points.name} has no label to predict (columns: {', '.join(map(str, points.table.columns)) or 'none'}). "
        f"Give a row table with one, or name it with label=."
    )
