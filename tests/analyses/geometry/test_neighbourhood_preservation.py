"""Neighbourhood preservation between two arrays with the same rows."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from helpers import assert_calibrated

import workbench as wb
from workbench.analyses.geometry import neighbourhood_preservation as module
from workbench.core.errors import DataError
from workbench.subjects.activations import Aligned


def layers(*arrays: np.ndarray, first_id: int = 0, **columns: np.ndarray) -> wb.Activations:
    index = pd.RangeIndex(first_id, first_id + len(arrays[0]))
    return wb.Activations({f"layer {i}": a for i, a in enumerate(arrays)}, pd.DataFrame(columns, index=index))


def test_known_answer_of_a_rotated_copy_and_a_torn_one() -> None:
    rng = np.random.default_rng(0)
    rows = rng.standard_normal((120, 6))
    turned = rows @ np.linalg.qr(rng.standard_normal((6, 6)))[0] * 3 + 1
    same = wb.neighbourhood_preservation(layers(rows, rng.standard_normal((120, 4)), turned), n_null=19)
    assert [e.value for e in same.evidence] == [1, 1, 1]  # the last array counts, not the one between
    assert all(e.p_value == 0.05 for e in same.evidence)
    line = np.linspace(0, 1, 120)[:, None]
    torn = np.where(line < 0.5, line, line + 5)  # a gap moves no stranger near and tears few neighbours
    folded = np.abs(line - 0.5)  # a fold brings strangers together and tears nothing
    tear = dict(
        zip(same.names, wb.neighbourhood_preservation(layers(line, torn), n_null=0).evidence, strict=True)
    )
    fold = dict(
        zip(same.names, wb.neighbourhood_preservation(layers(line, folded), n_null=0).evidence, strict=True)
    )
    assert tear["trustworthiness"].value > 0.99
    assert fold["continuity"].value > 0.96
    assert fold["trustworthiness"].value < 0.8


def test_peer_is_scikit_learn() -> None:
    from sklearn.manifold import trustworthiness

    rng = np.random.default_rng(1)
    before = rng.standard_normal((100, 7))
    after = before + rng.standard_normal((100, 7))
    found = wb.neighbourhood_preservation(layers(before, after), n_neighbors=6, n_null=0)
    assert np.isclose(found.evidence[0].value, trustworthiness(before, after, n_neighbors=6))
    assert np.isclose(found.evidence[1].value, trustworthiness(after, before, n_neighbors=6))
    assert np.allclose(found.per_row.mean(axis=0), [e.value for e in found.evidence])


@pytest.mark.slow
def test_calibrated_where_the_arrays_share_nothing() -> None:
    p = {}

    def asked(seed: int) -> list[float]:
        if seed not in p:
            rng = np.random.default_rng(seed)
            view = layers(rng.standard_normal((30, 4)), rng.standard_normal((30, 3))).view(Aligned)
            found = wb.neighbourhood_preservation.function(view, n_neighbors=4, n_null=19)
            p[seed] = [e.p_value for e in found.evidence]
        return p[seed]

    for i in range(3):
        assert_calibrated(lambda seed, i=i: asked(seed)[i])


def of_texts(seed: int, sizes: list[int], d: int = 4) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Two arrays that have nothing in common but the texts that their rows are of."""
    rng = np.random.default_rng(seed)
    text = np.repeat(np.arange(len(sizes)), sizes)
    x, y = (
        2 * rng.standard_normal((len(sizes), d))[text] + rng.standard_normal((len(text), d)) for _ in range(2)
    )
    return x, y, text


def test_rows_of_one_text_near_each_other_in_both_are_nothing_in_common() -> None:
    x, y, text = of_texts(8, [6] * 20)
    fooled = wb.neighbourhood_preservation(layers(x, y), n_null=19).evidence
    honest = wb.neighbourhood_preservation(layers(x, y, text_id=text), n_null=19).evidence
    assert all(e.p_value == 0.05 for e in fooled)
    assert all(e.p_value > 0.05 for e in honest)
    assert {(e.null, e.null_name, e.groups) for e in honest} == {
        ("whole texts permuted", "independent_given_groups", "20 texts")
    }
    assert [e.value for e in honest] == [e.value for e in fooled]


@pytest.mark.slow
def test_calibrated_where_arrays_share_texts_of_any_size() -> None:
    def p(seed: int) -> float:
        x, y, text = of_texts(seed, [2, 3, 4, 5, 6, 8] * 2)
        view = layers(x, y, text_id=text).view(Aligned)
        found = wb.neighbourhood_preservation.function(view, n_neighbors=4, n_null=19, random_state=seed)
        return found.evidence[0].p_value

    assert_calibrated(p)


def test_few_texts_and_few_rows_of_each_kind_are_left_untested() -> None:
    x, y, text = of_texts(6, [10] * 4)
    found = wb.neighbourhood_preservation(layers(x, y, text_id=text), n_neighbors=5, n_null=9).evidence
    assert all("4 texts" in e.untested and e.interval is None for e in found)
    rng = np.random.default_rng(7)
    token = np.tile(np.arange(22), 6)
    x, y = (rng.standard_normal((22, 4))[token] + 0.1 * rng.standard_normal((132, 4)) for _ in range(2))
    given = layers(x, y, token=token.astype(str))
    assert (
        "lower n_neighbors"
        in wb.neighbourhood_preservation(given, n_neighbors=12, n_null=9).evidence[0].untested
    )
    once = wb.neighbourhood_preservation(given, n_neighbors=5, n_null=9).evidence[0]
    assert once.n == 22 and once.p_value > 0.05


def test_many_rows_are_asked_by_sample_with_their_ids(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ROW_BY_ROW", 50)
    monkeypatch.setattr(module, "ASKED", 30)
    rng = np.random.default_rng(2)
    rows = rng.standard_normal((80, 4))
    found = wb.neighbourhood_preservation(layers(rows, rows**3, first_id=1000), n_null=5)
    assert found.per_row.shape == (30, 3)
    assert found.ids.min() >= 1000
    assert all(e.n == 30 for e in found.evidence)


def test_too_many_neighbours_are_refused() -> None:
    rows = np.random.default_rng(3).standard_normal((20, 2))
    with pytest.raises(DataError, match="Lower it to 9"):
        wb.neighbourhood_preservation(layers(rows, rows))
    with pytest.raises(DataError, match="at least 4 rows"):
        wb.neighbourhood_preservation(layers(rows[:3], rows[:3]), n_neighbors=1)
