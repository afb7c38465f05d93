"""One piece: no valley parts the rows but such as chance makes, be they a lump or spread along any curve or surface."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from workbench.core.evidence import monte_carlo_p
from workbench.core.view import Rows
from workbench.evidence.nulls.named import Null
from workbench.evidence.nulls.one_lump import Tested
from workbench.evidence.nulls.sampling import details
from workbench.numerics.controls import NO_CLAIM, Drawn, draw_until_clear

NULL = Null(
    "one_piece",
    "the rows lie in one piece, a lump or drawn out along any curve or surface",
    "rows in one piece",
)
INSIDE = "inside the rows' own pieces"


def or_inside_pieces(
    view: Rows,
    tested: Tested,
    s: int,
    make: Callable[[], Callable[[np.random.Generator], float]],
    n_null: int,
    random_state: int,
    what: str,
) -> dict[str, Any]:
    """The fields of `Evidence` of statistic ``s``, beside lumps or beside valleys inside the rows' own pieces.

    Kept is what contradicts it less, so that the null is either. Where lumps don't contradict it pieces aren't asked.

    Parameters
    ----------
    make : makes what draws the statistic inside pieces; see `workbench.numerics.pieces`.
    """
    said, drawn, value = tested.said[s], tested.drawn[s], float(tested.values[s])
    if not len(drawn.values):
        return {**said, "hypothesis": NULL.hypothesis}
    p = monte_carlo_p(value, drawn.values.tolist(), "greater")
    if p <= NO_CLAIM:
        inside = draw_until_clear(
            make(), tested.values[s : s + 1], ("greater",), n_null, random_state, f"{what}: null, pieces"
        )[0]
        if monte_carlo_p(value, inside.tolist(), "greater") >= p:
            drawn = Drawn(inside, INSIDE)
    return {**said, **NULL.said(drawn, details=details(view, tested.sample))}
