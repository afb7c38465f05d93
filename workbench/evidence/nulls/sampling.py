"""The rows of a view that a null is drawn on: whole groups, one row of a kind."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from workbench.core.view import KIND, Rows
from workbench.numerics.exchangeable import FEWEST_GROUPS, Sample, SomeRows, effective_rows, sample

if TYPE_CHECKING:
    from jaxtyping import Float


def sampled(view: Rows, x: SomeRows | None, *, rows: int, random_state: int, kinds: bool = True) -> Sample:
    """Draw about ``rows`` rows of a view in whole groups; see `workbench.numerics.exchangeable.sample`.

    Parameters
    ----------
    x : the view's rows, where those that nearly repeat others are to be left out; None: they aren't looked for.
    kinds : leave one row of each kind (token).
    """
    groups, own_kinds = view.groups, view.kinds if kinds else None
    if x is None and groups is None and own_kinds is None:  # which says how many rows there are
        groups = np.arange(view.n)
    return sample(x, groups, own_kinds, rows=rows, random_state=random_state)


def details(view: Rows, some: Sample) -> str:
    """What a reader has to know of a sample, in a few words."""
    return some.details(view.unit, KIND if view.kinds is not None else "row that repeats")


def grouping(view: Rows, some: Sample | None = None) -> str:
    """Which rows are taken as one, for ``Evidence.groups``: ``120 texts``; "" where each stands for itself."""
    codes = view.groups if some is None else some.groups
    if codes is None:
        return ""
    many = int(codes.max(initial=-1)) + 1
    if view.ungrouped:
        return f"{view.unit} that aren't all known"
    return "one series" if many == 1 else f"{many:,} {view.unit}"


def about(view: Rows, x: Float[np.ndarray, "m d"], some: Sample) -> dict[str, Any]:
    """The fields of `Evidence` that say what was taken as one, and how many independent rows that leaves.

    Parameters
    ----------
    x : the sample's rows.
    """
    effective = None if some.groups is None else round(float(effective_rows(x, some.groups)), 1)
    return {"groups": grouping(view, some), "effective": effective}


def too_few(view: Rows, some: Sample, least: int = 0) -> str:
    """Why a sample can't be tested; "" where it can.

    Parameters
    ----------
    least : rows that the statistic takes.
    """
    if len(some.at) < least:
        there = "rows don't come again" if some.thinned else "rows are there"
        return f"{len(some.at):,} {there}, and with these parameters it takes at least {least:,}"
    if view.ungrouped:
        return view.ungrouped
    if some.testable:
        return ""
    if some.few_kinds:
        return f"its rows are of {some.few_kinds} {KIND}s, whose rows are alike: one row of each is too few to test"
    if some.units == 1:
        return "its rows are one series: how far they depend on each other can't be told from them"
    return f"its rows are of {some.units} {view.unit}, and what fewer than {FEWEST_GROUPS} have in common can't be told from chance"
