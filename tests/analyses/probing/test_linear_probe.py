"""The linear probe: planted labels are found, random ones aren't, and texts count once."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from helpers import assert_calibrated

import workbench as wb
from workbench.core.errors import DataError, MissingError
from workbench.numerics.heldout import ALPHAS, Folds, HeldOut

FEW = {"n_null": 19, "n_boot": 20}


def cloud(x: np.ndarray, **columns: np.ndarray) -> wb.PointCloud:
    return wb.PointCloud(x, table=pd.DataFrame(columns), name="rows")


def test_known_answer_separable_labels_are_read_off() -> None:
    rng = np.random.default_rng(0)
    kind = rng.integers(0, 3, 240)
    x = rng.standard_normal((240, 10)) + 6 * np.eye(10)[kind]
    (e,) = wb.linear_probe(cloud(x, kind=np.array(list("abc"))[kind]), **FEW).evidence
    assert (e.id, e.label) == ("balanced_accuracy", "balanced accuracy for kind")
    assert e.value > 0.98
    assert e.p_value == 0.05
    assert abs(np.mean(e.null_values) - 1 / 3) < 0.05


def test_known_answer_of_a_number_is_its_share_of_variance() -> None:
    rng = np.random.default_rng(1)
    x = rng.standard_normal((2000, 4))
    height = x @ [1.0, 1.0, 1.0, 0.0] + rng.standard_normal(2000)
    (e,) = wb.linear_probe(cloud(x, height=height), alpha=1e-3, **FEW).evidence
    assert (e.id, e.label) == ("r_squared", "R² for height")
    assert abs(e.value - 0.75) < 0.03
    assert e.interval[0] < 0.75 < e.interval[1]


@pytest.mark.parametrize("columns", [8, 300], ids=["more rows", "more columns"])
def test_peer_is_scikit_learns_shrunken_discriminant_on_the_same_folds(columns: int) -> None:
    from sklearn.covariance import EmpiricalCovariance
    from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
    from sklearn.preprocessing import StandardScaler

    class Penalised(EmpiricalCovariance):  # the pooled covariance within classes, and alpha on its diagonal
        def fit(self, x: np.ndarray, y: None = None) -> Penalised:
            self.covariance_ = within
            return self

    rng = np.random.default_rng(2)
    text = np.repeat(np.arange(60), 4)
    kind = np.r_[np.zeros(40, int), np.ones(12, int), np.full(8, 2)][text]
    x = rng.standard_normal((240, columns)) + 1.5 * np.eye(columns)[kind]
    result = wb.linear_probe(cloud(x, kind=np.array(list("abc"))[kind], text_id=text), alpha=10.0, **FEW)
    folds = Folds.of(text, 5, 0).outer
    peer = np.empty(240, int)
    for f in range(5):
        scaler = StandardScaler().fit(x[folds != f])
        known, asked, own = scaler.transform(x[folds != f]), scaler.transform(x[folds == f]), kind[folds != f]
        means = np.array([known[own == c].mean(axis=0) for c in range(3)])
        left = known - means[own]
        within = left.T @ left + 10.0 * np.eye(columns)
        probe = LinearDiscriminantAnalysis(
            solver="lsqr", priors=[1 / 3] * 3, covariance_estimator=Penalised()
        ).fit(known, own)
        peer[folds == f] = probe.predict(asked)
    assert (result.per_row[:, 0] == (peer == kind)).all()


def test_known_answer_a_rare_class_is_not_lost() -> None:
    """Regression on indicators says "common" of every row here."""
    rng = np.random.default_rng(10)
    rare = rng.random(1000) < 0.05
    x = rng.standard_normal((1000, 5)) + 2.4 * rare[:, None] * np.eye(5)[0]
    (e,) = wb.linear_probe(cloud(x, rare=rare.astype(str)), **FEW).evidence
    assert abs(e.value - 0.885) < 0.04  # the normal distribution's at 1.2
    assert e.p_value == 0.05


def test_the_penalty_is_chosen_where_columns_are_many() -> None:
    from sklearn.linear_model import RidgeCV

    rng = np.random.default_rng(11)
    x = rng.standard_normal((120, 200))
    height = x @ rng.standard_normal(200) / 8 + rng.standard_normal(120)
    view = cloud(x, height=height)
    chosen, weak = (wb.linear_probe(view, alpha=a, **FEW).evidence[0].value for a in (None, 1.0))
    assert chosen > weak - 0.02
    z = (x - x.mean(axis=0)) / x.std(axis=0)
    folds = Folds.of(np.arange(120), 5, 0)
    _, used = HeldOut(x, folds, ALPHAS, 0).predict(((height - height.mean()) / height.std())[:, None])
    peer = RidgeCV(alphas=ALPHAS).fit(z, height).alpha_
    assert peer / 10 <= np.median(used) <= peer * 10


def test_one_label_changed_in_one_row_changes_little() -> None:
    """Labels of whole texts are permuted whether or not all rows of a text have one."""
    rng = np.random.default_rng(12)
    text = np.repeat(np.arange(24), 10)
    topic = (np.arange(24) % 2)[text]
    x = rng.standard_normal((240, 6)) + rng.standard_normal((24, 6))[text] + 4 * topic[:, None] * np.eye(6)[0]
    spoilt = topic.copy()
    spoilt[0] = 1 - spoilt[0]
    for kind in (topic, spoilt):
        (e,) = wb.linear_probe(cloud(x, kind=kind.astype(str), text_id=text), **FEW).evidence
        assert e.p_value == 0.05
        assert e.null == "the labels of whole texts permuted"
        assert (e.null_name, e.groups) == ("label_given_groups", "24 texts")


def test_few_texts_shift_labels_within_or_are_left_untested() -> None:
    rng = np.random.default_rng(13)
    text = np.repeat(np.arange(3), 60)
    kind = rng.integers(0, 2, 180)
    x = rng.standard_normal((180, 4)) + 3 * kind[:, None] * np.eye(4)[0]
    (e,) = wb.linear_probe(cloud(x, kind=kind.astype(str), text_id=text), cv=3, **FEW).evidence
    assert e.p_value == 0.05 and e.null == "labels shifted in a circle within texts"
    assert e.interval is None
    four = np.repeat(np.arange(4), 45)
    (e,) = wb.linear_probe(cloud(x, kind=(four % 2).astype(str), text_id=four), cv=2, **FEW).evidence
    assert e.p_value is None and "the label is the same in all rows of each" in e.untested


@pytest.mark.parametrize(
    ("classes", "ways"),
    [("aaabbb", 10), ("aabbbb", 15), ("aabbcc", 15), ("aaabbbb", 0), ("aabbbbbb", 0), ("aaaabbbb", 0)],
)
def test_labels_that_texts_can_take_in_few_ways_are_untested_with_the_least_p(
    classes: str, ways: int
) -> None:
    """Of six texts, three of either label: as they are in one draw of ten, whatever the rows say."""
    text = np.repeat(np.arange(len(classes)), 20)
    kind = np.array(list(classes))[text]
    apart = {"a": 0, "b": 9, "c": 18}
    x = np.random.default_rng(16).standard_normal((len(kind), 3))
    x[:, 0] += [apart[k] for k in kind]
    made = cloud(x, kind=kind, text_id=text)
    (e,) = wb.linear_probe(made, cv=2, n_null=399, n_boot=0, random_state=3).evidence
    if ways:
        assert e.p_value is None
        assert f"dealt to them in {ways} ways" in e.untested and f"below {1 / ways:.2g}" in e.untested
    else:
        assert e.p_value is not None and not e.untested


def test_a_text_alone_is_told_that_it_takes_more_texts() -> None:
    x = np.random.default_rng(17).standard_normal((40, 3))
    one = cloud(x, kind=np.arange(40) % 2, text_id=np.zeros(40, int))
    with pytest.raises(DataError, match=r"a probe needs two. Give rows of more texts.$"):
        wb.linear_probe(one, label="kind", cv=2)
    with pytest.raises(DataError, match=r"Give rows of more texts, or lower cv.$"):
        wb.linear_probe(one, label="kind")


def test_rows_in_order_without_groups_are_left_untested_where_labels_are_too() -> None:
    rng = np.random.default_rng(14)
    text = np.repeat(np.arange(30), 8)
    x = rng.standard_normal((240, 10)) + 2 * rng.standard_normal((30, 10))[text]
    kind = rng.integers(0, 2, 30)[text].astype(str)
    unnamed = wb.linear_probe(cloud(x, kind=kind), **FEW)
    assert unnamed.evidence[0].p_value is None
    assert "name it with group=" in unnamed.evidence[0].untested
    assert "no column says which belong together" in unnamed.caveat
    told = wb.linear_probe(cloud(x, kind=kind, row=np.arange(240)), label="kind", group="row", **FEW)
    assert told.evidence[0].p_value is not None
    # a table that is only sorted by its label is tested
    two = np.repeat([0, 1], 60)
    apart = rng.standard_normal((120, 4)) + 2 * two[:, None]
    assert wb.linear_probe(cloud(apart, kind=two.astype(str)), **FEW).evidence[0].p_value == 0.05


@pytest.mark.slow
@pytest.mark.parametrize("shape", [(120, 5), (60, 90)], ids=["more rows", "more columns"])
def test_calibrated_where_labels_belong_to_texts(shape: tuple[int, int]) -> None:
    n, d = shape
    text = np.repeat(np.arange(n // 4), 4)

    def p(seed: int) -> float:
        rng = np.random.default_rng(seed)
        x = (
            rng.standard_normal((n, d)) + 2 * rng.standard_normal((n // 4, d))[text]
        )  # rows of a text are alike
        kind = (rng.permutation(n // 4) % 2)[text].astype(str)
        return (
            wb.linear_probe.function(
                cloud(x, kind=kind, text_id=text).view(wb.linear_probe.inputs[0].takes),
                n_null=19,
                n_boot=0,
                random_state=seed,
            )
            .evidence[0]
            .p_value
        )

    assert_calibrated(p)


@pytest.mark.slow
def test_calibrated_where_labels_vary_within_texts() -> None:
    text = np.repeat(np.arange(20), 5)

    def p(seed: int) -> float:
        rng = np.random.default_rng(seed)
        x = rng.standard_normal((100, 4)) + 2 * rng.standard_normal((20, 4))[text]
        view = cloud(x, kind=rng.integers(0, 2, 100).astype(str), text_id=text).view(
            wb.linear_probe.inputs[0].takes
        )
        return wb.linear_probe.function(view, n_null=19, n_boot=0, random_state=seed).evidence[0].p_value

    assert_calibrated(p)


def test_ignoring_texts_would_have_found_what_is_not_there() -> None:
    """The trap that grouping is there for: labels that only say which text a row is from."""
    rng = np.random.default_rng(3)
    text = np.repeat(np.arange(30), 8)
    x = rng.standard_normal((240, 40)) + 3 * rng.standard_normal((30, 40))[text]
    kind = rng.integers(0, 2, 30)[text].astype(str)
    fooled = wb.linear_probe(cloud(x, kind=kind), **FEW).evidence[0]
    honest = wb.linear_probe(cloud(x, kind=kind, text_id=text), **FEW).evidence[0]
    assert fooled.value > 0.85
    assert honest.value < 0.75


def test_rare_classes_are_left_out_and_said() -> None:
    rng = np.random.default_rng(4)
    kind = np.array(["a"] * 50 + ["b"] * 50 + ["c"] * 2)
    result = wb.linear_probe(cloud(rng.standard_normal((102, 3)), kind=kind), **FEW)
    assert len(result.ids) == 100
    assert "2 rows of 1 rare values" in result.caveat


def test_a_dead_column_changes_nothing() -> None:
    rng = np.random.default_rng(5)
    x = rng.standard_normal((100, 3)).astype(np.float32)
    kind = (x[:, 0] > 0).astype(str)
    noise = (1e-9 * rng.standard_normal((100, 1))).astype(np.float32)
    alone = wb.linear_probe(cloud(x, kind=kind), **FEW)
    beside = wb.linear_probe(cloud(np.hstack([x, noise]), kind=kind), **FEW)
    assert (alone.per_row == beside.per_row).all()


def test_what_cannot_be_probed_is_refused() -> None:
    x = np.random.default_rng(6).standard_normal((30, 3))
    with pytest.raises(DataError, match="no label to predict"):
        wb.linear_probe(x)
    with pytest.raises(MissingError, match="Did you mean 'kind'"):
        wb.linear_probe(cloud(x, kind=np.arange(30) % 2), label="kinds")
    with pytest.raises(DataError, match="a probe needs two"):
        wb.linear_probe(cloud(x, kind=np.array(["a"] * 29 + ["b"])))
    with pytest.raises(DataError, match="nothing to predict"):
        wb.linear_probe(cloud(x, height=np.ones(30)), label="height")


def test_rows_without_a_label_are_left_out_and_counted() -> None:
    rng = np.random.default_rng(8)
    kind = np.array(["a", "b"], dtype=object)[rng.integers(0, 2, 120)]
    x = rng.standard_normal((120, 3)) + 4 * (kind == "a")[:, None]
    kind[:30] = None
    result = wb.linear_probe(cloud(x, kind=kind), **FEW)
    assert result.ids.tolist() == list(range(30, 120))
    assert result.evidence[0].value > 0.9
    assert "30 rows have no kind" in result.caveat


def test_control_task_tells_reading_from_remembering() -> None:
    """Columns that say only which token a row holds let the probe learn any label of tokens."""
    rng = np.random.default_rng(9)
    token = rng.integers(0, 8, 320)
    identity = np.eye(8)[token] * 5 + rng.standard_normal((320, 8))
    kind = (token % 2).astype(str)
    remembered = wb.linear_probe(
        cloud(identity, kind=kind, token=token), label="kind", control="token", **FEW
    )
    first, control = remembered.evidence
    assert first.p_value == 0.05
    assert control.p_value > 0.05
    assert np.median(control.null_values) > 0.9
    read = rng.integers(0, 2, 320)
    rows = rng.standard_normal((320, 8)) + 4 * read[:, None]
    _, control = wb.linear_probe(
        cloud(rows, kind=read.astype(str), token=token), label="kind", control="token", **FEW
    ).evidence
    assert control.p_value == 0.05
    with pytest.raises(MissingError, match="speaker"):
        wb.linear_probe(cloud(rows, kind=kind), control="speaker")


@pytest.mark.parametrize("columns", [12, 400], ids=["more rows", "more columns"])
@pytest.mark.parametrize("classes", [3, 0], ids=["classes", "a number"])
def test_a_labelling_alone_is_predicted_as_among_many_and_factored_without_their_cost(
    columns: int, classes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    import scipy.linalg

    rng = np.random.default_rng(columns)
    truth = rng.integers(0, 3, (240, 4)) if classes else rng.standard_normal((240, 4))
    x = rng.standard_normal((240, columns))
    x[:, :2] += truth[:, :1]
    folds = Folds.of(np.arange(240) // 4, 5, 0)
    decomposed: list[int] = []
    eigh = scipy.linalg.eigh
    monkeypatch.setattr(scipy.linalg, "eigh", lambda a: decomposed.append(len(a)) or eigh(a))
    fit = HeldOut(x, folds, ALPHAS, classes)
    alone, penalty = fit.predict(truth[:, :1], once=True)
    assert decomposed == []
    among, penalties = fit.predict(truth)
    assert len(decomposed) == len(fit.fits) + len(fit.choosing) == 15
    np.testing.assert_array_equal(penalty[:, 0], penalties[:, 0])
    np.testing.assert_allclose(alone[:, 0], among[:, 0], atol=1e-9)
    assert (among[:, 0] != among[:, 1]).any()


@pytest.mark.parametrize("columns", [6, 300], ids=["more rows", "more columns"])
@pytest.mark.parametrize("label", ["kind", "height"])
def test_of_many_rows_some_are_learnt_from_and_all_are_predicted(columns: int, label: str) -> None:
    from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
    from sklearn.linear_model import Ridge

    rng = np.random.default_rng(columns)
    x = 50 + rng.standard_normal((1500, columns))
    kind, height = (x[:, 0] > 50).astype(int), x[:, 1] + 0.5 * rng.standard_normal(1500)
    view = cloud(x, kind=np.array(["no", "yes"])[kind], height=height)
    result = wb.linear_probe(view, label=label, max_rows=200, alpha=1.0, **FEW)
    assert (result.evidence[0].n, len(result.per_row)) == (200, 1500)
    assert (result.ids == view.ids).all()
    assert "learnt from 200 of 1,500 rows" in result.caveat
    drawn = np.random.default_rng([0, 0x64726E]).permutation(1500)[:200]
    others = np.setdiff1d(np.arange(1500), drawn)
    z = (x - x[drawn].mean(axis=0)) / x[drawn].std(axis=0)
    if label == "height":
        mean, std = height[drawn].mean(), height[drawn].std()
        peer = Ridge(alpha=1.0).fit(z[drawn], (height[drawn] - mean) / std).predict(z[others])
        np.testing.assert_allclose(
            result.per_row[others, 0], np.square(peer - (height[others] - mean) / std), rtol=1e-3, atol=1e-6
        )
    elif columns < 200:
        peer = LinearDiscriminantAnalysis(priors=[0.5, 0.5]).fit(z[drawn], kind[drawn]).predict(z[others])
        assert (result.per_row[others, 0] == (peer == kind[others])).mean() > 0.99
    else:
        assert abs(result.per_row[others].mean() - result.per_row[drawn].mean()) < 0.1


def test_of_many_texts_whole_ones_are_drawn_and_never_a_few_alone() -> None:
    from workbench.analyses.probing._task import Task

    rng = np.random.default_rng(3)
    text = np.repeat(np.arange(60), 25)
    kind = rng.integers(0, 2, 1500).astype(str)
    view = cloud(rng.standard_normal((1500, 4)), kind=kind, text_id=text)
    for most, texts in ((1000, 40), (100, 20)):
        task = Task.of(view.as_points(), "kind", 5, most, 0)
        assert task.units == texts and len(task.rows) == 25 * texts
        assert not set(text[task.rows]) & set(text[task.others])
        assert len(np.union1d(task.rows, task.others)) == 1500


def test_rows_drawn_of_texts_that_nobody_named_are_still_left_untested() -> None:
    """Those that were drawn aren't next to each other, and resemble each other all the same."""
    rng = np.random.default_rng(14)
    x = rng.standard_normal((2400, 10)) + 2 * rng.standard_normal((300, 10))[np.repeat(np.arange(300), 8)]
    kind = rng.integers(0, 2, 300)[np.repeat(np.arange(300), 8)].astype(str)
    (e,) = wb.linear_probe(cloud(x, kind=kind), max_rows=100, **FEW).evidence
    assert e.p_value is None and "name it with group=" in e.untested
