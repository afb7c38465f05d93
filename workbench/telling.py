"""A text as sentences in a vector space, from which a world grows."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import pandas as pd

from workbench.capturing import capture
from workbench.core.errors import DataError
from workbench.core.lineage import step
from workbench.io import open as open_subject
from workbench.io.files import broken, size_of
from workbench.subjects.corpus import Corpus
from workbench.subjects.points import PointCloud

FEWEST, MOST = 2, 4_000  # sentences of a story
LONGEST = 1 << 20  # characters of a text
ENDS = re.compile(r"(?<=[.!?…])[\"'”’»)]*\s+|\n\s*\n")


@step
def sentences(text: str | os.PathLike[str] | Corpus | pd.DataFrame, *, network: Any = "minilm") -> PointCloud:
    """Cut a text into sentences and say where a network puts each: what ``medusa`` grows a world from.

    Parameters
    ----------
    text : the text itself; a path of a text file; or a corpus or table with a column ``text``, one sentence a row, whose other
        columns (``place``, ``character``, ``event``) come along.
    network : that reads the sentences, or what `workbench.open` opens as one; its last block, averaged over a sentence.

    Returns
    -------
    PointCloud
        A row a sentence, in the text's order, with the column ``text``.

    Raises
    ------
    DataError
        Fewer than 2 sentences or more than 4,000, or a text of more than 1,048,576 characters.
    MissingError
        The network isn't there, or there is no such file.
    FormatError
        A file that isn't text in UTF-8, or is empty.
    """
    table, name = _table(text)
    if not FEWEST <= len(table) <= MOST:
        raise DataError(
            f"{name} has {len(table):,} sentence{'s' * (len(table) != 1)}; a world grows from {FEWEST} to {MOST:,}. Sentences end with "
            "a full stop, a question mark or an exclamation mark and a space."
        )
    opened: Any = open_subject(network) if isinstance(network, str | os.PathLike) else network
    read = capture(opened, Corpus(table, name=name), rows="sample", batch_size=1)
    last = read.at(read.sites[-1])
    return PointCloud(last.values, name=f"sentences of {name}", table=table)


def _table(text: Any) -> tuple[pd.DataFrame, str]:
    """One line a sentence, with ids from 0, and what the text is called."""
    if isinstance(text, Corpus):
        return text.table.reset_index(drop=True), text.name
    if isinstance(text, pd.DataFrame):
        return Corpus(text.reset_index(drop=True), name="text").table, "text"
    name = "text"
    if isinstance(text, os.PathLike):
        path = Path(text)
        _require_short(size_of(path), path.name)
        try:
            text, name = path.read_text(encoding="utf-8-sig"), path.stem
        except UnicodeDecodeError as e:
            raise broken(path, "text", str(e), "Save it as UTF-8.") from None
    _require_short(len(text), name)
    cut = [" ".join(sentence.split()) for sentence in ENDS.split(text)]
    kept = [sentence for sentence in cut if re.search(r"\w", sentence)]
    if not kept:
        raise DataError(f"{name} is empty: there is no sentence in it. A world grows from {FEWEST} or more.")
    return Corpus.from_texts(kept, name=name).table, name


def _require_short(size: int, name: str) -> None:
    if size > LONGEST:
        raise DataError(
            f"{name} has {size:,} characters; a story has at most {LONGEST:,}. Take a part of it."
        )
