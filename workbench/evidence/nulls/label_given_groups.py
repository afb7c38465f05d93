"""Label given groups: rows say nothing of a label, whatever the rows and the labels of one text have in common."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from math import exp, lgamma, log
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from workbench.core.view import Rows
from workbench.evidence.nulls.named import Null
from workbench.numerics.exchangeable import FEWEST_GROUPS, exchanged

if TYPE_CHECKING:
    from jaxtyping import Int

NAME = "label_given_groups"
LEVEL = 0.05
FEWEST_SHIFTS = 40  # different draws, without which no p-value under 5 % can come of shifts
Draw = Callable[[np.random.Generator], np.ndarray]


class Exchange(NamedTuple):
    """How labels are drawn anew.

    Attributes
    ----------
    null : in words. draw : gives (m,) positions whose label each row takes; None where it can't be tested.
    untested : why not, or "".
    """

    null: Null
    draw: Draw | None
    untested: str = ""


def exchange(view: Rows, label: str, groups: Int[np.ndarray, " m"] | None, m: int) -> Exchange:
    """Choose how labels are drawn anew, by the number and sizes of the groups alone.

    With six groups or more, whole groups' labels are permuted, each in its order, whether labels vary within groups or not:
    so labels and rows that both resemble their neighbours still do. With fewer, the labels of each group are shifted in a
    circle, by a number of rows of its own.

    Parameters
    ----------
    label : its name. groups : codes from 0, of the ``m`` rows that have it; None where each row stands for itself.
    """
    hypothesis = f"the rows say nothing of {label}" + (
        "" if groups is None else f", {view.unit} being {view.unit}"
    )
    if groups is None:
        return Exchange(Null(NAME, hypothesis, "labels permuted"), exchanged(None, m))
    sizes = np.bincount(groups)
    if len(sizes) >= FEWEST_GROUPS:
        return Exchange(
            Null(NAME, hypothesis, f"the labels of whole {view.unit} permuted"), exchanged(groups, m)
        )
    null = Null(NAME, hypothesis, f"labels shifted in a circle within {view.unit}")
    if np.log(sizes).sum() < np.log(FEWEST_SHIFTS):
        return Exchange(null, None, _few(view, len(sizes)))
    return Exchange(null, _shifted(groups))


def constant(view: Rows, groups: Int[np.ndarray, " m"]) -> str:
    """Why nothing can be told of a label that is the same in all rows of a group, of which there are few."""
    return f"{_few(view, int(groups.max()) + 1)}, and the label is the same in all rows of each"


def few_ways(view: Rows, classes: Int[np.ndarray, " g"]) -> str:
    """Why labels of whole groups can't be tested, where they can be dealt to the groups in too few ways; "" where they can.

    The labels as they are come again in one of so many draws, and so do those that are the same but for the classes' names,
    as where two classes have as many groups: the score of each is the same, and no p-value is smaller than their share.

    Parameters
    ----------
    classes : of each group, from 0.
    """
    sizes = Counter(classes.tolist()).values()
    alike = [*sizes, *Counter(sizes).values()]  # groups of one class, and classes of as many groups
    ways = lgamma(len(classes) + 1) - sum(lgamma(n + 1) for n in alike)
    if ways > -log(LEVEL) - 1e-9:
        return ""
    return (
        f"the labels of {len(classes)} {view.unit} can be dealt to them in {exp(ways):.0f} ways that differ, so that no p-value "
        f"below {exp(-ways):.2g} is possible: it takes more {view.unit}"
    )


def _few(view: Rows, many: int) -> str:
    return f"its rows are of {many} {view.unit}; fewer than {FEWEST_GROUPS} can't be told from chance"


def _shifted(groups: Int[np.ndarray, " m"]) -> Draw:
    """Return what draws labels shifted in a circle within each group, by a random number of rows."""
    order = np.argsort(groups, kind="stable")
    sizes = np.bincount(groups)
    starts = np.cumsum(sizes) - sizes
    own = groups[order]
    place = np.arange(len(groups)) - starts[own]

    def draw(rng: np.random.Generator) -> np.ndarray:
        by = rng.integers(0, sizes)
        out = np.empty(len(groups), np.int64)
        out[order] = order[starts[own] + (place + by[own]) % sizes[own]]
        return out

    return draw
