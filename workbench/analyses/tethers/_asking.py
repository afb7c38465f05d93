"""What the family's methods share: the parameters that name a step and sources, and which sources there are."""

from __future__ import annotations

from typing import Annotated

import numpy as np
from annotated_types import Interval
from typing_extensions import Doc

from workbench.core.errors import ParameterError
from workbench.numerics.tethers import (
    SAMPLED,
    SOURCES,
    Place,
    Scope,
    Tensors,
    available,
    require,
    resampled,
    tether,
)

Step = Annotated[
    int | None, Interval(ge=0), Doc("Step whose weights are asked about; None: the last with weights.")
]
Sources = Annotated[
    tuple[str, ...], Doc(f"Sources of tethers: {', '.join(SOURCES)}. None named: all that can be had here.")
]
Fraction = Annotated[float, Interval(gt=0, lt=1), Doc("Share of the edges that counts as tethered.")]
Within = Annotated[
    Scope,
    Doc("Edges are ranked in each layer by itself, or in the whole network, tethers compared as they are."),
]


def chosen(method: str, place: Place, sources: tuple[str, ...]) -> tuple[list[str], str]:
    """The sources that are asked about, and which of those not named can't be had, in words.

    Raises
    ------
    ParameterError
        One is unknown or named twice.
    ViewError, MissingError
        One that was named can't be had here.
    """
    for name in sources:
        if name not in SOURCES or sources.count(name) > 1:
            what = "is named twice" if name in SOURCES else "is no source"
            raise ParameterError(
                f"{method}: sources={sources!r}: {name!r} {what}. There are: {', '.join(SOURCES)}."
            )
    if sources:
        for name in sources:
            require(place, name)
        return list(sources), ""
    lacking = available(place)
    there = [s for s in SOURCES if s not in lacking and s != "random"]
    said = f"Sources that can't be had here: {', '.join(lacking)}." if lacking else ""
    return there, said


def drawn(place: Place, source: str, counts: np.ndarray, *, random_state: int, device: str) -> list[Tensors]:
    """A source's tethers for several choices of samples, (b, n) counts; the same every time where samples don't matter."""
    if source in SAMPLED:
        return resampled(place, source, counts, device=device)
    return [tether(place, source, random_state=random_state)] * len(counts)


def halves(n: int, draws: int, random_state: int) -> np.ndarray:
    """Which samples are in a random half of them, (draws, n) 0 or 1."""
    rng = np.random.default_rng([random_state, 0x68616C66])
    out = np.zeros((draws, n))
    for row in out:
        row[rng.choice(n, max(1, n // 2), replace=False)] = 1
    return out
