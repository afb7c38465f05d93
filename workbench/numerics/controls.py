"""Nulls on some of the rows, for answers that rest on all of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from workbench.numerics.resampling import null_draws

if TYPE_CHECKING:
    from jaxtyping import Float


class Control(NamedTuple):
    """Null draws (draws, statistics) beside the answer, and ``words`` that say on how many rows they were made."""

    draws: Float[np.ndarray, "m s"]
    words: str


def control(
    x: Float[np.ndarray, "n d"], statistics: Callable[[np.ndarray], Float[np.ndarray, " s"]],
    values: Float[np.ndarray, " s"], destroy: Callable[[np.ndarray, np.random.Generator], np.ndarray], *,
    rows: int, n_null: int, random_state: int, what: str, prepare: Callable[[np.ndarray], np.ndarray] | None = None,
) -> Control:  # fmt: skip
    """Draw statistics of ``x`` after ``destroy``, on at most ``rows`` of its rows.

    A statistic may depend on how many rows there are. Where the draws have fewer than ``x``, they are shifted
    by the difference that this makes to the data's own values, so that the comparison (and the p-value) is
    that of equally many rows.

    Parameters
    ----------
    statistics : of (m, d) rows.
    values : the statistics of all rows.
    destroy : takes rows and a generator and returns as many rows without what the null destroys.
    prepare : applied once to the rows before the draws, for what all draws share.
    """
    if n_null == 0:
        return Control(np.empty((0, len(values))), "")
    n = len(x)
    shift, words = np.zeros(len(values)), ""
    if n > rows:
        x = x[np.sort(np.random.default_rng([random_state, 0x6374726C]).choice(n, rows, replace=False))]
        shift, words = (
            values - statistics(x),
            f" (in {rows:,} of the rows, shifted by what fewer rows change)",
        )
    rows_of_null = prepare(x) if prepare else x
    draws = null_draws(lambda rng: statistics(destroy(rows_of_null, rng)), n_null, random_state, what)
    return Control(draws + shift, words)
