"""What methods that look inside a network share: the texts that a control takes, and what exchanging them tests."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from workbench.core.errors import DataError
from workbench.evidence.nulls.named import Null
from workbench.numerics.exchanged_texts import FEWEST
from workbench.numerics.inside.stream import Inputs
from workbench.subjects.reading import TOGETHER, Reading, token_numbers

NULL = Null(
    "independent_given_groups",
    "what is read of a text says nothing of that text more than of another of its length",
    "whole texts exchanged",
)


def alike(reading: Reading, most: int, random_state: int, least: int = 3) -> tuple[np.ndarray, int]:
    """Texts that are read to one length, and the length.

    Raises
    ------
    DataError
        They have fewer than ``least`` tokens.
    """
    places, length = reading.alike(most, random_state)
    if length < least:
        raise DataError(
            f"{reading.name}: its texts have {length} tokens, and this takes {least} or more. Give longer texts."
        )
    return places, length


def batches(
    reading: Reading, places: np.ndarray, length: int, together: int = TOGETHER
) -> Iterator[tuple[np.ndarray, Inputs]]:
    """Texts of one length, a few at a time: which of ``places``, and what the network is called with."""
    at = 0
    for some, batch in reading.batches(places, length, together):
        yield np.arange(at, at + len(some)), batch.inputs
        at += len(some)


def numbers_of(reading: Reading, places: np.ndarray, length: int) -> np.ndarray:
    """(m, length) the tokens' numbers of texts of one length, as they are read then."""
    parts = [token_numbers(inputs).cpu().numpy() for _, inputs in batches(reading, places, length, 256)]
    return np.concatenate(parts)


def tested(draws: np.ndarray, n: int, n_null: int, length: int) -> dict[str, Any]:
    """The fields of `Evidence` that say what exchanging texts came to."""
    if n_null and n < FEWEST:
        return NULL.refused(
            f"{n} texts are that long, and what fewer than {FEWEST} have in common can't be told from chance"
        )
    if not n_null:
        return NULL.refused("no null was drawn")
    return NULL.said(draws.tolist(), details=f"texts of {length} tokens")
