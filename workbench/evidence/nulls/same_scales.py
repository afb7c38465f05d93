"""Same scales: columns share nothing, whatever the scale of each row, each column and each group of rows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from workbench.core.evidence import Alternative
from workbench.core.view import Rows
from workbench.evidence.nulls.named import Null
from workbench.evidence.nulls.one_lump import Tested
from workbench.evidence.nulls.sampling import about, details, sampled, too_few
from workbench.numerics.controls import Drawn, draw_until_clear
from workbench.numerics.threads import one_thread

if TYPE_CHECKING:
    from jaxtyping import Float, Int

NULL = Null("same_scales", "columns share nothing but the scales of their rows", "signs turned at random")

OF_ENTRIES = Null(
    NULL.name,
    "entries share nothing but the scales of their rows and columns",
    "the signs of entries turned at random",
)


def turned_entries(w: np.ndarray) -> Callable[[np.random.Generator], np.ndarray]:
    """Return what draws a matrix with the sign of each entry turned at random; complex entries are turned by ±1 too.

    Every entry's size stays where it is, so that rows and columns of any scale, and heavy tails, are in the draws. Exact
    for independent entries that are symmetric about zero. A mean that isn't zero is a direction, and goes.

    References
    ----------
    Hong, Sheng and Dobriban 2020, Selecting the number of components in PCA via random signflips, arXiv:2012.02985. Rows and
    columns may be brought to one scale instead: Landa, Zhang and Kluger 2022, Biwhitening reveals the rank of a count
    matrix, SIAM J. Math. Data Sci. 4.
    """
    return lambda rng: w * random_signs(rng, w.shape)


def random_signs(rng: np.random.Generator, shape: tuple[int, ...]) -> Int[np.ndarray, "*shape"]:
    """±1 for each entry, as int8: what `turned_entries` turns by."""
    return rng.integers(0, 2, shape, dtype=np.int8) * 2 - 1


def turned_signs(
    x: Float[np.ndarray, "n d"], groups: Int[np.ndarray, " n"] | None
) -> Callable[[np.random.Generator], np.ndarray]:
    """Return what draws the rows, less their mean, with the sign of each column turned at random, in a whole group at once.

    All sizes stay where they are, so that heavy tails and rows, columns and groups of any scale are in the draws; and so
    does the order within a column. What columns share goes. Exact for columns that are symmetric about their mean, where
    that is known: groups lie nearer to the mean of all rows than to the true one, large groups most, so they are put as far
    out again as groups are whose rows share all they have (of few groups, the draws would share too little).

    References
    ----------
    Hong, Sheng and Dobriban 2020, Selecting the number of components in PCA via random signflips, arXiv:2012.02985.
    """
    centred = x - x.mean(axis=0, dtype=np.float64)
    many = len(x) if groups is None else int(groups.max()) + 1
    if groups is not None:
        sums = np.zeros((many, x.shape[1]))
        np.add.at(sums, groups, centred)
        sizes = np.bincount(groups)
        share = sizes / len(x)
        # variance of a group's distance from the mean of all rows, that from the true mean being 1
        left = 1 - 2 * share + np.square(share).sum()
        farther = 1 / np.sqrt(np.maximum(left, share.min() ** 2)) - 1
        centred = centred + (sums * (farther / sizes)[:, None])[groups]

    def draw(rng: np.random.Generator) -> np.ndarray:
        signs = rng.integers(0, 2, (many, x.shape[1]), dtype=np.int8) * 2 - 1
        return np.asarray(centred * (signs if groups is None else signs[groups]))

    return draw


def beside_turned_signs(
    view: Rows,
    x: Float[np.ndarray, "n d"],
    statistics: Callable[[np.ndarray], Float[np.ndarray, " s"]],
    alternatives: Sequence[Alternative],
    *,
    rows: int,
    n_null: int,
    random_state: int,
    what: str,
) -> Tested:
    """Compute statistics on a sample of the rows, and with signs turned.

    Parameters are those of `one_lump.beside_lumps`; statistics take the mean off, of the draws too.
    """
    some = sampled(view, x, rows=rows, random_state=random_state)
    own = np.asarray(x[some.at], dtype=np.float64)
    with one_thread():
        values = np.asarray(statistics(own), dtype=np.float64)
    shared: dict[str, Any] = about(view, own, some)
    if n_null and (why := too_few(view, some)):
        none = Drawn(np.empty(0))
        return Tested(
            some, values, [none] * len(values), [{**NULL.refused(why, a), **shared} for a in alternatives]
        )
    turn = turned_signs(own, some.groups)
    draws = draw_until_clear(
        lambda rng: statistics(turn(rng)),
        values,
        alternatives,
        n_null,
        random_state,
        f"{what}: null",
        apart=True,
    )
    drawn = [Drawn(d) for d in draws]
    said = [
        {**NULL.said(d, a, details=details(view, some)), **shared}
        for d, a in zip(drawn, alternatives, strict=True)
    ]
    return Tested(some, values, drawn, said)
