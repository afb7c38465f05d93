"""A command line run in process, in an empty folder."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import click
import pytest

from workbench import cli

Run = Callable[..., tuple[int, str, str]]


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
