"""Texts with labels: the default corpus, or a column of the user's own file."""

from __future__ import annotations

import re
from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from workbench.core.errors import DataError, FormatError, MissingError, ParameterError, suggest
from workbench.core.lineage import step
from workbench.core.parameters import require_integer
from workbench.io.files import broken, listed, missing, size_of, status, unreadable
from workbench.io.sniffing import format_of
from workbench.io.tables import MAX_TABLE, read_table
from workbench.subjects.corpus import Corpus

if TYPE_CHECKING:
    import pandas as pd

DEFAULT = "default"
_READ = ("csv", "parquet", "jsonl", "txt")
_ORIGIN = (
    "Definitions of nouns, with the topic that the lexicographers filed them under, from WordNet 3.0, "
    "copyright 2006 by Princeton University, whose licence allows any use."
)


@step
def corpus(
    what: str | Path = DEFAULT,
    *,
    column: str = "text",
    labels: str | Sequence[str] | None = None,
    max_texts: int | None = None,
    random_state: int = 0,
    name: str | None = None,
) -> Corpus:
    """Open texts and their labels.

    Parameters
    ----------
    what : ``"default"``, or a file: a csv, parquet or JSON-lines table with a line a text, or plain text with an
        empty line between texts.
    column : of the table, the one that holds the texts. Lines where it is empty are left out.
    labels : the columns to keep as labels; None keeps all others, in their order.
    max_texts : at most so many texts, drawn so that the values of the first label are equally frequent, as far
        as there are enough of each; None takes all.
    random_state : seed of that draw.
    name : what to call it; the file's name without one.

    Returns
    -------
    Corpus
        Its row ids are the lines' numbers in the file, from 0.

    Raises
    ------
    ParameterError
        ``max_texts`` or ``random_state`` is out of range.
    MissingError
        There is no such file or column.
    DataError
        No line holds a text.
    FormatError
        The file is damaged, isn't UTF-8, or is of a kind that holds no texts.
    """
    import pandas as pd

    if max_texts is not None and (type(max_texts) is not int or max_texts < 1):
        raise ParameterError(
            f"corpus: max_texts={max_texts!r} is not legal. It takes an integer of at least 1, or None (default None)."
        )
    random_state = require_integer(random_state, "random_state", "corpus", low=0)
    wanted = [labels] if isinstance(labels, str) else labels
    default = what == DEFAULT
    path = (
        Path(str(resources.files("workbench.io") / "data" / "definitions.parquet")) if default else Path(what)
    )
    if not default and status(path) == "":
        raise MissingError(f"{missing(path)} A corpus is {DEFAULT!r} or a file of texts.")
    found = format_of(path)
    if found not in _READ:
        raise FormatError(
            f"{path} ({found}) holds no texts. A corpus is a csv, parquet or JSON-lines table, or plain text."
        )
    table = pd.DataFrame({"text": _paragraphs(path)}) if found == "txt" else read_table(path, found)
    column = "text" if found == "txt" or default else column
    made = _corpus(
        table,
        column,
        wanted,
        name or ("definitions" if default else path.stem),
        _ORIGIN if default else f"From {path.name}.",
    )
    if max_texts is None or max_texts >= len(made):
        return made
    drawn = made.select(_balanced(made, max_texts, random_state))
    drawn.name = made.name  # max_texts stands in the lineage; in a title it is no selection of the reader's
    return drawn


def _corpus(table: pd.DataFrame, column: str, labels: Sequence[str] | None, name: str, origin: str) -> Corpus:
    import pandas as pd

    for wanted in (column, *(labels or ())):
        if wanted not in table.columns:
            raise MissingError(f"{name} has no column {wanted!r}. {suggest(wanted, map(str, table.columns))}")
    given: Any = table[column]
    texts = given.dropna().map(str)
    texts = texts[texts.str.strip() != ""] if len(texts) else texts
    if len(texts) == 0:
        raise DataError(
            f"{name} is empty: none of its {len(table):,} lines has a text in the column {column!r}. Name another "
            f"column ({listed(list(map(str, table.columns)), 12)}), or give another file."
        )
    columns = {"text": texts}
    for label in table.columns if labels is None else labels:
        if label in (column, "text"):  # another column of that name would stand for the texts
            continue
        columns[str(label)] = _label(table.loc[texts.index, label])
    made = pd.DataFrame(columns)
    made.index = made.index.astype(np.int64)
    return Corpus(made, name=name, origin=origin)


def _label(values: pd.Series) -> pd.Series:
    """Numbers and truth values as they are, everything else as text."""
    import pandas as pd

    if pd.api.types.is_numeric_dtype(values):
        return values
    return values.map(lambda v: "" if v is None or v is pd.NA or v != v else str(v)).astype("str")


def _paragraphs(path: Path) -> list[str]:
    if size_of(path) > MAX_TABLE:
        raise broken(path, "text", f"it is larger than {MAX_TABLE >> 30} GiB", "Split it.")
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as e:
        raise broken(
            path,
            "text",
            f"byte {e.object[e.start]:#04x} at {e.start:,} is not UTF-8",
            f"Convert it, for example: iconv -f latin1 -t utf-8 {path.name} > new.txt.",
        ) from None
    except OSError as e:
        raise unreadable(path, e) from None
    return [" ".join(p.split()) for p in re.split(r"\n\s*\n", text)]


def _balanced(made: Corpus, n: int, random_state: int) -> np.ndarray:
    """Ids of ``n`` texts: every text gets a place in the queue of its label, and the first places are taken."""
    import pandas as pd

    order = np.random.default_rng([random_state, 0x74657874]).permutation(len(made))
    if made.labels:
        label = made.table[made.labels[0]].astype(str).to_numpy()[order]
        place = pd.Series(label).groupby(label).cumcount().to_numpy()
        order = order[np.argsort(place, kind="stable")]
    return made.ids[np.sort(order[:n])]
