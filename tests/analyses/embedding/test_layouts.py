"""What every layout is asked: trustworthiness against chance and against shuffled columns."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from helpers import assert_calibrated
from sklearn.manifold import trustworthiness

import workbench as wb
from workbench.analyses.embedding import _layouts
from workbench.analyses.embedding._layouts import lay_out, require_rows, warnings_raised
from workbench.core.errors import DataError
from workbench.core.evidence import Outcome
from workbench.subjects.points import Points


def points(rows: np.ndarray) -> Points:
    return wb.PointCloud(rows).view(Points)


def first_two(x: np.ndarray) -> tuple[np.ndarray, Outcome]:
    return x[:, :2].astype(np.float32), Outcome()


def ask(rows: np.ndarray, fit=first_two, n_null: int = 19, seed: int = 0, control_rows: int = 0):
    return lay_out(
        points(rows),
        fit,
        axis="axis",
        metric="euclidean",
        control_rows=control_rows,
        n_null=n_null,
        random_state=seed,
    )


@pytest.mark.slow
def test_calibrated_where_the_layout_knows_nothing_of_the_rows() -> None:
    def p(seed: int) -> float:
        rng = np.random.default_rng(seed)
        found = ask(
            rng.standard_normal((30, 4)), lambda x: (rng.standard_normal((len(x), 2)), Outcome()), seed=seed
        )
        return found.evidence[0].p_value

    assert_calibrated(p)


def test_quality_and_evidence_are_the_trustworthiness_row_by_row() -> None:
    rows = np.random.default_rng(0).standard_normal((90, 5))
    found = ask(rows)
    assert found.quality.shape == (90,)
    assert np.isclose(found.quality.mean(), trustworthiness(rows, rows[:, :2], n_neighbors=10))
    assert np.isclose(found.evidence[0].value, found.quality.mean())


def test_shuffled_columns_cost_what_columns_share() -> None:
    rng = np.random.default_rng(1)
    shared = rng.standard_normal((200, 2)) @ rng.standard_normal((2, 6))
    noise = rng.standard_normal((200, 6))
    bound, unbound = ask(shared).evidence[1], ask(noise).evidence[1]
    assert bound.interval[0] > 0.05
    assert unbound.interval[0] < 0 < unbound.interval[1]
    assert bound.p_value is None  # one shuffled draw is no test, and isn't counted as one
    assert "one shuffled layout" in ask(noise).caveat


def test_many_rows_are_asked_by_sample_and_controlled_on_few(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, few in {"ROW_BY_ROW": 100, "ASKED": 60, "CONTROL_ROWS": 40}.items():
        monkeypatch.setattr(_layouts, name, few)
    found = ask(np.random.default_rng(2).standard_normal((150, 3)))
    assert found.quality.shape == (0,)
    assert [e.n for e in found.evidence] == [60, 40]
    assert [
        e.n for e in ask(np.random.default_rng(2).standard_normal((150, 3)), control_rows=70).evidence
    ] == [60, 70]
    assert len(ask(np.random.default_rng(2).standard_normal((150, 3)), n_null=0).evidence) == 1


def test_a_layout_that_ran_off_is_refused() -> None:
    with pytest.raises(DataError, match="ran off to infinity"):
        ask(np.random.default_rng(3).standard_normal((20, 3)), lambda x: (x * np.inf, Outcome()))


def test_warnings_without_an_answer_pass_on() -> None:
    def trouble() -> list[str]:
        with warnings_raised("known") as raised:
            warnings.warn("known trouble", stacklevel=1)
            warnings.warn("another", stacklevel=1)
        return raised

    with pytest.warns(UserWarning, match="another") as passed:
        said = trouble()
    assert said == ["known trouble"]
    assert len(passed) == 1


def test_rows_that_repeat_are_told_and_too_few_that_differ_refused() -> None:
    x = np.random.default_rng(5).standard_normal((70, 3))
    assert ask(x).outcome.advice == ""
    assert ask(np.repeat(x, 3, axis=0)).outcome.advice.startswith("140 of 210 rows repeat another")
    three = points(np.repeat(x[:3], 70, axis=0))
    with pytest.raises(DataError, match="210 rows, of which 3 are distinct"):
        require_rows(three, ("n_neighbors", 15, 16))
