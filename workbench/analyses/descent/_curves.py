"""What a recorded curve must have, to be asked for its law or its paces."""

from __future__ import annotations

import numpy as np

from workbench.core.errors import DataError

FEWEST = 16  # points; the largest law has four parameters and its noise two


def require_curve(steps: np.ndarray, values: np.ndarray, owner: str, column: str, log: bool) -> None:
    """Refuse a curve that no law can be fitted to.

    Raises
    ------
    DataError
        With what it lacks.
    """
    if len(values) < FEWEST:
        raise DataError(
            f"{owner} has {len(values)} values of column {column}; a law takes {FEWEST} or more. Record more steps."
        )
    if np.ptp(values) == 0:
        raise DataError(f"{owner}: {column} is {values[0]:g} at every step, which follows any law.")
    if log and values.min() <= 0:
        at = steps[values <= 0]
        raise DataError(
            f"{owner}: {column} is 0 or less at {len(at)} of {len(values)} steps (first at {at[0]}), which has no logarithm. "
            f"Use scale='linear'."
        )
