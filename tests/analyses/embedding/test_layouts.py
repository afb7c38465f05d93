"""What every layout is asked: trustworthiness, and how far it exceeds that of one lump."""

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


def ask(rows: np.ndarray, fit=first_two, n_null: int = 19, seed: int = 0, least_rows: int = 0):
    return lay_out(
        points(rows),
        fit,
        axis="axis",
        metric="euclidean",
        least_rows=least_rows,
        control_rows=_layouts.CONTROL_ROWS,
        n_null=n_null,
        random_state=seed,
    )


@pytest.mark.slow
@pytest.mark.parametrize("world", ["iid", "uniform square", "texts 0.5"])
def test_calibrated_where_the_rows_are_one_lump(world: str) -> None:
    from workbench.calibrating.world import worlds_for
    from workbench.core.registry import method

    (here,) = worlds_for(method("isomap"), (world,))

    def p(seed: int) -> float:
        (subject,) = here.make(np.random.default_rng(seed))
        found = lay_out(
            subject.view(Points),
            first_two,
            axis="axis",
            metric="euclidean",
            least_rows=0,
            n_null=19,
            random_state=seed,
        )
        return found.evidence[1].p_value

    assert_calibrated(p, runs=100, exact=False)


def test_chance_is_about_a_half() -> None:
    """What the evidence says of trustworthiness by chance, in place of a test that nobody asks for."""
    rng = np.random.default_rng(0)
    found = ask(
        rng.standard_normal((300, 4)), lambda x: (rng.standard_normal((len(x), 2)), Outcome()), n_null=0
    )
    assert found.evidence[0].value == pytest.approx(0.5, abs=0.02)
    assert "about a half" in found.evidence[0].untested


def test_quality_and_evidence_are_the_trustworthiness_row_by_row() -> None:
    rows = np.random.default_rng(0).standard_normal((90, 5))
    found = ask(rows)
    assert found.quality.shape == (90,)
    assert np.isclose(found.quality.mean(), trustworthiness(rows, rows[:, :2], n_neighbors=10))
    assert np.isclose(found.evidence[0].value, found.quality.mean())


def test_a_bent_sheet_is_laid_out_better_than_its_lump_and_a_flat_one_is_not() -> None:
    rng = np.random.default_rng(1)
    angle = rng.uniform(0, 2 * np.pi, 200)
    turned = np.column_stack([np.cos(angle), np.sin(angle), np.cos(2 * angle), np.sin(2 * angle)])
    flat = rng.standard_normal((200, 2)) @ rng.standard_normal(
        (2, 6)
    )  # columns share much, and one lump as much
    for n_null in (5, 19):
        bent, lump = ask(turned, n_null=n_null).evidence[1], ask(flat, n_null=n_null).evidence[1]
        assert bent.value > 0.02 > lump.value
        assert bent.interval is None  # none covers
    assert bent.p_value == 0.05
    assert lump.p_value > 0.05
    few = ask(turned, n_null=5).evidence[1]
    assert few.p_value is None
    assert "n_null=19" in few.untested


def test_rows_that_come_again_and_few_texts_are_not_compared() -> None:
    x = np.random.default_rng(4).standard_normal((40, 3))
    import pandas as pd

    def asked(rows: np.ndarray, least_rows: int, **columns: object):
        view = wb.PointCloud(rows, table=pd.DataFrame(columns, index=range(len(rows)))).view(Points)
        return lay_out(
            view, first_two, axis="a", metric="euclidean", least_rows=least_rows, n_null=5, random_state=0
        )

    again = asked(np.repeat(x, 4, axis=0), 62)
    assert "40 rows don't come again" in again.caveat
    assert len(again.evidence) == 1
    texts = asked(np.random.default_rng(5).standard_normal((160, 3)), 0, text_id=np.arange(160) // 40)
    assert "4 texts" in texts.caveat
    enough = asked(np.repeat(x, 4, axis=0), 20)
    assert enough.evidence[1].n == 40  # one of each


def test_many_rows_are_asked_by_sample_and_controlled_on_few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("workbench.analyses.embedding._beyond_lumps.TESTED", 99)
    for name, few in {"ROW_BY_ROW": 100, "ASKED": 60, "CONTROL_ROWS": 40}.items():
        monkeypatch.setattr(_layouts, name, few)
    found = ask(np.random.default_rng(2).standard_normal((150, 3)))
    assert found.quality.shape == (0,)
    assert [e.n for e in found.evidence] == [60, 40]
    assert [e.n for e in ask(np.random.default_rng(2).standard_normal((150, 3)), least_rows=35).evidence] == [
        60,
        70,
    ]
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
