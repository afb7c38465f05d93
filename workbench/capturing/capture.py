"""Run texts or arrays through a network and keep what its modules put out."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np

from workbench.capturing.company import caution
from workbench.capturing.feeds import Feed, text_feed
from workbench.capturing.made_of import remembered
from workbench.capturing.running import Changed, Work
from workbench.capturing.store import DTYPES, FORMAT, PARTIAL, caveat_of, key_of, open_store
from workbench.capturing.writing import tidy
from workbench.core.cache import cache_dir
from workbench.core.digest import digest
from workbench.core.errors import FormatError, MissingError, ParameterError, StorageError, ViewError
from workbench.core.lineage import step
from workbench.core.progress import tell
from workbench.core.rows import frozen
from workbench.core.run import versions
from workbench.core.storage import remove
from workbench.core.subject import Subject
from workbench.numerics.identity.walking import Undigestable
from workbench.subjects.activations import Activations
from workbench.subjects.checkpoint import Checkpoint
from workbench.subjects.corpus import Corpus
from workbench.subjects.file_network import FileNetwork
from workbench.subjects.network import Network
from workbench.subjects.points import PointCloud

if TYPE_CHECKING:
    import torch


@step
@remembered
def capture(
    network: Checkpoint | Network | torch.nn.Module,
    source: Any = None,
    *,
    at: str | Sequence[str] = "auto",
    attention: bool = False,
    rows: Literal["auto", "position", "sample"] = "auto",
    max_length: int = 64,
    markers: bool = False,
    batch_size: int = 32,
    dtype: Literal["float16", "float32", "float64"] = "float32",
    store: str | Path | None = None,
    labels: str | None = None,
    name: str | None = None,
) -> Activations:
    """Run a source through a network and keep what its modules put out, on disk and memory-mapped.

    The capture is stored under a digest of everything that it depends on: the network's tensors, state and code, and
    what that code reaches. Asking for the same one again runs only the first two samples, whose rows must be those
    that are stored, and one that was interrupted goes on where it stopped, checked alike. (An untrained network that was
    asked of a checkpoint isn't even made: nobody has its module.) A network that can't be
    digested, or gives other rows than those stored for it, is captured anew each time; progress says why.

    A few samples are run together and one by one first: where that makes a difference beyond rounding, the rows would
    depend on ``batch_size``. Then texts are run one by one, batches that the source itself makes are run as they are,
    each with a warning, and an array is refused: its first axis may not be the sample.

    Parameters
    ----------
    network : a checkpoint that has an architecture, a `Network`, or any torch module. It is run in
        evaluation mode, without gradients, and left in the mode that it was in.
    source : a corpus (for networks that read text), a list or Series of texts or a table with a column ``text``; an array, tensor,
        point cloud or other table, whose first dimension counts the samples; or batches from any iterable that gives the same ones twice.
    at : patterns of module names, one or several, in which ``*`` stands within one dotted part and ``**`` for any
        number; ``<module>#attention`` is a module's attention map. ``auto`` takes the network's blocks: what
        its outermost lists of modules hold, such as ``encoder.layer.*``.
    attention : also keep the attention maps of these modules and of those inside them. A row is the token
        that attends: (heads, keys), the keys padded with zeros to ``max_length``.
    rows : ``position`` gives a row a token (padding left out) or image position, ``sample`` one a text, image
        or row, averaged over its positions; ``auto`` is ``position`` for what reads tokens, else ``sample``.
    max_length : tokens of a text that are read; the rest is cut off, and how much that is is said by what the capture holds
        and by every answer about it.
    markers : also keep rows of what the tokenizer adds to every text (``[CLS]``, ``[SEP]``, ``<s>``). The network reads them
        in any case; without rows they are in no average over a text either.
    batch_size : samples that are run at once, where the source doesn't come in batches.
    dtype : of the stored numbers.
    store : folder to write to; None puts it in the cache.
    labels : name of the labels in the source's batches, each a dictionary with that name or a pair (inputs,
        labels). A corpus and a cloud bring their own.
    name : for titles.

    Returns
    -------
    Activations
        One array a site, with the columns ``text_id``, ``text``, ``token``, ``position`` (``sample`` instead of
        the first two where no text is read) and every label of the source.

    Raises
    ------
    MissingError
        A pattern matches no module; the kinds of names that exist are listed.
    DataError
        The sites don't have the same rows, or give no rows; the source is empty or shuffles.
    StorageError
        The disk is full, or the folder holds something else, or what can't be told to be of this network.
    ViewError
        The network can't be called, has parameters without numbers, doesn't read what the source has, or gives other
        rows for a sample of an array alone than in a batch.
    """
    _require_both(network, source)
    patterns = [at] if isinstance(at, str) else list(at)
    _check(patterns, rows, max_length, batch_size, dtype)
    source = _as_source(source)
    if labels is not None and isinstance(source, Corpus | PointCloud | np.ndarray):
        raise ParameterError(
            "labels= names the labels in batches; a corpus and a point cloud bring theirs in their table."
        )
    asked = {
        "format": FORMAT,
        "at": patterns,
        "attention": attention,
        "rows": rows,
        "max_length": max_length,
        "markers": markers,
        "batch_size": batch_size,
        "dtype": dtype,
        "labels": labels,
        "versions": [versions().get(n) for n in ("torch", "transformers")],
    }
    title = name or f"{_name_of(network)} on {_name_of(source)}"
    if isinstance(network, Checkpoint):
        network = network.shared_network()
    of_files = network if store is None and isinstance(network, FileNetwork) else None
    of_texts = digest(asked, source.digest) if isinstance(source, Corpus) else ""
    key = "" if of_files is None else of_files.captured(of_texts)
    if key and (kept := _kept(_cached(key), key, title)) is not None:
        return kept
    pending = _Pending.of(network, source, max_length, batch_size, markers)
    if pending is not None:
        key = digest(asked, pending.identity, pending.feed.content, str(pending.network.device))
        path = _cached(key) if store is None else Path(store)
        if (kept := _kept(path, key, title, cached=store is None)) is not None:
            _remember(of_files, of_texts, key, pending.identity)
            return kept
    feed = None if pending is None else pending.feed
    reading: dict[str, Any] = {"labels": labels, "max_length": max_length, "markers": markers, "feed": feed}
    work = Work.of(network, _name_of(network), source, batch_size=batch_size, **reading)
    how: dict[str, Any] = {"attention": attention, "rows": rows, "dtype": dtype}
    how["about"] = {"name": title, "asked": asked}
    try:
        identity = work.identity() if pending is None else pending.identity
        key = digest(asked, identity, work.feed.content, str(work.device))
    except Undigestable as e:
        return _anew(work, patterns, how, store, f"whether it is what this network gives can't be told ({e})")
    path = _cached(key) if store is None else Path(store)
    held = _stored(path, key, cached=store is None)
    try:
        opened = work.store(path, key, patterns, **how, held=held)
    except Changed as e:
        return _anew(work, patterns, how, store, f"the network is the same by its digest and {e}")
    _remember(of_files, of_texts, key, identity)
    if held is not None:
        return _from_cache(opened, path, title)
    opened.name = title
    return opened


class _Pending(NamedTuple):
    """A network whose module isn't made yet, so that what is stored of it holds without a look at it, and what it is fed."""

    network: Network
    identity: str
    feed: Feed

    @classmethod
    def of(
        cls, network: Any, source: Any, max_length: int, batch_size: int, markers: bool
    ) -> _Pending | None:
        """None where there is a module to look at."""
        if not (isinstance(network, Network) and isinstance(source, Corpus)):
            return None
        if network.encode is None or not network.pending:  # to know what reads texts a network may be made
            return None
        feed = text_feed(source, network.encode, max_length, batch_size, markers)
        return cls(network, network.identity, feed)


def _kept(path: Path, key: str, title: str, *, cached: bool = True) -> Activations | None:
    """What is stored of a network that isn't made, which holds without a look at it; None where nothing is."""
    held = _stored(path, key, cached=cached)
    if held is None:
        return None
    if caveat := caveat_of(path):
        caution(caveat)
    return _from_cache(held, path, title)


def _remember(network: FileNetwork | None, of_texts: str, key: str, identity: str) -> None:
    if network is not None and of_texts:
        network.remember(of_texts, key, identity)


def _from_cache(opened: Activations, path: Path, title: str) -> Activations:
    with suppress(OSError):  # a cache that is only read, or pruned just now
        tidy(path)
        os.utime(path)  # prune removes what was used longest ago
    tell(f"capture: {title} (from the cache)", 1, 1)
    opened.name = title
    return opened


def _anew(
    work: Work, patterns: list[str], how: dict[str, Any], store: str | Path | None, why: str
) -> Activations:
    """Capture under a key that nothing else has: what is stored already mustn't answer."""
    key = uuid.uuid4().hex
    path = _cached(key) if store is None else Path(store)
    for there in (path, path.with_name(path.name + PARTIAL)):
        if os.path.lexists(there):
            raise StorageError(
                f"{there} is there and is left alone: {why}. Give store= another folder, or remove it."
            )
    tell(f"capture: {how['about']['name']} is computed anew, and will be again: {why}")
    return work.store(path, key, patterns, **how)


def _check(patterns: list[str], rows: str, max_length: int, batch_size: int, dtype: str) -> None:
    if not patterns or not all(isinstance(p, str) for p in patterns):
        raise ParameterError(
            f"capture: at={patterns!r} is not legal. It takes a pattern of module names, a list of them, or 'auto'."
        )
    for name, value, choices in (("rows", rows, ("auto", "position", "sample")), ("dtype", dtype, DTYPES)):
        if value not in choices:
            raise ParameterError(
                f"capture: {name}={value!r} is not legal. It takes one of {', '.join(map(repr, choices))}."
            )
    for name, number, low in (("max_length", max_length, 4), ("batch_size", batch_size, 1)):
        if type(number) is not int or number < low:
            raise ParameterError(
                f"capture: {name}={number!r} is not legal. It takes an integer of at least {low}."
            )


def _require_both(network: Any, source: Any) -> None:
    """Refuse names where what they name is wanted, and a network with nothing to run it on, with the line to write instead."""
    names = (str, os.PathLike)
    if not isinstance(network, names) and source is not None and not isinstance(source, names):
        return
    reads = isinstance(network, (*names, Checkpoint)) or getattr(network, "encode", None) is not None
    first = f"workbench.open({os.fspath(network)!r})" if isinstance(network, names) else "network"
    second = "..." if source is not None else "workbench.corpus('default')" if reads else "inputs"
    second = f"workbench.corpus({os.fspath(source)!r})" if isinstance(source, names) else second
    raise ViewError(
        "capture takes a network that is open, and what it is run on: texts, or an array or tensor with one sample a row. "
        f"Write: workbench.capture({first}, {second})."
    )


def _as_source(source: Any) -> Any:
    if hasattr(source, "detach"):
        return frozen(source)
    if hasattr(source, "dropna") and not hasattr(source, "select_dtypes"):  # a pandas Series
        source = source.dropna().tolist()
    if isinstance(source, list | tuple) and source and all(isinstance(t, str) for t in source):
        return Corpus.from_texts(source)
    if hasattr(source, "select_dtypes"):  # a table: of texts, or of rows
        return Corpus(source, name="texts") if "text" in source.columns else PointCloud.from_table(source)
    known = isinstance(source, Corpus | PointCloud | np.ndarray)
    if known or (isinstance(source, Iterable) and not isinstance(source, str | bytes | Mapping | Subject)):
        return source
    what = (
        f"{source.name} is {source.holds}"
        if isinstance(source, Subject)
        else f"this is a {type(source).__name__}"
    )
    raise ViewError(
        f"capture runs a corpus (workbench.corpus), a list of texts, an array, a point cloud or batches through a "
        f"network; {what}."
    )


def _name_of(thing: Any) -> str:
    return thing.name if isinstance(thing, Subject | Network) else type(thing).__name__


def _cached(key: str) -> Path:
    return cache_dir() / "captures" / key


def _stored(path: Path, key: str, *, cached: bool) -> Activations | None:
    """Open a capture that is already there; refuse a folder of the user's that holds something else."""
    if not os.path.lexists(path):
        return None
    try:
        opened = open_store(path) if key_of(path) == key else None
    except (MissingError, FormatError) as e:
        if cached:  # a damaged entry of the cache is as good as none
            tell(f"capture: what was kept is damaged, and is captured again ({e})")
            remove(path)
            return None
        raise StorageError(f"{path} is there and is left alone: {e} Or give store= another folder.") from None
    if opened is None:
        raise StorageError(
            f"{path} holds another capture (other weights, texts, sites or settings) and is left alone. Give store= another "
            f"folder, or remove it."
        )
    if cached and os.environ.get("WORKBENCH_NO_CACHE", "") not in ("", "0"):
        remove(path)
        return None
    return opened
