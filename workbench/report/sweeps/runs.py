"""The runs of a sweep: one folder each, which is whole or isn't there, and says itself whether it is done.

Nothing else is remembered: what a folder's manifest says was asked is compared with what is asked now, so that
a sweep goes on after anything that stopped it, and a changed notebook, parameter or library is run again.
"""

from __future__ import annotations

import json
import re
import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError

from workbench.core.digest import digest
from workbench.core.errors import StorageError, WorkbenchError
from workbench.core.run import now, versions
from workbench.core.storage import writing
from workbench.report import facts
from workbench.report.parameters import from_json, shown, to_json

RUNS, PAGE, FAILED, FAILURE = "runs", "report.html", "report.failed.ipynb", "failure.json"
SLUG = 60  # characters of a folder's name that say its parameters
MAX_FAILURE_BYTES = 1_000_000


@dataclass(frozen=True)
class Job:
    """One run: a notebook with all its parameters.

    Attributes
    ----------
    varied : those that the sweep sets; their values name the folder.
    cwd : the folder that the notebook runs in.
    notebook_digest, versions : what else the answer depends on.
    """

    notebook: Path
    notebook_digest: str
    parameters: dict[str, Any]
    varied: dict[str, Any]
    versions: dict[str, str]
    cwd: Path = Path()

    @property
    def label(self) -> str:
        """What the run is called: ``layer=0 n_neighbors=5``."""
        return " ".join(f"{n}={shown(v)}" for n, v in self.varied.items()) or "the defaults"

    @property
    def name(self) -> str:
        """Name of its folder: readable, and different for different parameters."""
        slug = re.sub(r"[^A-Za-z0-9.=-]+", "_", "_".join(f"{n}={shown(v)}" for n, v in self.varied.items()))
        return f"{slug[:SLUG].strip('._')}-{digest(to_json(self.parameters))[:8]}".lstrip("-")

    def to_json(self) -> dict[str, Any]:
        """Plain dictionary, for another process."""
        values = {"parameters": to_json(self.parameters), "varied": to_json(self.varied)}
        return {**vars(self), "notebook": str(self.notebook), "cwd": str(self.cwd), **values}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Job:
        """Read what `to_json` gave."""
        values = {name: from_json(data[name]) for name in ("parameters", "varied")}
        return cls(**{**data, "notebook": Path(data["notebook"]), "cwd": Path(data["cwd"]), **values})


@dataclass(frozen=True)
class Outcome:
    """How a run ended: ``error`` is empty where it is done. ``lost``: its worker ended before the run did."""

    error: str = ""
    seconds: float = 0.0
    lost: bool = False


class Failure(BaseModel):
    """What a failed run leaves beside its notebook."""

    model_config = ConfigDict(extra="ignore", frozen=True)
    error: Annotated[str, Field(max_length=100_000)]
    kind: Annotated[str, Field(max_length=500)] = ""
    notebook_digest: Annotated[str, Field(max_length=500)]
    parameters: dict[str, JsonValue]
    versions: dict[str, str]
    started: Annotated[str, Field(max_length=500)] = ""
    seconds: float = 0.0


def done(job: Job, folder: Path) -> facts.ReportFacts | None:
    """Return what a run's own manifest says if it is the answer to this very job, None otherwise."""
    page = folder / job.name / PAGE
    if not (page.is_file() and page.with_suffix(".ipynb").is_file()):
        return None
    try:
        said = facts.beside(page)
    except WorkbenchError:  # damaged: it is run again
        return None
    equal = (
        said.notebook_digest == job.notebook_digest
        and said.parameters == to_json(job.parameters)
        and said.versions == job.versions
    )
    return said if equal else None


def failed(job: Job, folder: Path) -> Failure | None:
    """Return how a run failed, if it did when it was asked the same; None otherwise."""
    path = folder / job.name / FAILURE
    try:
        if path.stat().st_size > MAX_FAILURE_BYTES:
            return None
        said = Failure.model_validate_json(path.read_bytes())
    except (OSError, ValidationError):
        return None
    same = said.notebook_digest == job.notebook_digest and said.parameters == to_json(job.parameters)
    return said if same else None


def perform(job: Job, folder: Path) -> Outcome:
    """Run one job; its folder takes its place whole, holding the report, or the failed notebook and why it failed."""
    from workbench.report.executing import NotebookError
    from workbench.report.running import report

    started, clock, outcome = now(), time.perf_counter(), Outcome()
    with writing(folder / job.name) as temporary:
        temporary.mkdir()
        try:
            report(job.notebook, job.parameters, temporary / PAGE, failed=temporary / FAILED, cwd=job.cwd)
        except Exception as e:  # whatever it is, the others go on
            reason = e.reason if isinstance(e, NotebookError) else str(e) or type(e).__name__
            own = isinstance(e, WorkbenchError)
            outcome = Outcome(error=reason if own else f"{type(e).__name__}: {reason}")
            record = {"kind": type(e).__name__, "started": started}
            _write_failure(temporary, job, outcome, time.perf_counter() - clock, **record)
    return Outcome(outcome.error, round(time.perf_counter() - clock, 2))


def record_lost(job: Job, folder: Path, outcome: Outcome) -> None:
    """Record a run whose worker ended before it could."""
    with writing(folder / job.name) as temporary:
        temporary.mkdir()
        _write_failure(temporary, job, outcome, outcome.seconds, kind="lost")


def receive(job: Job, folder: Path, files: Mapping[str, bytes]) -> None:
    """Write the folder of a run that was performed on another machine.

    Raises
    ------
    StorageError
        A name leads out of the folder: a node is another machine, and its answer isn't trusted with our paths.
    """
    with writing(folder / job.name) as temporary:
        temporary.mkdir()
        for name, content in files.items():
            place = PurePosixPath(name)
            if place.is_absolute() or not place.parts or ".." in place.parts or "\\" in name or "\0" in name:
                raise StorageError(
                    f"A node answered run {job.name} with a file named {name!r}, which leads out of the run's folder. Legal "
                    "are relative names such as report.html. Look at the workbench that is installed on that node."
                )
            (temporary / place).parent.mkdir(parents=True, exist_ok=True)
            (temporary / place).write_bytes(content)


def sweep_up(folder: Path) -> None:
    """Remove what processes that were killed left half-written; nobody else may be writing."""
    for path in folder.glob(".*") if folder.is_dir() else ():
        shutil.rmtree(path, ignore_errors=True)


def this_versions() -> dict[str, str]:
    """Versions on this machine."""
    return dict(versions())


def _write_failure(folder: Path, job: Job, outcome: Outcome, seconds: float, **more: str) -> None:
    said = {
        "error": outcome.error[:100_000],
        "notebook_digest": job.notebook_digest,
        "parameters": to_json(job.parameters),
        "versions": job.versions,
        "seconds": round(seconds, 2),
        **more,
    }
    text = json.dumps(said, indent=1, ensure_ascii=False)
    (folder / FAILURE).write_text(text, encoding="utf-8", errors="backslashreplace")
