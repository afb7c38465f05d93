"""Texts with their labels."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from workbench.core.digest import digest
from workbench.core.errors import DataError, MissingError
from workbench.core.rows import row_table
from workbench.core.subject import Rowed
from workbench.subjects.coordinates import as_texts

if TYPE_CHECKING:
    import pandas as pd


class Corpus(Rowed):
    """Texts with their labels: the table's column ``text``, and every other column a label.

    Parameters
    ----------
    table : one line a text. origin : where the texts come from and under which licence, in words.

    Attributes
    ----------
    drawn_from : of how many texts these were drawn; 0 where they are all.
    """

    typed: ClassVar[str] = "texts.csv"

    def __init__(
        self, table: pd.DataFrame, *, name: str = "corpus", origin: str = "", space: str | None = None
    ):
        if "text" not in table.columns:
            raise MissingError(f"{name} has no column 'text'; columns: {', '.join(map(str, table.columns))}.")
        if len(table) == 0:
            raise DataError(f"{name} is empty: there is no text to read.")
        super().__init__(name, row_table(table, len(table), name), space)
        self.origin = origin
        self.drawn_from = 0

    @classmethod
    def from_texts(cls, texts: Iterable[str], *, name: str = "texts") -> Corpus:
        """Make a corpus of texts without labels.

        Raises
        ------
        DataError
            There is none, or one is no valid Unicode.
        """
        import pandas as pd

        column = as_texts(pd.Series(list(texts), name="text", dtype=object), name)
        return cls(pd.DataFrame({"text": column.fillna("")}), name=name)

    @classmethod
    def example(cls, variant: int = 0) -> Corpus:
        """Four short texts of two topics."""
        import pandas as pd

        texts = ["a cat sat", "a dog ran far", "iron melts hot", "gold is heavy metal"]
        texts = [" ".join(sorted(t.split())) for t in texts] if variant else texts
        return cls(
            pd.DataFrame({"text": texts, "topic": ["animal", "animal", "metal", "metal"]}), name="four"
        )

    @cached_property
    def digest(self) -> str:
        return digest("corpus", self.ids, self.table_digest)

    @property
    def labels(self) -> list[str]:
        """Names of the label columns."""
        return [str(c) for c in self.table.columns if c != "text"]

    @property
    def holds(self) -> str:
        of = f" of {self.drawn_from:,}" if self.drawn_from else ""
        labels = f" with {', '.join(self.labels)}" if self.labels else ""
        return f"{len(self):,}{of} texts{labels}"

    def _take(self, at: np.ndarray) -> Corpus:
        return Corpus(self.table.iloc[at], name=self.name, origin=self.origin, space=self.space)
