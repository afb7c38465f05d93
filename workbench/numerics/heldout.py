"""Held-out predictions of a linear probe, for many labellings of the same rows at once.

A class is predicted by a linear discriminant with a ridge penalty: rows go to the class whose mean is nearest, as the
classes' common covariance W + α measures it, all classes being as likely. So rare classes aren't lost, as they are in a
regression on indicators. W itself needn't be inverted for each labelling: with T = W + B, the covariance of all rows, and
the classes' means M, the scores X W⁻¹M are X T⁻¹M (I - N K)⁻¹, where K = MᵀT⁻¹M and N counts the classes' rows (Woodbury). So
a fold is factored once, and a labelling costs a product and the inverse of a matrix of classes by classes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from jaxtyping import Float, Int

ALPHAS = (1.0, 10.0, 100.0, 1e3, 1e4, 1e5)
"""What the penalty is chosen from, for columns of unit variance."""
MIDDLE = 100.0  # where there are too few groups to choose
DEAD = 1e-6  # columns that vary less than this share of the most varying one carry rounding, not signal
INNER = 5  # parts that are left out in turn to choose the penalty
AT_ONCE = 4e6  # numbers of all labellings' predictions that are held at a time


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
    x : (m, d) rows. alphas : penalties; of several, nested folds choose one for each fold, which scores best on the others.
    classes : how many, or 0 where a number is predicted.
    """

    def __init__(self, x: Float[np.ndarray, "m d"], folds: Folds, alphas: Sequence[float], classes: int):
        if len(alphas) > 1 and not folds.nested:
            alphas = (MIDDLE,)
        self.folds, self.alphas, self.classes = folds, alphas, classes
        outer, inner = folds.outer, folds.inner
        self.fits = [_Fit(x, outer != f, outer == f, alphas) for f in range(int(outer.max()) + 1)]
        self.choices: dict[
            tuple[int, ...], list[_Fit]
        ] = {}  # parts that hold a fold: the fits that choose for it
        self.away = [tuple(np.unique(inner[outer == f])) for f in range(len(self.fits))]
        if len(alphas) == 1:
            return
        known: dict[tuple[int, ...], _Fit] = {}
        for away in dict.fromkeys(self.away):
            self.choices[away] = []
            for part in sorted(set(range(int(inner.max()) + 1)) - set(away)):
                without = tuple(sorted((*away, part)))
                if without not in known:
                    known[without] = _Fit(x, ~np.isin(inner, without), np.isin(inner, without), alphas)
                self.choices[away].append(known[without].testing(inner == part))

    @property
    def at_once(self) -> int:
        """How many labellings are best predicted together."""
        return int(
            np.clip(AT_ONCE // (len(self.folds.outer) * max(self.classes, 1) * len(self.alphas)), 1, 20)
        )

    def predict(self, truth: np.ndarray) -> tuple[np.ndarray, Float[np.ndarray, "f k"]]:
        """Predict (m, k) labellings; return what is predicted (m, k), and the penalty that each fold had (f, k)."""
        out = np.empty(truth.shape, np.int64 if self.classes else np.float64)
        used = np.full((len(self.fits), truth.shape[1]), self.alphas[0])
        each = np.arange(truth.shape[1])
        best = {away: self._choose(fits, truth) for away, fits in self.choices.items()}
        for f, fit in enumerate(self.fits):
            guessed = fit.predict(truth, self.classes)
            chosen = best[self.away[f]] if best else np.zeros(len(each), np.int64)
            out[fit.test] = guessed[chosen, :, each].T
            used[f] = np.asarray(self.alphas)[chosen]
        return out, used

    def _choose(self, fits: list[_Fit], truth: np.ndarray) -> Int[np.ndarray, " k"]:
        """Which penalty scores best on parts that neither it nor the fold's test has seen; the strongest of equals."""
        rows = np.concatenate([np.flatnonzero(f.test) for f in fits])
        guessed = np.concatenate([f.predict(truth, self.classes) for f in fits], axis=1)
        scores = np.array(
            [
                [score(truth[rows, k], guessed[a, :, k], self.classes) for k in range(truth.shape[1])]
                for a in range(len(self.alphas))
            ]
        )
        return len(self.alphas) - 1 - scores[::-1].argmax(axis=0)


def score(truth: np.ndarray, guessed: np.ndarray, classes: int) -> float:
    """Balanced accuracy of classes, over those that are there; R² of a number, 0 where the number is constant."""
    if classes:
        count = np.bincount(truth, minlength=classes)
        right = np.bincount(truth, truth == guessed, minlength=classes)
        return float((right[count > 0] / count[count > 0]).mean())
    spread = float(np.square(truth - truth.mean()).sum())
    return 1 - float(np.square(truth - guessed).sum()) / spread if spread > 0 else 0.0


class _Fit:
    """Rows that a probe learns from and rows that it is asked for, factored for every penalty."""

    def __init__(self, x: np.ndarray, train: np.ndarray, test: np.ndarray, alphas: Sequence[float]):
        from scipy.linalg import cho_factor, eigh

        self.train, self.test = train, test
        known, asked = x[train].astype(np.float64), x[test].astype(np.float64)
        mean, std = known.mean(axis=0), known.std(axis=0)
        std = np.where(std > DEAD * max(std.max(), np.finfo(float).tiny), std, np.inf)
        known, asked = (known - mean) / std, (asked - mean) / std
        self.dual = known.shape[0] < known.shape[1]
        self.gram = known @ known.T if self.dual else known.T @ known
        self.asked = (
            asked @ known.T if self.dual else asked
        )  # in the dual: inner products with what is learnt from
        self.left = None if self.dual else known.T
        self.alphas = np.asarray(alphas)
        if len(alphas) == 1:
            self.factor = cho_factor(self.gram + alphas[0] * np.eye(len(self.gram)), lower=True)
        else:  # along the covariance's own directions a penalty only adds to a number
            values, vectors = eigh(self.gram)
            self.values = np.maximum(values, 0)[:, None]
            self.asked = self.asked @ vectors
            self.left = vectors.T if self.left is None else vectors.T @ self.left

    def testing(self, some: np.ndarray) -> _Fit:
        """The same probe, asked for some of its test rows."""
        made = object.__new__(_Fit)
        made.__dict__.update(self.__dict__)
        made.test = self.test & some
        made.asked = self.asked[some[self.test]]
        return made

    def predict(self, truth: np.ndarray, classes: int) -> np.ndarray:
        """Predict (m, k) labellings with each penalty: (a, tests, k)."""
        known = truth[self.train]
        if not classes:
            mean = known.mean(axis=0)
            return np.stack([self.asked @ b + mean for b in self._solved(known - mean)[1]])
        belongs = known[:, :, None] == np.arange(classes)  # (n, k, c)
        count = belongs.sum(axis=0)
        targets = belongs / np.maximum(count, 1)
        held, solved = self._solved(targets.reshape(len(known), -1))
        held = held.reshape(-1, *count.shape).transpose(1, 2, 0)  # (k, c, r)
        return np.stack([self._nearest(b, held, count) for b in solved])

    def _solved(self, targets: np.ndarray) -> tuple[np.ndarray, list[np.ndarray]]:
        """What the means are in the rows' terms, and T⁻¹ of it for each penalty."""
        from scipy.linalg import cho_solve

        right = targets if self.left is None else self.left @ targets
        if len(self.alphas) == 1:
            return self.gram @ targets if self.dual else right, [cho_solve(self.factor, right)]
        return right * self.values if self.dual else right, [right / (self.values + a) for a in self.alphas]

    def _nearest(self, solved: np.ndarray, held: np.ndarray, count: np.ndarray) -> Int[np.ndarray, "t k"]:
        """The class whose mean is nearest to each row asked for; one that wasn't learnt is never guessed."""
        k, classes = count.shape
        within = held @ solved.reshape(-1, k, classes).transpose(1, 0, 2)
        widen = np.linalg.inv(np.eye(classes) - count[:, :, None] * within)
        asked = (self.asked @ solved).reshape(-1, k, classes).transpose(1, 0, 2)
        scores = asked @ widen - 0.5 * np.einsum("kcd,kdc->kc", within, widen)[:, None]
        scores[np.broadcast_to((count == 0)[:, None], scores.shape)] = -np.inf
        return np.asarray(scores.argmax(axis=2).T)
