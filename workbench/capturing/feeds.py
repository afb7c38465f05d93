"""What a network is fed: a corpus, an array or batches, each as the same stream of batches with row places."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from workbench.core.digest import digest
from workbench.core.errors import DataError, ViewError
from workbench.core.progress import track
from workbench.numerics.hooks import as_array
from workbench.subjects.corpus import Corpus
from workbench.subjects.network import Batch
from workbench.subjects.points import PointCloud
from workbench.subjects.reading import LOOKED_AT, free_columns, text_samples

if TYPE_CHECKING:
    import pandas as pd
    import torch
    from jaxtyping import Bool, Int

_COMPARED = 4  # samples that are run together and one by one
Encode = Callable[["pd.DataFrame", int], Batch]


@dataclass(frozen=True)
class Fed:
    """One call of the network.

    Attributes
    ----------
    inputs : keyword arguments, or a tuple of positional ones.
    keep : (batch, positions) which positions are rows; None where the input has no positions.
    samples : (batch,) places in the source of what is fed.
    """

    inputs: Mapping[str, torch.Tensor] | tuple[torch.Tensor, ...]
    keep: Bool[np.ndarray, "b t"] | None
    samples: Int[np.ndarray, " b"]


@dataclass(frozen=True)
class Feed:
    """A source that can be run through a network.

    Attributes
    ----------
    content : digest of everything that the network gets to see, and of the labels.
    samples : one line a sample (``text_id`` or ``sample``, and the labels), indexed by the sample's id.
    lengths : (samples,) kept positions of each sample; None where the input has no positions.
    positions : the columns that a position has (``token``), in the samples' order; ``position``, its number, where it isn't
        the place among those that are kept.
    batches : gives the same batches each time that it is called.
    probe : the first one or two samples that are fed, which begin the first batch where that has two.
    space : of the samples' ids.
    width : positions of the longest batch that can come; 0 where the input has no positions.
    compared : some samples as one batch, then each of them by itself; empty where a batch is never more than one.
    batched : whether the source itself says what is run together.
    alone : gives the same samples in batches of one; None where it isn't known that the first axis is the sample.
    note : what was left out of the source, in a sentence; "" where nothing was.
    """

    name: str
    content: str
    samples: pd.DataFrame
    lengths: Int[np.ndarray, " n"] | None
    positions: Mapping[str, np.ndarray]
    batches: Callable[[], Iterator[Fed]]
    n_batches: int
    probe: Fed
    space: str
    width: int
    compared: tuple[Fed, ...] = ()
    batched: bool = False
    alone: Callable[[], Feed] | None = None
    note: str = ""


def spread(n: int) -> list[int]:
    """A few places among n, the first and the last with them."""
    return sorted({i * (n - 1) // (_COMPARED - 1) for i in range(_COMPARED)}) if n else []


def named_inputs(
    inputs: Mapping[str, torch.Tensor] | tuple[torch.Tensor, ...],
) -> list[tuple[str, torch.Tensor]]:
    """Inputs by name; positional ones by number."""
    return (
        list(inputs.items()) if isinstance(inputs, Mapping) else [(str(i), v) for i, v in enumerate(inputs)]
    )


def inputs_digest(inputs: Mapping[str, torch.Tensor] | tuple[torch.Tensor, ...], *beside: Any) -> str:
    """Digest what a network is called with, and what goes beside it."""
    parts = [x for k, v in named_inputs(inputs) for x in (k, str(v.dtype), as_array(v))]
    return digest(*parts, *beside)


def text_feed(corpus: Corpus, encode: Encode, max_length: int, batch_size: int, markers: bool) -> Feed:
    """Feed texts, longest first, so that a batch has little padding and memory runs out at once or not at all.

    Parameters
    ----------
    markers : whether what the tokenizer added to every text has rows too.
    """
    table = corpus.table
    counted, read, places, seen = [], [], [], []
    cut: list[np.ndarray] = []
    for i in track(range(0, len(table), LOOKED_AT), "capture: reading the texts"):
        batch = encode(table.iloc[i : i + LOOKED_AT], max_length)
        kept, whole = _kept(batch, markers), _kept(batch, True)
        counted.append(kept.sum(axis=1))
        read.append(batch.rows["token"].to_numpy(dtype=object)[kept[whole]])
        places.append(np.nonzero(kept)[1].astype(np.int32))
        cut.append(np.zeros(len(kept), np.int64) if batch.cut is None else batch.cut)
        seen.append(inputs_digest(batch.inputs))
    lengths, token, position = map(np.concatenate, (counted, read, places))
    note = _cut_note(np.concatenate(cut), int(lengths.sum()), max_length)
    used = np.flatnonzero(lengths)
    if len(used) == 0:
        raise DataError(f"{corpus.name}: none of its {len(table):,} texts holds a token.")
    table, lengths = table.iloc[used], lengths[used]
    order = np.argsort(-lengths, kind="stable")
    groups = [order[i : i + batch_size] for i in range(0, len(order), batch_size)]

    def fed(group: np.ndarray) -> Fed:
        batch = encode(table.iloc[group], max_length)
        return Fed(batch.inputs, _kept(batch, markers), group)

    some = (
        order[spread(len(order))] if batch_size > 1 else order[:1]
    )  # the longest and the shortest with them
    samples = text_samples(table)
    return Feed(
        name=corpus.name,
        content=digest("texts", corpus.digest, token.tolist(), lengths, seen),
        samples=samples,
        lengths=lengths,
        positions={"position": position, "token": token},
        batches=lambda: map(fed, groups),
        n_batches=len(groups),
        probe=fed(order[:2]),
        space=corpus.space,
        width=max_length,
        alone=lambda: text_feed(corpus, encode, max_length, 1, markers),
        compared=tuple(map(fed, [some, *some[:, None]])) if len(some) > 1 else (),
        note=note,
    )


def _cut_note(cut: np.ndarray, read: int, max_length: int) -> str:
    """Say how many texts were cut and by how much; "" where all were read whole."""
    n, lost = int((cut > 0).sum()), int(cut.sum())
    if not n:
        return ""
    return (
        f"{n:,} of {len(cut):,} texts were cut at {max_length} tokens, which left out {lost:,} of {read + lost:,} tokens "
        f"({lost / (read + lost):.0%}); max_length= reads more."
    )


def array_feed(
    cloud: PointCloud | np.ndarray,
    batch_size: int,
    reads_tokens: bool,
    prepare: Callable[[np.ndarray], torch.Tensor] | None = None,
) -> Feed:
    """Feed an array along its first dimension; for a network that reads tokens, (n, t) whole numbers are tokens.

    ``prepare`` makes what the network takes of images, (n, height, width, 3) uint8.
    """
    import pandas as pd
    import torch

    values, name = (cloud.shaped, cloud.name) if isinstance(cloud, PointCloud) else (cloud, "array")
    if values.ndim == 0 or len(values) == 0:
        raise DataError(f"{name} is empty: there is nothing to feed.")
    tokens = reads_tokens and values.ndim == 2 and values.dtype.kind in "iu"
    photographs = values.dtype == np.uint8 and values.ndim == 4 and values.shape[-1] == 3
    dtype = np.int64 if tokens else values.dtype if values.dtype.kind in "fc" else np.float32

    def fed(places: np.ndarray) -> Fed:
        part = (
            values[places[0] : places[-1] + 1]
            if len(places) == places[-1] - places[0] + 1
            else values[places]
        )
        keep = np.ones(part.shape, bool) if tokens else None
        if prepare is not None and photographs:
            return Fed((prepare(part),), None, places)
        return Fed((torch.tensor(part.astype(dtype)),), keep, places)

    given = cloud.table if isinstance(cloud, PointCloud) else pd.DataFrame(index=pd.RangeIndex(len(values)))
    samples = free_columns(given)
    samples.insert(0, "sample", given.index.to_numpy(dtype=np.int64))
    content = cloud.digest if isinstance(cloud, PointCloud) else digest("array", values)
    everything = np.arange(len(values))
    starts = range(0, len(values), batch_size)
    some = everything[spread(len(values))] if batch_size > 1 else everything[:1]
    return Feed(
        name=name,
        content=content,
        samples=samples,
        lengths=np.full(len(values), values.shape[1]) if tokens else None,
        positions={"token": values.ravel()} if tokens else {},
        batches=lambda: (fed(everything[s : s + batch_size]) for s in starts),
        n_batches=len(starts),
        probe=fed(everything[:2]),
        space=cloud.space if isinstance(cloud, PointCloud) else content,
        width=values.shape[1] if tokens else 0,
        compared=tuple(map(fed, [some, *some[:, None]])) if len(some) > 1 else (),
    )


def _kept(batch: Batch, markers: bool) -> np.ndarray:
    """Which positions are rows. This is the one place that decides whether markers are."""
    if batch.keep is None:
        raise ViewError("The network's encode gives no positions; rows of texts are kept positions.")
    return batch.keep if markers or batch.markers is None else batch.keep & ~batch.markers
