"""`open`: from a path or a name to the right subject."""

from __future__ import annotations

import copy
import os
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast, get_args

import numpy as np

from workbench.core.errors import FormatError, MissingError, ParameterError, nearest
from workbench.core.lineage import step
from workbench.core.subject import Subject, subjects
from workbench.io.arrays import as_rows, has_texts, named_weights, read_npy, read_npz
from workbench.io.files import Weights, checkpoint, missing, reading, real_numbers, shown, status
from workbench.io.gguf_files import read_gguf
from workbench.io.hub import HUB_ID, fetch
from workbench.io.huggingface import open_directory, others_of
from workbench.io.image_rows import column_of_images, image_rows
from workbench.io.memories import is_memory, open_memory
from workbench.io.memory import subject_of
from workbench.io.recording_folders import open_siblings, recordings_in
from workbench.io.safetensors_files import read_safetensors
from workbench.io.series import series, time_column
from workbench.io.sniffing import ENDINGS, Format, format_of
from workbench.io.step_folders import holds_steps, open_steps
from workbench.io.tables import points, read_table
from workbench.io.torch_files import read_torch
from workbench.io.word_vectors import read_word2vec, vectors_in
from workbench.recording.layout import MANIFEST, damaged, is_recording, lacks_manifest
from workbench.recording.reading import open_recording
from workbench.subjects.arrays import Arrays
from workbench.subjects.points import PointCloud
from workbench.subjects.series import TimeSeries

if TYPE_CHECKING:
    import pandas as pd

Kind = Literal["points", "arrays", "series", "checkpoint", "corpus", "trajectory", "siblings"]
_FITS: dict[Format, tuple[Kind, ...]] = {
    "safetensors": ("checkpoint",),
    "index": ("checkpoint",),
    "gguf": ("checkpoint",),
    "torch": ("checkpoint",),
    "npz": ("checkpoint", "arrays", "points", "series"),
    "npy": ("points", "series"),
    "parquet": ("points", "series", "corpus"),
    "csv": ("points", "series", "corpus"),
    "jsonl": ("corpus", "points", "series"),
    "txt": ("corpus", "points", "series"),
    "word2vec": ("points",),
}
TEXT = "text"  # the column that holds texts, where nobody says which
_TABLES = ("parquet", "csv", "jsonl", "txt")
_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
_WEIGHTS: dict[Format, Callable[[Path], Weights]] = {
    "safetensors": read_safetensors,
    "gguf": read_gguf,
    "torch": read_torch,
}


@step
def open(
    what: Any,
    *,
    name: str | None = None,
    kind: str | None = None,
    columns: Sequence[str] | str | None = None,
    labels: Any = None,
    id: str | None = None,
) -> Subject:
    """Open a checkpoint, cloud, series, corpus, trajectory or several trajectories of one task.

    What is in memory already is opened as the same thing in a file would be: ``open(frame)``, ``open(module)``; a pandas Series
    of numbers is a series in time, one of texts a corpus.

    Parameters
    ----------
    what : the name of a bundled network (``"minilm"``); a folder in Hugging Face's layout, or its shard
        index; a file of weights (safetensors, GGUF, ``torch.save``), arrays (npz, npy), a table (parquet,
        csv) or texts; a recording, a folder of recordings of one task, or a folder of checkpoints by step
        (``checkpoint-100/``, ``step_200.safetensors``); or a model of the hub (``"owner/model"``), when the network
        is there. A file that is called as a bundled network is meant by ``./name``. What a file is is seen from its
        first bytes rather than its ending. Or what is in memory: a table or a Series (pandas), an array or tensor of rows, a torch
        module.
    name : what to call it; its file name without one.
    kind : ``points``, ``arrays``, ``series``, ``checkpoint``, ``corpus``, ``trajectory`` or ``siblings``, where it could be several. By
        default an npz of one array is points, several matrices with the same rows
        arrays, any other a checkpoint; a table is points, or a series if
        its first column holds dates; lines of text are a corpus, but lines of numbers, or of a word and numbers
        (GloVe, word2vec, also in binary), are points, and so are JSON lines with vectors and no texts.
    columns : of a table, the columns that are coordinates. By default a column of vectors alone, else all columns of
        numbers but those that are ids, times or labels by their name; what of the numbers was set aside is said. A column of
        images in a Parquet file is one of vectors where it is named, or where the table has no numbers to take.
    labels : of a table, the columns to keep as labels, which then are no coordinates; None keeps all others. Of what is in
        memory also the labels themselves, one value a row, or a table or dictionary of several.
    id : of a table, the column that names the rows. Unique whole numbers are the row ids.

    Returns
    -------
    Subject
        A `Checkpoint`, `PointCloud`, `Arrays`, `TimeSeries`, `Corpus`, `Network`, `Trajectory` or `Siblings`.

    Raises
    ------
    DataError
        There are more or fewer labels than rows.
    MissingError
        Nothing is there, it may not be read, or a package is needed.
    FormatError
        The file is damaged, contradicts itself, or is of a kind that isn't read.
    ParameterError
        There is no such ``kind``, or the file can't be opened as it; or it is in memory and nothing that can be opened.
    """
    if kind is not None and kind not in get_args(Kind):
        legal = ", ".join(map(repr, get_args(Kind)))
        raise ParameterError(f"open: kind={kind!r} is not legal. It takes one of {legal}, or None.")
    if isinstance(what, bytes) or not isinstance(what, str | PathLike):
        return subject_of(what, name=name, kind=kind, columns=_several(columns), labels=labels, id=id)
    if not isinstance(os.fspath(what), str) or not os.fspath(what):
        raise ParameterError(f"open takes a path or a name, not {shown(what)} ({type(what).__name__}).")
    of_kind = cast("Kind | None", kind)
    chosen = {
        n: v
        for n, v in {"columns": _several(columns), "labels": _several(labels), "id": id}.items()
        if v is not None
    }
    if chosen:
        path = _path(what)
        if not is_table(path):
            raise ParameterError(
                f"open: {' and '.join(chosen)} choose columns of a table (csv, parquet, JSON lines); {shown(what)} is none. Leave "
                "them out."
            )
        found = format_of(path)
        _require(of_kind, ("points", "series"), f"{path} with {' and '.join(chosen)}")
        with reading(path):
            return _table(path.absolute(), found, name or path.stem, of_kind or "points", **chosen)
    if isinstance(what, str) and _ADDRESS.match(what):
        raise MissingError(
            f"{shown(what)} is an address, and none are opened: nothing here reads from the web. Download it, and open the file."
        )
    if isinstance(what, str):
        from workbench.io.bundled import BUNDLED, open_bundled

        if what in BUNDLED:
            _require(of_kind, ("checkpoint",), f"The bundled network {what}")
            network = copy.copy(open_bundled(what))
            network.name = name or network.name
            return network
    path = _path(what)
    on_disk = status(path)
    if on_disk == "":
        return _absent(os.fspath(what), path, name, of_kind)
    path = path.absolute()  # tensors are still read when the process has moved elsewhere
    with reading(path):
        for cls in subjects():
            if (opened := cls.read(path)) is not None:
                _require(of_kind, (), f"The {cls.__name__} {path}")
                opened.name = name or opened.name
                return opened
        if on_disk == "file":
            return _file(path, name, of_kind)
        _refuse_captures(path)
        return _folder(path, name, of_kind)


def is_table(what: str | PathLike[str]) -> bool:
    """Whether it is a file with columns, which can be chosen."""
    path = _path(what)
    return status(path) == "file" and format_of(path) in _TABLES


def _several(names: Sequence[str] | str | None) -> list[str] | None:
    return [names] if isinstance(names, str) else None if names is None else list(names)


def _folder(path: Path, name: str | None, kind: Kind | None) -> Subject:
    """A recording, several of them, a memory, checkpoints of several steps, or the one checkpoint that lies in it."""
    if is_memory(path):
        _require(kind, (), f"The memory {path}")
        return open_memory(path, name or path.resolve().name)
    if is_recording(path):
        _require(kind, ("trajectory",), f"The recording {path}")
        return open_recording(path, name=name)
    if lacks_manifest(path):
        raise damaged(path, f"its {MANIFEST} is gone, or was never written")
    if kind == "siblings" or (kind is None and len(recordings_in(path)) > 1):
        return open_siblings(path, name or path.resolve().name)
    _require(kind, ("checkpoint", "trajectory", "siblings"), f"The folder {path}")
    if kind == "trajectory" or (kind is None and holds_steps(path)):
        return open_steps(path, name or path.resolve().name)
    return open_directory(path, name or path.resolve().name)


def _refuse_captures(folder: Path) -> None:
    """A store of captured activations holds files that end like weights."""
    if status(folder / "site000.bin") != "file":
        return
    if folder.name.endswith(".partial"):
        raise MissingError(
            f"{folder} is an unfinished capture. Call the same capture again: it goes on where it stopped, and then the store "
            f"is {folder.name.removesuffix('.partial')}."
        )
    raise FormatError(
        f"{folder} is a store of captured activations. Open it with workbench.capturing.open_store({str(folder)!r})."
    )


def _path(what: str | PathLike[str]) -> Path:
    try:
        return Path(what).expanduser()
    except RuntimeError as e:  # ~somebody
        raise MissingError(f"{shown(what)} can't be resolved: {e}") from None


def _require(kind: Kind | None, legal: tuple[Kind, ...], owner: str) -> None:
    if kind is not None and kind not in legal:
        choices = ", ".join(map(repr, legal)) or "what it is, without kind="
        raise ParameterError(f"{owner} can't be opened with kind={kind!r}. It can be: {choices}.")


def _absent(what: str, path: Path, name: str | None, kind: Kind | None) -> Subject:
    """What isn't on this machine: a model of the hub, or a mistake."""
    from workbench.io.bundled import BUNDLED

    looks_like_file = path.suffix.lower() in ENDINGS or status(path.parent) != ""
    if HUB_ID.fullmatch(what) and not looks_like_file:
        _require(kind, ("checkpoint",), f"The hub's {what}")
        return open_directory(fetch(what), name or what)
    if path.name != what:
        raise missing(path)
    near = nearest(what, [*BUNDLED, *_names_here()])
    advice = near or "Give a path, a bundled name, or owner/model for one from the hub."
    bundled = ", ".join(sorted(BUNDLED))
    raise MissingError(
        f"{shown(what)} is neither a file or folder here nor a bundled network ({bundled}). {advice}"
    )


def _names_here() -> list[str]:
    try:
        return [p.name for p in Path().iterdir()]
    except OSError:
        return []  # only suggestions are lost


def _file(path: Path, name: str | None, kind: Kind | None) -> Subject:
    found = format_of(path)
    _require(kind, _FITS[found], f"{path} ({found})")
    if found == "index":
        return open_directory(path.parent, name or path.parent.resolve().name, weights=path)
    name = name or path.stem
    if found in _WEIGHTS:
        weights = _WEIGHTS[found](path)
        others = () if found == "gguf" else others_of(path)
        return checkpoint(replace(weights, aside=(*weights.aside, *others)), name, path)
    if found == "npy":
        return _rows(real_numbers(read_npy(path), path), None, name, kind)
    if found == "npz":
        return _npz(path, name, kind)
    if found == "word2vec":
        return _worded(*read_word2vec(path), name, kind)
    return _table(path, found, name, kind)


def _rows(values: np.ndarray, table: pd.DataFrame | None, name: str, kind: Kind | None) -> Subject:
    return (TimeSeries if kind == "series" else PointCloud)(values, name=name, table=table)


def _worded(values: np.ndarray, words: list[str] | None, name: str, kind: Kind | None) -> Subject:
    import pandas as pd

    return _rows(values, None if words is None else pd.DataFrame({"word": words}, dtype="str"), name, kind)


def _npz(path: Path, name: str, kind: Kind | None) -> Subject:
    archive = read_npz(path)
    if kind == "arrays" or (kind is None and _same_rows(archive)):
        return Arrays({n: real_numbers(archive.read(n), path) for n in archive.tensors}, name=name)
    one_array = len(archive.tensors) == 1
    if kind == "checkpoint" or (kind is None and not one_array and not has_texts(archive)):
        return checkpoint(named_weights(archive, path), name, path)
    import pandas as pd

    values, labels = as_rows(archive, path)
    return _rows(real_numbers(values, path), pd.DataFrame(labels) if labels else None, name, kind)


def _same_rows(archive: Weights) -> bool:
    """Whether an archive holds several matrices with the same rows, as no network's weights are."""
    shapes = [t.shape for t in archive.tensors.values()]
    return len(shapes) > 1 and all(len(s) == 2 for s in shapes) and len({s[0] for s in shapes}) == 1


def _table(path: Path, found: Format, name: str, kind: Kind | None, **chosen: Any) -> Subject:
    from workbench.io.corpus import corpus

    if found == "txt" and kind != "corpus" and not chosen and (lines := vectors_in(path)) is not None:
        return _worded(*lines, name, kind)
    if kind == "corpus" or (kind is None and found == "txt"):
        return corpus(path, name=name)
    table = read_table(path, "csv" if found == "txt" else found)
    if kind is None and found == "jsonl" and TEXT in table.columns:
        return corpus(path, name=name)
    if kind is None:
        times = time_column(table)
        kind = "series" if times is not None and times.is_unique else None
    if kind == "series":
        return series(table, str(path), name, **chosen)
    if found == "parquet" and (column := column_of_images(table)) and chosen.get("columns") == [column]:
        return image_rows(table, column, path, name)
    try:
        return points(table, path, name, **chosen)
    except FormatError:
        if (
            not chosen and found == "parquet" and column
        ):  # images and their labels, nothing else to place them by
            return image_rows(table, column, path, name)
        if (
            kind is None and not chosen and TEXT in table.columns
        ):  # a table of texts, without a number to place them by
            return corpus(path, name=name)
        raise
