"""Bad input and failures: one paragraph, an exit code, nothing changed on disk; signals and terminals."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from workbench import cli

Run = Callable[..., tuple[int, str, str]]
PROGRAM = [sys.executable, "-m", "workbench.cli"]
ROOT = Path(__file__).parent.parent.parent


def files(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


REFUSED = [
    (["lst"], 2, "'list'"),
    (["run", "umpa", "circle"], 2, "'umap'"),
    (["run", "pca", "circle", "--n-component", "2"], 2, "--n-components"),
    (["run", "pca"], 2, "POINTS"),
    (["run", "pca", "circle", "--n-components", "0"], 2, "an integer from 1 to 1000"),
    (["run", "pca", "circle", "--n-components", "two"], 2, "an integer from 1 to 1000"),
    (["run", "pca", "circle", "--svd-solver", "ful"], 2, "'full'"),
    (["run", "pca", "circle", "--n-components", "3"], 3, "at most 2 components"),
    (["run", "pca", "circle", "--at", "encoder.layer.1"], 2, "no parts"),
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
    (["report", "atlas", "-p", "netwrok=minilm"], 2, "'network'"),
    (["report", "atlas", "-p", "network"], 2, "NAME=VALUE"),
    (["report", "atlas", "-p", "netwrok", "minilm"], 2, "'network'"),
]


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


def on_a_terminal(*arguments: str, then: Callable[[subprocess.Popen[str]], None]) -> tuple[int, str, str]:
    """Run with stderr on a terminal; ``then`` is called once the null is being drawn."""
    ours, theirs = pty.openpty()
    env = {**os.environ, "PYTHONPATH": str(ROOT), "TERM": "xterm", "COLUMNS": "100"}
    running = subprocess.Popen(
        [*PROGRAM, *arguments],
        env=env,
        stdout=subprocess.PIPE,
        stderr=theirs,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a job in the background ignores it
    )
    os.close(theirs)
    shown, told = b"", False
    while True:
        try:
            part = os.read(ours, 65536)
        except OSError:  # the other end is closed
            break
        shown += part
        if not told and b": null" in shown:
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
    asked = ["run", "persistence", "circle", "--n-null", "9999", "--n-boot", "0"]
    code, out, shown = on_a_terminal(*asked, then=lambda running: running.send_signal(signal.SIGINT))
    assert (code, out) == (130, "")
    assert "Stopped" in shown
    assert "Traceback" not in shown


def test_ctrl_c_while_the_command_line_loads_is_a_sentence_too() -> None:
    """The last of what it loads raises what the system's own handler does."""
    code = (
        "import sys\nclass Stopped:\n    def find_spec(self, name, path=None, target=None):\n"
        "        if name == 'workbench.commands.sweep': raise KeyboardInterrupt\n"
        "sys.meta_path.insert(0, Stopped())\nimport workbench.cli"
    )
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    ended = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True)
    assert (ended.returncode, ended.stdout) == (130, "")
    assert ended.stderr.startswith("Error: Stopped.")
    assert "Traceback" not in ended.stderr


def test_what_is_asked_about_is_never_written_over(run: Run) -> None:
    code, out, _ = run("run", "circle", "--out", "a cloud.npz")
    assert code == 0
    assert "workbench run METHOD 'a cloud.npz'" in out
    assert run("run", "pca", "a cloud.npz", "--n-null", "0", "--n-boot", "0", "--out", "kept")[0] == 0
    before = {p: p.read_bytes() for p in Path("kept").iterdir()}
    os.symlink("kept", "linked")
    code, _, err = run("run", "pca", "./kept", "--n-null", "0", "--n-boot", "0", "--out", "linked")
    assert code == 2
    assert "linked would take the place of kept, which is read" in err
    assert {p: p.read_bytes() for p in Path("kept").iterdir()} == before


def test_a_reader_that_goes_away_is_no_error() -> None:
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    line = f"{sys.executable} -m workbench.cli list --json | head -c 5"
    done = subprocess.run(["bash", "-c", line], env=env, capture_output=True, text=True, check=True)
    assert (done.stdout[:1], done.stderr) == ("[", "")


@pytest.mark.parametrize(
    ("typed", "near"),
    [
        (("pca", "minilm", "--at", "encoder.layr.5"), "Did you mean 'encoder.layer.5'"),
        (("neighbourhood-preservation", "minilm", "--at", "encoder.layer.*9"), "No module matches"),
        (("singular-values", "minilm", "--at", "encoder.layer.0.output.dens.weight"), "dense.weight"),
    ],
)
def test_an_unknown_place_is_refused_before_anything_is_captured(
    run: Run, monkeypatch: pytest.MonkeyPatch, typed: tuple[str, ...], near: str
) -> None:
    def captured(*args: object, **kwargs: object) -> None:
        raise AssertionError("captured")

    monkeypatch.setattr("workbench.asking.captured", captured)
    code, _, err = run("run", *typed)
    assert code == 4 and near in err
