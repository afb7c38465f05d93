"""Asking several subjects: on all cores or one after the other, the same answers, remembered in the same order."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch

import workbench as wb
from workbench.core import history
from workbench.core.errors import DataError, ParameterError
from workbench.evidence import Begun, ask_each, ask_untrained, begin_each
from workbench.numerics import helpers
from workbench.results.estimate import Estimate
from workbench.subjects.points import Points


@pytest.fixture
def clouds() -> dict[str, np.ndarray]:
    return {str(i): np.random.default_rng(i).standard_normal((120, 6)) for i in range(5)}


@pytest.fixture
def helped(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """As on two cores, with a helper that is there."""
    monkeypatch.setenv("WORKBENCH_NO_CACHE", "1")
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    monkeypatch.setattr(helpers, "START_SECONDS", 0.0)
    helper = helpers._team.of(1)[0]
    assert helper.ready.wait(60)
    yield
    helpers._team.dismiss()


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What is sent to a helper from now on."""
    sent: list[Any] = []
    compute = helpers._Helper.compute
    monkeypatch.setattr(
        helpers._Helper, "compute", lambda self, work: sent.append(work) or compute(self, work)
    )
    return sent


def test_a_helper_gives_the_answers_of_the_method_itself(
    helped: None, clouds: dict[str, np.ndarray], sent: list[Any]
) -> None:
    history.forget()
    answers = ask_each(wb.intrinsic_dimension, clouds, n_null=19)
    assert sent
    assert list(answers) == list(clouds)
    assert [a.title for a in history.asked()] == [r.title for r in answers.values()]
    for name, x in clouds.items():
        alone = wb.intrinsic_dimension(x, n_null=19)
        assert alone.run.key == answers[name].run.key
        assert alone.digest == answers[name].digest


@pytest.fixture
def one_torch_thread() -> Iterator[None]:
    """As in a helper: with two of torch's threads, which `one_thread` doesn't hold back entirely, last bits differ."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def test_a_question_that_is_begun_is_answered_later_and_counts_from_then_on(
    helped: None, one_torch_thread: None
) -> None:
    history.forget()
    descent = wb.digits_descent(width=6, depth=1, steps=20)
    how = {"budget": 3, "repeats": 3, "rate_factors": (2.0,), "arm": "whitening"}
    begun = Begun(wb.renormalize.question(descent, **how))
    meanwhile = wb.pca(np.eye(9), n_null=0, n_boot=0)
    assert [a.run.key for a in history.asked()] == [meanwhile.run.key]
    answer = begun.answer()
    assert helpers._team.helpers[0].turn.acquire(timeout=5)  # the helper is free again
    helpers._team.helpers[0].turn.release()
    assert [a.run.key for a in history.asked()] == [meanwhile.run.key, answer.run.key]
    assert answer.digest == wb.renormalize(descent, **how).digest


def test_what_is_begun_of_each_is_what_asking_each_gives(
    helped: None,
    clouds: dict[str, np.ndarray],
    sent: list[Any],
    capsys: pytest.CaptureFixture[str],
) -> None:
    history.forget()
    begun = begin_each(wb.intrinsic_dimension, clouds, n_null=19)
    meanwhile = wb.pca(np.eye(9), n_null=0, n_boot=0)
    answers = begun.answers()
    assert sent
    asked = ask_each(wb.intrinsic_dimension, clouds, n_null=19)
    assert {n: a.digest for n, a in answers.items()} == {n: a.digest for n, a in asked.items()}
    assert list(answers) == list(clouds)
    titles = [r.title for r in answers.values()]
    assert [a.title for a in history.asked()] == [meanwhile.title, *titles]
    assert begin_each(wb.umap, {"flat": np.ones((50, 4))}, n_epochs=5, n_null=0).answers() == {}
    assert capsys.readouterr().out.count("Not asked:") == 1
    with pytest.raises(ParameterError, match=r"begins with a method.*function"):
        begin_each(lambda x: x, clouds)


def test_what_goes_wrong_there_is_raised_by_the_answer(helped: None) -> None:
    begun = Begun(wb.umap.question(np.ones((50, 4))))
    with pytest.raises(DataError, match="are equal"):
        begun.answer()


def test_an_arm_that_cannot_answer_is_empty_and_told(
    helped: None, clouds: dict[str, np.ndarray], capsys: pytest.CaptureFixture[str]
) -> None:
    flat = {**clouds, "3": np.ones((50, 4))}
    assert ask_each(wb.umap, flat, n_null=0, n_epochs=5) == {}
    assert capsys.readouterr().out.count("Not asked:") == 1
    answered = ask_each(wb.pca, clouds, n_null=0, n_boot=0)
    arms = ask_untrained(wb.pca, answered, [flat, clouds])
    assert [list(a) for a in arms] == [list(clouds)]
    assert "Not asked:" in capsys.readouterr().out


def test_a_method_of_this_process_alone_stays_here(helped: None, clouds: dict[str, np.ndarray]) -> None:
    @wb.core.registry.analysis
    def here_alone(points: Points) -> Estimate:
        """Answer nothing."""
        return Estimate(evidence=())

    assert list(ask_each(here_alone, clouds)) == list(clouds)
