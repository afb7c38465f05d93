"""The index page: one file that compares a sweep's runs and links their reports, offline and inert."""

from __future__ import annotations

import math
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any
from urllib.parse import quote

from workbench.core.run import now
from workbench.core.storage import writing
from workbench.report.facts import ReportFacts
from workbench.report.inline import inert_json, plotly_script, policy
from workbench.report.page import when
from workbench.report.parameters import shown
from workbench.report.points import asset, figure_script
from workbench.report.sweeps import runs, values
from workbench.report.sweeps.runs import FAILED, PAGE, RUNS, Job
from workbench.results import theme


class Book:
    """What is known of a sweep's runs, and the page about them.

    Attributes
    ----------
    unknown : names among ``names`` that no value has; known once a run is done.
    """

    def __init__(self, notebook: Path, jobs: Sequence[Job], folder: Path, names: Sequence[str]):
        self.notebook, self.jobs, self.folder, self.names = notebook, jobs, folder, names
        self.unknown: list[str] = []
        self.value_names: list[str] = []
        self._done: dict[str, dict[values.Key, values.Value]] = {}
        self._seconds: dict[str, float] = {}

    def add(self, job: Job, said: ReportFacts) -> None:
        """Take account of a run that is done."""
        self._done[job.name] = values.of(said)
        self._seconds[job.name] = said.seconds

    def write(self) -> Path:
        """Write the page as things stand, whole or not at all."""
        path = self.folder / "index.html"
        with writing(path) as temporary:
            temporary.write_text(self.render(), encoding="utf-8", errors="backslashreplace")
        return path

    def render(self) -> str:
        """Return the page as HTML."""
        from jinja2 import Environment, select_autoescape

        found = values.corrected_together([self._done.get(job.name, {}) for job in self.jobs])
        columns, left, unknown = values.columns(found, self.names)
        self.value_names = list(dict.fromkeys(c.name for c in (*columns, *left)))
        self.unknown = unknown if self._done else []
        varied = _differing(self.jobs)
        fixed = {n: shown(v) for n, v in self.jobs[0].parameters.items() if n not in varied}
        rows = [self._row(i, job, varied, columns) for i, job in enumerate(self.jobs)]
        script, plotly = figure_script() + _own("index.js"), plotly_script()
        template = Environment(autoescape=select_autoescape(default=True)).from_string(_own("index.html.j2"))
        return template.render(
            title=f"Sweep of {self.notebook.stem}",
            notebook=self.notebook.name,
            varied=varied,
            fixed=fixed,
            columns=columns,
            left=left,
            rows=rows,
            counts=_counts(rows),
            versions=self.jobs[0].versions,
            counted=any(c.counted for c in columns),
            digest=self.jobs[0].notebook_digest,
            when=when(now()),
            others=self._others(),
            failures=_failures(rows),
            data=inert_json(_data(varied, self.jobs, columns, rows)),
            plotly=plotly,
            script=script,
            style=asset("page.css") + asset("figure.css") + _own("index.css"),
            policy=policy(plotly, script),
        )

    def _row(
        self, i: int, job: Job, varied: Sequence[str], columns: Sequence[values.Column]
    ) -> dict[str, Any]:
        said = {n: job.varied[n] for n in varied}
        row = {
            "state": "not run yet",
            "error": "",
            "href": "",
            "label": " ".join(f"{n}={shown(v)}" for n, v in said.items()) or job.label,
            "parameters": [(shown(v), _sortable(v)) for v in said.values()],
            "cells": [c.cells[i] for c in columns],
            "seconds": self._seconds.get(job.name),
        }
        place = f"{RUNS}/{quote(job.name)}"
        if job.name in self._done:
            return {**row, "state": "done", "href": f"{place}/{PAGE}"}
        failure = runs.failed(job, self.folder / RUNS)
        if failure is None:
            return row
        kept = (self.folder / RUNS / job.name / FAILED).is_file()
        href = f"{place}/{FAILED}" if kept else ""
        return {**row, "state": "failed", "error": failure.error, "href": href, "seconds": failure.seconds}

    def _others(self) -> int:
        """How many runs of other grids lie in the folder."""
        own = {job.name for job in self.jobs}
        place = self.folder / RUNS
        return sum(p.name not in own for p in place.iterdir() if p.is_dir() and not p.name.startswith("."))


def _own(name: str) -> str:
    return files("workbench.report.sweeps").joinpath(name).read_text(encoding="utf-8")


def _differing(jobs: Sequence[Job]) -> list[str]:
    """The parameters that the runs differ in: one that was given a single value tells no two apart."""
    names = list(jobs[0].varied)
    return [n for n in names if len({shown(job.varied[n]) for job in jobs}) > 1]


def _counts(rows: list[dict[str, Any]]) -> dict[str, int]:
    return {state: sum(r["state"] == state for r in rows) for state in ("done", "failed", "not run yet")}


def _failures(rows: list[dict[str, Any]]) -> dict[str, list[str]]:
    """Which runs failed, by what went wrong: it is often the same in several."""
    found: dict[str, list[str]] = {}
    for row in rows:
        if row["state"] == "failed":
            found.setdefault(row["error"], []).append(row["label"])
    return found


def _data(
    varied: list[str], jobs: Sequence[Job], columns: Sequence[values.Column], rows: list[dict[str, Any]]
) -> dict[str, Any]:
    """What the small multiples are drawn from."""
    return {
        "parameters": varied,
        "runs": [
            [job.varied[n] if _number(job.varied[n]) else shown(job.varied[n]) for n in varied]
            for job in jobs
        ],
        "columns": [
            {
                "label": c.label,
                "cells": [None if v is None else [v.value, v.interval, v.null] for v in c.cells],
            }
            for c in columns
        ],
        "labels": [r["label"] for r in rows],
        "colours": theme.CATEGORICAL,
        "symbols": theme.SYMBOLS,
    }


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _sortable(value: Any) -> str:
    return repr(float(value)) if _number(value) else ""
