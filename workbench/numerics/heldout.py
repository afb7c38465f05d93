"""Held-out predictions of a linear probe, for many labellings of the same rows at once.

A class is predicted by a linear discriminant with a ridge penalty: rows go to the class whose mean is nearest, as the
classes' common covariance W + α measures it, all classes being as likely. So rare classes aren't lost, as they are in a
regression on indicators. W itself needn't be inverted for each labelling: with T = W + B, the covariance of all rows, and
the classes' means M, the scores X W⁻¹M are X T⁻¹M (I - N K)⁻¹, where K = MᵀT⁻¹M and N counts the classes' rows (Woodbury). So
a fold is factored once, and a labelling costs a product and the inverse of a matrix of classes by classes. One labelling alone
is solved for each penalty by Cholesky's factors, which take a sixteenth of the time of the covariance's own directions.

Folds overlap: with five, a row is learnt from in four, and in most of the ten pairs that are left out to choose a penalty. So
rows are multiplied by themselves, and added up by class, once in each part of them, and a fold takes the sum of its parts.
Folding and factoring are in double precision, rows are asked in their own.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from workbench.numerics.threads import in_order

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Int

ALPHAS = (1.0, 10.0, 100.0, 1e3, 1e4, 1e5)
"""What the penalty is chosen from, for columns of unit variance."""
MIDDLE = 100.0  # where there are too few groups to choose
DEAD = 1e-6  # columns that vary less than this share of the most varying one carry rounding, not signal
INNER = 5  # parts that are left out in turn to choose the penalty
CHOOSING = 1000  # rows by which the penalty is chosen, or 20 a class: its choices are tenfold apart, and all score alike
AT_ONCE = 4e6  # numbers of all labellings' predictions that are held at a time
FEW_CLASSES = 8  # are added up by a product of matrices; more by a pass over the rows for each labelling


class Folds(NamedTuple):
    """Which rows are held out when.

    Attributes
    ----------
    outer : (m,) the fold of each row. inner : (m,) the part in which it is left out to choose the penalty; each part lies
        within a fold, or each fold within a part. nested : whether there are groups enough for that choice.
    """

    outer: Int[np.ndarray, " m"]
    inner: Int[np.ndarray, " m"]
    nested: bool

    @classmethod
    def of(cls, groups: Int[np.ndarray, " m"], cv: int, random_state: int) -> Folds:
        """Deal whole groups out at random, without a look at the labels, which keeps the null exact."""
        many = int(groups.max()) + 1
        order = np.argsort(np.random.default_rng([random_state, 0x666F6C]).permutation(many))
        parts = order % (cv if cv > 3 else 2 * cv)
        inner = parts % INNER if cv > INNER else parts
        return cls((parts % cv)[groups], inner[groups], many >= 4 * (int(inner.max()) + 1))


class HeldOut:
    """Predictions of rows by probes that haven't seen them.

    Parameters
    ----------
    x : (m, d) rows. alphas : penalties; of several, nested folds choose one for each fold, which scores best on the others
        (on at most `CHOOSING` of their rows).
    classes : how many, or 0 where a number is predicted.
    """

    def __init__(self, x: Float[np.ndarray, "m d"], folds: Folds, alphas: Sequence[float], classes: int):
        if len(alphas) > 1 and not folds.nested:
            alphas = (MIDDLE,)
        self.folds, self.alphas, self.classes = folds, np.asarray(alphas), classes
        outer, inner = folds.outer, folds.inner
        cells = _Cells(x, np.unique(np.stack([outer, inner]), axis=1, return_inverse=True)[1].ravel())
        self.cells = cells
        self.fits = [_fit(cells, outer != f, outer == f, alphas) for f in range(int(outer.max()) + 1)]
        self.away = [tuple(np.unique(inner[outer == f])) for f in range(len(self.fits))]
        # of each fold, held out with its parts ("away"): the part that is left out too, and what is left out then
        self.choices: dict[tuple[int, ...], list[tuple[int, tuple[int, ...]]]] = {}
        self.choosing: dict[tuple[int, ...], _Fit] = {}
        if len(alphas) == 1:
            return
        for away in dict.fromkeys(self.away):
            others = sorted(set(range(int(inner.max()) + 1)) - set(away))
            self.choices[away] = [(part, tuple(sorted((*away, part)))) for part in others]
        asked_of: dict[tuple[int, ...], list[int]] = {}
        for part, without in (one for each in self.choices.values() for one in each):
            asked_of.setdefault(without, []).append(part)
        some = _some(len(outer), self._choosing_rows)
        for without, parts in asked_of.items():
            asked = np.isin(inner, parts) & some
            self.choosing[without] = _fit(cells, ~np.isin(inner, without), asked, alphas)

    @property
    def at_once(self) -> int:
        """How many labellings are best predicted together."""
        asked = max(len(self.folds.outer), len(self.alphas) * self._choosing_rows)
        return int(np.clip(AT_ONCE // (asked * max(self.classes, 1)), 1, 20))

    @property
    def _choosing_rows(self) -> int:
        """Rows by which a penalty is chosen, at most."""
        return max(CHOOSING, CHOOSING // 50 * self.classes)

    def predict(
        self, truth: np.ndarray, *, once: bool = False
    ) -> tuple[np.ndarray, Float[np.ndarray, "f k"]]:
        """Predict (m, k) labellings; return what is predicted (m, k), and the penalty that each fold had (f, k).

        Parameters
        ----------
        once : of one labelling, where others may never be asked for: to rounding the same, without what only many pay for.
        """
        out = np.empty(truth.shape, np.int64 if self.classes else np.float64)
        used = np.full((len(self.fits), truth.shape[1]), self.alphas[0])
        labels = _Labels(truth, self.classes, self.cells)
        best = self._chosen(labels, once)
        for f, fit in enumerate(self.fits):
            penalty = self.alphas[best[self.away[f]]] if best else used[f]
            out[fit.test], used[f] = fit.predict(labels, penalty[None], once)[0], penalty
        return out, used

    def elsewhere(
        self, truth: np.ndarray, alpha: float, blocks: Iterable[Float[np.ndarray, "b d"]]
    ) -> np.ndarray:
        """Predict rows that aren't among those above by a probe that has seen all of these: (o,) of all blocks.

        Parameters
        ----------
        truth : (m,) one labelling. blocks : the other rows, some at a time.
        """
        seen = np.ones(len(truth), bool)
        fit = _fit(self.cells, seen, ~seen, (alpha,))
        labels = _Labels(truth[:, None], self.classes, self.cells)
        penalty = np.array([[alpha]])
        fit.predict(labels, penalty)  # of no row: what all blocks share is made once and not by each thread

        def asked(rows: Float[np.ndarray, "b d"]) -> np.ndarray:
            return np.asarray(fit.predict(labels, penalty, rows=rows - self.cells.centre)[0, :, 0])

        return np.concatenate(list(in_order(asked, blocks)))

    def _chosen(self, labels: _Labels, once: bool) -> dict[tuple[int, ...], Int[np.ndarray, " k"]]:
        """Which penalty scores best on parts that neither it nor the fold's test has seen; the strongest of equals."""
        each = np.repeat(self.alphas[:, None], labels.truth.shape[1], axis=1)
        guessed = {without: fit.predict(labels, each, once) for without, fit in self.choosing.items()}
        chosen = {}
        for away, choices in self.choices.items():
            at, found = [], []
            for part, without in choices:
                test = np.flatnonzero(self.choosing[without].test)
                in_part = self.folds.inner[test] == part
                at.append(test[in_part])
                found.append(guessed[without][:, in_part])
            truth, made = labels.truth[np.concatenate(at)], np.concatenate(found, axis=1)
            scores = np.array(
                [[score(t, g, self.classes) for t, g in zip(truth.T, of.T, strict=True)] for of in made]
            )
            chosen[away] = np.asarray(len(self.alphas) - 1 - scores[::-1].argmax(axis=0))
        return chosen


def score(truth: np.ndarray, guessed: np.ndarray, classes: int) -> float:
    """Balanced accuracy of classes, over those that are there; R² of a number, 0 where the number is constant."""
    if classes:
        count = np.bincount(truth, minlength=classes)
        right = np.bincount(truth, truth == guessed, minlength=classes)
        return float((right[count > 0] / count[count > 0]).mean())
    spread = float(np.square(truth - truth.mean()).sum())
    return 1 - float(np.square(truth - guessed).sum()) / spread if spread > 0 else 0.0


def _some(m: int, many: int) -> Bool[np.ndarray, " m"]:
    """Which of ``m`` rows the penalty is chosen by: so many of them, drawn without a look at the labels."""
    chosen = np.zeros(m, bool)
    chosen[np.random.default_rng([m, 0x63686F]).permutation(m)[:many]] = True
    return chosen


class _Cells:
    """Rows in the parts that are learnt from together: sums over them are had by adding, whatever is held out.

    Attributes
    ----------
    x : (m, d) rows less their mean ``centre``, float64. of : (m,) the cell of each.
    rows : those of each cell. counts, sums : of these, (c,) and (c, d).
    """

    def __init__(self, x: Float[np.ndarray, "m d"], of: Int[np.ndarray, " m"]):
        self.precision = np.float64 if x.dtype == np.float64 else np.float32  # in which rows are asked
        self.centre = x.mean(axis=0, dtype=np.float64)
        self.x, self.of = x - self.centre, of
        self.counts = np.bincount(of)
        self.rows = np.split(of.argsort(kind="stable"), self.counts.cumsum()[:-1])
        self.sums = np.stack([self.x[at].sum(axis=0) for at in self.rows])

    @cached_property
    def products(self) -> Float[np.ndarray, "c d d"]:
        """Each cell's rows, transposed, times themselves."""
        return np.stack([rows.T @ rows for rows in (self.x[at] for at in self.rows)])

    def inside(self, rows: Bool[np.ndarray, " m"]) -> Int[np.ndarray, " t"]:
        """The cells that lie within some rows, which are whole cells."""
        return np.unique(self.of[rows])


class _Labels:
    """Labellings (m, k) of the rows, and what their classes add up to in each cell."""

    def __init__(self, truth: np.ndarray, classes: int, cells: _Cells):
        self.truth, self.classes, self.cells = truth, classes, cells

    @property
    def width(self) -> int:
        """Columns that a labelling takes: one a class, or the number itself."""
        return max(self.classes, 1)

    def targets(self, rows: Bool[np.ndarray, " m"]) -> tuple[np.ndarray, np.ndarray]:
        """What is solved for, of some rows (r, k w), and how many rows of them each column has, or its mean (k, w)."""
        known = self.truth[rows]
        if not self.classes:
            mean = known.mean(axis=0)
            return known - mean, mean[:, None]
        belongs = known[:, :, None] == np.arange(self.classes)
        count = belongs.sum(axis=0)
        return (belongs / np.maximum(count, 1)).reshape(len(known), -1), count

    @cached_property
    def _sums(self) -> tuple[Float[np.ndarray, "c d kw"], Float[np.ndarray, "c k w"]]:
        """Each cell's rows added up by class, or weighted by the number; and its rows of each class, or their sum."""
        many = len(self.cells.counts)
        if not self.classes:
            both = [(self.cells.x[at], self.truth[at]) for at in self.cells.rows]
            return np.stack([rows.T @ y for rows, y in both]), np.stack(
                [y.sum(axis=0)[:, None] for _, y in both]
            )
        m, k = self.truth.shape
        line = (self.cells.of[:, None] * k + np.arange(k)) * self.classes + self.truth
        size = many * k * self.classes
        counts = np.bincount(line.ravel(), minlength=size).reshape(many, k, self.classes).astype(np.float64)
        if self.classes <= FEW_CLASSES:
            return self._by_products(), counts
        from scipy.sparse import csr_array

        ones = csr_array((np.ones(m * k), (line.ravel(), np.repeat(np.arange(m), k))), shape=(size, m))
        return (ones @ self.cells.x).reshape(many, k * self.classes, -1).transpose(0, 2, 1), counts

    def _by_products(self) -> Float[np.ndarray, "c d kw"]:
        """Each cell's rows added up by class; the last class is what the others leave of all."""
        k = self.truth.shape[1]
        sums = np.empty((*self.cells.sums.shape, k, self.classes))
        for c, at in enumerate(self.cells.rows):
            rows, known = self.cells.x[at].T, self.truth[at]
            sums[c, ..., -1] = self.cells.sums[c][:, None]
            for j in range(self.classes - 1):
                sums[c, ..., j] = rows @ (known == j).astype(np.float64)
                sums[c, ..., -1] -= sums[c, ..., j]
        return sums.reshape(*sums.shape[:2], -1)

    def weighted(
        self, cells: Int[np.ndarray, " t"], mean: Float[np.ndarray, " d"]
    ) -> tuple[np.ndarray, np.ndarray]:
        """The rows of some cells, less ``mean``, transposed, times `targets`: (d, k w); and its second answer."""
        sums, counts = (a[cells].sum(axis=0) for a in self._sums)
        n = self.cells.counts[cells].sum()
        if not self.classes:
            return sums - np.outer(mean, counts[:, 0]), counts / n  # rows less their mean add up to nothing
        held = counts.ravel()
        return sums / np.maximum(held, 1) - mean[:, None] * (held > 0), counts.astype(np.int64)


def _fit(cells: _Cells, train: np.ndarray, test: np.ndarray, alphas: Sequence[float]) -> _Fit:
    fewer_rows = np.count_nonzero(train) < cells.x.shape[1]
    return (_ByRows if fewer_rows else _ByColumns)(cells, train, test, alphas)


class _Fit:
    """Rows that a probe learns from and rows that it is asked for, in the terms in which T is ``gram``.

    Attributes
    ----------
    gram : (r, r) what penalties are added to. asked : (t, r) the rows asked for.
    """

    gram: Float[np.ndarray, "r r"]
    asked: Float[np.ndarray, "t r"]

    def __init__(self, cells: _Cells, train: np.ndarray, test: np.ndarray, alphas: Sequence[float]):
        self.cells, self.train, self.test, self.alphas = cells, train, test, alphas
        self.inside = cells.inside(train)
        self.mean = cells.sums[self.inside].sum(axis=0) / cells.counts[self.inside].sum()
        self._gather()

    def _gather(self) -> None:
        """Find ``gram`` and ``asked``."""
        raise NotImplementedError

    def terms(self, rows: Float[np.ndarray, "t d"]) -> Float[np.ndarray, "t r"]:
        """Rows, less the cells' centre, in the terms of ``gram``."""
        raise NotImplementedError

    def sides(self, labels: _Labels) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Rows of each class, or means; what T⁻¹ is asked of; and what the classes' means are in the rows' terms."""
        raise NotImplementedError

    def turned(self, right: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The last two of `sides` along T's own directions, of the first of them along these."""
        raise NotImplementedError

    def _factored(self, alpha: float) -> Any:
        from scipy.linalg import cho_factor

        return cho_factor(self.gram + alpha * np.eye(len(self.gram)), lower=True)

    @cached_property
    def _only(self) -> tuple[Any, np.ndarray]:
        """The factors for the one penalty there is, and the rows asked for."""
        return self._factored(self.alphas[0]), self._narrowed(self.asked)

    @cached_property
    def _own(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """T's own values and directions, and the rows asked for along these."""
        from scipy.linalg import eigh

        values, vectors = eigh(self.gram)
        return np.maximum(values, 0)[:, None], vectors, self._narrowed(self.asked @ vectors)

    def _narrowed(self, asked: np.ndarray) -> np.ndarray:
        return np.asarray(asked.astype(self.cells.precision))

    def predict(
        self,
        labels: _Labels,
        penalty: Float[np.ndarray, "a k"],
        once: bool = False,
        rows: Float[np.ndarray, "t d"] | None = None,
    ) -> np.ndarray:
        """Predict the labellings with penalties, each of which may have its own: (a, tests, k).

        Of one penalty, ``rows`` may be asked for in place of those that were named before.
        """
        from scipy.linalg import cho_solve

        count, right, held = self.sides(labels)
        if len(self.alphas) == 1:
            factors, asked = self._only
            solved = [cho_solve(factors, right)]
            asked = asked if rows is None else self._narrowed(self.terms(rows))
        elif once:
            asked = self._narrowed(self.asked)
            solved = [cho_solve(self._factored(float(a)), right) for a in penalty[:, 0]]
        else:
            values, vectors, asked = self._own
            right, held = self.turned(vectors.T @ right)
            width = right.shape[1] // penalty.shape[1]
            # along T's own directions a penalty only adds to a number
            solved = [right / (values + np.repeat(a, width)) for a in penalty]
        if not labels.classes:
            return np.stack([asked @ b + count[:, 0] for b in solved])
        held = held.reshape(-1, *count.shape).transpose(1, 2, 0)  # (k, c, r)
        return np.stack([_nearest(asked, b, held, count) for b in solved])


def _nearest(
    asked: np.ndarray, solved: np.ndarray, held: np.ndarray, count: np.ndarray
) -> Int[np.ndarray, "t k"]:
    """The class whose mean is nearest to each row asked for; one that wasn't learnt is never guessed."""
    k, classes = count.shape
    each = solved.reshape(-1, k, classes).transpose(1, 0, 2)
    within = held @ each
    widen = np.linalg.inv(np.eye(classes) - count[:, :, None] * within)
    offset = 0.5 * np.einsum("kcd,kdc->kc", within, widen)
    offset[count == 0] = np.inf
    weights = (each @ widen).transpose(1, 0, 2).reshape(len(solved), -1).astype(asked.dtype)
    scores = (asked @ weights).reshape(-1, k, classes) - offset.astype(asked.dtype)
    return np.asarray(scores.argmax(axis=2))


class _ByColumns(_Fit):
    """Of at least as many rows as columns: the covariance is the cells' products added up."""

    def _gather(self) -> None:
        n = self.cells.counts[self.inside].sum()
        gram = self.cells.products[self.inside].sum(axis=0) - n * np.outer(self.mean, self.mean)
        self.std = _spread(np.sqrt(np.maximum(np.diag(gram), 0) / n))
        gram /= np.outer(self.std, self.std)
        self.gram, self.asked = gram, self.terms(self.cells.x[self.test])

    def terms(self, rows: Float[np.ndarray, "t d"]) -> Float[np.ndarray, "t r"]:
        out = rows - self.mean
        out /= self.std  # in place: of many rows memory is what takes the time
        return out

    def sides(self, labels: _Labels) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        right, count = labels.weighted(self.inside, self.mean)
        right = right / self.std[:, None]
        return count, right, right

    def turned(self, right: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return right, right


class _ByRows(_Fit):
    """Of fewer rows than columns: everything is in inner products with what is learnt from."""

    def _gather(self) -> None:
        known = self.cells.x[self.train] - self.mean
        self.std = _spread(known.std(axis=0))
        self.known = known / self.std
        self.gram, self.asked = self.known @ self.known.T, self.terms(self.cells.x[self.test])

    def terms(self, rows: Float[np.ndarray, "t d"]) -> Float[np.ndarray, "t r"]:
        return np.asarray(((rows - self.mean) / self.std) @ self.known.T)

    def sides(self, labels: _Labels) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        targets, count = labels.targets(self.train)
        return count, targets, self.gram @ targets

    def turned(self, right: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return right, right * self._own[0]


def _spread(std: Float[np.ndarray, " d"]) -> Float[np.ndarray, " d"]:
    """Standard deviations, infinite where a column carries rounding."""
    return np.where(std > DEAD * max(std.max(), np.finfo(float).tiny), std, np.inf)
