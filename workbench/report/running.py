"""Run a notebook with parameters under papermill; write the page, the executed notebook and the manifest."""

from __future__ import annotations

import copy
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workbench.core.digest import digest, digest_file
from workbench.core.errors import (
    DataError,
    FormatError,
    MissingError,
    ParameterError,
    StorageError,
    ViewError,
    WorkbenchError,
    suggest,
)
from workbench.core.progress import tell
from workbench.core.run import now, versions
from workbench.core.storage import writing
from workbench.report import keeping, manifest
from workbench.report.page import render
from workbench.report.points import POINTS_MIME

if TYPE_CHECKING:
    import nbformat

KERNEL = "python3"
WIDGET_STATE = "application/vnd.jupyter.widget-state+json"
WIDGET_VIEW = "application/vnd.jupyter.widget-view+json"
SAVE_EVERY = 5  # seconds
# what a cell raises when its input can't be used or the disk is full: the report refuses in the same words, and
# keeps nothing
REFUSALS = {
    e.__name__: e for e in (ParameterError, ViewError, DataError, FormatError, MissingError, StorageError)
}
# Threads that wait sleep. Left to spin, they cost fourteen times the work itself where other processes want the cores
# (gradient_rank of digits_descent on 2 cores under a load of 10: 71 s of processor time, asleep 6 s).
WAITING = "OMP_WAIT_POLICY"
MAX_SOCKET_PATH = 90  # the system's limit is 104 or 108, and ZeroMQ adds to it


def report(
    notebook: str | Path,
    parameters: Mapping[str, Any] | None = None,
    output: str | Path | None = None,
    *,
    failed: str | Path | None = None,
) -> Path:
    """Run a notebook and write its report.

    Parameters
    ----------
    notebook : a path, or the name of a notebook that the package ships (``atlas``).
    parameters : values for the names in its ``parameters`` cell.
    output : the page, ``.html``; ``reports/<name>.html`` without one. The executed notebook takes the same
        name with ``.ipynb``, and the folder with each result's table (Parquet) and arrays (safetensors) with
        ``.results``; ``manifest.json`` lies beside them and has their digests. All are renamed when all are written.
    failed : where the notebook is kept as far as it came when a cell fails, or refuses its input;
        ``<name>.failed.ipynb`` without one, and then only when a cell fails.

    Returns
    -------
    Path
        The page.

    Raises
    ------
    MissingError
        No such notebook; the ones that are shipped are listed.
    ParameterError
        A parameter that the notebook doesn't have.
    StorageError
        The output can't be written (found out before anything runs), or the disk is full; what was there before
        is untouched.
    ParameterError, ViewError, DataError, FormatError, MissingError, StorageError
        A cell refused its input, or what it captured found no room; nothing is written.
    NotebookError
        A cell failed otherwise. The notebook with the failure is kept as ``<name>.failed.ipynb``; a page and a manifest
        from before are untouched.
    """
    import nbformat

    path = find_notebook(notebook)
    output = Path(output) if output else Path("reports") / f"{path.stem}.html"
    if output.suffix != ".html":
        raise ParameterError(
            f"The report is written as .html; output={str(output)!r} ends in {output.suffix or 'nothing'!r}."
        )
    values = check_parameters(path, parameters or {})
    _require_writable(output)
    started, clock = now(), time.perf_counter()
    executed = _execute(path, values, output, Path(failed) if failed else None)
    facts = manifest.describe(
        executed,
        notebook=path.name,
        notebook_digest=notebook_digest(path),
        parameters=values,
        started=started,
        seconds=round(time.perf_counter() - clock, 2),
        versions=versions(),
        threads=threads(),
    )
    tell("report: writing the page")
    facts = keeping.names(output, facts)
    with keeping.together(output, results=any(r["files"] for r in facts["results"])) as places:
        nbformat.write(_points_once(executed), places.notebook)
        facts["files"] = {output.with_suffix(".ipynb").name: digest_file(places.notebook)}
        if places.results is not None:
            facts["files"] |= keeping.write(places.results, facts)
        places.page.write_text(manifest.embed(render(executed, facts), facts), encoding="utf-8")
        known = {**facts, "files": {**facts["files"], output.name: digest_file(places.page)}}
        manifest.write(output, known, places.manifest)
    return output


def _points_once(executed: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """An executed notebook without what only the page needs of a view of points: JupyterLab draws it from its state."""
    held = executed.metadata.get("widgets", {}).get(WIDGET_STATE, {}).get("state", {})
    lean = copy.deepcopy(executed)
    for cell in lean.cells:
        for output in cell.get("outputs", []):
            data = output.get("data", {})
            if data.get(WIDGET_VIEW, {}).get("model_id") in held:
                data.pop(POINTS_MIME, None)
    return lean


class NotebookError(WorkbenchError, RuntimeError):
    """A cell of a notebook failed; ``reason`` says why, the text also where the notebook was kept."""

    exit_code = 7

    def __init__(self, reason: str, kept: str = ""):
        super().__init__(f"{reason} {kept}".strip())
        self.reason = reason


def notebook_digest(path: Path) -> str:
    """Digest of a notebook's file, by which a manifest names it."""
    return digest(path.read_text(encoding="utf-8"))


def threads() -> int:
    """How many threads a kernel may compute in: sums depend on it in their last bits."""
    said = os.environ.get("OMP_NUM_THREADS", "")
    if said.isdigit() and int(said) > 0:
        return int(said)
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def shipped() -> dict[str, Path]:
    """Notebooks that come with the package (or stand in the checkout), by name."""
    package = Path(__file__).parent.parent
    folders = [package / "notebooks", package.parent / "notebooks"]
    return {p.stem: p for folder in folders for p in sorted(folder.glob("*.ipynb"))}


def find_notebook(notebook: str | Path) -> Path:
    """Return the path of a notebook given as a path or as a shipped notebook's name."""
    path = Path(notebook)
    if path.is_file():
        return path
    known = shipped()
    if str(notebook) in known:
        return known[str(notebook)]
    raise MissingError(
        f"There is no notebook {str(notebook)!r}. Give a path, or the name of one that is shipped. {suggest(str(notebook), known)}"
    )


def check_parameters(path: Path, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return all parameters of a notebook with the given values in place; refuse names it doesn't have.

    The parameters cell holds plain literals, so it is read, not run.
    """
    declared = declared_parameters(path)
    for name in given:
        if name not in declared:
            raise ParameterError(f"{path.name} has no parameter {name!r}. {suggest(name, declared)}")
    values = {**declared, **given}
    for name, default in declared.items():
        wrong = (
            default is not None and values[name] is not None and not isinstance(values[name], type(default))
        )
        if wrong and not (isinstance(default, float) and isinstance(values[name], int)):
            raise ParameterError(
                f"{path.name}: {name}={values[name]!r} is of the type {type(values[name]).__name__}; it takes "
                f"{type(default).__name__} (default {default!r})."
            )
    return values


def declared_parameters(path: Path) -> dict[str, Any]:
    """Names and defaults in the cell tagged ``parameters``: assignments of plain literals.

    Raises
    ------
    ParameterError
        The cell holds something else, which can't be known without running it.
    """
    import ast

    cells = [c for c in _read(path).cells if "parameters" in c.metadata.get("tags", [])]
    found: dict[str, Any] = {}
    try:
        for statement in ast.parse(cells[0].source).body if cells else []:
            targets = (
                statement.targets
                if isinstance(statement, ast.Assign)
                else [getattr(statement, "target", None)]
            )
            value = getattr(statement, "value", None)
            for target in targets:
                if isinstance(target, ast.Name) and value is not None:
                    found[target.id] = ast.literal_eval(value)
    except (SyntaxError, ValueError) as e:
        raise ParameterError(
            f"The parameters cell of {path.name} must hold plain literals (name = 3), so that it can be read without being "
            f"run; it can't be read ({e}). Move what is computed to the next cell."
        ) from None
    return found


def _read(path: Path) -> nbformat.NotebookNode:
    import nbformat

    try:
        return nbformat.read(path, as_version=4)
    except Exception as e:
        raise MissingError(f"{path} can't be read as a notebook ({type(e).__name__}: {e}).") from e


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


def _execute(path: Path, values: dict[str, Any], output: Path, failed: Path | None) -> nbformat.NotebookNode:
    import nbformat
    import papermill
    from nbclient.exceptions import CellTimeoutError, DeadKernelError
    from papermill.exceptions import PapermillExecutionError

    with tempfile.TemporaryDirectory(prefix="workbench-report-") as scratch:
        _register_engine(Path(scratch))
        ran = Path(scratch) / f"{path.stem}.ipynb"
        try:
            papermill.execute_notebook(
                str(path),
                str(ran),
                parameters=values,
                engine_name="workbench",
                kernel_name=KERNEL,
                language="python",
                progress_bar=False,
                log_output=False,
                shutdown_kernel="immediate",
                cwd=str(Path.cwd()),
            )
        except PapermillExecutionError as e:
            if e.ename in REFUSALS:
                if failed:
                    _keep(ran, failed)
                raise REFUSALS[e.ename](f"{path.name}, code cell {e.exec_count}: {e.evalue}") from None
            said = f"{path.name} failed in code cell {e.exec_count}: {e.ename}: {e.evalue.rstrip('.')}."
            raise NotebookError(said, _keep(ran, failed or output.with_suffix(".failed.ipynb"))) from None
        except (DeadKernelError, CellTimeoutError) as e:
            said = f"{path.name}: the kernel died ({type(e).__name__}), most often for want of memory: ask it of fewer rows."
            raise NotebookError(said, _keep(ran, failed or output.with_suffix(".failed.ipynb"))) from None
        return nbformat.read(ran, as_version=4)


def _keep(ran: Path, kept: Path) -> str:
    """Keep a notebook as far as it came, and say where."""
    if not ran.exists():
        return "Nothing of it was kept."
    with writing(kept) as temporary:
        shutil.copyfile(ran, temporary)
    return f"The notebook as far as it came is {kept}."


def _register_engine(sockets: Path) -> None:
    """papermill's own engine, telling which cell runs and using this very interpreter's kernel."""
    from papermill.engines import NBClientEngine, papermill_engines

    class Engine(NBClientEngine):
        @classmethod
        def execute_managed_notebook(cls, nb_man: Any, kernel_name: str, **options: Any) -> Any:
            start, total = nb_man.cell_start, sum(c.cell_type == "code" for c in nb_man.nb.cells)
            done = 0

            def cell_start(cell: Any, cell_index: Any = None, **rest: Any) -> Any:
                nonlocal done
                if cell.cell_type == "code":
                    tell(f"report: {_title(nb_man.nb.cells, cell)}", done, total)
                    done += 1
                return start(cell, cell_index, **rest)

            # papermill saves before and after every cell; the whole notebook each time is a third of a cached run
            save, saved = nb_man.save, time.monotonic()

            def save_seldom(**rest: Any) -> None:
                nonlocal saved
                if time.monotonic() - saved > SAVE_EVERY:
                    save(**rest)
                    saved = time.monotonic()

            nb_man.cell_start, nb_man.save = cell_start, save_seldom
            try:
                return super().execute_managed_notebook(
                    nb_man, kernel_name, kernel_manager_class=_manager_class(sockets), **options
                )
            finally:
                nb_man.save = save  # for the last save, which papermill makes however this ended

    papermill_engines.register("workbench", Engine)


def _manager_class(sockets: Path) -> Any:
    """A kernel manager whose ``python3`` is the interpreter that runs this report, installed kernelspec or not.

    It talks to the kernel through files under ``sockets`` where the system has such sockets, so that no port
    is open to others on the machine.
    """
    from jupyter_client.kernelspec import KernelSpec
    from jupyter_client.manager import AsyncKernelManager
    from traitlets import default

    class Manager(AsyncKernelManager):
        @property
        def kernel_spec(self) -> KernelSpec:
            return KernelSpec(
                argv=[
                    sys.executable,
                    "-m",
                    "ipykernel_launcher",
                    "-f",
                    "{connection_file}",
                    "--log-level=50",
                ],
                display_name="Python 3",
                language="python",
                env={WAITING: os.environ.get(WAITING, "PASSIVE")},
            )

    class PrivateManager(Manager):
        # Said as defaults, since jupyter_client's own for ipc is a name in the working folder, where the kernels of
        # two reports would answer each other's clients.
        @default("transport")
        def _transport_default(self) -> str:
            return "ipc"

        @default("ip")
        def _ip_default(self) -> str:
            return str(sockets / "kernel")

    return PrivateManager if sys.platform != "win32" and len(str(sockets)) < MAX_SOCKET_PATH else Manager


def _title(cells: list[Any], cell: Any) -> str:
    """The nearest heading above a cell, which says what it does."""
    title = "starting"
    for c in cells:
        if c.cell_type == "markdown":
            heads = [line.lstrip("# ").strip() for line in c.source.splitlines() if line.startswith("#")]
            title = heads[-1] if heads else title
        if c is cell:
            break
    return title
