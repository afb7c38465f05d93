"""Writing to a temporary name: what a kill leaves is removed by the next write of the same name, and nothing else."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from workbench.core.storage import writing

pytest.importorskip("fcntl")

WRITER = """
import sys, time
from pathlib import Path
from workbench.core.storage import writing
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


def test_a_write_that_fails_removes_nothing_but_its_own(
    writer: subprocess.Popen[str], tmp_path: Path
) -> None:
    """What was moved aside before a kill may be all that is left of it."""
    writer.kill()
    writer.wait()
    with pytest.raises(ZeroDivisionError), writing(tmp_path / "n.results") as temporary:
        temporary.mkdir()
        raise ZeroDivisionError
    (left,) = tmp_path.iterdir()
    assert (left / "n.results/half").is_file()


def test_a_link_of_such_a_name_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / ".n.results.abcdefgh").symlink_to(tmp_path / "elsewhere")
    _write(tmp_path / "n.results")
    assert (tmp_path / ".n.results.abcdefgh").is_symlink()
