"""A notebook is run with parameters, and becomes a page, the executed notebook and a manifest."""

from __future__ import annotations

import copy
import os
import shlex
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workbench.core import cache
from workbench.core.digest import digest_file
from workbench.core.errors import ParameterError, StorageError
from workbench.core.progress import tell
from workbench.core.run import now, versions
from workbench.core.storage import require_apart, scratch
from workbench.numerics.threads import cores
from workbench.report import executing, keeping, manifest, notebooks, own
from workbench.report.page import render
from workbench.report.parameters import check_parameters, inject, to_json
from workbench.report.points import POINTS_MIME
from workbench.report.widgets import WIDGET_VIEW, states

if TYPE_CHECKING:
    import nbformat


def report(
    notebook: Any,
    parameters: Mapping[str, Any] | None = None,
    output: str | Path | None = None,
    *,
    inputs: Any = None,
    labels: Any = None,
    failed: str | Path | None = None,
    cwd: str | Path | None = None,
) -> Path:
    """Run a notebook and write its report, or a report of something of your own.

    Parameters
    ----------
    notebook : a path, or the name of a notebook that the package ships (``atlas``); or something of your own, which the
        template ``explore`` opens: a file or folder, a bundled network, a table, an array, a torch module. What is in
        memory is written beside the page first, in a folder of its name with ``.data``, so that it can be run again.
    parameters : values for the names in its ``parameters`` cell.
    output : the page, ``.html``; ``reports/<name>.html`` without one, or ``reports/<name>-2.html`` where that is a page
        of something else with the same name. The executed notebook takes the same name with
        ``.ipynb`` (``.executed.ipynb`` where a file that no report wrote has that name), and the folder with each
        result's table (Parquet) and arrays (safetensors) with ``.results``; ``manifest.json`` lies beside them and has
        their digests. All are renamed when all are written.
    inputs : what a torch module or another network is run on: an array or tensor, one sample along its first axis, or a
        list of texts. Untrained networks of the same architecture are run on the same.
    labels : one value a row of what is in memory, or a sample of ``inputs``.
    failed : where the notebook is kept as far as it came when a cell fails, or refuses its input;
        ``<name>.failed.ipynb`` without one, and then only when a cell fails.

    cwd : the folder that the notebook runs in; without one its own, as in JupyterLab, and the current one for a
        notebook that the package ships.

    Returns
    -------
    Path
        The page.

    Raises
    ------
    MissingError
        No such notebook (the ones that are shipped are listed), or no such folder.
    FormatError
        The file can't be read as a notebook.
    ParameterError
        A parameter that the notebook doesn't have, a value of another type than its default, or an output that would
        take the notebook's own place.
    StorageError
        The output can't be written (found out before anything runs), or the disk is full; what was there before
        is untouched.
    ParameterError, ViewError, DataError, FormatError, MissingError, StorageError
        A cell refused its input, or what it captured found no room; nothing is written.
    NotebookError
        A cell failed otherwise. The notebook with the failure is kept as ``<name>.failed.ipynb``; a page and a manifest
        from before are untouched.
    """
    is_own = own.is_own(notebook)
    path = notebooks.find_notebook(own.TEMPLATE if is_own else notebook)
    if not output:
        output = own.page_of(notebook) if is_own else Path("reports") / f"{path.stem}.html"
    output = Path(output)
    if output.suffix != ".html":
        raise ParameterError(
            f"The report is written as .html; output={str(output)!r} ends in {output.suffix or 'nothing'!r}."
        )
    kept = Path(failed) if failed else output.with_suffix(".failed.ipynb")
    values = check_parameters(path, parameters or {})
    if is_own:
        _require_writable(output)
        values = check_parameters(path, own.named(notebook, output, parameters or {}, inputs, labels))
    folder = notebooks.working_folder(path, cwd)
    require_apart(
        [*keeping.files(output, path), kept],
        [path],
        f"Give the page another name or folder, such as -o {shlex.quote(str(Path('reports') / output.name))}.",
    )
    _require_writable(output)
    started, clock = now(), time.perf_counter()
    with scratch("workbench-report") as place, cache.spare(place / "results"):
        executed = notebooks.read(path)
        inject(executed, values)
        executing.execute(
            executed, path.name, cwd=folder, scratch=place, failed=kept, keep_refused=bool(failed)
        )
        facts = manifest.describe(
            executed,
            notebook=path.name,
            notebook_digest=notebooks.notebook_digest(path),
            parameters=to_json(values),
            cwd=_from_here(folder),
            started=started,
            seconds=round(time.perf_counter() - clock, 2),
            versions=versions(),
            threads=cores(),
        )
        _write(output, path, executed, facts)
    return output


def _write(output: Path, source: Path, executed: nbformat.NotebookNode, facts: dict[str, Any]) -> None:
    """Write the page and what lies beside it."""
    tell("writing the page")
    facts = keeping.names(output, facts)
    with keeping.together(output, source, results=any(r["files"] for r in facts["results"])) as places:
        executing.write(_points_once(executed), places.notebook)
        facts["files"] = {places.notebook.name: digest_file(places.notebook)}
        if places.results is not None:
            facts["files"] |= keeping.write(places.results, facts)
        page = manifest.embed(render(executed, facts), facts)
        places.page.write_text(page, encoding="utf-8", errors="backslashreplace")
        known = {**facts, "files": {**facts["files"], output.name: digest_file(places.page)}}
        manifest.write(output, known, places.manifest)


def _from_here(folder: Path) -> str:
    """A folder as seen from the current one: a page that is sent on doesn't tell where its author's files lie."""
    try:
        return Path(os.path.relpath(folder)).as_posix()
    except ValueError:  # on another drive
        return "."


def _points_once(executed: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """An executed notebook without what only the page needs of a view of points: JupyterLab draws it from its state."""
    held = states(executed)
    lean = copy.deepcopy(executed)
    for cell in lean.cells:
        for output in cell.get("outputs", []):
            data = output.get("data", {})
            if data.get(WIDGET_VIEW, {}).get("model_id") in held:
                data.pop(POINTS_MIME, None)
    return lean


def _require_writable(output: Path) -> None:
    """Fail before minutes of work, not after."""
    there = next(p for p in (output.absolute().parents) if p.exists())
    try:
        with tempfile.TemporaryFile(dir=there):
            pass
    except OSError as e:
        raise StorageError(
            f"{output.parent} can't be written ({e.strerror}): give another folder with -o."
        ) from e
