"""Run a report's notebook again, as its manifest says, and say what came out the same.

The page is never rendered or run; what runs is a notebook file whose digest is the one in the manifest.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from workbench.core.errors import FormatError, MissingError, ParameterError
from workbench.core.storage import require_apart, scratch, writing
from workbench.report import facts, keeping, manifest
from workbench.report.comparing import Compared, Whole, compare, versions_apart
from workbench.report.notebooks import MAX_BYTES, notebook_digest, shipped
from workbench.report.parameters import from_json
from workbench.report.running import report
from workbench.report.sweeps.workers import limits


@dataclass(frozen=True)
class Reproduction:
    """What a second run of a report gave.

    Attributes
    ----------
    page : the new report. notebook : what was run.
    results : one entry a result. sentences : those of the findings that aren't said again, and those that are new.
    versions : libraries that are of another version than then.
    mixed : what to know of files beside the page that are not of the run that wrote it.
    """

    page: Path
    notebook: Path
    results: tuple[Compared, ...]
    gone: tuple[str, ...]
    new: tuple[str, ...]
    versions: tuple[str, ...]
    mixed: tuple[str, ...] = ()

    @property
    def same(self) -> bool:
        """Whether every result is identical or within tolerance; a sentence may round a number otherwise."""
        return all(r.verdict != "different" for r in self.results)

    def to_json(self) -> dict[str, Any]:
        """Plain dictionary; JSON has no infinity, so that a difference that is none is null in it."""
        results = [{**asdict(r), "sentence": r.sentence()} for r in self.results]
        return _plain(
            {
                "same": self.same,
                "page": str(self.page),
                "notebook": str(self.notebook),
                "results": results,
                "findings_gone": self.gone,
                "findings_new": self.new,
                "versions": self.versions,
                "mixed": self.mixed,
            }
        )


def reproduce(
    page: str | Path,
    output: str | Path | None = None,
    *,
    notebook: str | Path | None = None,
    tolerance: float | None = None,
    cwd: str | Path | None = None,
) -> Reproduction:
    """Run a report's notebook again with the parameters of its manifest, without the cache, and compare.

    Parameters
    ----------
    page : a page that `report` wrote; its manifest is in it, or beside it.
    output : folder for the new report; ``<page>-reproduced`` beside the page without one.
    notebook : what to run; without it the notebook beside the page, or the shipped one of that name.
    tolerance : by how much numbers may differ, relative to their size; by their kind without it.
    cwd : the folder that the notebook runs in; without one that of the first run, as seen from the current one, if it
        is there, else the notebook's own.

    Raises
    ------
    MissingError
        There is no page, no manifest or no notebook.
    FormatError
        The manifest can't be read, or the notebook isn't the one that it names.
    """
    if tolerance is not None and not 0 <= tolerance < 1:
        raise ParameterError(
            f"tolerance={tolerance}: it is relative, a number from 0 to below 1, such as 1e-6."
        )
    page = Path(page)
    said = facts.of(page)
    path = find(page, said, Path(notebook) if notebook else None)
    folder = Path(output) if output else page.parent / f"{page.stem}-reproduced"
    target = folder / page.name
    require_apart(keeping.files(target, path), [page, path], "Give another folder with -o.")
    mixed = keeping.mixed(page, said)
    with _afresh(said):
        report(
            path,
            from_json(said.parameters),
            target,
            cwd=cwd or (said.cwd if Path(said.cwd).is_dir() else None),
        )
    again = facts.beside(target)
    before, after = _sentences(said), _sentences(again)
    found = Reproduction(
        target,
        path,
        tuple(compare(said, again, tolerance=tolerance, whole=_both(page, target))),
        tuple(s for s in before if s not in after),
        tuple(s for s in after if s not in before),
        tuple(versions_apart(said.versions, again.versions)),
        mixed,
    )
    _write(folder / f"{page.stem}.reproduction.json", found)
    return found


def _both(page: Path, again: Path) -> Whole:
    """Reads arrays of a result from beside both pages."""

    def whole(
        old: facts.ResultFacts, new: facts.ResultFacts, names: Sequence[str]
    ) -> dict[str, tuple[np.ndarray, np.ndarray]]:
        a, b = keeping.read(page, old, names), keeping.read(again, new, names)
        return {name: (a[name], b[name]) for name in names if name in a and name in b}

    return whole


def find(page: Path, said: facts.ReportFacts, named: Path | None) -> Path:
    """Return the notebook of a report: the one named, beside it, or shipped, if its digest is the manifest's.

    The executed notebook will do: what it holds besides outputs and injected parameters is the notebook that was run.
    """
    if named is not None:
        if not named.is_file():
            raise MissingError(f"There is no notebook {named}.")
        if not is_the_one(named, said):
            raise FormatError(
                f"{named} is not the notebook that {page.name} was made from: its digest is {notebook_digest(named)[:12]}, the "
                f"manifest's {said.notebook_digest[:12]}. Name the one it was made from, or run this one with: "
                "workbench report."
            )
        return named
    name = Path(said.notebook).name  # it comes from the page, and leads nowhere but beside it
    beside = [page.with_suffix(".ipynb"), page.parent / name]
    known = shipped().get(Path(name).stem)
    others = []
    for path in [p for p in (*beside, known) if p is not None and p.is_file()]:
        if is_the_one(path, said):
            return path
        others.append(str(path))
    seen = f"{' and '.join(others)} {'are' if len(others) > 1 else 'is'} another. " if others else ""
    raise MissingError(
        f"The notebook that {page.name} was made from ({name}, digest {said.notebook_digest[:12]}) is missing: {seen}A page is "
        "never run itself. Put the notebook beside it, or name it with --notebook FILE."
    )


def is_the_one(path: Path, said: facts.ReportFacts) -> bool:
    """Whether a notebook file is the one that a manifest names, before or after it was run."""
    import nbformat

    if path.stat().st_size > MAX_BYTES:
        return False
    try:
        if notebook_digest(path) == said.notebook_digest:
            return True
        if not said.source_digest:
            return False
        return manifest.source_digest(nbformat.read(path, as_version=4)) == said.source_digest
    except Exception:  # whatever can't be read as a notebook isn't the one
        return False


@contextmanager
def _afresh(said: facts.ReportFacts) -> Iterator[None]:
    """Compute anew inside the block, in as many threads as then: sums depend on it in their last bits."""
    with scratch("workbench-reproduce") as empty:
        # A cache of its own, not none: what is kept of arrays is read from it.
        changed = {"WORKBENCH_CACHE": str(empty), "WORKBENCH_NO_CACHE": ""}
        changed |= limits(said.threads) if said.threads else {}
        before = {name: os.environ.get(name) for name in changed}
        os.environ.update(changed)
        try:
            yield
        finally:
            for name, value in before.items():
                if value is None:
                    os.environ.pop(name, None)
                else:
                    os.environ[name] = value


def _sentences(said: facts.ReportFacts) -> tuple[str, ...]:
    return said.findings.sentences if said.findings else ()


def _write(path: Path, found: Reproduction) -> None:
    text = json.dumps(found.to_json(), indent=1, ensure_ascii=False, allow_nan=False)
    with writing(path) as temporary:
        temporary.write_text(text, encoding="utf-8", errors="backslashreplace")


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    return None if isinstance(value, float) and value in (float("inf"), float("-inf")) else value
