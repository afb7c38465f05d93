"""P-values, intervals and the correction."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from helpers import assert_calibrated

from workbench.core.errors import MissingError, ParameterError
from workbench.core.evidence import Evidence, monte_carlo_p, named, shared_label
from workbench.numerics.resampling import (
    bootstrap_interval,
    null_draws,
    random_frame,
    shuffle_columns,
    subsample_interval,
)
from workbench.results.estimate import Estimate


@pytest.mark.parametrize("alternative", ["greater", "less", "two-sided"])
def test_p_values_reject_a_true_null_at_their_level(alternative) -> None:
    def p(seed: int) -> float:
        draws = np.random.default_rng(seed).standard_normal(40)
        return monte_carlo_p(draws[0], draws[1:], alternative)

    assert_calibrated(p, runs=2000)


def test_p_values_count_the_observation() -> None:
    assert monte_carlo_p(5.0, [1.0] * 19, "greater") == 1 / 20
    assert monte_carlo_p(1.0, [1.0] * 19, "greater") == 1.0  # ties speak for the null
    assert monte_carlo_p(5.0, [1.0] * 19, "two-sided") == 2 / 20


def test_no_number_is_no_finding_and_survives_json() -> None:
    import json

    assert monte_carlo_p(np.nan, [1.0] * 99, "greater") == 1
    assert monte_carlo_p(5.0, [1.0] * 98 + [np.nan], "greater") == 2 / 100
    odd = Evidence(
        question="?", id="s", label="s", value=np.nan, n=1, interval=(-np.inf, 1.0), null_values=(1.0, np.nan)
    )
    again = Evidence.from_json(json.loads(json.dumps(odd.to_json(), allow_nan=False)))
    assert np.isnan(again.value)
    assert np.isnan(again.null_values[1])


@pytest.mark.parametrize("interval", [bootstrap_interval, "subsample"])
def test_intervals_cover_the_truth(interval) -> None:
    covered = 0
    for seed in range(200):
        x = np.random.default_rng(seed).exponential(size=200)
        if interval == "subsample":
            low, high = subsample_interval(lambda i, x=x: float(x[i].mean()), float(x.mean()), 200, 200, seed)
        else:
            low, high = bootstrap_interval(lambda i, x=x: float(x[i].mean()), 200, 200, seed)
        covered += low <= 1.0 <= high
    assert 0.89 * 200 <= covered <= 0.99 * 200


def test_a_longer_null_starts_with_the_shorter_one() -> None:
    draw = lambda rng: rng.standard_normal()  # noqa: E731
    assert (null_draws(draw, 9, 3)[:4] == null_draws(draw, 4, 3)).all()


def test_shuffling_keeps_every_column_and_breaks_rows() -> None:
    rng = np.random.default_rng(0)
    x = np.repeat(np.arange(200.0)[:, None], 2, axis=1)
    y = shuffle_columns(x, rng)
    assert (np.sort(y, axis=0) == x).all()
    assert abs(np.corrcoef(y.T)[0, 1]) < 0.3


def test_frames_are_orthonormal_and_uniform() -> None:
    frames = np.array([random_frame(3, 2, np.random.default_rng(i)) for i in range(2000)])
    assert np.allclose(np.einsum("nij,nik->njk", frames, frames), np.eye(2))
    assert np.abs(frames.mean(axis=0)).max() < 0.06
    assert np.allclose((frames**2).mean(axis=0), 1 / 3, atol=0.03)


def answer(id: str = "share", of: str = "", label: str = "the share", **more: Any) -> Evidence:
    return Evidence(**{"id": id, "of": of, "question": "?", "label": label, "value": 1.0, "n": 3, **more})


@pytest.mark.parametrize(
    "id", ["", "Share", "share of rows", "1st", "a__b", "_a", "a_", "größe", "a-b", "x" * 61, 3]
)
def test_an_id_that_is_no_identifier_is_refused_with_what_is_legal(id) -> None:
    with pytest.raises(ParameterError, match="'explained_variance'"):
        answer(id=id)


def test_what_it_is_of_is_a_text() -> None:
    with pytest.raises(ParameterError, match="of is a text, such as '3'"):
        answer(of=3)
    assert answer(of="encoder.layer.3, «x@y»").name == "share@encoder.layer.3, «x@y»"
    assert named("share", "") == answer().name == "share"


def test_an_answer_is_found_by_id_and_of_and_refused_with_what_there_is() -> None:
    result = Estimate(
        title="Shares", evidence=(answer(of="a", value=2), answer(of="b"), answer("total", value=5))
    )
    assert result.evidence_of("share", "a").value == 2
    assert result.evidence_of("total").value == 5
    with pytest.raises(MissingError, match=r"Shares has 'share' not with of='' but with of='a', of='b'"):
        result.evidence_of("share")
    with pytest.raises(MissingError, match="Did you mean 'total'"):
        result.evidence_of("totals")


def test_a_label_is_shared_or_the_id_stands_for_it() -> None:
    assert shared_label([answer(), answer()]) == "the share"
    assert (
        shared_label([answer("kept_share", "a", "2 kept"), answer("kept_share", "a", "3 kept")])
        == "kept share, a"
    )


def test_an_interval_that_is_too_wide_says_so() -> None:
    told, wide = (
        Evidence(question="?", id="s", label="s", value=1.0, n=9, interval=(0.0, 2.0), conservative=c)
        for c in (False, True)
    )
    assert told.quote() == told.quote_interval() == "1 (95 % interval 0 to 2)"
    assert wide.quote() == "1 (interval of at least 95 %, 0 to 2)"
    assert Evidence.from_json(wide.to_json()) == wide
    kept = told.to_json()
    del kept["conservative"]  # as results that were kept before
    assert Evidence.from_json(kept) == told


def test_sentences_leave_a_nulls_details_out() -> None:
    said = answer(
        null="rows rotated", null_details="in 20 of the rows (shifted)", null_values=(0.0, 2.0)
    ).sentence()
    assert said.startswith("The share: 1 (")
    assert "with rows rotated;" in said
    assert "shifted" not in said
