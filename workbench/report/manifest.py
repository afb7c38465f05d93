"""The manifest: what was asked, with what, and what came out, for every report in a folder."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workbench.core.results import RESULT_MIME
from workbench.core.storage import writing
from workbench.evidence import FINDINGS_MIME

if TYPE_CHECKING:
    import nbformat

FORMAT = 1


def describe(executed: nbformat.NotebookNode, **facts: Any) -> dict[str, Any]:
    """Facts of a report: the given ones, the results that it shows and the findings that it states."""
    results = {d["run"]["key"]: d for d in outputs(executed, RESULT_MIME) if d.get("run")}
    findings = outputs(executed, FINDINGS_MIME)
    return {
        **facts,
        "results": [
            {"title": d["title"], "kind": d["kind"], "run": d["run"], "outcome": d["outcome"], "evidence": d["evidence"]}
            for d in results.values()
        ],
        "findings": findings[-1] if findings else None,
    }  # fmt: skip


def outputs(executed: nbformat.NotebookNode, mime: str) -> list[dict[str, Any]]:
    """All outputs of one MIME type, in order."""
    found = []
    for cell in executed.cells:
        for output in cell.get("outputs", []):
            if mime in output.get("data", {}):
                found.append(output["data"][mime])
    return found


def write(page: Path, facts: dict[str, Any]) -> Path:
    """Put a report's facts into the ``manifest.json`` beside it, keeping those of the folder's other reports."""
    path = page.parent / "manifest.json"
    reports: dict[str, Any] = {}
    if path.exists():
        try:
            reports = dict(json.loads(path.read_text(encoding="utf-8"))["reports"])
        except (ValueError, KeyError, TypeError):  # somebody else's file, or a damaged one: it is kept
            path.replace(path.with_name("manifest.unreadable.json"))
    reports[page.name] = facts
    with writing(path) as temporary:
        text = json.dumps({"format": FORMAT, "reports": reports}, indent=1, ensure_ascii=False)
        temporary.write_text(text, encoding="utf-8")
    return path
