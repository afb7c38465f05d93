"""Writing to a temporary name: what a kill leaves is removed by the next write of the same name, and nothing else."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from workbench.core.errors import ParameterError
from workbench.core.storage import require_apart, scratch, writing

pytest.importorskip("fcntl")

WRITER = """
import sys, time
from pathlib import Path
from workbench.core.errors import ParameterError
from workbench.core.storage import require_apart, scratch, turn, writing
with writing(Path(sys.argv[1])) as temporary:
    temporary.mkdir()
    (temporary / "half").write_text("written")
    print("at work", flush=True)
    time.sleep(600)
"""


@pytest.fixture
def writer(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """A process in the middle of writing a folder ``n.results``."""
    command = [sys.executable, "-c", WRITER, str(tmp_path / "n.results")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "at work\n"
        yield process
        process.kill()


def _write(path: Path) -> None:
    with writing(path) as temporary:
        temporary.mkdir()
        (temporary / "whole").write_text("written")


def test_what_a_kill_left_goes_with_the_next_write_but_not_what_is_in_use(
    writer: subprocess.Popen[str], tmp_path: Path
) -> None:
    kept = [tmp_path / ".n.results.notes", tmp_path / ".other.abcdefgh", tmp_path / ".n.results"]
    for folder in kept:
        folder.mkdir()
    _write(tmp_path / "n.results")
    assert len(list(tmp_path.glob(".n.results.????????"))) == 1, "the other process is still at work in it"
    writer.kill()
    writer.wait()
    _write(tmp_path / "n.results")
    assert sorted(tmp_path.iterdir()) == sorted([*kept, tmp_path / "n.results"])
    assert (tmp_path / "n.results/whole").read_text() == "written"


def test_a_half_that_a_kill_left_goes_before_the_next_write_takes_room(
    writer: subprocess.Popen[str], tmp_path: Path
) -> None:
    writer.kill()
    writer.wait()
    (left,) = tmp_path.iterdir()
    assert (left / "n.results/half").is_file()
    with writing(tmp_path / "n.results") as temporary:
        assert list(tmp_path.iterdir()) == [temporary.parent]
        temporary.mkdir()


def test_a_write_that_fails_leaves_what_was_moved_aside_before_a_kill(
    writer: subprocess.Popen[str], tmp_path: Path
) -> None:
    """It may be all that is left of what was there."""
    writer.kill()
    writer.wait()
    (left,) = tmp_path.iterdir()
    (left / "replaced").mkdir()
    with pytest.raises(ZeroDivisionError), writing(tmp_path / "n.results") as temporary:
        temporary.mkdir()
        raise ZeroDivisionError
    assert list(tmp_path.iterdir()) == [left] and (left / "replaced").is_dir()
    _write(tmp_path / "n.results")
    assert list(tmp_path.iterdir()) == [tmp_path / "n.results"]


def test_a_link_of_such_a_name_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / ".n.results.abcdefgh").symlink_to(tmp_path / "elsewhere")
    _write(tmp_path / "n.results")
    assert (tmp_path / ".n.results.abcdefgh").is_symlink()


def test_a_folder_of_scratch_goes_with_its_block_and_what_a_kill_left_with_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    code = "import sys, time, tempfile\ntempfile.tempdir = sys.argv[1]\nfrom workbench.core.storage import scratch\n"
    code += "with scratch('work'):\n    print('at work', flush=True)\n    time.sleep(600)"
    with subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "at work\n"
        with scratch("work") as mine, scratch("work") as other:
            assert len(list(tmp_path.iterdir())) == 3  # one that is in use is left alone
            assert mine.is_dir() and other.is_dir()
        process.kill()
    assert len(list(tmp_path.iterdir())) == 1
    with scratch("work") as mine:
        assert list(tmp_path.iterdir()) == [mine]
    assert list(tmp_path.iterdir()) == []


def test_processes_take_turns_in_a_folder(tmp_path: Path) -> None:
    code = (
        "import sys\nfrom pathlib import Path\nfrom workbench.core.storage import turn\n"
        "count = Path(sys.argv[1]) / 'count'\n"
        "for _ in range(200):\n    with turn(count.parent):\n        count.write_text(str(int(count.read_text()) + 1))"
    )
    (tmp_path / "count").write_text("0")
    racing = [subprocess.Popen([sys.executable, "-c", code, str(tmp_path)]) for _ in range(3)]
    assert [process.wait(60) for process in racing] == [0, 0, 0]
    assert (tmp_path / "count").read_text() == "600"


def test_no_output_is_an_input_however_it_is_spelled_or_linked(tmp_path: Path) -> None:
    given = tmp_path / "folder" / "given"
    given.parent.mkdir()
    given.write_text("read")
    (tmp_path / "soft").symlink_to(given)
    os.link(given, tmp_path / "hard")
    for output in (
        given,
        given.parent / ".." / "folder" / "given",
        tmp_path / "soft",
        tmp_path / "hard",
        given.parent,
    ):
        with pytest.raises(ParameterError, match=r"would take the place of .* Choose another\."):
            require_apart([tmp_path / "new", output], [given], "Choose another.")
    with pytest.raises(ParameterError, match="would take the place of"):
        require_apart([given], [given.parent], "Choose another.")
    require_apart([tmp_path / "new", given.parent / "new"], [given, given.parent], "Choose another.")
