"""The command line: what it says, what it writes, how it refuses. In process, but for what only a process shows."""

from __future__ import annotations

import json
import os
import pty
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Annotated

import click
import numpy as np
import pytest
from annotated_types import Interval
from notebooks_for_tests import notebook
from typing_extensions import Doc

import workbench as wb
from workbench import cli
from workbench.commands import doctor
from workbench.commands.notebooks import literal, provide
from workbench.commands.run import command
from workbench.core import cache as kept
from workbench.core.registry import analysis, edit, method, names
from workbench.core.results import Estimate
from workbench.core.subjects import Checkpoint
from workbench.core.views import Points

Run = Callable[..., tuple[int, str, str]]
FEW = ("--n-null", "9", "--n-boot", "9")
PROGRAM = [sys.executable, "-m", "workbench.cli"]
ROOT = Path(__file__).parent.parent


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run a command line in an empty folder; gives the exit code, stdout and stderr."""
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setenv("COLUMNS", "200")

    def call(*arguments: object) -> tuple[int, str, str]:
        code = cli.main([str(a) for a in arguments])
        out, err = capsys.readouterr()
        assert "Traceback" not in out + err
        return code, out, err

    return call


@pytest.fixture
def failing() -> Iterator[Callable[[BaseException], None]]:
    """Adds a command ``fail`` that raises what it is given."""

    def add(error: BaseException) -> None:
        def fail() -> None:
            raise error

        cli.workbench.add_command(click.Command("fail", callback=fail))

    yield add
    del cli.workbench.commands["fail"]


def files(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


# what is there


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


# asking


def test_an_answer_is_the_one_that_python_gets(run: Run) -> None:
    code, out, err = run("run", "pca", "circle", "--n-components", 1, *FEW, "--json")
    said = json.loads(out)
    asked = wb.pca(wb.circle(), n_components=1, n_null=9, n_boot=9).evidence[0]
    assert (code, err) == (0, "")
    assert said["evidence"][0]["value"] == asked.value
    assert tuple(said["evidence"][0]["interval"]) == asked.interval
    assert said["evidence"][0]["sentence"] == asked.sentence()
    assert said["parameters"]["n_components"] == 1


def test_an_answer_is_said_in_sentences(run: Run) -> None:
    code, out, _ = run("run", "pca", "circle", "--n_components", 1, *FEW)
    sentence = wb.pca(wb.circle(), n_components=1, n_null=9, n_boot=9).evidence[0].sentence()
    assert code == 0
    assert "Do 1 components explain more variance" in " ".join(out.split())
    assert set(sentence.split()) <= set(out.split())


def test_out_keeps_the_answer_its_table_and_a_page_that_needs_no_network(run: Run) -> None:
    code, out, _ = run("run", "pca", "circle", *FEW, "--out", "answer")
    assert code == 0
    assert "answer" in out
    loaded = wb.load("answer")
    np.testing.assert_array_equal(loaded.values, wb.pca(wb.circle(), n_null=9, n_boot=9).values)
    assert len(Path("answer/table.csv").read_text().splitlines()) == 201
    page = Path("answer/figure.html").read_text(encoding="utf-8")
    assert len(page) > 1_000_000, "plotly is inside"
    assert not re.search(r"<(script|link|img)[^>]+(src|href)=", page)
    assert run("run", "pca", "circle", *FEW, "--random-state", 1, "--out", "answer")[0] == 0
    assert wb.load("answer").run.seed == 1


def test_a_source_is_made_kept_and_asked_about(run: Run) -> None:
    code, out, _ = run("run", "circle", "--n", 50, "--noise", "0", "--out", "c.npz", "--json")
    assert code == 0
    assert json.loads(out)["columns"] == ["angle"]
    np.testing.assert_array_equal(np.load("c.npz")["values"], wb.circle(n=50, noise=0).values)
    code, out, _ = run("run", "pca", "c.npz", *FEW, "--json")
    assert code == 0
    assert json.loads(out)["evidence"][0]["n"] == 50
    assert run("run", "circle", "--out", "c.npy")[0] == 0
    assert np.load("c.npy").shape == (200, 2)


def test_flags_none_and_rows_are_understood(run: Run) -> None:
    code, out, _ = run(
        "run", "pca", "circle", "--whiten", *FEW, "--sample", 40, "--select", "angle > 3", "--json"
    )
    said = json.loads(out)
    assert code == 0
    assert said["parameters"]["whiten"] is True
    assert said["evidence"][0]["n"] == 40
    _, out, _ = run(
        "run",
        "umap",
        "circle",
        "--n-epochs",
        "none",
        "--n-null",
        0,
        "--n-boot",
        0,
        "--sample",
        40,
        "--json",
    )
    assert json.loads(out)["parameters"]["n_epochs"] is None


def test_a_parameter_keeps_its_name_from_a_general_option(run: Run) -> None:
    @analysis
    def clash(
        points: Points, *,
        sample: Annotated[int, Interval(ge=1, le=9), Doc("Mine.")] = 3,
        out: Annotated[str, Doc("Mine.")] = "x",
    ) -> Estimate:  # fmt: skip
        """Answer nothing."""
        return Estimate(caveat=f"{sample} {out} {points.n}")

    typed = ["circle", "--sample", "7", "--out", "mine", "--run-sample", "40", "--run-out", "kept"]
    command(clash).main(typed, standalone_mode=False)
    assert wb.load("kept").caveat == "7 mine 40"


def test_rows_that_are_not_finite_are_counted_and_may_be_dropped(run: Run) -> None:
    rows = wb.circle().values.copy()
    rows[3, 0], rows[7, 1] = np.nan, np.inf
    np.save("holes.npy", rows)
    code, _, err = run("run", "pca", "holes.npy", *FEW)
    assert code == 3
    for part in ("1 NaN and 1 infinite", "2 of 200 rows", "--drop-nonfinite"):
        assert part in err
    code, out, _ = run("run", "pca", "holes.npy", *FEW, "--drop-nonfinite", "--json")
    assert code == 0
    assert json.loads(out)["evidence"][0]["n"] == 198


def test_series_and_graphs_can_be_dropped_from_too() -> None:
    steps = wb.TimeSeries(np.array([0.0, np.nan, 2.0, np.inf])).drop_nonfinite()
    assert steps.ids.tolist() == [0, 2]
    graph = wb.GraphSubject(np.array([[0, 1], [1, 2]]), 3, weights=np.array([1.0, np.nan])).drop_nonfinite()
    assert graph.edges.tolist() == [[0, 1]]
    assert len(graph) == 3


# a network


def test_a_layer_of_a_network_is_captured_and_asked_about(run: Run) -> None:
    code, out, err = run(
        "run", "pca", "minilm", "--at", "encoder.layer.1", "--max-texts", 8, "--sample", 60, *FEW, "--json"
    )
    acts = wb.capture(wb.open("minilm"), wb.corpus("default", max_texts=8), at="encoder.layer.1").sample(60)
    said = json.loads(out)
    assert (code, err) == (0, "")
    assert said["evidence"][0]["value"] == wb.pca(acts, n_null=9, n_boot=9).evidence[0].value
    assert said["run"]["subject_digest"] == acts.digest


def test_without_a_site_the_last_block_is_asked_or_all_of_them(run: Run) -> None:
    few = ("--max-texts", 8, "--sample", 40, *FEW, "--json")
    code, out, err = run("run", "pca", "minilm", *few)
    assert code == 0
    assert json.loads(out)["subject"].endswith("encoder.layer.5")
    assert "encoder.layer.0" in err
    code, out, _ = run("run", "cka", "minilm", *few)
    assert code == 0
    assert "encoder.layer.0 and encoder.layer.5" in out
    (store,) = (Path(os.environ["WORKBENCH_CACHE"]) / "captures").iterdir()
    code, out, _ = run("run", "pca", store, "--at", "encoder.layer.3", *FEW, "--json")
    assert code == 0
    assert json.loads(out)["subject"].endswith("encoder.layer.3")


def test_a_weight_is_chosen_by_name(run: Run) -> None:
    tensor = "encoder.layer.0.attention.self.query.weight"
    code, out, _ = run(
        "run", "singular-values", "minilm", "--at", tensor, "--n-null", 3, "--n-boot", 3, "--json"
    )
    largest = np.linalg.norm(wb.open("minilm")[tensor], 2)
    assert code == 0
    assert json.loads(out)["evidence"][0]["value"] == pytest.approx(largest, rel=1e-4)


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["pca", "minilm", "--at", "encoder.layer.*", "--max-texts", "8"], 2, "encoder.layer.3"),
        (["pca", "minilm", "--at", "encoder.layr.1", "--max-texts", "8"], 4, "'encoder.layer.1'"),
        (["singular-values", "minilm"], 2, "--at embeddings.word_embeddings.weight"),
        (["pca", "minilm", "--corpus", "missing.csv"], 4, "missing.csv"),
        (["pagerank", "minilm"], 3, "a graph"),
        (["linear-probe", "minilm", "--label", "toppic", "--max-texts", "8"], 4, "'topic'"),
    ],
)
def test_what_a_network_lacks_is_said(arguments: list[str], code: int, says: str, run: Run) -> None:
    got, out, err = run("run", *arguments)
    assert (got, out) == (code, "")
    assert says in err


def test_an_edit_writes_a_checkpoint(run: Run) -> None:
    from safetensors.numpy import load_file, save_file

    @edit
    def halve(checkpoint: Checkpoint, *, name: Annotated[str, Doc("The tensor.")] = "w") -> Checkpoint:
        """Halve a tensor."""
        return checkpoint.edited({name: checkpoint[name] / 2}, by="halve")

    before = {"w": np.arange(6, dtype=np.float32).reshape(2, 3), "b": np.ones(3, np.float32)}
    save_file(before, "net.safetensors")
    command(halve).main(["net.safetensors", "--out", "half.safetensors"], standalone_mode=False)
    after = load_file("half.safetensors")
    np.testing.assert_array_equal(after["w"], before["w"] / 2)
    np.testing.assert_array_equal(after["b"], before["b"])
    np.testing.assert_array_equal(wb.open("half.safetensors")["w"], after["w"])
    with pytest.raises(click.MissingParameter):
        command(halve).main(["net.safetensors"], standalone_mode=False)


# refusing

REFUSED = [
    (["lst"], 2, "'list'"),
    (["run", "umpa", "circle"], 2, "'umap'"),
    (["run", "pca", "circle", "--n-component", "2"], 2, "--n-components"),
    (["run", "pca"], 2, "SUBJECT"),
    (["run", "pca", "circle", "--n-components", "0"], 2, "an integer from 1 to 1000"),
    (["run", "pca", "circle", "--n-components", "two"], 2, "an integer from 1 to 1000"),
    (["run", "pca", "circle", "--svd-solver", "ful"], 2, "'full'"),
    (["run", "pca", "circle", "--n-components", "3"], 3, "at most 2 components"),
    (["run", "pca", "circle", "--at", "encoder.layer.1"], 2, "no sites"),
    (["run", "pca", "circle", "--corpus", "default"], 2, "reads no text"),
    (["run", "pca", "circle", "--select", "nothing > 3"], 4, "angle"),
    (["run", "pca", "missing.npz"], 4, "missing.npz"),
    (["run", "pca", "circel"], 4, "'circle'"),
    (["run", "pca", "circle", "--out", "file.txt/answer"], 5, "file.txt is a file"),
    (["run", "pca", "circle", "--out", "file.txt"], 5, "is a file"),
    (["run", "pca", "circle", "--out", "/proc/answer"], 5, "can't be written"),
    (["run", "pca", "circle", "--out", "."], 5, "file.txt"),
    (["run", "circle", "--out", "circle.txt"], 2, ".npz"),
    (["run", "circle", "--out", "file.txt/c.npz"], 5, "file.txt is a file"),
    (["run", "pca", "broken.npz"], 4, "broken.npz"),
    (["info", "pac"], 2, "'pca'"),
    (["cache", "prune"], 2, "--older-than"),
    (["cache", "prune", "--older-than", "3 parsecs"], 2, "30d"),
    (["cache", "prune", "--keep", "2"], 2, "2GB"),
    (["report", "atlsa"], 4, "'atlas'"),
    (["report", "atlas", "-p", "netwrok", "minilm"], 2, "'network'"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("arguments", "code", "says"), REFUSED, ids=lambda a: " ".join(a) if isinstance(a, list) else ""
)
def test_a_refusal_is_one_paragraph_and_changes_nothing(
    arguments: list[str], code: int, says: str, run: Run, tmp_path: Path
) -> None:
    Path("file.txt").write_text("mine")
    Path("broken.npz").write_bytes(b"PK\x03\x04 not an archive")
    before = files(tmp_path)
    got, out, err = run(*arguments)
    assert (got, out) == (code, "")
    assert err.startswith("Error: ")
    assert err.count("\n") == 1
    assert says in err
    assert files(tmp_path) == before


def test_what_steers_a_terminal_is_not_echoed(run: Run) -> None:
    code, _, err = run("run", "pca", "a\x1b]0;title\x07.npz")
    assert code == 4
    assert "\x1b" not in err


def test_a_mistake_of_ours_is_logged_and_shown_only_when_asked_for(
    run: Run, failing: Callable[[BaseException], None], cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    failing(ZeroDivisionError("of ours"))
    code, out, err = run("fail")
    (log,) = (cache / "logs").iterdir()
    assert (code, out) == (70, "")
    assert "ZeroDivisionError: of ours" in err
    assert str(log) in err
    assert "Traceback" in log.read_text()
    assert cli.main(["--debug", "fail"]) == 70
    assert "Traceback" in capsys.readouterr().err


def test_a_log_that_cannot_be_written_hides_nothing(
    run: Run, failing: Callable[[BaseException], None], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("WORKBENCH_CACHE", str(tmp_path / "file" / "cache"))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "file"))
    failing(ZeroDivisionError("of ours"))
    code, _, err = run("fail")
    assert code == 70
    assert "--debug" in err


@pytest.mark.parametrize(
    ("error", "code", "says"),
    [(MemoryError("Unable to allocate 3 TiB"), 71, "--sample"), (KeyboardInterrupt(), 130, "Stopped")],
)
def test_no_memory_and_an_interruption_have_codes_of_their_own(
    error: BaseException, code: int, says: str, run: Run, failing: Callable[[BaseException], None]
) -> None:
    failing(error)
    got, out, err = run("fail")
    assert (got, out) == (code, "")
    assert says in err


# only a process shows these


def on_a_terminal(*arguments: str, then: Callable[[subprocess.Popen[str]], None]) -> tuple[int, str, str]:
    """Run with stderr on a terminal; ``then`` is called once the null is being drawn."""
    ours, theirs = pty.openpty()
    env = {**os.environ, "PYTHONPATH": str(ROOT), "TERM": "xterm", "COLUMNS": "100"}
    running = subprocess.Popen(
        [*PROGRAM, *arguments], env=env, stdout=subprocess.PIPE, stderr=theirs, text=True
    )
    os.close(theirs)
    shown, told = b"", False
    while True:
        try:
            part = os.read(ours, 65536)
        except OSError:  # the other end is closed
            break
        shown += part
        if not told and b"pca: null" in shown:
            told = True
            then(running)
    out, _ = running.communicate(timeout=60)
    os.close(ours)
    return running.returncode, out, shown.decode()


def test_progress_goes_to_a_terminal_and_json_to_stdout() -> None:
    asked = ["run", "pca", "circle", "--n-null", "400", "--json"]
    code, out, shown = on_a_terminal(*asked, then=lambda _: None)
    assert code == 0
    assert json.loads(out)["evidence"][0]["n"] == 200
    assert "/400" in shown


def test_ctrl_c_stops_with_a_sentence() -> None:
    asked = ["run", "pca", "circle", "--n-null", "9999", "--n-boot", "0"]
    code, out, shown = on_a_terminal(*asked, then=lambda running: running.send_signal(signal.SIGINT))
    assert (code, out) == (130, "")
    assert "Stopped" in shown
    assert "Traceback" not in shown


def test_a_reader_that_goes_away_is_no_error() -> None:
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    line = f"{sys.executable} -m workbench.cli list --json | head -c 5"
    done = subprocess.run(["bash", "-c", line], env=env, capture_output=True, text=True, check=True)
    assert (done.stdout[:1], done.stderr) == ("[", "")


# the rest


def test_the_cache_is_shown_and_pruned(run: Run) -> None:
    for seed in range(3):
        run("run", "pca", "circle", *FEW, "--random-state", seed)
    code, out, _ = run("cache", "list", "--json")
    assert code == 0
    assert len(json.loads(out)["entries"]) == 3
    size = json.loads(out)["entries"][0]["bytes"]
    assert "3 kept" in run("cache", "list")[1]
    assert "Removed 0" in run("cache", "prune", "--older-than", "1h")[1]
    assert "Removed 1" in run("cache", "prune", "--keep", f"{2.5 * size / 1000}KB")[1]
    assert len(kept.entries()) == 2
    assert "Removed 2" in run("cache", "prune", "--all")[1]
    assert kept.entries() == []


def test_doctor_says_what_is_here(run: Run) -> None:
    code, out, _ = run("doctor", "--json")
    found = json.loads(out)
    assert code == (0 if found["ready"] else 1)
    assert found["ready"] == all(p["problem"] is None for p in found["packages"] if p["required"])
    assert {"numpy", "torch", "umap-learn", "giotto-tda"} <= {p["name"] for p in found["packages"]}
    assert found["memory"] > found["memory_free"] > 0
    assert found["device"]["kind"] in ("cpu", "cuda")
    assert str(found["cores"]) in run("doctor")[1]


def test_doctor_says_how_to_get_what_is_missing(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = ["numpy>=999", "no-such-package>=1", "numpy; python_version < '3'"]
    monkeypatch.setattr(doctor, "_requirements", lambda: wanted)
    code, out, _ = run("doctor")
    assert code == 1
    assert "does not meet >=999" in out
    assert "python -m pip install 'no-such-package>=1'" in out


def test_doctor_names_the_versions_that_are_locked() -> None:
    locked = re.findall(r"^[\w-]+==[\w.]+", (ROOT / "requirements-nodeps.lock").read_text(), re.M)
    commands = " ".join(how for _, how in doctor.OPTIONAL.values())
    assert locked
    for pin in locked:
        assert f"--no-deps {pin}" in commands


def test_the_notebooks_are_provided_and_never_overwritten(run: Run) -> None:
    folder = Path("notebooks")
    assert folder / "atlas.ipynb" in provide(folder)
    (folder / "atlas.ipynb").write_text("mine")
    assert provide(folder) == []
    assert (folder / "atlas.ipynb").read_text() == "mine"


def test_lab_hands_its_arguments_to_jupyterlab(tmp_path: Path) -> None:
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [*PROGRAM, "lab", "--version"], cwd=tmp_path, env=env, capture_output=True, text=True
    )
    assert done.returncode == 0
    assert done.stdout.strip() == version("jupyterlab")
    assert (tmp_path / "notebooks" / "atlas.ipynb").is_file()


def test_report_runs_a_notebook_with_typed_values(run: Run) -> None:
    notebook(Path("small.ipynb"), "# Small", "print(f'{n} {word}')", parameters="n = 1\nword = 'a'")
    code, out, _ = run("report", "small.ipynb", "-p", "n", 7, "-p", "word", "b c", "-o", "out/page.html")
    assert code == 0
    assert "page.html" in out
    assert "7 b c" in Path("out/page.html").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("text", "value"),
    [("3", 3), ("-0.5", -0.5), ("True", True), ("None", None), ("[1, 2]", [1, 2]), ("encoder.layer.*", "encoder.layer.*"),
     ("", ""), ("a b", "a b"), ("__import__('os')", "__import__('os')")],
)  # fmt: skip
def test_values_of_notebooks_are_literals_or_text(text: str, value: object) -> None:
    assert literal(text) == value
