"""Which rows and columns of a matrix are cut into legs: an aligned block of neighbours, so that a leg means the same in all."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from workbench.core.errors import DataError
from workbench.numerics.cuts import legs_of

LONGEST = 64  # beyond which a side has no small parts to speak of


@dataclass(frozen=True)
class Side:
    """Rows, or columns, that are taken. legs : factors of how many these are, the first slowest."""

    at: slice
    legs: tuple[int, ...]


def aligned(name: str, shape: Iterable[int], largest: int, random_state: int) -> list[Side]:
    """Choose of each side at most ``largest`` neighbours: whole values of its last legs.

    Raises
    ------
    DataError
        A side has a prime factor over `LONGEST`, or no factor.
    """
    rng = np.random.default_rng([random_state, 0x637574])
    sides, shape = [], tuple(shape)
    for side in shape:
        legs = legs_of(side)
        if not legs or max(legs) > LONGEST:
            raise DataError(
                f"{name} is {shape[0]:,} x {shape[1]:,}; a side of {side:,} has "
                + (
                    f"the prime factor {max(legs):,}, and at most {LONGEST} "
                    if legs
                    else "no factor, and 2 or more "
                )
                + "is taken for a leg. singular_values asks of a matrix as it is."
            )
        kept = list(legs)
        while int(np.prod(kept)) > largest:
            kept.pop(0)
        size = int(np.prod(kept))
        start = int(rng.integers(side // size)) * size if size < side else 0
        sides.append(Side(slice(start, start + size), tuple(kept)))
    return sides


def of_largest_one(name: str, x: np.ndarray) -> np.ndarray:
    """Entries in float64, over the largest size.

    Raises
    ------
    DataError
        There are fewer than four, or all are zero.
    """
    largest = float(np.abs(x).max(initial=0))
    if largest == 0 or x.size < 4:
        raise DataError(
            f"All entries of {name} that were taken are zero, or too few: there is nothing to cut."
        )
    return x.astype(np.float64) / largest
