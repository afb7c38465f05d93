"""What there is, said at once, and every parameter an option."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import click
import pytest

from workbench.calibrating import ledger
from workbench.commands.run import command
from workbench.core.registry import method, names

Run = Callable[..., tuple[int, str, str]]
ROOT = Path(__file__).parent.parent.parent


def test_help_says_the_exit_codes_and_loads_nothing_heavy() -> None:
    code = (
        "import sys; from workbench.cli import main; main(['--help']); "
        "print([m for m in ('numpy', 'pandas', 'rich', 'torch', 'plotly') if m in sys.modules], file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    assert done.stderr.strip() == "[]"
    for part in ("Exit codes", "workbench run umap minilm", "WORKBENCH_CACHE", "130  stopped"):
        assert part in done.stdout


def test_list_shows_every_method_and_loads_nothing_heavy() -> None:
    code = (
        "import sys; from workbench.cli import main; main(['list']); "
        "print([m for m in ('torch', 'umap', 'sklearn', 'scipy', 'pandas', 'plotly') if m in sys.modules], file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    assert done.stderr.strip() == "[]"
    assert set(re.findall(r"^  (\w+) ", done.stdout, re.M)) == set(names())


def test_list_narrows_to_a_family_and_speaks_json(run: Run) -> None:
    code, out, _ = run("list", "--family", "embedding", "--json")
    listed = {m["name"]: m for m in json.loads(out)}
    assert code == 0
    assert set(listed) == {n for n in names() if method(n).family == "embedding"}
    assert listed["pca"]["parameters"]["n_components"]["default"] == 2
    code, _, err = run("list", "--family", "embeding")
    assert code == 2
    assert "'embedding'" in err


def test_info_says_everything(run: Run) -> None:
    code, out, _ = run("info", "pca")
    assert code == 0
    for part in ("an integer from 1 to 1000, default 2", "Horn 1965", "rows of numbers", "workbench run pca"):
        assert part in out


def test_info_says_what_was_never_measured_and_what_earlier_code_was(run: Run) -> None:
    _, never, _ = run("info", "synthetic_verdict")
    assert "How often it claims what isn't there was never measured." in never
    _, measured, _ = run("info", "pca")
    stale = ledger.stale(method("pca"))
    assert "never measured" not in measured and ("Measured with earlier code" in measured) == bool(stale)
    assert "Calibration" not in run("info", "planted-clusters")[1]


@pytest.mark.parametrize("name", names())
def test_every_parameter_is_an_option_that_teaches(name: str, run: Run) -> None:
    m = method(name)
    made = command(m)
    options = [o for o in made.params if isinstance(o, click.Option)]
    flags = [flag for o in options for flag in (*o.opts, *o.secondary_opts)]
    assert len({o.name for o in options}) == len(options)
    assert len(set(flags)) == len(flags)
    code, out, _ = run("run", name.replace("_", "-"), "--help")
    said = " ".join(out.split())
    assert code == 0
    for p in m.parameters.values():
        assert f"--{p.name.replace('_', '-')}" in said
        assert f"default {p.default!r}]" in said
        assert " ".join(p.help.split()) in said
    assert m.summary.replace("`", "").split(" ")[0] in said
