"""Same process: which of two stretches is of the one series and which of the other is as good as a coin."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from workbench.core.evidence import Alternative
from workbench.evidence.nulls.named import Null
from workbench.numerics.controls import draw_until_clear
from workbench.numerics.likeness.blocks import Pairs, signs

NULL = Null(
    "same_process",
    "both series are of one process, which forgets within a stretch",
    "stretches exchanged between the two",
)


def beside_exchanged(
    pairs: Pairs,
    statistics: Callable[[np.ndarray], np.ndarray],
    values: np.ndarray,
    alternatives: Sequence[Alternative],
    n_null: int,
    random_state: int,
    what: str,
) -> list[dict[str, Any]]:
    """Set statistics of two series beside those with stretches exchanged: for each the fields of `Evidence` from ``null`` on.

    Parameters
    ----------
    statistics : of which pairs are exchanged, (pairs,) of bool. values : with none of them. what : the method's name.
    """
    if pairs.untested or not n_null:
        why = pairs.untested if n_null else "no null was drawn"
        return [NULL.refused(why, a) for a in alternatives]
    drawn = draw_until_clear(
        lambda rng: statistics(signs(len(pairs), rng)),
        values,
        alternatives,
        n_null,
        random_state,
        f"{what}: null",
    )
    details = f"{len(pairs)} pairs of stretches of {pairs.length} steps"
    return [NULL.said(d.tolist(), a, details=details) for d, a in zip(drawn, alternatives, strict=True)]
