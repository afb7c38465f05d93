"""Batches from any iterable: tensors, tuples, dictionaries or `Batch`, with labels beside if asked."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from workbench.capturing.feeds import Fed, Feed, inputs_digest, named_inputs, spread
from workbench.core.digest import digest
from workbench.core.errors import DataError
from workbench.core.progress import track
from workbench.subjects.network import Batch
from workbench.subjects.reading import free_columns

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class _Item:
    """One batch: what is fed, its labels, and the tokens of its kept positions."""

    fed: Fed
    labels: np.ndarray | None
    tokens: np.ndarray | None

    @property
    def digest(self) -> str:
        return inputs_digest(self.fed.inputs, *[x for x in (self.fed.keep, self.labels) if x is not None])


def batch_feed(source: Iterable[Any], labels: str | None, reads_tokens: bool) -> Feed:
    """Feed batches as they are given.

    They are gone through twice, first to learn what they are, so an iterator is read into memory. A loader
    that shuffles gives other batches the second time and is refused.

    Parameters
    ----------
    labels : name of the labels in a batch that is a dictionary, or of the column that the second part of a
        batch that is an (inputs, labels) pair becomes; None for batches of inputs alone.
    reads_tokens : whether (batch, positions) whole numbers are tokens.

    Raises
    ------
    DataError
        There are none, one is of a kind that isn't known, or the second time differs from the first.
    """
    import pandas as pd

    held: Iterable[Any] = list(source) if iter(source) is source else source
    digests: list[str] = []
    keeps: list[np.ndarray | None] = []
    tokens: list[np.ndarray | None] = []
    found: list[np.ndarray | None] = []
    first: Fed | None = None
    count = 0
    for item in _items(track(held, "capture: looking at the batches"), labels, reads_tokens):
        first = first or item.fed
        digests.append(item.digest)
        keeps.append(item.fed.keep)
        tokens.append(item.tokens)
        found.append(item.labels)
        count = int(item.fed.samples[-1]) + 1
    if first is None:
        raise DataError("The source gives no batch: there is nothing to feed.")
    masks = [k for k in keeps if k is not None]
    if 0 < len(masks) < len(keeps):
        raise DataError(
            "Some batches have positions (a mask or token ids) and others have none. Make them alike."
        )

    def batches() -> Iterator[Fed]:
        for i, item in enumerate(_items(held, labels, reads_tokens)):
            if i >= len(digests) or item.digest != digests[i]:
                raise DataError(
                    f"Batch {i} of the source is another one than when it was first looked at. Turn shuffling and random "
                    f"augmentation off, or pass a list of batches."
                )
            yield item.fed

    samples = pd.DataFrame(index=pd.RangeIndex(count))
    if labels is not None:
        samples[labels] = np.concatenate([f for f in found if f is not None])
    samples = free_columns(samples)
    samples.insert(0, "sample", np.arange(count))
    spelled = [t for t in tokens if t is not None]
    content = digest("batches", digests)
    some = spread(len(first.samples))
    return Feed(
        name="batches",
        content=content,
        samples=samples,
        lengths=np.concatenate([m.sum(axis=1) for m in masks]) if masks else None,
        positions={"token": np.concatenate(spelled)} if len(spelled) == len(digests) else {},
        batches=batches,
        n_batches=len(digests),
        probe=_cut(first, [0, 1][: len(first.samples)]),
        space=content,
        width=max((m.shape[1] for m in masks), default=0),
        compared=tuple(_cut(first, places) for places in [some, *[[i] for i in some]])
        if len(some) > 1
        else (),
        batched=True,
    )


def _items(source: Iterable[Any], labels: str | None, reads_tokens: bool) -> Iterator[_Item]:
    start = 0
    for given in source:
        inputs, found = (given, None) if labels is None else _apart(given, labels)
        keep = inputs.keep if isinstance(inputs, Batch) else None
        inputs = _tensors(inputs.inputs if isinstance(inputs, Batch) else inputs)
        named = dict(named_inputs(inputs))
        first = named.get("input_ids", next(iter(named.values())))
        if first.dim() == 0 or len(first) == 0:
            raise DataError("A batch of the source is empty: its first dimension counts the samples.")
        mask = named.get("attention_mask")
        if keep is None and mask is not None and mask.dim() == 2:
            keep = mask.cpu().numpy().astype(bool)
        tokens = None
        if reads_tokens and first.dim() == 2 and not first.is_floating_point():
            keep = np.ones(tuple(first.shape), bool) if keep is None else keep
            tokens = first.cpu().numpy()[keep]
        if keep is not None and not keep.any(axis=1).all():
            raise DataError(
                f"Sample {start + int(np.argmin(keep.any(axis=1)))} of the source keeps no position. Leave it out."
            )
        if found is not None and found.shape != (len(first),):
            raise DataError(
                f"A batch of {len(first)} has {labels} of shape {found.shape}; one value a sample is needed."
            )
        yield _Item(Fed(inputs, keep, np.arange(start, start + len(first))), found, tokens)
        start += len(first)


def _apart(given: Any, labels: str) -> tuple[Any, np.ndarray]:
    if isinstance(given, Mapping) and labels in given:
        return {k: v for k, v in given.items() if k != labels}, np.asarray(given[labels])
    if isinstance(given, tuple | list) and len(given) == 2:
        return given[0], np.asarray(given[1])
    has = (
        f"it has {', '.join(map(str, given))}"
        if isinstance(given, Mapping)
        else f"it is a {type(given).__name__}"
    )
    raise DataError(
        f"labels={labels!r} needs batches that are (inputs, labels) pairs, or dictionaries with that name; {has}."
    )


def _tensors(given: Any) -> dict[str, torch.Tensor] | tuple[torch.Tensor, ...]:
    import torch

    arrays = (torch.Tensor, np.ndarray)
    if isinstance(given, arrays):
        given = (given,)
    parts = list(given.values()) if isinstance(given, Mapping) else given
    if not isinstance(parts, tuple | list) or not parts or not all(isinstance(v, arrays) for v in parts):
        raise DataError(
            f"A batch is a tensor, or a tuple or dictionary of tensors; the source gave a {type(given).__name__}"
            f"{'' if not parts or not isinstance(parts, tuple | list) else f' with a {type(parts[-1]).__name__}'}. For "
            f"(inputs, labels) pairs give labels= a name."
        )
    if isinstance(given, Mapping):
        return {str(k): torch.as_tensor(v) for k, v in given.items()}
    return tuple(torch.as_tensor(v) for v in parts)


def _cut(fed: Fed, places: list[int]) -> Fed:
    """A batch of some of a batch's samples."""
    n = len(fed.samples)
    cut = [(k, v[places] if v.dim() and len(v) == n else v) for k, v in named_inputs(fed.inputs)]
    inputs = dict(cut) if isinstance(fed.inputs, Mapping) else tuple(v for _, v in cut)
    return Fed(inputs, None if fed.keep is None else fed.keep[places], fed.samples[places])
