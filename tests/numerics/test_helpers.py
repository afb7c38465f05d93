"""Calls are shared among processes: the same answers as one after the other, errors and warnings included."""

from __future__ import annotations

import math
import os
import time
import warnings
from collections.abc import Iterator

import numpy as np
import pytest

from workbench.numerics import helpers
from workbench.numerics.helpers import Work, shared
from workbench.numerics.threads import cores


@pytest.fixture
def two_cores(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """One helper, which is there: how long it takes to start hangs on what this process has imported."""
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    monkeypatch.setattr(helpers, "START_SECONDS", 0.0)
    (helper,) = helpers._team.of(1)
    assert helper.ready.wait(120)
    yield
    helpers._team.dismiss()


def where(seconds: float) -> int:
    """The process that computed this."""
    time.sleep(seconds)
    return os.getpid()


def refuse(x: float) -> float:
    warnings.warn("a root of this", UserWarning, stacklevel=1)
    return math.sqrt(x)


def here(value: int) -> int:
    return value


here.__module__ = "a_module_that_there_is_not"


def test_calls_are_computed_in_two_processes_and_come_back_in_order(two_cores: None) -> None:
    works = [Work(where, (0.1,)) for _ in range(10)]
    processes = [d.value for d in shared(works)]
    assert set(processes) == {os.getpid(), helpers._team.helpers[0].process.pid}
    again = [d.value for d in shared([Work(np.multiply, (i, 10)) for i in range(30)])]
    assert again == [10 * i for i in range(30)]


def test_errors_and_warnings_are_those_of_the_call(two_cores: None) -> None:
    works = [Work(where, (0.3,)), *(Work(refuse, (x,)) for x in (4.0, -1.0))]
    with pytest.warns(UserWarning, match="a root of this") as raised:
        slow, root, wrong = shared(works)
    assert slow.value == os.getpid()
    assert root.value == 2
    assert isinstance(wrong.error, ValueError)
    assert len(raised) == 2


def test_what_a_helper_cannot_have_or_is_lost_with_is_computed_here(two_cores: None) -> None:
    mine = [d.value for d in shared([Work(where, (0.1,), anywhere=False) for _ in range(5)])]
    assert set(mine) == {os.getpid()}
    assert [d.value for d in shared([Work(here, (i,)) for i in range(6)])] == list(
        range(6)
    )  # can't be pickled
    helpers._team.helpers[0].process.kill()
    assert {d.value for d in shared([Work(where, (0.05,)) for _ in range(6)])} <= {
        os.getpid(),
        *(h.process.pid for h in helpers._team.helpers),
    }


def test_a_listener_that_cancels_ends_the_helpers(two_cores: None) -> None:
    process = helpers._team.helpers[0].process

    def cancel(i: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        shared([Work(where, (0.1,)) for _ in range(6)], cancel)
    assert process.poll() is not None
    assert not helpers._team.helpers


def test_one_thread_has_no_helpers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    assert cores() == 1
    monkeypatch.setattr(helpers, "START_SECONDS", 0.0)
    assert {d.value for d in shared([Work(where, (0.01,)) for _ in range(4)])} == {os.getpid()}
    assert not helpers._team.helpers
