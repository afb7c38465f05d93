"""Bookmarks are the tethered edges of their step, survive, tell of a change that was made, and leave the training alone."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy.stats import binom
from torch import nn

import workbench as wb
from workbench.core.errors import FormatError, ParameterError, ViewError
from workbench.numerics.changes import alarms
from workbench.numerics.tethers import flat, tether, top
from workbench.recording.bookmarks import Change
from workbench.subjects.descents.bookmarks import jaccard
from workbench.subjects.descents.places import at_step
from workbench.subjects.descents.trajectory import Descent


class Loop:
    """A small network that learns from one batch by Adam."""

    def __init__(self, seed: int = 0):
        torch.manual_seed(seed)
        self.net = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 3))
        self.optimizer = torch.optim.Adam(self.net.parameters(), lr=0.02)
        self.x, self.y = torch.randn(40, 6), torch.randint(3, (40,))

    def record(self, **how: Any) -> Any:
        return wb.record(self.net, self.optimizer, probe=(self.x, self.y), loss="cross_entropy", **how)

    def go(self, run: Any, steps: int, before: Callable[[int], Any] = lambda i: None) -> None:
        for _ in range(steps):
            before(run.step)
            self.optimizer.zero_grad()
            loss = nn.functional.cross_entropy(self.net(self.x), self.y)
            loss.backward()
            self.optimizer.step()
            run.log(loss=loss)


@pytest.mark.parametrize(
    "source", ["magnitude", "movement", "adam", "gradient_weight", "fisher", "dropout", "centrality"]
)
@pytest.mark.parametrize("scope", ["layer", "network"])
def test_bookmarks_are_the_top_of_the_tethers_at_their_step(source: str, scope: str) -> None:
    loop = Loop()
    with (
        loop.record(weights_at=5, optimizer_state=True) as run,
        wb.bookmark(run, source, fraction=0.2, every=5, scope=scope),
    ):
        loop.go(run, 20)
    marks = run.trajectory.bookmarks[source]
    assert list(marks.steps) == [0, 5, 10, 15, 20]
    descent = run.trajectory.view(Descent)
    for step, edges in zip(
        marks.steps[1:], marks.edges[1:], strict=True
    ):  # at 0 nothing has moved yet: all ties
        if source == "gradient_weight" and step == 20:
            continue  # the gradient at hand is still that of the step before
        expected = top(tether(at_step(descent, step), source), 0.2, scope=scope)
        np.testing.assert_array_equal(edges, np.flatnonzero(flat(expected)), err_msg=f"{step}")
    where = marks.layers(marks.edges[-1])
    assert sum(map(len, where.values())) == len(marks.edges[-1])
    assert all(p.max() < np.prod(marks.shapes[n]) for n, p in where.items())


def test_turnover_stands_in_the_table() -> None:
    loop = Loop()
    with loop.record() as run, wb.bookmark(run, "magnitude", fraction=0.2, every=4):
        loop.go(run, 22)
    marks = run.trajectory.bookmarks["magnitude"]
    said = run.trajectory.table["bookmark.magnitude"].dropna()
    assert list(said.index) == [4, 8, 12, 16, 20]
    np.testing.assert_allclose(
        said, [jaccard(a, b) for a, b in zip(marks.edges, marks.edges[1:], strict=False)]
    )
    assert set(run.trajectory.table["bookmark.magnitude.changed"].dropna()) == {0.0}


def test_a_resumed_recording_goes_on_with_its_bookmarks(tmp_path: Path) -> None:
    straight = Loop()
    with straight.record(weights_at=5, optimizer_state=True) as run, wb.bookmark(run, fraction=0.2, every=3):
        straight.go(run, 20)
    expected = run.trajectory.bookmarks["magnitude"]
    broken = Loop()
    with (
        pytest.raises(KeyboardInterrupt),
        broken.record(to=tmp_path / "r", weights_at=5, optimizer_state=True) as run,
        wb.bookmark(run, fraction=0.2, every=3),
    ):
        broken.go(run, 13)
        raise KeyboardInterrupt
    again = Loop(1)
    again.x, again.y = broken.x, broken.y
    with again.record(to=tmp_path / "r", weights_at=5, optimizer_state=True, resume=True) as run:
        assert run.restore() == 13
        with wb.bookmark(run, fraction=0.2, every=3):
            again.go(run, 7)
    found = wb.open(tmp_path / "r").bookmarks["magnitude"]
    assert list(found.steps) == list(expected.steps)
    for a, b in zip(found.edges, expected.edges, strict=True):
        np.testing.assert_array_equal(a, b)


def test_going_back_drops_what_came_after(tmp_path: Path) -> None:
    loop = Loop()
    with loop.record(to=tmp_path / "r") as run, wb.bookmark(run, every=2):
        loop.go(run, 10)
    with loop.record(to=tmp_path / "r", resume=True, step=5) as run, wb.bookmark(run, every=2):
        loop.go(run, 2)
    assert list(run.trajectory.bookmarks["magnitude"].steps) == [0, 2, 4, 6]


def test_known_answer_a_planted_change_is_told_with_its_edges_and_nothing_else(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("INFO", "workbench.recording.bookmarks")
    torch.manual_seed(0)
    net = nn.Linear(30, 20, bias=False)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.01)
    planted = torch.randperm(600)[:15]
    told: list[Change] = []
    with (
        wb.record(net, optimizer) as run,
        wb.bookmark(run, fraction=0.1, every=1, on_change=told.append, false_alarms=0.02) as marks,
    ):
        for i in range(120):
            net.weight.grad = torch.randn(20, 30)
            if i == 80:
                with torch.no_grad():
                    net.weight.view(-1)[planted] = 3.0
            optimizer.step()
    change = next(c for c in told if c.step == 80)
    gained, new = set(change.gained["weight"]), set(planted.tolist()) - set(marks.bookmarks.edges[79])
    assert new <= gained and len(gained - new) <= 2  # one edge or another changes at any step
    assert [r.getMessage() for r in caplog.records] == [f"magnitude of Linear: {c}" for c in told]
    assert "step 80" in str(change) and change.p_value <= 0.02
    assert len(told) <= 6  # 1 and, by chance, 0.02 of the others
    assert list(run.trajectory.table.query("`bookmark.magnitude.changed` == 1").index) == [
        c.step for c in told
    ]


@pytest.mark.slow
def test_false_alarms_are_as_few_as_asked_for() -> None:
    """Weights that drift at random: the rate of alarms over many descents is at most what was chosen."""
    rng = np.random.default_rng(0)
    rung = asked = 0
    for _ in range(40):
        w = rng.standard_normal(400)
        before, similar = np.argsort(-np.abs(w))[:40], []
        for _ in range(80):
            w = np.sqrt(1 - 0.05**2) * w + 0.05 * rng.standard_normal(400)  # stays as large as it is
            now = np.argsort(-np.abs(w))[:40]
            similar.append(jaccard(before, now))
            before = now
        rung += int(alarms(np.array(similar), 0.05).sum())
        asked += 80
    assert rung <= binom.ppf(0.9995, asked, 0.05), f"{rung} alarms of {asked}"
    assert rung > 0  # it is a test that can ring


def test_one_tells_of_every_change_of_an_edge() -> None:
    loop = Loop()
    with loop.record() as run, wb.bookmark(run, fraction=0.2, every=2, false_alarms=1) as marks:
        loop.go(run, 20)
    assert [c.step for c in marks.changes if c.step < 20] == [
        int(s) for s, j in zip(marks.bookmarks.steps[1:-1], marks.bookmarks.turnover(), strict=False) if j < 1
    ]


def test_training_is_the_same_with_bookmarks() -> None:
    weights = []
    for source in (None, "magnitude", "fisher", "gradient_weight"):
        loop = Loop()
        loop.net.insert(1, nn.Dropout(0.5))
        with loop.record() as run:
            if source is None:
                loop.go(run, 15)
            else:
                with wb.bookmark(run, source, every=2):
                    loop.go(run, 15)
        assert loop.net.training
        weights.append(loop.net[0].weight.detach().clone())
    for w in weights[1:]:
        assert torch.equal(w, weights[0])


def test_a_change_is_printed_in_a_plain_line(capsys: pytest.CaptureFixture[str]) -> None:
    loop = Loop()
    with loop.record() as run, wb.bookmark(run, every=1, false_alarms=1, on_change=True) as marks:
        loop.go(run, 10)
    assert capsys.readouterr().out.splitlines() == [str(c) for c in marks.changes] != []
    assert "bookmarked edges are new" in str(marks.changes[0])
    with pytest.raises(ParameterError, match="on_change='print' is not legal"):
        wb.bookmark(run, on_change="print")  # type: ignore[arg-type]


def test_what_goes_wrong_is_said_and_leaves_the_loop_alone() -> None:
    def fails(change: Change) -> None:
        raise RuntimeError("the listener is broken")

    loop = Loop()
    with (
        pytest.warns(RuntimeWarning, match="the listener is broken"),
        loop.record() as run,
        wb.bookmark(run, fraction=0.2, every=1, false_alarms=1, on_change=fails),
    ):
        loop.go(run, 30)
    assert run.step == 30 and len(run.trajectory) == 30
    loop = Loop()

    def spoil(step: int) -> None:
        if step == 6:
            with torch.no_grad():
                loop.net[0].weight[0, 0] = float("nan")

    with (
        pytest.warns(RuntimeWarning, match=r"at step 6: magnitude of 0.weight isn't finite"),
        loop.record() as run,
        wb.bookmark(run, every=3),
    ):
        loop.go(run, 9, spoil)
    assert list(run.trajectory.bookmarks["magnitude"].steps) == [0, 3]
    assert run.trajectory.diverged is not None


def test_a_recording_without_bookmarks_has_none_and_one_with_them_is_another() -> None:
    digests = []
    for marked in (False, True):
        loop = Loop()
        with loop.record() as run:
            if marked:
                with wb.bookmark(run, every=100):
                    loop.go(run, 5)
            else:
                loop.go(run, 5)
        digests.append(run.trajectory.digest)
        assert list(run.trajectory.bookmarks) == (["magnitude"] if marked else [])
    assert digests[0] != digests[1]


def test_a_damaged_file_is_refused(tmp_path: Path) -> None:
    loop = Loop()
    with loop.record(to=tmp_path / "r") as run, wb.bookmark(run, every=2):
        loop.go(run, 10)
    file = tmp_path / "r" / "bookmarks-magnitude.safetensors"
    raw = bytearray(file.read_bytes())
    raw[-3] ^= 0xFF
    file.write_bytes(raw)
    with pytest.raises(FormatError, match=r"bookmarks-magnitude\.safetensors can't be read"):
        wb.open(tmp_path / "r")


def test_refuses_by_name(tmp_path: Path) -> None:
    loop = Loop()
    with loop.record() as run:
        for wrong, said in (
            ({"source": "magnitudes"}, "magnitude"),
            ({"every": 0}, "every"),
            ({"fraction": 0}, "fraction"),
            ({"false_alarms": 2}, "false_alarms"),
            ({"scope": "all"}, "scope"),
            ({"name": "a/b"}, "name"),
            ({"source": "movement_score"}, "bookmark_stability"),
        ):
            with pytest.raises(ParameterError, match=said):
                wb.bookmark(run, **wrong)
        with pytest.raises(ViewError, match="attention"):
            wb.bookmark(run, "attention")
        loop.go(run, 1)
    bare = Loop()
    with wb.record(bare.net, bare.optimizer) as run, pytest.raises(ViewError, match="a probe"):
        wb.bookmark(run, "fisher")
    loop = Loop()
    with loop.record(to=tmp_path / "r") as run, wb.bookmark(run, fraction=0.1, every=1):
        loop.go(run, 3)
    with (
        loop.record(to=tmp_path / "r", resume=True) as run,
        pytest.raises(ParameterError, match="a name= of their own"),
        wb.bookmark(run, fraction=0.3),
    ):
        raise AssertionError("is not reached")
