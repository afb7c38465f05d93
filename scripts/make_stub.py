"""Write ``workbench/__init__.pyi``: the public names with their signatures, for editors and type checkers.

The package finds its methods by their files when they are asked for, which no type checker can follow; this writes down
what it would find. ``python scripts/make_stub.py`` after a method or a public name was added; a test holds it.
"""

from __future__ import annotations

import importlib
import pkgutil
import subprocess
import sys
from pathlib import Path

import workbench
from workbench.core.inputs import Input
from workbench.core.method import Method
from workbench.core.parameters import Parameter
from workbench.core.registry import methods

STUB = Path(workbench.__file__).with_suffix(".pyi")
HEAD = '''"""The public names of the workbench, written by scripts/make_stub.py."""

from collections.abc import Mapping
from typing import Any, Literal, TypeAlias

import numpy.typing as npt
import pandas as pd
import torch

from workbench.core.method import Method
from workbench.core.subject import Subject
'''
ASKED = '''
Rows: TypeAlias = npt.NDArray[Any] | torch.Tensor
Asked: TypeAlias = Subject | Result | Rows | pd.DataFrame | Mapping[str, Rows] | tuple[Rows, ...]
"""What a method can be asked of: a subject, a result that has rows, an array, a table, several arrays."""
'''


def stub() -> str:
    """The text of the stub, as the package now is, laid out by the formatter."""
    places = dict(workbench.PLACES)
    imports = [
        f"from {_home(name, module)} import {name} as {name}" for name, module in sorted(places.items())
    ]
    parts = [m.name for m in pkgutil.iter_modules(workbench.__path__) if m.ispkg]
    imports += [f"from workbench import {part} as {part}" for part in parts]
    kinds = {(m.gives.__module__, m.gives.__name__) for m in methods()}
    imports += [f"from {module} import {name}" for module, name in sorted(kinds) if name not in places]
    classes = [_class(m) for m in methods()]
    text = "\n".join([HEAD, *imports, ASKED, "__version__: str", "", *classes])
    for how in (["check", "--fix", "--quiet", "--ignore", "E501"], ["format", "--quiet"]):
        ruff = [sys.executable, "-m", "ruff", *how, "--stdin-filename", str(STUB), "-"]
        text = subprocess.run(ruff, input=text, capture_output=True, text=True, check=True).stdout
    return text


def _home(name: str, module: str) -> str:
    """The module that defines a name; packages resolve some of theirs lazily too."""
    found = getattr(importlib.import_module(module), name)
    return getattr(found, "__module__", None) or module


def _class(m: Method) -> str:
    given = [f"{i.name}: {_input(i)}" for i in m.inputs]
    star = ["*"] if m.parameters else []
    taken = [f"{p.name}: {_parameter(p)} = {p.default!r}" for p in m.parameters.values()]
    signature = ", ".join(["self", *given, *(["/"] if given else []), *star, *taken])
    summary = m.summary.replace("\\", "\\\\").replace('"""', "'''")
    return (
        f"class _{m.name}(Method):\n"
        f"    def __call__({signature}) -> {m.gives.__name__}:\n"
        f'        """{summary}"""\n\n'
        f"{m.name}: _{m.name}\n"
    )


def _input(i: Input) -> str:
    return "Asked | None = None" if i.optional else "Asked"


def _parameter(p: Parameter) -> str:
    one = f"Literal[{', '.join(map(repr, p.choices))}]" if p.choices else p.base.__name__
    if p.base is float and not p.choices:
        one = "float"
    kind = f"tuple[{one}, ...]" if p.sequence else one
    return f"{kind} | None" if p.optional else kind


if __name__ == "__main__":
    STUB.write_text(stub(), encoding="utf-8")
    print(f"{STUB}: {len(methods())} methods", file=sys.stderr)
