"""Readings: a network and the texts that it reads. Its rows are their tokens, those that a capture of the same has."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from workbench.core.digest import digest
from workbench.core.errors import DataError, MissingError, ParameterError, ViewError
from workbench.core.rows import frozen
from workbench.core.subject import Subject
from workbench.core.view import Rows
from workbench.subjects.corpus import Corpus
from workbench.subjects.network import Batch, Network

if TYPE_CHECKING:
    import pandas as pd
    import torch
    from jaxtyping import Int

EXCERPT = 200  # characters of a text that its rows carry
LOOKED_AT = 256  # lines that are encoded at once to count their tokens
TOGETHER = 16  # texts that are run at once
_OURS = ("text_id", "sample", "text", "token", "position")


@dataclass(frozen=True, eq=False)
class Shown:
    """One text as a figure shows it.

    Attributes
    ----------
    inputs : what the network is called with. tokens : as they are spelled.
    ids : their row ids; empty for a text that isn't among the reading's.
    """

    inputs: Mapping[str, Any] | tuple[Any, ...]
    tokens: tuple[str, ...]
    ids: Int[np.ndarray, " t"]


@dataclass(frozen=True, eq=False)
class Tokens(Rows):
    """The tokens of texts, and the network that reads them: for methods that look inside while it does.

    Attributes
    ----------
    reading : the network and the texts.
    """

    needs: ClassVar[str] = "a network and the texts that it reads (workbench.reading)"
    rowwise: ClassVar[tuple[str, ...]] = ()
    reading: Reading


class Reading(Subject):
    """A network and the texts that it reads, for methods that look inside while it does.

    Rows are tokens, with the ids and the space that a capture of the same texts has. A capture leaves out what the tokenizer
    adds to every text, so that here its rows have ids behind all others; with ``markers`` they have those of a capture with
    ``markers=True``.

    Attributes
    ----------
    network, corpus : what reads what; texts without a token are left out of ``corpus``.
    max_length : tokens of a text that are read. markers : see above.
    lengths : (texts,) tokens of each. starts : (texts + 1,) the first row of each.
    numbers : (rows,) the number of each token in the network's vocabulary.
    """

    needs: ClassVar[str] = "a network and the texts that it reads (workbench.reading)"
    typed: ClassVar[str] = "glassllm-en"

    def __init__(
        self,
        network: Network,
        corpus: Corpus,
        *,
        max_length: int = 64,
        markers: bool = False,
        name: str = "",
    ):
        if network.encode is None:
            raise ViewError(
                f"{network.name} doesn't read text. For a module that does, give a workbench.subjects.network.Network with "
                "encode=, which turns lines into its arguments."
            )
        self.network, self.max_length, self.markers = network, max_length, markers
        self.name = name or f"{network.name} on {corpus.name}"
        lengths, places, tokens, numbers, added = [], [], [], [], []
        for i in range(0, len(corpus), LOOKED_AT):
            batch = network.encode(corpus.table.iloc[i : i + LOOKED_AT], max_length)
            keep = _kept(batch, network)
            lengths.append(keep.sum(axis=1))
            places.append(np.nonzero(keep)[1].astype(np.int32))
            tokens.append(batch.rows["token"].to_numpy(dtype=object))
            numbers.append(token_numbers(batch.inputs).cpu().numpy()[keep])
            added.append(
                np.zeros(keep.sum(), bool) if markers or batch.markers is None else batch.markers[keep]
            )
        counted = np.concatenate(lengths)
        if not counted.any():
            raise DataError(f"{corpus.name}: none of its {len(corpus):,} texts holds a token.")
        used = np.flatnonzero(counted)
        self.corpus = (
            corpus if len(used) == len(corpus) else corpus.select(corpus.ids[used], reason="not empty")
        )
        self.lengths = frozen(counted[used])
        self.starts = frozen(np.concatenate([[0], np.cumsum(self.lengths)]))
        self.numbers = frozen(np.concatenate(numbers))
        samples, columns = text_samples(self.corpus.table), (np.concatenate(places), np.concatenate(tokens))
        self.table, self.space = _rows(samples, corpus.space, self.lengths, columns)
        self._moved = np.concatenate(added)
        if self._moved.any():
            self._as_captured(samples, columns)

    def _as_captured(self, samples: pd.DataFrame, columns: tuple[np.ndarray, ...]) -> None:
        """Give the rows the ids of a capture without markers, and those of markers ids behind them."""
        import pandas as pd

        own = ~self._moved
        line = np.repeat(np.arange(len(self.lengths)), self.lengths)
        counted = np.bincount(line[own], minlength=len(self.lengths))
        some = counted > 0
        _, self.space = _rows(samples[some], self.corpus.space, counted[some], tuple(c[own] for c in columns))
        ids = np.where(own, np.cumsum(own) - 1, own.sum() + np.cumsum(self._moved) - 1)
        self.table.index = pd.Index(ids.astype(np.int64))

    @classmethod
    def example(cls, variant: int = 0) -> Reading:
        """A transformer of two blocks with two heads, as it was drawn, and 24 texts of six to eight words and a marker."""
        import pandas as pd
        import torch

        from workbench.numerics.small_reader import Reader

        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(variant)
            module = Reader(20, 12, 6, 2, heads=2).causal().eval()
        rng = np.random.default_rng(0)
        lines = [" ".join(f"w{w}" for w in (*rng.integers(1, 20, 6 + i % 3), 0)) for i in range(24)]
        texts = Corpus(pd.DataFrame({"text": lines, "kind": ["a", "b"] * 12}), name="made-up texts")
        network = Network("small reader", "", module, encode=_encode_ended)
        network = Network("small reader", network.identity, module, encode=_encode_ended)
        return cls(network, texts, max_length=12)

    @cached_property
    def digest(self) -> str:
        return digest("reading", self.network.digest, self._read)

    @property
    def identity(self) -> str:
        """Digest of what is read, and of everything that decides what the network answers now."""
        return digest("reading", self.network.identity, self._read)

    @cached_property
    def _read(self) -> str:
        own_ids = [self._moved] if self._moved.any() else []
        return digest("read", self.corpus.digest, self.max_length, self.numbers, self.lengths, *own_ids)

    @property
    def holds(self) -> str:
        return f"{self.network.name} and {len(self):,} texts of {len(self.numbers):,} tokens that it reads"

    @property
    def module(self) -> torch.nn.Module:
        """The network's module."""
        return self.network.module

    @property
    def ids(self) -> Int[np.ndarray, " n"]:
        """Row ids, (n,) int64: of the tokens of all texts, in order."""
        return self.table.index.to_numpy(dtype=np.int64)

    def __len__(self) -> int:
        """How many texts there are."""
        return len(self.lengths)

    def as_tokens(self) -> Tokens:
        return Tokens(self.name, self.identity, self.space, self.ids, self.table, self, grouped_by="text_id")

    def shown(self, text: str | None, text_id: int | None, method: str) -> Shown:
        """The text that a figure is of: one that is typed, that of a ``text_id``, or the first.

        Raises
        ------
        ParameterError
            Both are given.
        MissingError
            No text has this ``text_id``.
        DataError
            The text that was typed holds no token.
        """
        if text is None:
            place = 0 if text_id is None else self._place(text_id, method)
            ((_, batch),) = self.batches(np.array([place]))
            return Shown(batch.inputs, self.tokens(place), self.ids[self.rows(place)])
        if text_id is not None:
            raise ParameterError(f"{method}: text and text_id={text_id} say two texts. Leave one out.")
        typed = Corpus.from_texts([text])
        ((_, batch),) = self._batches(typed, np.array([0]), self.max_length, 1)
        if not (batch.keep is not None and batch.keep.any()):
            raise DataError(f"{method}: text={text!r} holds no token.")
        return Shown(batch.inputs, tuple(map(str, batch.rows["token"])), np.empty(0, np.int64))

    def _place(self, text_id: int, method: str) -> int:
        at = np.flatnonzero(self.corpus.ids == text_id)
        if not len(at):
            known = ", ".join(map(str, self.corpus.ids[:8])) + (" ..." if len(self) > 8 else "")
            raise MissingError(f"{method}: {self.name} has no text_id={text_id}. Its texts have: {known}.")
        return int(at[0])

    def rows(self, place: int) -> slice:
        """The rows of one text."""
        return slice(int(self.starts[place]), int(self.starts[place + 1]))

    def tokens(self, place: int) -> tuple[str, ...]:
        """A text's tokens as they are spelled."""
        return tuple(map(str, self.table["token"].iloc[self.rows(place)]))

    def spelled(self, numbers: Int[np.ndarray, " m"]) -> tuple[str, ...]:
        """Tokens by their numbers: as the network's ``encode`` spells them (``spell``), or as they stand in the texts."""
        spell = getattr(self.network.encode, "spell", None)
        if spell is not None:
            return tuple(map(str, spell(numbers)))
        known = dict(zip(self.numbers.tolist(), map(str, self.table["token"]), strict=True))
        return tuple(known.get(n, f"token {n}") for n in numbers.tolist())

    def alike(self, most: int, random_state: int) -> tuple[Int[np.ndarray, " m"], int]:
        """Texts that are read to one length, so that any of them can stand in another's place: the most tokens in all.

        Parameters
        ----------
        most : texts, of which so many are drawn.

        Returns
        -------
        (m,) places of texts that are at least so long, in order; and the length.
        """
        lengths = np.unique(self.lengths)
        length = int(lengths[np.argmax([(self.lengths >= t).sum() * t for t in lengths])])
        long = np.flatnonzero(self.lengths >= length)
        if len(long) > most:
            long = np.sort(
                np.random.default_rng([random_state, 0x74657874]).choice(long, most, replace=False)
            )
        return long, length

    def batches(
        self, places: Int[np.ndarray, " m"], length: int | None = None, together: int = TOGETHER
    ) -> Iterator[tuple[np.ndarray, Batch]]:
        """Some texts as what the network is called with, a few at a time, on its device; and which they are.

        Parameters
        ----------
        length : tokens that are read of each; None as many as of the reading's own.
        """
        yield from self._batches(self.corpus, places, length or self.max_length, together)

    def _batches(
        self, corpus: Corpus, places: np.ndarray, length: int, together: int
    ) -> Iterator[tuple[np.ndarray, Batch]]:
        encode = self.network.encode
        assert encode is not None
        device = next((p.device for p in self.module.parameters()), None)
        lines = corpus.table
        for i in range(0, len(places), together):
            some = places[i : i + together]
            batch = encode(lines.iloc[some], length)
            inputs: Any = batch.inputs
            if isinstance(inputs, Mapping):
                inputs = {k: v.to(device) for k, v in inputs.items()}
            else:
                inputs = tuple(v.to(device) for v in inputs)
            yield some, Batch(inputs, _kept(batch, self.network), batch.rows)

    def untrained(self, *, random_state: int = 0) -> Reading:
        """Return the same texts, read by the network without what training put into it; see `Network.untrained`."""
        network = self.network.untrained(random_state=random_state)
        made = Reading(network, self.corpus, max_length=self.max_length, markers=self.markers)
        return self.derived(
            made, "untrained", f"untrained, seed {random_state}", {"random_state": random_state}
        )


def token_numbers(inputs: Mapping[str, torch.Tensor] | tuple[torch.Tensor, ...]) -> torch.Tensor:
    """The (batch, positions) whole numbers that stand for tokens among what a network is called with."""
    if isinstance(inputs, Mapping):
        return inputs["input_ids"] if "input_ids" in inputs else next(iter(inputs.values()))
    return inputs[0]


def _kept(batch: Batch, network: Network) -> np.ndarray:
    """Which positions are tokens: a text's first ones, so that its tokens' places are their positions."""
    keep = batch.keep
    if keep is None:
        raise ViewError(f"{network.name}'s encode gives no positions; rows of texts are kept positions.")
    if not np.array_equal(keep, np.arange(keep.shape[1]) < keep.sum(axis=1, keepdims=True)):
        raise ViewError(
            f"{network.name}'s encode pads texts before or among their tokens; what looks inside takes padding behind them."
        )
    return keep


def encode_words(lines: pd.DataFrame, max_length: int) -> Batch:
    """Encode texts of words ``w0 w3 ...``, which stand for their numbers, for networks that are made up."""
    import pandas as pd
    import torch

    words = [line.split()[:max_length] for line in lines["text"]]
    for word in (w for line in words for w in line):
        if not (word[:1] == "w" and word[1:].isdigit()):
            raise DataError(
                f"The text holds {word!r}; this network was made up and reads words such as w0 and w12."
            )
    lengths = np.array([len(line) for line in words])
    keep = np.arange(lengths.max(initial=1)) < lengths[:, None]
    ids = np.zeros(keep.shape, np.int64)
    ids[keep] = [int(w[1:]) for line in words for w in line]
    rows = pd.DataFrame(
        {
            "text_id": np.repeat(lines.index.to_numpy(), lengths),
            "token": [w for line in words for w in line],
            "position": np.nonzero(keep)[1].astype(np.int32),
        }
    )
    return Batch({"ids": torch.tensor(ids)}, keep, rows)


def _encode_ended(lines: pd.DataFrame, max_length: int) -> Batch:
    """`encode_words`, where w0 stands for the end of a text."""
    batch = encode_words(lines, max_length)
    batch.rows["token"] = batch.rows["token"].replace("w0", "[END]")
    return batch


def text_samples(table: pd.DataFrame) -> pd.DataFrame:
    """One line a text of a corpus, as rows made of it begin: its id, its beginning and its labels."""
    samples = free_columns(table.drop(columns="text"))
    samples.insert(0, "text", [_excerpt(t) for t in table["text"]])
    samples.insert(0, "text_id", table.index.to_numpy(dtype=np.int64))
    return samples


def _rows(
    samples: pd.DataFrame, space: str, lengths: np.ndarray, columns: tuple[np.ndarray, ...]
) -> tuple[pd.DataFrame, str]:
    return position_table(samples, space, lengths, dict(zip(("position", "token"), columns, strict=True)))


def position_table(
    samples: pd.DataFrame, space: str, lengths: Int[np.ndarray, " n"], positions: Mapping[str, np.ndarray]
) -> tuple[pd.DataFrame, str]:
    """The row table of samples whose rows are positions, and the space of its ids.

    Parameters
    ----------
    samples : one line a sample. space : of the samples' ids. lengths : positions of each.
    positions : columns with an entry a position, in order; ``position``, its number, where it isn't the place among these.
    """
    line = np.repeat(np.arange(len(lengths)), lengths)
    starts = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    position = np.arange(starts[-1]) - starts[line]
    table = samples.copy()
    if "text" in table:
        table["text"] = table["text"].astype("category")  # a text stands in as many rows as it has tokens
    table = table.iloc[line].reset_index(drop=True)
    first = 2 if "text" in table else 1
    columns = {"position": position.astype(np.int32), **positions}
    for column, values in columns.items():
        table.insert(first, column, values)
    return table, digest("positions of", space, lengths, [v.tolist() for v in positions.values()])


def free_columns(table: pd.DataFrame) -> pd.DataFrame:
    """A copy whose columns don't hide those that a capture adds, and can be stored.

    Raises
    ------
    DataError
        Two columns have the same name.
    """
    made = table.rename(columns={c: f"label_{c}" if c in _OURS else str(c) for c in table.columns}).copy()
    if not made.columns.is_unique:
        raise DataError(
            f"Two labels are called {made.columns[made.columns.duplicated()][0]!r}. Rename one of them."
        )
    for column in made.columns:
        if (
            made[column].dtype == object
        ):  # may hold anything, which is found out now rather than when all is done
            made[column] = made[column].map(str)
    return made


def _excerpt(text: str) -> str:
    return text if len(text) <= EXCERPT else text[: EXCERPT - 1] + "…"
