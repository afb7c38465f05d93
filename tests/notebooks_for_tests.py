"""What the report's tests share: a hostile text and a writer of small notebooks."""

from __future__ import annotations

from pathlib import Path

import nbformat
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

HOSTILE = "<script>window.hacked=1</script><img src=x onerror='window.hacked=1'>"


def notebook(path: Path, *sources: str, parameters: str = "n = 120") -> Path:
    """Write a notebook with a parameters cell; a source that starts with ``#`` and a space is Markdown."""
    cells = [new_code_cell(parameters, metadata={"tags": ["parameters"]})]
    cells += [new_markdown_cell(s) if s.startswith(("# ", "## ")) else new_code_cell(s) for s in sources]
    nbformat.write(new_notebook(cells=cells), path)
    return path
