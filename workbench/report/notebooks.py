"""Notebooks as files: which are shipped, and one read, checked and without what it showed when it was last run."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

from workbench.core.digest import digest
from workbench.core.errors import FormatError, MissingError, suggest
from workbench.core.stored import read_bytes
from workbench.report.grammars import grammars_later

if TYPE_CHECKING:
    import nbformat

MAX_BYTES = 512_000_000


def shipped() -> dict[str, Path]:
    """Notebooks that come with the package (or stand in the checkout), by name."""
    package = Path(__file__).parent.parent
    folders = [package / "notebooks", package.parent / "notebooks"]
    return {p.stem: p for folder in folders for p in sorted(folder.glob("*.ipynb"))}


def find_notebook(notebook: str | Path) -> Path:
    """Return the path of a notebook given as a path or as a shipped notebook's name.

    Raises
    ------
    MissingError
        It is neither.
    """
    path = Path(notebook)
    if path.is_file():
        return path
    known = shipped()
    if str(notebook) in known:
        return known[str(notebook)]
    what = (
        "notebook" if path.suffix in ("", ".ipynb") else "file"
    )  # whoever asks for a report of a table looks for no notebook
    raise MissingError(
        f"There is no {what} {str(notebook)!r}. Give a path, or the name of a notebook that is shipped. {suggest(str(notebook), known)}"
    )


def working_folder(notebook: Path, cwd: str | Path | None = None) -> Path:
    """The folder that a notebook is run in: the named one, else its own, as in JupyterLab; the current one if it is shipped.

    Raises
    ------
    MissingError
        There is no such folder.
    """
    if cwd is None:
        return Path.cwd() if notebook in shipped().values() else notebook.absolute().parent
    if not Path(cwd).is_dir():
        raise MissingError(
            f"There is no folder {str(cwd)!r} to run {notebook.name} in: give one that is there."
        )
    return Path(cwd).absolute()


def notebook_digest(path: Path) -> str:
    """Digest of a notebook's file, by which a manifest names it."""
    return digest(read_bytes(path, MAX_BYTES).decode())


def read(path: Path) -> nbformat.NotebookNode:
    """Return a notebook as version 4 has it, its outputs removed: it is to be run.

    Raises
    ------
    FormatError
        The file is no notebook: no JSON, or not what the notebook format says, and where.
    MissingError
        It isn't there, or may not be read.
    """
    with grammars_later():
        from nbformat import NotebookNode, convert, reader, validate
        from nbformat.validator import normalize

    try:
        raw = read_bytes(path, MAX_BYTES)
    except OSError as e:
        raise MissingError(f"{path} can't be read ({e.strerror}). Check the path and its permissions.") from e
    try:
        notebook: NotebookNode = convert(reader.reads(raw.decode()), 4)
        notebook.nbformat_minor = max(5, notebook.nbformat_minor)  # cells with ids in a 4.4 are everyday
        for cell in notebook.cells:
            if cell.cell_type == "code":
                cell.outputs, cell.execution_count = [], None
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # ids that are missing are given here
            _, notebook = normalize(notebook)
        validate(notebook, relax_add_props=True)
        # half a character can't be sent to a kernel, or written
        json.dumps(notebook, ensure_ascii=False).encode()
    except Exception as e:
        why = " ".join(str(getattr(e, "message", e)).split())[:200]
        place = ".".join(map(str, getattr(e, "absolute_path", ())))
        raise FormatError(
            f"{path} can't be read as a notebook ({f'{place}: ' if place else ''}{type(e).__name__}: {why}). Open it in "
            "JupyterLab and save it anew, or get an undamaged copy."
        ) from None
    return notebook
