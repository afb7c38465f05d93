"""A report of whatever was given: what the template for own data, ``explore``, is asked to open."""

from __future__ import annotations

import os
from collections.abc import Mapping
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np

from workbench.capturing import capture
from workbench.core.digest import digest
from workbench.core.errors import ParameterError, ViewError
from workbench.core.registry import method, names
from workbench.core.storage import writing
from workbench.core.subject import Subject
from workbench.io import open as open_subject
from workbench.io.bundled import BUNDLED
from workbench.io.hub import HUB_ID
from workbench.io.memory import label_columns
from workbench.report import manifest, notebooks
from workbench.report.pictures import is_image, thumbnails
from workbench.subjects.activations import Activations
from workbench.subjects.checkpoint import Checkpoint
from workbench.subjects.network import Network
from workbench.subjects.points import PointCloud
from workbench.subjects.series import TimeSeries

TEMPLATE = "explore"
SUFFIX = ".ipynb"
ARMS = 5  # untrained networks that are captured beside one
BATCH = 64  # samples that are run at once


def is_own(what: Any) -> bool:
    """Whether it is something to open rather than a notebook: a file or folder, a bundled network, a source, an object."""
    if not isinstance(what, str | os.PathLike):
        return True
    path = Path(what)
    if path.suffix == SUFFIX or str(what) in notebooks.shipped():
        return False
    name = str(what).replace("-", "_")
    is_source = name in names() and method(name).verb == "source"
    return path.exists() or str(what) in BUNDLED or is_source or HUB_ID.fullmatch(str(what)) is not None


def stem_of(what: Any) -> str:
    """What a report of it is called, where nobody says."""
    if not isinstance(what, str | os.PathLike):
        return "report"
    path = Path(what)
    return (path.resolve().name if path.is_dir() else path.stem) or "report"


def page_of(what: Any) -> Path:
    """Where a report of it is written, where nobody says: ``reports/<name>.html``, numbered where that page is of something else."""
    stem = stem_of(what)
    pages = (Path("reports") / f"{stem}{'' if i == 1 else f'-{i}'}.html" for i in count(1))
    if not isinstance(what, str | os.PathLike):
        return next(pages)
    return next(page for page in pages if not _is_of_another(page, Path(what)))


def _is_of_another(page: Path, what: Path) -> bool:
    """Whether a page is of another notebook, or of something that lies elsewhere, by the manifest beside it."""
    said = manifest.entry(page) if page.exists() else None
    if said is None:
        return False
    try:
        opened = Path(said["cwd"], said["parameters"]["what"])
        return said["notebook"] != TEMPLATE + SUFFIX or opened.resolve() != what.resolve()
    except (KeyError, TypeError, ValueError, OSError):  # somebody else's manifest
        return True


def named(what: Any, output: Path, given: Mapping[str, Any], inputs: Any, labels: Any) -> dict[str, Any]:
    """Return the template's parameters for something to open; what is in memory is written beside the page first.

    Parameters
    ----------
    output : the page. given : parameters that were asked for.
    inputs, labels : as in `workbench.report.report`.

    Raises
    ------
    ViewError
        It can't be opened, or can't be written down.
    ParameterError
        A network was given without anything to run it on, or labels that belong to nothing.
    StorageError
        It can't be written there.
    """
    if isinstance(what, str | os.PathLike):
        if inputs is not None or labels is not None:
            raise ParameterError(
                "report: inputs and labels belong to what is in memory; of a file, -p inputs=FILE and -p label=COLUMN are said."
            )
        return {"what": os.fspath(what), **given}
    place = output.with_suffix(".data")
    if hasattr(what, "named_modules") or isinstance(what, Network | Checkpoint):
        return {**_captured(what, place, given, inputs, labels), **given}
    if inputs is not None:
        raise ParameterError("report: inputs are what a network is run on; leave them out of anything else.")
    subject = open_subject(what, labels=labels) if labels is not None else _opened(what)
    if isinstance(subject, TimeSeries):
        return {**_series_saved(subject, place), **given}
    kind = "points" if type(subject) is PointCloud else ""  # arrays in a file could be several things
    return {"what": _relative(_saved(subject, place)), "kind": kind, **given}


def _opened(what: Any) -> Subject:
    return what if isinstance(what, Subject) else open_subject(what)


def _saved(subject: Subject, place: Path) -> Path:
    if isinstance(subject, Activations):
        raise ViewError(
            f"{subject.name} is a capture in memory: give report its network with inputs=, or the folder of a capture that was "
            "made with store=."
        )
    suffix = subject.suffixes[0] if subject.suffixes else ""  # of rows, the one that keeps their table
    path = place / f"{_file_name(subject.name)}{suffix}"
    path.parent.mkdir(parents=True, exist_ok=True)
    return Path(subject.save(path))


def _series_saved(series: TimeSeries, place: Path) -> dict[str, Any]:
    """Write a series as a table, which keeps its times and the names of its channels."""
    import pandas as pd

    table = series.table.reset_index(drop=True)
    channels = pd.DataFrame(np.asarray(series.values), columns=list(series.channels))
    path = place / f"{_file_name(series.name)}.parquet"
    with writing(path) as temporary:
        pd.concat([table.drop(columns=[c for c in channels if c in table]), channels], axis=1).to_parquet(
            temporary, index=False
        )
    commas = any("," in c or c != c.strip() for c in series.channels)  # by which the template parts names
    columns = {} if commas else {"columns": ",".join(series.channels)}
    return {"what": _relative(path), "kind": "series", **columns}


def _captured(what: Any, place: Path, given: Mapping[str, Any], inputs: Any, labels: Any) -> dict[str, Any]:
    """Capture a network and untrained ones of its kind on the same inputs, each into a folder beside the page."""
    if inputs is None:
        raise ParameterError(
            "report of a network takes inputs=, what it is run on: an array or tensor with one sample a row, or a list of texts."
        )
    opened = _opened(what)
    network = opened if isinstance(opened, Network) else opened.view(Network)
    source, how = _source(inputs, labels)
    folder = place / digest(network.digest, type(source).__name__, *_content(inputs, labels))[:8]
    seed = int(given.get("random_state", 0))
    arms = []
    for i in range(1, int(given.get("untrained", ARMS)) + 1):
        try:
            arms.append(network.untrained(random_state=seed + i))
        except ViewError:  # its weights can't be drawn anew, which the report says by having none beside it
            break
    at = given.get("at", "auto")
    stores = []
    for name, net in zip(
        ("network", *(f"untrained-{i + 1}" for i in range(len(arms)))), (network, *arms), strict=True
    ):
        store = folder / name
        store.parent.mkdir(parents=True, exist_ok=True)
        capture(net, source, at=at, store=store, name=network.name if net is network else None, **how)
        stores.append(_relative(store))
    return {"what": stores[0], "beside": tuple(stores[1:]), **_pictured(inputs, place)}


def _pictured(inputs: Any, place: Path) -> dict[str, str]:
    """Write what a network is run on beside the page where it is images, small, so that each row has its own."""
    shape = tuple(getattr(inputs, "shape", ()))
    if not is_image(shape[1:]):
        return {}
    path = place / "images.npy"
    with writing(path) as temporary:
        np.save(temporary, thumbnails(inputs.detach().cpu() if hasattr(inputs, "detach") else inputs))
    return {"images": _relative(path)}


def _source(inputs: Any, labels: Any) -> tuple[Any, dict[str, Any]]:
    """What `capture` is given, and how: with labels, batches of (inputs, labels)."""
    if hasattr(inputs, "select_dtypes"):
        inputs = open_subject(inputs).values  # type: ignore[attr-defined]
    if labels is None:
        return inputs, {}
    if isinstance(inputs, list | tuple):
        import pandas as pd

        from workbench.subjects.corpus import Corpus

        return Corpus(
            pd.DataFrame({"text": list(inputs), **label_columns(labels, len(inputs))}), name="texts"
        ), {}
    ((name, values), *more) = label_columns(labels, len(inputs)).items()
    if more:
        raise ParameterError("report: of what a network is run on, labels are one value a sample.")
    parts = range(0, len(inputs), BATCH)
    return [(_tensor(inputs[i : i + BATCH]), values[i : i + BATCH]) for i in parts], {"labels": name}


def _tensor(values: Any) -> Any:
    import torch

    return values if hasattr(values, "detach") else torch.as_tensor(np.asarray(values))


def _content(inputs: Any, labels: Any) -> list[Any]:
    def plain(x: Any) -> Any:
        x = x.detach().cpu() if hasattr(x, "detach") else x
        return list(x) if isinstance(x, list | tuple) else np.asarray(x)

    return [plain(x) for x in (inputs, labels) if x is not None]


def _file_name(name: str) -> str:
    return "".join(c if c.isalnum() or c in "-_." else "-" for c in name).strip("-.") or "subject"


def _relative(path: Path) -> str:
    """As seen from the current folder, where the template runs: a page that is sent on doesn't tell where its author's files lie."""
    try:
        return Path(os.path.relpath(path)).as_posix()
    except ValueError:  # on another drive
        return str(path)
