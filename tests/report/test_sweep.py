"""Sweeps as a user runs them: real kernels in real processes, real signals."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import pytest
from notebooks_for_tests import HOSTILE, notebook

from workbench.core.errors import ParameterError, StorageError
from workbench.report.parameters import fitted
from workbench.report.sweeps import sweep as sweeping
from workbench.report.sweeps.grid import distinct, parse, product
from workbench.report.sweeps.runs import Job, receive
from workbench.report.sweeps.sweep import sweep

PROGRAM = [sys.executable, "-m", "workbench.cli", "sweep"]
ASKS = "import workbench as wb\nwb.pca(wb.circle(n=60 + k, noise=0.1, dimensions=4), n_null=19, n_boot=9)"


def start(path: Path, *arguments: str, **more: Any) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [*PROGRAM, str(path), "-o", str(path.parent / "out"), "--json", *arguments],
        cwd=path.parent,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **more,
    )


def finish(process: subprocess.Popen[str], code: int = 0) -> dict[str, Any]:
    out, err = process.communicate(timeout=80)
    assert process.returncode == code, err
    assert "Traceback" not in out + err
    return json.loads(out) if out else {}


def folders(path: Path) -> dict[str, Path]:
    """The runs that are there, by what is in front of their digest."""
    return {p.name.rpartition("-")[0]: p for p in (path.parent / "out" / "runs").iterdir()}


def reports(path: Path) -> dict[str, int]:
    """When the page of each finished run was written."""
    there = {k: p / "report.html" for k, p in folders(path).items()}
    return {k: p.stat().st_mtime_ns for k, p in there.items() if p.exists()}


def wait_for(there: Any, seconds: float = 40) -> None:
    until = time.monotonic() + seconds
    while not there():
        assert time.monotonic() < until, "it didn't come"
        time.sleep(0.05)


def is_a_kernel(process: psutil.Process) -> bool:
    try:
        return "ipykernel_launcher" in " ".join(process.cmdline())
    except psutil.Error:  # it has just ended
        return False


def with_a_kernel(process: subprocess.Popen[str]) -> list[psutil.Process]:
    """Wait until a kernel runs (between two runs a worker has none); return all processes started so far."""
    own: list[psutil.Process] = []

    def runs() -> bool:
        own[:] = psutil.Process(process.pid).children(recursive=True)
        return any(is_a_kernel(p) for p in own)

    wait_for(runs)
    return own


def test_values_ranges_and_texts_are_read() -> None:
    said = [
        "a=0,1,2",
        "b=5..20:5",
        "c=0..0.3:0.1",
        "d=minilm,'a,b'",
        "e=[1,2],None",
        "f=3..1",
        "g=1,1,True",
        "h=../x",
    ]
    grid = parse(said)
    read = {
        name: [fitted("n", {name: None}, {name: v})[name] for v in values] for name, values in grid.items()
    }
    assert read == {
        "a": [0, 1, 2],
        "b": [5, 10, 15, 20],
        "c": [0.0, 0.1, 0.2, 0.3],
        "d": ["minilm", "a,b"],
        "e": [[1, 2], None],
        "f": [3, 2, 1],
        "g": [1, 1, True],
        "h": ["../x"],
    }
    assert [repr(v) for v in distinct(read["g"])] == ["1", "True"]
    assert product({"a": [1, 2], "b": ["x", "y"]})[1] == {"a": 1, "b": "y"}


@pytest.mark.parametrize(
    ("said", "why"),
    [
        (["n"], "NAME=VALUE"),
        (["=3"], "NAME=VALUE"),
        (["n="], "empty value"),
        (["n=1,,2"], "empty value"),
        (["n=1", "n=2"], "given twice"),
        (["n=1..5:-1"], "in steps of -1"),
        (["n=1..5:0"], "1..5:1"),
        (["n=0..1e900:1"], "10,000"),
    ],
)
def test_what_is_no_grid_is_refused_with_what_is(said: list[str], why: str) -> None:
    with pytest.raises(ParameterError, match=why):
        product(parse(said))


def test_a_mistake_is_refused_before_anything_runs(tmp_path: Path) -> None:
    path = notebook(tmp_path / "n.ipynb", "k", parameters="k = 0")
    with pytest.raises(ParameterError, match="no parameter 'm'"):
        sweep(path, {"m": [1]}, tmp_path / "out")
    with pytest.raises(ParameterError, match="'x' is of the type str"):
        sweep(path, {"k": [1, "x"]}, tmp_path / "out")
    with pytest.raises(ParameterError, match="10,000"):
        sweep(path, {"k": range(10_001)}, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_runs_go_on_beside_failures_are_skipped_when_done_and_compared(tmp_path: Path) -> None:
    path = notebook(
        tmp_path / "n.ipynb",
        "import os\nprint(os.environ['OMP_NUM_THREADS'])",
        ASKS,
        "if k == 1:\n    raise ValueError(text)",
        "if k == 2:\n    wb.circle(n=-1)",
        parameters=f"k = 0\ntext = {HOSTILE!r}",
    )
    first = finish(start(path, "-p", "k=0..3", "--jobs", "2", "--threads", "1"), 7)
    assert (first["done"], first["skipped"], first["failed"]) == (2, 0, 2)
    there = folders(path)
    for k, why in (("k=1", "ValueError"), ("k=2", "n=-1")):
        cells = json.loads((there[k] / "report.failed.ipynb").read_text())["cells"]
        assert any(o["output_type"] == "error" for c in cells for o in c.get("outputs", []))
        assert why in json.loads((there[k] / "failure.json").read_text())["error"]
    ran = json.loads((there["k=0"] / "report.ipynb").read_text())
    assert "1\n" in ran["cells"][2]["outputs"][0]["text"]
    page = (tmp_path / "out" / "index.html").read_text()
    assert 'href="runs/k%3D0-' in page
    assert 'report.failed.ipynb"' in page
    assert "variance explained" in page
    assert HOSTILE not in page
    assert "default-src &#39;none&#39;" in page
    before = reports(path)
    second = finish(start(path, "-p", "k=0..3", "--jobs", "2", "--threads", "1"), 7)
    assert (second["done"], second["skipped"], second["failed"]) == (2, 2, 2)
    assert reports(path) == before
    # another notebook is another question
    notebook(path, ASKS, parameters="k = 0\ntext = ''")
    assert (
        finish(start(path, "-p", "k=0,1", "--value", "variance_explained", "--value", "nothing"))["done"] == 2
    )
    assert reports(path)["k=0"] != before["k=0"]


@pytest.mark.slow
def test_a_killed_sweep_leaves_no_process_and_goes_on_where_it_was(tmp_path: Path) -> None:
    path = notebook(tmp_path / "n.ipynb", "import time\ntime.sleep(1)", ASKS, parameters="k = 0")
    sweeping_there = start(path, "-p", "k=0..3", "--jobs", "2")
    wait_for(lambda: (tmp_path / "out" / "runs").exists() and len(reports(path)) >= 1)
    own = with_a_kernel(sweeping_there)
    sweeping_there.kill()
    sweeping_there.communicate()
    _, left = psutil.wait_procs(own, timeout=10)
    assert left == []
    kept = reports(path)
    assert 1 <= len(kept) < 4
    said = finish(start(path, "-p", "k=0..3", "--jobs", "2"))
    assert said["done"] == 4
    assert said["skipped"] == len(kept)
    assert {k: t for k, t in reports(path).items() if k in kept} == kept
    assert [p.name for p in (tmp_path / "out" / "runs").iterdir() if p.name.startswith(".")] == []


@pytest.mark.slow
def test_ctrl_c_ends_workers_and_kernels_and_says_so(tmp_path: Path) -> None:
    path = notebook(tmp_path / "n.ipynb", "import time\ntime.sleep(60)", parameters="k = 0")
    # a shell that runs tests in the background has its children ignore it
    process = start(
        path,
        "-p",
        "k=0,1",
        "--jobs",
        "1",
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    own = with_a_kernel(process)
    began = time.monotonic()
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=20)
    assert process.returncode == 130
    assert "a second run goes on" in err
    assert "Traceback" not in err
    assert time.monotonic() - began < 10
    assert psutil.wait_procs(own, timeout=3)[1] == []
    assert list((tmp_path / "out" / "runs").iterdir()) == []
    assert "2 not run yet" in (tmp_path / "out" / "index.html").read_text()


@pytest.mark.slow
def test_a_run_whose_worker_is_killed_is_tried_again_and_then_recorded(tmp_path: Path) -> None:
    kill = (
        "import os, signal\nif k == 0 or not os.path.exists(once):\n"
        "    open(once, 'w').close()\n    os.kill(os.getppid(), signal.SIGKILL)"
    )
    path = notebook(tmp_path / "n.ipynb", kill, "import time\ntime.sleep(0.5)", parameters="k = 0\nonce = ''")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OMP_NUM_THREADS", "1")
        done = sweep(path, {"k": [1, 0], "once": [str(tmp_path / "once")]}, tmp_path / "out", jobs=1)
    assert (done.done, done.failed) == (1, 1)
    (said,) = done.errors.values()
    assert "SIGKILL" in said
    assert "fewer --jobs" in said


def test_two_sweeps_or_two_notebooks_do_not_share_a_folder(tmp_path: Path) -> None:
    path = notebook(tmp_path / "n.ipynb", "k", parameters="k = 0")
    other = notebook(tmp_path / "m.ipynb", "k", parameters="k = 0")
    at_work = pytest.raises(StorageError, match="Another sweep is at work")
    with sweeping._alone(tmp_path / "out", path), at_work:
        sweep(path, {"k": [1]}, tmp_path / "out")
    with pytest.raises(StorageError, match=r"a sweep of n\.ipynb"):
        sweep(other, {"k": [1]}, tmp_path / "out")
    with pytest.raises(StorageError, match="can't be written"):
        sweep(path, {"k": [1]}, tmp_path / "n.ipynb" / "out")


def test_ray_is_imported_only_when_it_is_asked_for(tmp_path: Path) -> None:
    code = (
        "import sys, workbench.cli, workbench.report.sweeps.sweep, workbench.report.sweeps.workers\n"
        "print([m for m in sys.modules if m.split('.')[0] == 'ray'])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("name", ["../out", "a/../../out", "/tmp/out", "a\\..\\out", "", "a\0b"])
def test_files_of_another_machine_stay_in_their_folder(tmp_path: Path, name: str) -> None:
    job = Job(tmp_path / "n.ipynb", "0" * 16, {"k": 0}, {"k": 0}, {})
    receive(job, tmp_path, {"report.results/1.parquet": b"whole"})
    assert (tmp_path / job.name / "report.results" / "1.parquet").read_bytes() == b"whole"
    with pytest.raises(StorageError, match="leads out of the run's folder"):
        receive(job, tmp_path, {name: b"x"})
    assert [p.name for p in tmp_path.iterdir()] == [job.name]
    assert (tmp_path / job.name / "report.results" / "1.parquet").exists()  # what was there stays
