"""Arms: what several things that one result asks the same of came to, corrected for how many they are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from workbench.core.errors import MissingError, suggest
from workbench.core.evidence import Evidence
from workbench.core.result import Result
from workbench.numerics.paired import holm

if TYPE_CHECKING:
    import pandas as pd

LEVEL = 0.05


def answers(result: Result, id: str) -> dict[str, Evidence]:
    """Return a result's answers to one question, by what they are of, in the result's order.

    Raises
    ------
    MissingError
        It answers no such question.
    """
    found = {e.of: e for e in result.evidence if e.id == id}
    if not found:
        known = [e.id for e in result.evidence]
        raise MissingError(f"{result.title or result.kind} has no evidence {id!r}. {suggest(id, known)}")
    return found


def corrected(evidence: Sequence[Evidence]) -> np.ndarray:
    """P-values corrected for the number of answers (Holm); NaN for those without a null, which are none of them."""
    p = np.array([np.nan if e.p_value is None else e.p_value for e in evidence])
    tested = ~np.isnan(p)
    p[tested] = holm(p[tested])
    return p


def helping(result: Result, *ids: str, level: float = LEVEL) -> list[str]:
    """Return what has every one of these numbers above 0, the last of them beyond chance.

    Parameters
    ----------
    ids : questions that are asked of several things; all must have answers to the last.
    level : at which the last holds, corrected for the number of things (Holm).
    """
    last = answers(result, ids[-1])
    chance = dict(zip(last, corrected(list(last.values())), strict=True))
    above = [{k for k, e in answers(result, id).items() if e.value > 0} for id in ids]
    return [k for k in last if chance[k] <= level and all(k in found for found in above)]


def comparisons(evidence: Sequence[Evidence], quantity: str = "value") -> pd.DataFrame:
    """Return a table of answers with their intervals and p-values, also corrected for their number (Holm).

    Parameters
    ----------
    quantity : what the numbers are, which heads their column.
    """
    import pandas as pd

    low, high = zip(*(e.interval or (np.nan, np.nan) for e in evidence), strict=True)
    return pd.DataFrame(
        {
            quantity: [e.value for e in evidence],
            "low": low,
            "high": high,
            "p": [e.p_value for e in evidence],
            "p, corrected (Holm)": corrected(evidence),
        },
        index=pd.Index([e.label for e in evidence], name="compared"),
    )
