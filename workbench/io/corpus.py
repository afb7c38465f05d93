"""Texts with labels: the default corpus, or a column of the user's own file."""

from __future__ import annotations

import re
from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np

from workbench.core.errors import DataError, FormatError, MissingError, ParameterError, suggest
from workbench.core.lineage import step
from workbench.core.parameters import require_integer
from workbench.io.files import broken, listed, missing, require_text, size_of, status, unreadable
from workbench.io.sniffing import format_of
from workbench.io.tables import MAX_TABLE, read_table
from workbench.subjects.coordinates import as_texts, require_few_texts
from workbench.subjects.coordinates import label as label_column
from workbench.subjects.corpus import Corpus

if TYPE_CHECKING:
    import pandas as pd

DEFAULT = "default"
Split = Literal["auto", "lines", "paragraphs"]
_READ = ("csv", "parquet", "jsonl", "txt")
_ORIGIN = (
    "Definitions of nouns, with the topic that the lexicographers filed them under, from WordNet 3.0, "
    "copyright 2006 by Princeton University, whose licence allows any use."
)


@step
def corpus(
    what: Any = DEFAULT,
    *,
    column: str = "text",
    split: Split = "auto",
    labels: str | Sequence[str] | None = None,
    max_texts: int | None = None,
    random_state: int = 0,
    name: str | None = None,
) -> Corpus:
    """Open texts and their labels.

    Parameters
    ----------
    what : ``"default"``, or a file: a csv, parquet or JSON-lines table with a line a text, or plain text. Or what is in
        memory: a table (pandas), or texts in a list or Series.
    split : of plain text, what a text is: a line (``lines``), or what stands between empty lines (``paragraphs``).
        ``auto`` takes paragraphs where empty lines part more than one, else lines; ``origin`` says which it was.
    column : of the table, the one that holds the texts. Lines where it is empty are left out; words such as NA and null
        are texts.
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
        No line holds a text, or one is no valid Unicode.
    FormatError
        The file is damaged, isn't UTF-8, or is of a kind that holds no texts.
    """
    import pandas as pd

    if max_texts is not None and (type(max_texts) is not int or max_texts < 1):
        raise ParameterError(
            f"corpus: max_texts={max_texts!r} is not legal. It takes an integer of at least 1, or None (default None)."
        )
    if split not in get_args(Split):
        legal = ", ".join(map(repr, get_args(Split)))
        raise ParameterError(
            f"corpus: split={split!r} is not legal. It takes one of {legal} (default 'auto')."
        )
    random_state = require_integer(random_state, "random_state", "corpus", low=0)
    wanted = [labels] if isinstance(labels, str) else labels
    if not isinstance(what, str | Path):
        table = _in_memory(what, column)
        return _drawn(_corpus(table, column, wanted, name or "texts", ""), max_texts, random_state)
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
    column = "text" if found == "txt" or default else column
    origin = _ORIGIN if default else f"From {path.name}."
    if found == "txt":
        texts, origin = _parted(path, split)
        table = pd.DataFrame({"text": texts})
    elif split != "auto":
        raise ParameterError(
            f"corpus: split={split!r} is of plain text; {path.name} is a table. Leave it out."
        )
    else:
        table = read_table(path, found, texts=[column])
    made = _corpus(table, column, wanted, name or ("definitions" if default else path.stem), origin)
    return _drawn(made, max_texts, random_state)


def _in_memory(what: Any, column: str) -> pd.DataFrame:
    """Texts that are in memory, as a table."""
    import pandas as pd

    if hasattr(what, "select_dtypes"):
        return pd.DataFrame(what)
    if isinstance(what, Sequence) or hasattr(what, "tolist"):
        texts = list(what.dropna() if hasattr(what, "dropna") else what)
        if all(isinstance(t, str) for t in texts):
            return pd.DataFrame({column: pd.Series(texts, dtype=object)})
    raise ParameterError(
        f"corpus takes {DEFAULT!r}, a file, a table, or texts in a list; this is a {type(what).__name__} of other things."
    )


def _drawn(made: Corpus, max_texts: int | None, random_state: int) -> Corpus:
    """At most so many of its texts."""
    if max_texts is None or max_texts >= len(made):
        return made
    drawn = made.select(_balanced(made, max_texts, random_state))
    drawn.name = made.name  # max_texts stands in the lineage; in a title it is no selection of the reader's
    drawn.drawn_from = len(made)
    return drawn


def _corpus(table: pd.DataFrame, column: str, labels: Sequence[str] | None, name: str, origin: str) -> Corpus:
    import pandas as pd

    for wanted in (column, *(labels or ())):
        if wanted not in table.columns:
            raise MissingError(f"{name} has no column {wanted!r}. {suggest(wanted, table.columns)}")
    given: Any = table[column]
    texts = as_texts(given, name).dropna()
    texts = texts[texts.str.strip() != ""] if len(texts) else texts
    if len(texts) == 0:
        raise DataError(
            f"{name} is empty: none of its {len(table):,} lines has a text in the column {column!r}. Name another "
            f"column ({listed(list(table.columns), 12)}), or give another file."
        )
    if labels is None:
        require_few_texts(table, name)
    columns = {"text": texts}
    for label in table.columns if labels is None else labels:
        if label in (column, "text"):  # another column of that name would stand for the texts
            continue
        columns[label] = _label(table.loc[texts.index, label], name)
    made = pd.DataFrame(columns)
    made.index = made.index.astype(np.int64)
    return Corpus(made, name=name, origin=origin)


def _label(values: pd.Series, owner: str) -> pd.Series:
    """Numbers and truth values as they are, everything else as text, "" where there is none."""
    import pandas as pd

    column = label_column(values, owner)
    if pd.api.types.is_numeric_dtype(column):
        return column
    return column.astype("str").fillna("")


def _parted(path: Path, split: Split) -> tuple[list[str], str]:
    """The texts of a file, and what was taken for one, in words."""
    text = _read(path)
    paragraphs = [" ".join(p.split()) for p in re.split(r"\n\s*\n", text)]
    lines = [
        " ".join(line.split()) for line in text.splitlines()
    ]  # with the empty ones, whose numbers are row ids too
    many, parts = sum(map(bool, lines)), sum(map(bool, paragraphs))
    if split == "lines" or (split == "auto" and parts < 2):
        return lines, f"From {path.name}, a line a text."
    other = f" (split='lines' would take each of its {many:,} lines for one)" if many > parts else ""
    return paragraphs, f"From {path.name}, a paragraph a text{other}."


def _read(path: Path) -> str:
    if size_of(path) > MAX_TABLE:
        raise broken(path, "text", f"it is larger than {MAX_TABLE >> 30} GiB", "Split it.")
    require_text(path, "text")
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as e:
        raise broken(
            path,
            "text",
            f"byte {e.object[e.start]:#04x} at {e.start:,} is not UTF-8",
            f"Convert it, for example: iconv -f latin1 -t utf-8 {path.name} > new.txt.",
        ) from None
    except OSError as e:
        raise unreadable(path, e) from None


def _balanced(made: Corpus, n: int, random_state: int) -> np.ndarray:
    """Ids of ``n`` texts: every text gets a place in the queue of its label, and the first places are taken."""
    import pandas as pd

    order = np.random.default_rng([random_state, 0x74657874]).permutation(len(made))
    if made.labels:
        label = made.table[made.labels[0]].astype(str).to_numpy()[order]
        place = pd.Series(label).groupby(label).cumcount().to_numpy()
        order = order[np.argsort(place, kind="stable")]
    return made.ids[np.sort(order[:n])]
