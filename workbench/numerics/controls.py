"""Nulls on some of the rows, for answers that rest on all of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from workbench.numerics.resampling import null_draws, shuffle_columns

if TYPE_CHECKING:
    from jaxtyping import Float

Null = Callable[[np.ndarray], Callable[[np.random.Generator], np.ndarray]]
"""Takes rows and returns what draws as many of the null."""


class Control(NamedTuple):
    """What `control` gives.

    Attributes
    ----------
    draws : (m, s) the statistics in each null draw.
    values : (s,) the statistics of the data's own rows, as many as the draws have.
    n : how many that is.
    all_rows : whether the data have no more.
    """

    draws: Float[np.ndarray, "m s"]
    values: Float[np.ndarray, " s"]
    n: int
    all_rows: bool

    def beside(self, values: Float[np.ndarray, " s"]) -> Float[np.ndarray, "m s"]:
        """Draws to set beside ``values`` of all rows.

        A statistic may depend on how many rows there are, so draws of fewer are shifted by what that does to
        the data's own values: the comparison, and the p-value, is that of equally many rows.
        """
        return self.draws + (values - self.values)

    @property
    def details(self) -> str:
        """What to say of the null where draws are set `beside` values of more rows."""
        return "" if self.all_rows else f"in {self.n:,} of the rows, shifted by what fewer rows change"


def control(
    x: Float[np.ndarray, "n d"],
    statistics: Callable[[np.ndarray], Float[np.ndarray, " s"]],
    values: Float[np.ndarray, " s"],
    null: Null,
    *,
    rows: int,
    n_null: int,
    random_state: int,
    what: str,
) -> Control:
    """Draw statistics under a null on at most ``rows`` of the rows.

    Parameters
    ----------
    statistics : of (m, d) rows.
    values : the statistics of all rows.
    """
    n = len(x)
    if n_null == 0:
        return Control(np.empty((0, len(values))), values, n, True)
    if n > rows:
        x = x[np.sort(np.random.default_rng([random_state, 0x6374726C]).choice(n, rows, replace=False))]
        values = statistics(x)
    draw = null(x)
    return Control(
        null_draws(lambda rng: statistics(draw(rng)), n_null, random_state, what), values, len(x), n <= rows
    )


def shuffled_columns(
    x: Float[np.ndarray, "n d"],
) -> Callable[[np.random.Generator], Float[np.ndarray, "n d"]]:
    """Return what draws ``x`` with every column permuted on its own: the margins stay, all dependence goes."""
    return lambda rng: shuffle_columns(x, rng)
