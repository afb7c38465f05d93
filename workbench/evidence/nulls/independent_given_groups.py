"""Independent given groups: which rows are alike in one thing says nothing of which are in another, texts being texts."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from workbench.core.view import Rows
from workbench.evidence.nulls.named import Null
from workbench.numerics.exchangeable import Sample, exchanged

NULL = Null(
    "independent_given_groups",
    "which rows are alike in one says nothing of which are in the other",
    "rows permuted",
)


def null_of(view: Rows, some: Sample) -> Null:
    """The hypothesis in the words that fit a sample: rows permuted, or whole texts."""
    if some.groups is None:
        return NULL
    return Null(NULL.name, NULL.hypothesis, f"whole {view.unit} permuted")


def exchange(some: Sample) -> Callable[[np.random.Generator], np.ndarray]:
    """Return what draws, for each row of a sample, the row of it that takes its place: (m,) positions in the sample."""
    return exchanged(some.groups, len(some.at))
