"""Memories: facts that a network reads from rows of bytes, which can be listed, changed and removed.

Nothing of a fact is anywhere but in its row: what the network made of a row was made of that row alone.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, cast

import numpy as np

from workbench.core.digest import digest
from workbench.core.errors import DataError, MissingError, ViewError
from workbench.core.parameters import require_integer
from workbench.core.registry import method
from workbench.core.rows import row_table
from workbench.core.storage import writing
from workbench.core.subject import Rowed, Subject
from workbench.core.view import Rows
from workbench.subjects.byte_reading import LINE_END, MOST, SPELLED, exact_bytes, read_on
from workbench.subjects.checkpoint import Checkpoint

if TYPE_CHECKING:
    import pandas as pd
    import torch

    from workbench.numerics.ghost.fetching import Index
    from workbench.numerics.ghost.memory import Rows as WrittenRows
    from workbench.numerics.ghost.model import Ghost

LONGEST = 4096  # bytes of a fact
MOST_BYTES = 1 << 24  # of all facts together
FACTS, NETWORK = "facts.parquet", "network"


@dataclass(frozen=True, eq=False)
class Facts(Rows):
    """Facts in a memory, one a row, and the memory.

    Attributes
    ----------
    memory : the memory, with these facts and no other.
    """

    needs: ClassVar[str] = "a memory of facts (workbench.ghost_memory)"
    rowwise: ClassVar[tuple[str, ...]] = ()
    memory: Memory


class Memory(Rowed):
    """Facts that a network answers from. Every change is another memory; the network is the same.

    Parameters
    ----------
    checkpoint : of a Ghost with a written memory.
    table : one line a fact, with the column ``text``: a question, a line's end and the answer; or any other text, which is
        continued where it is begun.

    Raises
    ------
    ViewError
        The checkpoint's network has no memory to write to.
    DataError
        A fact is empty, no text, or longer than 4,096 bytes; all together are more than 16 MiB; or an id is negative.
    MissingError
        There is no column ``text``.
    """

    typed: ClassVar[str] = "ghost-memory"

    def __init__(
        self, checkpoint: Checkpoint, table: pd.DataFrame, *, name: str = "memory", space: str | None = None
    ):
        self._network = checkpoint.network()  # a checkpoint lets its network go where nobody holds it
        config = getattr(self._network.module, "config", None)
        if not getattr(config, "memory", 0):
            raise ViewError(
                f"{checkpoint.name} has no memory to write facts to. Train one that has: wb.ghost_memory()."
            )
        if "text" not in table.columns:
            raise MissingError(f"{name} has no column 'text'; columns: {', '.join(map(str, table.columns))}.")
        super().__init__(name, row_table(table, len(table), name), space)
        if self.ids.min(initial=0) < 0:
            raise DataError(f"{name} has the id {self.ids.min()}; ids of facts are whole numbers from 0 on.")
        self.checkpoint = checkpoint
        self._texts = [_fact(text, name) for text in self._table["text"]]
        if sum(map(len, self._texts)) > MOST_BYTES:
            raise DataError(f"{name}: the facts have more than {MOST_BYTES >> 20} MiB together. Give fewer.")

    @classmethod
    def example(cls, variant: int = 0) -> Subject:
        """Ten questions with their answers, and a small network that was taught to read them."""
        return method("ghost_memory")(width=32, blocks=5, keys=16, steps=12, random_state=variant)

    @cached_property
    def digest(self) -> str:
        return digest("memory", self.checkpoint.digest, self.ids, self.table_digest)

    @property
    def holds(self) -> str:
        clashes = len(self.contradictions)
        told = f", {clashes:,} of them questions that another fact answers otherwise" if clashes else ""
        return f"a memory of {len(self):,} facts{told}, read by {self.checkpoint.name}"

    @property
    def module(self) -> Ghost:
        """The network that reads it."""
        made: Any = self._network.module
        return cast("Ghost", made)

    @cached_property
    def rows(self) -> WrittenRows:
        """What the network made of each fact, which is all that it reads of them."""
        return self.module.written(self._texts)

    @property
    def questions(self) -> list[str]:
        """What asks for each fact: its first line with the line's end."""
        return [text.partition(b"\n")[0].decode("utf-8", "replace") + "\n" for text in self._texts]

    @property
    def answers(self) -> list[str]:
        """What each fact answers: the text of its second line; "" where it has none."""
        return [
            text.split(b"\n")[1].decode("utf-8", "replace") if b"\n" in text[:-1] else ""
            for text in self._texts
        ]

    @property
    def contradictions(self) -> list[int]:
        """Ids of facts whose question another fact answers otherwise. All of them are kept, and read."""
        by: dict[str, set[str]] = {}
        for question, answer in zip(self.questions, self.answers, strict=True):
            by.setdefault(question, set()).add(answer)
        return [
            i for i, question in zip(self.ids.tolist(), self.questions, strict=True) if len(by[question]) > 1
        ]

    def add(self, *facts: str) -> Memory:
        """Return a memory with facts more, whose ids follow the largest.

        Raises
        ------
        DataError
            See `Memory`.
        """
        import pandas as pd

        for text in facts:
            _fact(text, self.name)
        first = int(self.ids.max(initial=-1)) + 1
        more = pd.DataFrame({"text": list(facts)}, index=np.arange(first, first + len(facts)))
        return self._changed(pd.concat([self._table, more]), "add", f"{len(facts)} more", {"*": facts})

    def change(self, fact: int, text: str) -> Memory:
        """Return a memory in which a fact has another text.

        Raises
        ------
        MissingError
            There is no fact of that id.
        DataError
            See `Memory`.
        """
        at = self._at(fact)
        _fact(text, self.name)
        table = self._table.copy()
        table.iloc[at, table.columns.get_loc("text")] = text
        return self._changed(table, "change", f"{fact} changed", {"*": (fact, text)})

    def remove(self, *facts: int) -> Memory:
        """Return a memory without some facts: to the last bit, one that never had them.

        Raises
        ------
        MissingError
            There is no fact of that id.
        """
        kept = np.ones(len(self), bool)
        kept[[self._at(fact) for fact in facts]] = False
        return self._changed(
            self._table.iloc[kept], "remove", f"without {', '.join(map(str, facts))}", {"*": facts}
        )

    def answer(self, question: str, *, fetched: int = 0) -> str:
        """What is written after a question until a line ends, read from the facts and the weights; see `trace`."""
        traced = self.trace(question, fetched=fetched)
        return bytes(traced["byte"].astype(int).tolist()).decode("utf-8", "replace")

    def trace(self, question: str, most: int = MOST, *, fetched: int = 0) -> pd.DataFrame:
        """What is written after a question, one line a byte, and which fact each byte was read from.

        Parameters
        ----------
        most : bytes that are written at most.
        fetched : as many facts, the nearest to the question by their keys, are read and no others; 0 reads all. A
            question that is asked as it was written has its own fact among few; one in other words mostly hasn't.

        Returns
        -------
        DataFrame
            ``byte``; ``text``, the character where the byte is one of ASCII; ``gate``, how much of the memory came in, from 0
            to 1; ``fact``, the id of the fact that was read most, -1 of an empty memory, and ``weight``, its share; ``second``
            and ``second_weight``, of the next.

        Raises
        ------
        DataError
            The question is empty, no text, or has half a character.
        ParameterError
            ``most`` or ``fetched`` is no whole number of at least 0.
        """
        import pandas as pd

        asked = _asked(question)
        most = require_integer(most, "most", "trace", low=0)
        fetched = require_integer(fetched, "fetched", "trace", low=0)
        return pd.DataFrame(list(self._written(asked, most, fetched)), columns=list(_TRACED))

    def _written(self, question: bytes, most: int, fetched: int) -> Iterable[tuple[Any, ...]]:
        import torch

        from workbench.numerics.ghost.model import GhostState

        state, rows, new = GhostState(), self.rows, question
        ids = self.ids
        if fetched and len(self):
            rows, which = self._fetched(question, fetched)
            ids = ids[which]
        with torch.inference_mode():
            for _ in range(most):
                read = read_on(self.module, new, state, rows)
                byte = int(read.logits[0, -1].argmax())
                if byte == LINE_END:
                    return
                shares = np.zeros(max(2, len(ids)))
                gate = 0.0
                if read.memory is not None:
                    which = rows.row[read.memory.which[0, -1]].cpu().numpy()
                    np.add.at(shares, which, read.memory.weights[0, -1].cpu().numpy())
                    gate = float(read.memory.gate[0, -1])
                first, second = np.argsort(-shares, kind="stable")[:2].tolist()
                named = [int(ids[k]) if k < len(ids) and shares[k] > 0 else -1 for k in (first, second)]
                yield (
                    byte,
                    SPELLED[byte],
                    gate,
                    named[0],
                    float(shares[first]),
                    named[1],
                    float(shares[second]),
                )
                new = bytes([byte])

    def without(self, fact: int) -> WrittenRows:
        """What is read of the other facts: a view of `rows`, in which nothing is computed anew."""
        return self.rows.without(self._at(fact))

    def fetched(self, question: str, count: int, rows: WrittenRows | None = None) -> WrittenRows:
        """What is read of the ``count`` facts that are nearest to a question; see `Index`.

        Parameters
        ----------
        rows : that are searched; None for all.
        """
        return self._fetched(_asked(question), require_integer(count, "count", "fetched", low=1), rows)[0]

    def _fetched(
        self, question: bytes, count: int, rows: WrittenRows | None = None
    ) -> tuple[WrittenRows, np.ndarray]:
        """The rows, and their places among those that were searched."""
        import torch

        from workbench.numerics.ghost.fetching import Index

        index = self._index if rows is None else Index.of(rows)
        with torch.inference_mode():
            asked = torch.tensor([list(question)], device=self.rows.keys.device)
            found, which = index.fetched(self.module.keys(asked)[0], count)
            return found, which.cpu().numpy()

    @cached_property
    def _index(self) -> Index:
        from workbench.numerics.ghost.fetching import Index

        return Index.of(self.rows)

    def logits(self, text: str) -> torch.Tensor:
        """(t, 256) of the byte after each byte of a text."""
        import torch

        with torch.inference_mode():
            device = self.rows.keys.device
            return self.module(torch.tensor([list(_asked(text))], device=device), None, self.rows)[0]

    def save(self, path: str | Path) -> Path:
        """Write the facts and the network to a folder that `workbench.open` opens again.

        Raises
        ------
        StorageError
            It can't be written there.
        """
        path = Path(path)
        with writing(path) as temporary:
            temporary.mkdir()
            self._table.rename_axis("id").reset_index().to_parquet(temporary / FACTS)
            self.checkpoint.save(temporary / NETWORK)
        return path

    def as_facts(self) -> Facts:
        return Facts(
            self.name, self._seen, self.space, self.ids, self.table, self, grouped_by=self.grouped_by
        )

    def _at(self, fact: int) -> int:
        return int(self._positions(np.asarray([require_integer(fact, "fact", self.name, low=0)]))[0])

    def _changed(self, table: pd.DataFrame, verb: str, label: str, asked: dict[str, Any]) -> Memory:
        made = Memory(self.checkpoint, table, name=self.name, space=self.space)
        return self.derived(made, verb, label, asked)

    def _take(self, at: np.ndarray) -> Memory:
        return Memory(self.checkpoint, self._table.iloc[at], name=self.name, space=self.space)


_TRACED = ("byte", "text", "gate", "fact", "weight", "second", "second_weight")


def _asked(question: Any) -> bytes:
    return exact_bytes(question, "The question", r"what a fact begins with, such as 'What do bees make?\n'")


def _fact(text: Any, name: str) -> bytes:
    blank = isinstance(text, str) and not text.strip()
    raw = exact_bytes("" if blank else text, f"{name}: a fact", r"one such as 'What do bees make?\nHoney'")
    raw = raw if raw.endswith(b"\n") else raw + b"\n"
    if len(raw) > LONGEST:
        raise DataError(
            f"{name}: the fact {text[:40]!r}… has {len(raw):,} bytes, and a row holds {LONGEST:,}. Cut it into several facts, "
            f"each with its question."
        )
    return raw
