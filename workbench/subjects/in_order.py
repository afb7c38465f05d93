"""What is to be said of rows that come in an order, where no column says which of them belong together."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from workbench.core.view import Rows
from workbench.numerics.lag import resemble_the_next

if TYPE_CHECKING:
    from jaxtyping import Float

FEWEST, LOOKED_AT = 20, 500  # rows, from the first on
LEVEL = 0.005  # so often it is said of rows in no order


def said_of_order(view: Rows, x: Float[Any, "n d"], parameters: Mapping[str, Any]) -> tuple[str, ...]:
    """A sentence for a test that takes each row for itself, where rows resemble the next: texts that nobody named do.

    A table that was sorted by a label does so too, and is right as it is: so nothing is refused.

    Parameters
    ----------
    x : the view's rows. parameters : of the question; one that takes ``group`` looks by itself.
    """
    if (
        not parameters.get("n_null")
        or view.grouped_by is not None
        or "group" in parameters
        or view.n < FEWEST
    ):
        return ()
    if not resemble_the_next(x[:LOOKED_AT].reshape(min(view.n, LOOKED_AT), -1), 0, LEVEL):
        return ()
    return (
        "Rows resemble those next to them, and each is taken for itself: if they are of texts, or belong together otherwise, "
        "a test may claim what isn't there. Name the column that says so (.group_by(...)).",
    )
