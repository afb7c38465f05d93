"""Methods of several inputs, results among them, that a test defines for as long as it runs."""

from __future__ import annotations

from typing import Annotated

import numpy as np
from annotated_types import Interval
from typing_extensions import Doc

from workbench.core.evidence import Evidence
from workbench.core.inputs import Unpaired
from workbench.core.registry import analysis
from workbench.results.estimate import Estimate
from workbench.results.partition import Partition
from workbench.subjects.points import Points

Power = Annotated[float, Interval(gt=0, le=4), Doc("What differences are raised to.")]


def number(value: float, n: int) -> Estimate:
    """An answer that is one number."""
    said = Evidence(id="amount", question="How much?", label="amount", value=value, n=n)
    return Estimate(evidence=(said,))


def define() -> None:
    """Define ``apart`` (two views), ``spread_within`` (a view and a result) and ``counted`` (one that may be left out)."""

    @analysis
    def apart(
        x: Annotated[Points, Doc("The rows.")],
        y: Annotated[Points, Doc("The same rows, seen otherwise.")],
        *,
        power: Power = 2.0,
    ) -> Estimate:
        """Say how far two sets of coordinates of the same rows lie from each other."""
        return number(float((np.abs(x.values - y.values) ** power).mean()), x.n)

    @analysis
    def spread_within(x: Points, groups: Partition) -> Estimate:
        """Say how far rows lie from the mean of their group."""
        means = np.stack([x.values[groups.labels == g].mean(axis=0) for g in range(groups.n_groups)])
        return number(float(np.square(x.values - means[groups.labels]).mean()), x.n)

    @analysis
    def counted(x: Points, other: Annotated[Points | None, Unpaired] = None) -> Estimate:
        """Say how many rows there are, in one set or in two."""
        return number(x.n + (other.n if other is not None else 0), x.n)
