"""What is kept of a view: its rows as a file, and by which name the notebook knows what it shows."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from workbench.results.embedding import Embedding

if TYPE_CHECKING:
    import pandas as pd


def parquet(table: pd.DataFrame, rows: np.ndarray, result: Embedding, names: Sequence[str]) -> bytes:
    """Return rows as a Parquet file: their columns, and where they are placed.

    Parameters
    ----------
    table : the row table of the subject, by row id.
    rows : (n,) integer row ids of it.
    result : where rows lie; those that it doesn't place have no coordinates.
    names : the columns that are kept.
    """
    import pandas as pd

    k = result.values.shape[1]
    axes = list(result.axes[:k]) or [f"axis {j + 1}" for j in range(k)]
    own = table[[c for c in table.columns if str(c) in names]]
    placed = pd.DataFrame(result.values, index=result.ids, columns=axes)
    whole = own.loc[rows].join(placed[[a for a in axes if a not in own.columns]])
    whole.index.name = "row"
    file = io.BytesIO()
    whole.to_parquet(file)
    return file.getvalue()


def variable(thing: Any) -> str:
    """The notebook's name for a thing, "" where it has none."""
    from IPython.core.getipython import get_ipython

    shell = get_ipython()
    names = shell.user_ns.items() if shell is not None else ()
    return next((name for name, value in names if value is thing and not name.startswith("_")), "")
