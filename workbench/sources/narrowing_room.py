"""Narrowing room: two curves that close on each other as a descent uses up its room for answers."""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np
from annotated_types import Interval
from typing_extensions import Doc

from workbench.core.registry import source
from workbench.subjects.series import TimeSeries


@source
def narrowing_room(
    *,
    shape: Annotated[
        Literal["quadratics", "lines"], Doc("What closes: two quadratics or two straight lines.")
    ] = "quadratics",
    renormalized_at: Annotated[
        float | None,
        Interval(ge=0, le=10),
        Doc("Where the descent starts anew in full room; None lets it close at 10."),
    ] = 5.0,
    n: Annotated[int, Interval(ge=2, le=100_000), Doc("Steps from 0 to 10.")] = 201,
) -> TimeSeries:
    """Give the upper and lower bound of the room, exactly, from x = 0 to 10.

    Known answers: without renormalization the bounds are ±(1 - x / 10), squared for quadratics, and meet at 10; half-way
    a quarter of the room is left between quadratics and half of it between lines. Renormalized at x they are the same
    curves from their start, and would meet at x + 10. The column ``x`` has the place.
    """
    import pandas as pd

    from workbench.numerics.narrowing import LENGTH, room

    x = np.linspace(0, LENGTH, n)
    width = room(x, shape, renormalized_at)
    return TimeSeries(
        np.column_stack([width, -width]),
        name=f"room between two {shape}",
        channels=("upper", "lower"),
        interval=LENGTH / (n - 1),
        table=pd.DataFrame({"x": x}),
        truth={"renormalized_at": renormalized_at, "closes_at": LENGTH + (renormalized_at or 0)},
    )
