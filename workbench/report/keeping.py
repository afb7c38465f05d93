"""A report's files: its results as Parquet and safetensors beside the page, and whether all files are of one run."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

import numpy as np

from workbench.core import cache
from workbench.core.digest import digest_file
from workbench.core.storage import turn, writing
from workbench.report import manifest

if TYPE_CHECKING:
    import pandas as pd

    from workbench.core.result import Result
    from workbench.report.facts import ReportFacts, ResultFacts

FOLDER = ".results"  # of a page, its suffix replaced by this


@dataclass(frozen=True)
class Places:
    """Where a report's files are written before they are renamed together; ``results`` is None where none is kept."""

    page: Path
    notebook: Path
    manifest: Path
    results: Path | None


def executed(page: Path, source: Path) -> Path:
    """Where the executed notebook is kept: named as the page, or ``.executed.ipynb`` where another file has that name.

    Parameters
    ----------
    source : the notebook that is run.
    """
    usual = page.with_suffix(".ipynb")
    ours = usual.name in _files(page) and usual.exists() and not usual.samefile(source)
    return usual if ours or not usual.exists() else page.with_suffix(".executed.ipynb")


def files(page: Path, source: Path) -> tuple[Path, ...]:
    """Every place that a report takes: its page, the executed notebook, the results' folder and the manifest."""
    return page, executed(page, source), page.with_suffix(FOLDER), page.parent / manifest.NAME


def _files(page: Path) -> dict[str, Any]:
    """The files of a page, with their digests, as the manifest beside it has them, unchecked."""
    recorded = (manifest.entry(page) or {}).get("files")
    return recorded if isinstance(recorded, dict) else {}


@contextmanager
def together(page: Path, source: Path, *, results: bool) -> Iterator[Places]:
    """Give temporary places for a report's files; they take the place of those from before when the block ends.

    All is written before anything is renamed, and the manifest is renamed last: it has the digests of the others, so
    that what a kill in between leaves is seen by `mixed`, and the next run of the report mends it.
    """
    with ExitStack() as stack:  # what is entered first is renamed last
        stack.enter_context(turn(page.parent))  # the manifest is read, added to and written back
        said = stack.enter_context(writing(page.parent / manifest.NAME))
        written = stack.enter_context(writing(page))
        ran = stack.enter_context(writing(executed(page, source)))
        kept = stack.enter_context(writing(page.with_suffix(FOLDER))) if results else None
        yield Places(written, ran, said, kept)


def names(page: Path, facts: dict[str, Any]) -> dict[str, Any]:
    """Return the facts of a report with the names of the files that `write` gives its results, where they are kept."""
    many = len(facts["results"])
    found = []
    for i, result in enumerate(facts["results"], 1):
        method = re.sub(r"\W+", "-", result["run"]["method"])
        stem = f"{page.stem}{FOLDER}/{i:0{len(str(many))}d}-{method}"
        kept = result["arrays"] or cache.lookup(result["run"]["key"]) is not None
        found.append(
            {**result, "files": {"table": f"{stem}.parquet", "arrays": f"{stem}.safetensors"} if kept else {}}
        )
    return {**facts, "results": found, "unkept": sum(not r["files"] for r in found) if cache.wanted() else 0}


def write(folder: Path, facts: dict[str, Any]) -> dict[str, str]:
    """Write each kept result into a folder: its table as Parquet, its arrays as safetensors. Return the files' digests."""
    from safetensors.numpy import save

    folder.mkdir()
    digests: dict[str, str] = {}
    for said in facts["results"]:
        result = cache.lookup(said["run"]["key"])
        if not said["files"] or result is None:
            continue
        table, packed = (folder / PurePosixPath(said["files"][what]).name for what in ("table", "arrays"))
        frame(result).to_parquet(table)
        about = {"title": said["title"], "kind": said["kind"], "run": said["run"]["key"]}
        packed.write_bytes(save(arrays(result), metadata=about))
        digests |= {said["files"]["table"]: digest_file(table), said["files"]["arrays"]: digest_file(packed)}
    return digests


def arrays(result: Result) -> dict[str, np.ndarray]:
    """The arrays of a result, those that are empty left out."""
    return {
        n: np.ascontiguousarray(v) for n, v in vars(result).items() if isinstance(v, np.ndarray) and v.size
    }


def frame(result: Result) -> pd.DataFrame:
    """A result's table as Parquet can hold it: names are text, each another, and so is a column of several types."""
    table = result.table().copy()
    seen: Counter[str] = Counter()
    columns = []
    for name in map(str, table.columns):
        seen[name] += 1
        columns.append(name if seen[name] == 1 else f"{name} ({seen[name]})")
    table.columns = columns
    for name in table.columns:
        if table[name].dtype == object and table[name].map(type).nunique() > 1:
            table[name] = table[name].map(str)
    return table


def mixed(page: Path, said: ReportFacts) -> tuple[str, ...]:
    """Say which files beside a page are not of the run that wrote the page; files that are missing are no contradiction.

    Parameters
    ----------
    said : what the page itself, or its manifest, says.
    """
    apart = _changed(page.parent, said.files)
    known = manifest.entry(page) is not None and said.files
    if known and _files(page).get(page.name, "") != digest_file(page):
        apart.append(manifest.NAME)
    if not apart:
        return ()
    return (
        f"{', '.join(apart)} beside {page.name} {'are' if len(apart) > 1 else 'is'} not of the run that wrote the page: "
        "writing it was interrupted, or a file was changed since. Run workbench report again to have all of one run.",
    )


def _changed(folder: Path, files: dict[str, str]) -> list[str]:
    inside = {name: at for name in files if (at := within(folder, name)) is not None}
    return [name for name, at in inside.items() if at.is_file() and digest_file(at) != files[name]]


def within(folder: Path, name: str) -> Path | None:
    """The path of a file that a manifest names, or None where it would lead out of the page's folder."""
    pure = PurePosixPath(name)
    if pure.is_absolute() or ".." in pure.parts or "\\" in name or "\0" in name or not pure.parts:
        return None
    path = folder / name
    return path if path.resolve().is_relative_to(folder.resolve()) else None


def read(page: Path, result: ResultFacts, wanted: Iterable[str]) -> dict[str, np.ndarray]:
    """Return those arrays of a result that lie beside its page and are the ones whose digests its manifest has."""
    from safetensors import SafetensorError, safe_open

    from workbench.core.digest import digest

    path = within(page.parent, result.files.arrays)
    if not result.files.arrays or path is None or not path.is_file():
        return {}
    found = {}
    try:
        with safe_open(path, framework="numpy") as file:
            for name in set(wanted) & set(file.keys()):
                values = file.get_tensor(name)
                if digest(values) == result.arrays[name].digest:
                    found[name] = values
    except (SafetensorError, OSError, KeyError, ValueError, TypeError):  # damaged: as if it weren't there
        return {}
    return found
