"""The examples that the public docstrings give run as they stand: doctests, literal blocks, and calls within a sentence."""

from __future__ import annotations

import ast
import doctest
import importlib
import inspect
import re
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import widgets
import workbench as wb
from workbench.core.registry import methods
from workbench.subjects.activations import Activations

BLOCK = re.compile(r"(?:^|\n) *(?:[^\n]*\S)?::\n\n((?: +[^\n]*\n|\n)+)")
INLINE = re.compile(r"``([^`]+)``")
PACKAGES = ("recording", "capturing", "evidence", "numerics.tethers")


def documented() -> Iterator[tuple[str, str]]:
    """Name and docstring of all that is public, of classes with their methods."""
    modules = {"workbench": wb, "widgets": widgets}
    modules |= {f"workbench.{name}": importlib.import_module(f"workbench.{name}") for name in PACKAGES}
    things: dict[str, Any] = dict(modules)
    things |= {f"wb.{name}": getattr(wb, name) for name in wb.PLACES}
    things |= {
        f"{m}.{name}": getattr(module, name) for m, module in modules.items() for name in _names(module)
    }
    things |= {f"wb.{method.name}": method for method in methods()}
    for name, thing in things.items():
        yield name, inspect.getdoc(thing) or ""
        if inspect.isclass(thing):
            for part, member in vars(thing).items():
                if not part.startswith("_") and callable(member):
                    yield f"{name}.{part}", inspect.getdoc(member) or ""


def _names(module: Any) -> list[str]:
    return [name for name in getattr(module, "__all__", ()) if name not in wb.PLACES]


def examples(doc: str) -> list[str]:
    """The pieces of code in a docstring that stand for themselves."""
    pieces = []
    if tests := doctest.DocTestParser().get_examples(doc):
        pieces.append("".join(test.source for test in tests))
    pieces += [textwrap.dedent(block) for block in BLOCK.findall(f"{doc}\n")]
    return pieces + [call for code in INLINE.findall(doc) for call in _calls(code)]


def _calls(code: str) -> list[str]:
    """The calls of ``wb`` in an expression, outermost first and whole."""
    try:
        todo: list[ast.AST] = [ast.parse(code, mode="eval").body]
    except SyntaxError:
        return []
    calls = []
    while todo:
        node = todo.pop()
        if isinstance(node, ast.Call) and ast.unparse(node.func).startswith("wb."):
            calls.append(ast.unparse(node))
        else:
            todo += ast.iter_child_nodes(node)
    return calls


EXAMPLES = dict.fromkeys((name, piece) for name, doc in documented() for piece in examples(doc))


def given() -> dict[str, Any]:
    """What examples speak of without making it: small, and real."""
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.Tanh(), torch.nn.Linear(8, 3))
    optimizer = torch.optim.Adam(model.parameters())
    batches = [(torch.randn(8, 4), torch.randint(3, (8,))) for _ in range(60)]

    def update(x: torch.Tensor, y: torch.Tensor) -> None:
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(model(x), y).backward()
        optimizer.step()

    return {
        "wb": wb,
        "F": torch.nn.functional,
        "np": np,
        "acts": Activations.example(),
        "model": model,
        "module": model,
        "optimizer": optimizer,
        "batches": batches,
        "update": update,
        "probe": wb_probe(batches[0]),
    }


def wb_probe(batch: tuple[torch.Tensor, torch.Tensor]) -> Any:
    from workbench.numerics.objectives import Probe

    return Probe.of(*batch, "cross_entropy")


def test_there_are_examples() -> None:
    names = {name for name, _ in EXAMPLES}
    assert {
        "workbench",
        "widgets",
        "wb.record",
        "wb.bookmark",
        "workbench.recording.TrainerRecorder",
    } <= names


@pytest.mark.slow
@pytest.mark.parametrize(("name", "piece"), EXAMPLES, ids=[name for name, _ in EXAMPLES])
def test_an_example_runs_as_it_stands(name: str, piece: str, tmp_path: Path, monkeypatch) -> None:
    if "LightningRecorder" in piece:
        pytest.importorskip("lightning")
    monkeypatch.chdir(tmp_path)
    exec(compile(piece, f"<example of {name}>", "exec"), given())
