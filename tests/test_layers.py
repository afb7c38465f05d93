"""Imports point one way and in no circle; what is private stays in its folder; importing the package is light.

Core, numerics, subjects and results, recording, the families, report, commands, cli; widgets on top. Every import that
is written down counts: at the head of a file, inside a function and under ``TYPE_CHECKING``.
"""

from __future__ import annotations

import ast
import functools
import os
from collections.abc import Iterator, Mapping
from pathlib import Path

ROOT = Path(__file__).parent.parent
FAMILIES = {"io", "capturing", "models", "sources", "analyses", "edits", "calibrating"}
RANK = {
    "core": 0,
    "numerics": 1,
    "subjects": 2,
    "results": 2,
    "recording": 3,  # beneath the families: what trains, records, and what opens files opens recordings
    "evidence": 3,  # and every analysis takes its nulls from there
    **dict.fromkeys(FAMILIES, FAMILY := 4),
    "asking": 5,  # opens, captures and narrows what commands and widgets ask a method of
    "telling": 5,  # opens a network and captures with it
    "report": 5,
    "benchmarks": 5,
    "commands": 6,
    "cli": 7,
}
FILES = sorted(p for package in ("workbench", "widgets") for p in (ROOT / package).rglob("*.py"))


def name_of(path: Path) -> str:
    """The module that a file is; a package's ``__init__`` is the package."""
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


MODULES = {name_of(p): p for p in FILES}


@functools.cache
def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


def imports(tree: ast.Module, modules: Mapping[str, object]) -> Iterator[tuple[str, str]]:
    """What a file imports, module and name ("" for a module as a whole), wherever in the file that is written.

    ``from a import b`` imports the module ``a.b`` where there is one, and not ``a``: a package's ``__init__`` is imported
    by whoever takes a name from it, and not by whoever takes a file of it.
    """
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, "") for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"write imports in full: {ast.unparse(node)}"
            for alias in node.names:
                whole = f"{node.module}.{alias.name}"
                yield (whole, "") if whole in modules else (str(node.module), alias.name)


def circles(graph: Mapping[str, set[str]]) -> list[list[str]]:
    """A circle of every part of a graph that has one, each as its modules in the order in which they import each other."""
    done: set[str] = set()
    circles = []
    for start in sorted(graph):
        path: list[str] = []
        ahead = [iter([start])]  # the imports of path's members that are still to be looked at
        while ahead:
            module = next(ahead[-1], None)
            if module is None:
                ahead.pop()
                if path:
                    done.add(path.pop())
            elif module in path:
                circles.append([*path[path.index(module) :], module])
            elif module not in done:
                path.append(module)
                ahead.append(iter(sorted(graph[module])))
    return circles


def layer(module: str) -> str:
    return module.split(".")[1] if "." in module else ""


def wrong_way(path: Path) -> Iterator[str]:
    """What a file imports that stands above it or beside it, in words."""
    own = layer(name_of(path))
    for module, _ in imports(tree_of(path), MODULES):
        other = layer(module)
        if module.startswith("widgets"):
            yield f"{name_of(path)} imports {module}"
        elif module.startswith("workbench."):
            if RANK[other] > RANK[own] or (RANK[other] == FAMILY == RANK[own] and other != own):
                yield f"{name_of(path)} imports {module}"
            elif own == other == "analyses" and module.split(".")[2] != path.relative_to(ROOT).parts[2]:
                yield f"{name_of(path)} imports another family's {module}"


def test_imports_point_one_way() -> None:
    # the package's own __init__ resolves names lazily; widgets stand on everything
    below = [p for name, p in MODULES.items() if name.startswith("workbench.")]
    assert len(below) > 200
    wrong = [line for path in below for line in wrong_way(path)]
    assert not wrong, "imports that point up or sideways:\n" + "\n".join(wrong)


def test_no_circle_between_files() -> None:
    graph = {m: {i for i, _ in imports(tree_of(p), MODULES) if i in MODULES} for m, p in MODULES.items()}
    assert "workbench.core.errors" in graph["workbench.core.registry"]  # imports are seen at all
    closed = circles(graph)
    assert not closed, "files import each other in a circle:\n" + "\n".join(" → ".join(c) for c in closed)


def test_a_circle_is_found_wherever_it_is_written() -> None:
    sources = {
        "a": "from b import x",
        "b": "def f():\n    import c",
        "c": "if TYPE_CHECKING:\n    from a import y",
        "d": "import a, d.e",
        "d.e": "from d import f",  # a file of the package, and not the package
        "d.f": "import b",
    }
    graph = {m: {i for i, _ in imports(ast.parse(s), sources) if i in sources} for m, s in sources.items()}
    assert graph["d.e"] == {"d.f"}
    assert circles(graph) == [["a", "b", "c", "a"]]
    assert circles({**graph, "c": set()}) == []
    assert circles({"a": {"a"}}) == [["a", "a"]]


# -- what is private ------------------------------------------------------------------------------------

OF_TUPLES = {"_asdict", "_fields", "_make", "_replace"}  # public, of every NamedTuple


def private(name: str) -> bool:
    return name.startswith("_") and not name.endswith("_")


def folder(path: Path) -> str:
    return str(path.parent.relative_to(ROOT))


def taken(path: Path) -> Iterator[tuple[str, str]]:
    """Private names that a file takes from modules, each with the folder that it is private to."""
    tree, aliases = tree_of(path), {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            for alias in node.names:
                whole = alias.name if isinstance(node, ast.Import) else f"{node.module}.{alias.name}"
                if whole in MODULES:
                    aliases[alias.asname or alias.name] = whole
    for module, name in imports(tree, MODULES):
        parts = module.split(".")
        if parts[0] in ("workbench", "widgets"):
            yield from (("/".join(parts[:i]), module) for i, p in enumerate(parts) if private(p))
            if private(name):
                yield folder(MODULES[module]), f"{module}.{name}"
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and private(node.attr):
            module = aliases.get(ast.unparse(node.value), ast.unparse(node.value))
            if module in MODULES:
                yield folder(MODULES[module]), f"{module}.{node.attr}"


def defined(tree: ast.Module) -> Iterator[str]:
    """Private names that a file defines, of modules, classes and instances."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            names = [node.name]
        elif isinstance(node, ast.Assign):
            names = [ast.unparse(t) for target in node.targets for t in getattr(target, "elts", [target])]
        elif isinstance(node, ast.AnnAssign):
            names = [ast.unparse(node.target)]
        else:
            continue
        yield from (n for n in (n.removeprefix("self.") for n in names) if private(n) and n.isidentifier())


@functools.cache
def private_to() -> dict[str, set[str]]:
    """Each private name to the folders whose files define one."""
    folders: dict[str, set[str]] = {}
    for path in FILES:
        for name in defined(tree_of(path)):
            folders.setdefault(name, set()).add(folder(path))
    return folders


def borrowed(path: Path) -> Iterator[str]:
    """What a file uses that is private to another folder: of modules by its imports, of objects by the name alone."""
    for owner, name in taken(path):
        if owner != folder(path):
            yield f"{name_of(path)} uses {name}, which is private to {owner}/"
    for node in ast.walk(tree_of(path)):
        if not isinstance(node, ast.Attribute) or not private(node.attr) or node.attr in OF_TUPLES:
            continue
        owners = private_to().get(node.attr, {folder(path)})
        own = ast.unparse(node.value) in ("self", "cls", "super()")  # its class's, or that of a base
        if not own and folder(path) not in owners:
            yield f"{name_of(path)} uses {ast.unparse(node)}, which is private to {'/, '.join(sorted(owners))}/"


def test_private_names_stay_in_their_folder() -> None:
    assert "workbench/core" in private_to()["_space"]
    wrong = [line for path in FILES for line in borrowed(path)]
    assert not wrong, "private names used elsewhere:\n" + "\n".join(wrong)


def test_importing_the_package_is_light() -> None:
    import subprocess
    import sys

    code = "import sys, workbench; print([m for m in ('torch', 'umap', 'numpy', 'pandas', 'plotly') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    assert done.stdout.strip() == "[]"


def test_opening_a_table_takes_no_networks_library(tmp_path: Path) -> None:
    import subprocess
    import sys

    (tmp_path / "t.csv").write_text("a,b\n1,2\n3,4\n")
    code = (
        "import sys, workbench; workbench.open('t.csv'); "
        "print([m for m in ('torch', 'transformers', 'plotly', 'numba', 'sklearn') if m in sys.modules])"
    )
    there = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, env=there, check=True
    )
    assert done.stdout.strip() == "[]"
