"""Renormalization in pictures: room that narrows between two curves, and a real descent, each started anew at x."""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np
from annotated_types import Interval
from typing_extensions import Doc

from workbench.analyses.descent._curves import FEWEST, require_curve
from workbench.analyses.descent.descent_law import constants, joined_evidence
from workbench.core.errors import ParameterError
from workbench.core.parameters import BootstrapDraws, Few, NullDraws, Seed
from workbench.core.registry import analysis
from workbench.numerics.averages import averaged
from workbench.numerics.descent_laws import Fit, fit_law
from workbench.numerics.narrowing import LENGTH, room
from workbench.numerics.threads import one_thread
from workbench.results.panels import Panels
from workbench.subjects.descents.trajectory import Descent

MOST_POINTS = 200  # a slider carries the curves of each of its places


@analysis(title="Renormalization in pictures")
def renormalization_pictures(
    descent: Descent,
    *,
    column: Annotated[str, Doc("Which recorded curve: 'loss', 'grad_norm' or whatever was logged.")] = "loss",
    at: Annotated[
        float,
        Interval(gt=0, lt=10),
        Doc("Where to renormalize, in tenths of the descent; the slider begins there."),
    ] = 5.0,
    positions: Annotated[int, Interval(ge=1, le=61), Few(2), Doc("Places of the slider.")] = 17,
    law: Annotated[
        Literal[
            "exponential",
            "exponential with floor",
            "power law",
            "power law with floor",
            "stretched exponential",
            "stretched exponential with floor",
        ],
        Doc("The law that the descent is taken to follow on either side, and as a whole."),
    ] = "exponential with floor",
    scale: Annotated[
        Literal["log", "linear"], Doc("Where the noise is even: on the curve's logarithm or on the curve.")
    ] = "log",
    n_null: NullDraws = 39,
    n_boot: BootstrapDraws = 100,
    random_state: Seed = 0,
) -> Panels:
    """Draw the room left between two quadratics and between two lines, both renormalized at x, and a real descent beside them.

    Four panels and one slider that moves x. The first two close at x = 10; the third starts each anew at x, so that
    room is left at 10. The fourth is a recorded curve with one law over all of it, and two laws, the second started
    anew at x: where the descent was renormalized there, two should say more than one, and x more than other places. The
    evidence asks both at ``at``, against curves that one law made and against the same curve joined elsewhere.

    Returns
    -------
    Panels
        ``frames`` has all curves at each place of the slider.

    Raises
    ------
    DataError
        Fewer than 16 values, values that never change, or values of 0 and less with scale="log".
    ParameterError
        ``at`` leaves fewer than 16 points on a side.

    References
    ----------
    Bai and Perron 1998, Estimating and testing linear models with multiple structural changes, Econometrica 66; the
    pictures are those of the notes that the workbench began with: descent uses up the room for answers.
    """
    steps, values = descent.curve(column)
    log = scale == "log"
    require_curve(steps, values, descent.name, column, log)
    t, y, _ = averaged(steps, values, MOST_POINTS, log=log)
    x = LENGTH * (t - t[0]) / (t[-1] - t[0])
    chosen = _cut(x, at)
    if not FEWEST <= chosen <= len(x) - FEWEST:
        low, high = x[[FEWEST, -FEWEST]] if len(x) >= 2 * FEWEST + 1 else (np.nan, np.nan)
        raise ParameterError(
            f"at={at:g} leaves {chosen} points of {column} before it and {len(x) - chosen} after; either side of a joint takes "
            f"{FEWEST}. "
            + (f"From {low:.2g} to {high:.2g} is possible here." if low <= high else "Record more steps.")
        )
    even = np.linspace(FEWEST, len(x) - FEWEST, positions).round().astype(int)
    cuts = np.union1d(even, [chosen])
    with one_thread():
        whole = fit_law(law, t - t[0], y, log=log)
        sides = [_sides(law, t, y, cut, log) for cut in cuts]
    frames = np.stack([_curves(x, x[c], y, whole, s) for c, s in zip(cuts, sides, strict=True)])
    start = int(np.flatnonzero(cuts == chosen)[0])
    evidence = joined_evidence(t, y, whole, (law, law), chosen, n_null, random_state)
    for side, fit, begin in zip(("before", "after"), sides[start], (0, chosen), strict=True):
        part = t[begin : begin + len(fit.curve)]
        evidence += constants(fit, part - part[0], n_boot, random_state, side, f"x = {x[chosen]:.3g}")[0]
    return Panels(
        x=x,
        y=frames[start],
        names=(*NAMES, column, "one law, untouched", "two laws joined at x"),
        alike=(*ALIKE, column, "one law", "two laws joined at x"),
        dashed=np.array([False] * (len(NAMES) + 1) + [True, False]),
        x_title="x, tenths of the descent",
        y_title=column,
        log=log,
        panels=(*PANELS, *(f"a real descent: {descent.name}",) * 3),
        frames=frames,
        frame_marks=x[cuts],
        frame_names=tuple(f"x = {x[c]:.2g} (step {t[c]:.0f})" for c in cuts),
        evidence=tuple(evidence),
    )


_EXACT = (
    ("two quadratics", ("quadratics",), False),
    ("two lines", ("lines",), False),
    ("both, renormalized at x", ("quadratics", "lines"), True),
)
PANELS = tuple(panel for panel, shapes, _ in _EXACT for _ in (*shapes, *shapes))
NAMES = tuple(
    f"{shape}, {side}{', renormalized' if again else ''}"
    for _, shapes, again in _EXACT
    for shape in shapes
    for side in ("upper", "lower")
)
ALIKE = tuple(shape for _, shapes, _ in _EXACT for shape in shapes for _ in ("upper", "lower"))


def _curves(x: np.ndarray, at: float, y: np.ndarray, whole: Fit, sides: tuple[Fit, Fit]) -> np.ndarray:
    """All columns with the renormalization at a place: (n, 11)."""
    exact = [
        sign * room(x, shape, at if again else None)
        for _, shapes, again in _EXACT
        for shape in shapes
        for sign in (1, -1)
    ]
    return np.column_stack([*exact, y, whole.curve, np.concatenate([s.curve for s in sides])])


def _sides(law: str, t: np.ndarray, y: np.ndarray, cut: int, log: bool) -> tuple[Fit, Fit]:
    first, second = (fit_law(law, t[s] - t[s][0], y[s], log=log) for s in (slice(cut), slice(cut, None)))
    return first, second


def _cut(x: np.ndarray, at: float) -> int:
    return int(np.searchsorted(x, at - 1e-9))
