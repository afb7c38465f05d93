"""The manifest: what was asked, with what, and what came out, for every report in a folder."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from workbench.core import cache
from workbench.core.digest import digest
from workbench.core.evidence import finite
from workbench.core.result import RESULT_MIME
from workbench.evidence import FINDINGS_MIME
from workbench.report.inline import inert_json

if TYPE_CHECKING:
    import nbformat

FORMAT = 2  # of one report's facts
NAME = "manifest.json"
MARK = '<script type="application/json" id="manifest">'
SAMPLED = 256  # numbers of an array that stand in the manifest: by how much does a later run differ


def describe(executed: nbformat.NotebookNode, **facts: Any) -> dict[str, Any]:
    """Facts of a report: the given ones, the results that it shows and the findings that it states."""
    results = {
        d["run"]["key"]: d
        for d in outputs(executed, RESULT_MIME)
        if (d.get("run") or {}).get("verb") == "analysis"
    }
    findings = outputs(executed, FINDINGS_MIME)
    return {
        "format": FORMAT,
        **facts,
        "source_digest": source_digest(executed),
        "results": [
            {
                "title": d["title"],
                "kind": d["kind"],
                "run": d["run"],
                "outcome": d["outcome"],
                "evidence": d["evidence"],
                "arrays": arrays(key),
            }
            for key, d in results.items()
        ],
        "findings": findings[-1] if findings else None,
    }


def source_digest(notebook: nbformat.NotebookNode) -> str:
    """Digest of what a notebook says and does, the same before and after it ran with any parameters."""
    cells = []
    for cell in notebook.cells:
        tags = cell.metadata.get("tags", [])
        if "injected-parameters" not in tags:
            cells.append([cell.cell_type, cell.source, "parameters" in tags, "title" in tags])
    return digest(cells)


def arrays(key: str) -> dict[str, dict[str, Any]]:
    """What identifies the arrays of a kept result: type, shape, digest, the largest entry and some of the others.

    Empty where nothing is kept (``WORKBENCH_NO_CACHE``): an executed notebook holds the figure, not the arrays.
    """
    result = cache.lookup(key)
    found = {} if result is None else vars(result)
    return {n: _array(v) for n, v in found.items() if isinstance(v, np.ndarray) and v.size}


def _array(values: np.ndarray) -> dict[str, Any]:
    facts = {"dtype": values.dtype.str, "shape": list(values.shape), "digest": digest(values)}
    if values.dtype.kind not in "fiub":
        return facts
    flat = values.reshape(-1)
    at = np.linspace(0, flat.size - 1, min(SAMPLED, flat.size)).astype(np.int64)
    largest = np.abs(flat[np.isfinite(flat)].astype(np.float64)).max(initial=0.0)
    return {**facts, "largest": float(largest), "sample": finite(flat[at].astype(np.float64).tolist())}


def embed(page: str, facts: dict[str, Any]) -> str:
    """Return the page with its facts in it as data, so that a page that is sent on alone can be reproduced."""
    end = page.rindex("</body>")
    return f"{page[:end]}{MARK}{inert_json(facts)}</script>\n{page[end:]}"


def outputs(executed: nbformat.NotebookNode, mime: str) -> list[dict[str, Any]]:
    """All outputs of one MIME type, in order."""
    found = []
    for cell in executed.cells:
        for output in cell.get("outputs", []):
            if mime in output.get("data", {}):
                found.append(output["data"][mime])
    return found


def write(page: Path, facts: dict[str, Any], to: Path) -> None:
    """Write the manifest of a page's folder ``to`` a file: this report's facts, and those of the folder's others."""
    path = page.parent / NAME
    reports = _reports(path)
    if reports is None and path.exists():  # somebody else's file, or a damaged one: it is kept
        path.replace(path.with_name("manifest.unreadable.json"))
    text = json.dumps({"reports": {**(reports or {}), page.name: facts}}, indent=1, ensure_ascii=False)
    to.write_text(text, encoding="utf-8")


def entry(page: Path) -> dict[str, Any] | None:
    """What the manifest beside a page says of it, unchecked; None where it says nothing."""
    found = (_reports(page.parent / NAME) or {}).get(page.name)
    return found if isinstance(found, dict) else None


def _reports(path: Path) -> dict[str, Any] | None:
    try:
        return dict(json.loads(path.read_text(encoding="utf-8"))["reports"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None
