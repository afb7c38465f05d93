"""Run a notebook's cells in a kernel of this very interpreter, and refuse as its cells do."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workbench.core.errors import (
    DataError,
    FormatError,
    MissingError,
    ParameterError,
    StorageError,
    ViewError,
    WorkbenchError,
)
from workbench.core.progress import tell
from workbench.core.storage import writing

if TYPE_CHECKING:
    import nbformat

# what a cell raises when its input can't be used or the disk is full: the report refuses in the same words, and
# keeps nothing
REFUSALS = {
    e.__name__: e for e in (ParameterError, ViewError, DataError, FormatError, MissingError, StorageError)
}
# Threads that wait sleep. Left to spin, they cost fourteen times the work itself where other processes want the cores
# (gradient_rank of digits_descent on 2 cores under a load of 10: 71 s of processor time, asleep 6 s).
WAITING = "OMP_WAIT_POLICY"
MAX_SOCKET_PATH = 90  # the system's limit is 104 or 108, and ZeroMQ adds to it
START_SECONDS = 60  # that a kernel has to start


class NotebookError(WorkbenchError, RuntimeError):
    """A cell of a notebook failed; ``reason`` says why, the text also where the notebook was kept."""

    exit_code = 7

    def __init__(self, reason: str, kept: str = ""):
        super().__init__(f"{reason} {kept}".strip())
        self.reason = reason


def execute(
    notebook: nbformat.NotebookNode,
    name: str,
    *,
    cwd: Path,
    scratch: Path,
    failed: Path,
    keep_refused: bool,
) -> None:
    """Run all cells, in place; one that is tagged ``raises-exception`` may raise.

    Parameters
    ----------
    name : of the notebook, for refusals.
    cwd : the folder that it runs in.
    scratch : a folder of its own, in which the kernel is talked to.
    failed : where the notebook is kept as far as it came when a cell fails; also when one refuses its input, with
        ``keep_refused``.

    Raises
    ------
    ParameterError, ViewError, DataError, FormatError, MissingError, StorageError
        A cell refused its input.
    NotebookError
        A cell failed otherwise.
    """
    from nbclient import NotebookClient
    from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError

    client = NotebookClient(
        notebook,
        kernel_name="python3",
        kernel_manager_class=_manager_class(scratch),
        startup_timeout=START_SECONDS,
        timeout=None,
        raise_on_iopub_timeout=True,
        shutdown_kernel="immediate",
        record_timing=False,
    )
    client.widget_registry["@jupyter-widgets/output"]["OutputModel"] = _output_widget()
    # Not `client.execute`, whose own handler of Ctrl-C would take ours away.
    client.reset_execution_trackers()
    total = sum(c.cell_type == "code" for c in notebook.cells)
    done = 0
    try:
        with client.setup_kernel(cwd=str(cwd)):
            for at, cell in enumerate(notebook.cells):
                if cell.cell_type == "code":
                    tell("report", done, total)
                    tell(_title(notebook.cells, cell))
                    done += 1
                try:
                    client.execute_cell(cell, at)
                except CellExecutionError as e:
                    error, says = _error(e, cell)
                    if error == "SystemExit" and says in ("", "0", "None"):
                        break
                    if error in REFUSALS:
                        if keep_refused:
                            _keep(notebook, failed)
                        said = f"{name}, code cell {cell.execution_count}: {says}"
                        raise REFUSALS[error](said) from None
                    said = f"{name} failed in code cell {cell.execution_count}: {error}: {says.rstrip('.')}."
                    raise NotebookError(said, _keep(notebook, failed)) from None
            client.set_widgets_metadata()
    except (DeadKernelError, CellTimeoutError) as e:
        said = f"{name}: the kernel died ({type(e).__name__}), most often for want of memory: ask it of fewer rows."
        raise NotebookError(said, _keep(notebook, failed)) from None


def _error(failure: Any, cell: Any) -> tuple[str, str]:
    """The kind and the words of what a cell raised.

    Of what fails while a result is displayed, the kernel's answer names no error (``NoneType``); the cell's outputs do.
    """
    shown = [o for o in cell.outputs if o.output_type == "error"]
    if failure.ename == type(None).__name__ and shown:
        return str(shown[-1].ename), str(shown[-1].evalue)
    return failure.ename, failure.evalue


def _keep(notebook: nbformat.NotebookNode, kept: Path) -> str:
    """Keep a notebook as far as it came, and say where."""
    with writing(kept) as temporary:
        write(notebook, temporary)
    return f"The notebook as far as it came is {kept}."


def write(notebook: nbformat.NotebookNode, path: Path) -> None:
    """Write a notebook; half a character, which a cell may print and no file can hold, is spelled out."""
    import nbformat

    text = nbformat.writes(notebook)
    path.write_text(text, encoding="utf-8", errors="backslashreplace")


def _output_widget() -> Any:
    """What stands for an Output widget's view, sending what it shows back to the kernel without losing the kernel's answer.

    nbclient's own sends past asyncio: a reply that comes in the meantime then wakes nobody, and the report waits for
    ever.
    """
    from nbclient.output_widget import OutputWidget

    class Sending(OutputWidget):
        def send(self, data: Any = None, metadata: Any = None, buffers: Any = None) -> None:
            client = self.kernel_client
            content = {"data": data, "comm_id": self.comm_id}
            message = client.session.msg("comm_msg", content=content, parent=self.parent_header)
            self.sent = asyncio.ensure_future(
                client.shell_channel.socket.send_multipart(client.session.serialize(message))
            )

    return Sending


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
