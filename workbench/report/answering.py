"""One answer as a linked page: a notebook of the lines that make it again, run to a report."""

from __future__ import annotations

import ast
from pathlib import Path

from workbench.core.result import Result
from workbench.core.storage import scratch
from workbench.report.running import report
from workbench.results.embedding import Embedding


def page_of_answer(result: Result, output: str | Path) -> Path:
    """Write an answer as a page, with the notebook that makes it again beside it; an embedding's rows can be drawn around.

    Parameters
    ----------
    output : the page, ``.html``; what lies beside it is as in `workbench.report.report`.

    Raises
    ------
    MissingError
        It was made by hand, so that nothing is known of how.
    StorageError
        It can't be written there.
    """
    import nbformat
    from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

    code = result.code()
    asked_of = _first_input(code)
    look = (
        f"widgets.explore({asked_of}, method=result)"
        if isinstance(result, Embedding) and asked_of
        else "result"
    )
    cells = [
        new_markdown_cell(f"# {result.title}"),
        new_code_cell(code.rstrip()),
        new_code_cell(f"import widgets\n\n{look}" if look != "result" else look),
    ]
    with scratch("workbench-answer") as place:
        notebook = place / f"{Path(output).stem}.ipynb"
        nbformat.write(new_notebook(cells=cells), notebook)
        return report(notebook, {}, output, cwd=Path.cwd())


def _first_input(code: str) -> str:
    """Name of what the last line's call is asked of; "" where it is no name."""
    call = getattr(ast.parse(code).body[-1], "value", None)
    first = call.args[0] if isinstance(call, ast.Call) and call.args else None
    return first.id if isinstance(first, ast.Name) else ""
