"""Corrections for the number of tests: inside families of them, and over the families."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from jaxtyping import Float, Int


def simes(p: Float[np.ndarray, " k"]) -> float:
    """P-value of the hypothesis that all of several are true.

    References
    ----------
    Simes 1986, An improved Bonferroni procedure for multiple tests of significance, Biometrika 73.
    """
    return float((np.sort(p) * len(p) / np.arange(1, len(p) + 1)).min())


def hochberg(p: Float[np.ndarray, " k"]) -> Float[np.ndarray, " k"]:
    """P-values corrected so that the chance of any false rejection is their level, from the largest down.

    Several p-values at the floor of their draws are all kept where each is below the level, which Holm's correction, from
    the smallest up, would not do.

    References
    ----------
    Hochberg 1988, A sharper Bonferroni procedure for multiple tests of significance, Biometrika 75.
    """
    order = np.argsort(p, kind="stable")[::-1]
    adjusted = np.empty(len(p))
    adjusted[order] = np.minimum.accumulate(p[order] * np.arange(1, len(p) + 1))
    return adjusted


def hierarchical(p: Float[np.ndarray, " k"], families: Int[np.ndarray, " k"]) -> Float[np.ndarray, " k"]:
    """Correct p-values of several families: a family is selected first, then tests inside the selected ones.

    Families are selected by `hochberg` on their `simes` p-values, so that padding with families in which much is to be
    found makes it no easier to select one in which nothing is, as the Benjamini-Hochberg procedure would. Inside a
    selected family tests are rejected by `hochberg` at the level times the share of families that were selected.

    Returns
    -------
    (k,) float64
        For each test, the smallest level at which it is rejected. At that level or less is the chance that any family
        without an effect is selected, and, on average over the selected families, the chance of a false rejection inside.

    References
    ----------
    Benjamini and Bogomolov 2014, Selective inference on multiple families of hypotheses, J. R. Stat. Soc. B 76, whose
    theorem holds for any rule of selection by steps.
    """
    codes = np.unique(families, return_inverse=True)[1]
    members = [np.flatnonzero(codes == f) for f in range(codes.max(initial=-1) + 1)]
    many = len(members)
    whole = hochberg(np.array([simes(p[at]) for at in members]))
    steps = np.sort(whole)
    q = np.empty(len(p))
    for at, own in zip(members, whole, strict=True):
        inside = hochberg(p[at])
        # with r families selected the level is at least the r-th smallest of theirs
        first = int(np.searchsorted(steps, own))
        reached = np.maximum(steps[first:], inside[:, None] * many / np.arange(first + 1, many + 1))
        q[at] = reached.min(axis=1)
    return np.minimum(q, 1.0)
