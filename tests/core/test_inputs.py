"""Several inputs, results among them: bound, refused, brought to the same rows."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

import numpy as np
import pytest
from annotated_types import Interval
from typing_extensions import Doc

import workbench as wb
from workbench.core import registry
from workbench.core.errors import DataError, MissingError, ViewError
from workbench.core.evidence import Evidence
from workbench.core.inputs import Unpaired, inputs_of
from workbench.core.registry import analysis
from workbench.results.embedding import Embedding
from workbench.results.estimate import Estimate
from workbench.results.partition import Partition
from workbench.subjects.checkpoint import Checkpoint
from workbench.subjects.points import Points

Power = Annotated[float, Interval(gt=0, le=4), Doc("What differences are raised to.")]


def _number(value: float, n: int) -> Estimate:
    return Estimate(evidence=(Evidence(id="amount", question="How much?", label="amount", value=value, n=n),))


@pytest.fixture(autouse=True)
def methods() -> Iterator[None]:
    """Methods of this file, known only while it runs."""
    before = dict(registry.DEFINED)

    @analysis
    def apart(x: Points, y: Points, *, power: Power = 2.0) -> Estimate:
        """Say how far two sets of coordinates of the same rows lie from each other."""
        assert np.array_equal(x.ids, y.ids) or x.space != y.space
        return _number(float((np.abs(x.values - y.values) ** power).mean()), x.n)

    @analysis
    def spread_within(x: Points, groups: Partition) -> Estimate:
        """Say how far rows lie from the mean of their group."""
        means = np.stack([x.values[groups.labels == g].mean(axis=0) for g in range(groups.n_groups)])
        return _number(float(np.square(x.values - means[groups.labels]).mean()), x.n)

    @analysis
    def further(x: Points, y: Annotated[Points | None, Unpaired] = None) -> Estimate:
        """Say how many rows there are, in one set or in two."""
        return _number(x.n + (y.n if y is not None else 0), x.n)

    yield
    registry.DEFINED.clear()
    registry.DEFINED.update(before)


def clouds() -> tuple[wb.PointCloud, wb.PointCloud]:
    rng = np.random.default_rng(0)
    return wb.PointCloud(rng.standard_normal((30, 3)), name="a"), wb.PointCloud(
        rng.standard_normal((30, 3)), name="b"
    )


def value(result: Estimate) -> float:
    return result.evidence[0].value


def test_a_method_that_a_test_defines_is_listed_and_found_by_name() -> None:
    assert "apart" in registry.names() and wb.apart is registry.method("apart")
    assert wb.apart.version and wb.apart.title == "Apart"


def test_two_clouds_are_brought_together_by_order_and_it_is_said() -> None:
    a, b = clouds()
    found = wb.apart(a, b)
    assert value(found) == pytest.approx(np.square(a.values - b.values).mean())
    assert "by order" in found.run.aligned and found.title == "Apart of a and b"
    assert [i.title for i in found.run.inputs] == ["a", "b"]


def test_rows_of_one_set_of_ids_are_brought_together_by_id() -> None:
    sites = {"one": np.arange(60.0).reshape(20, 3), "two": np.arange(60.0).reshape(20, 3) + 1}
    import pandas as pd

    acts = wb.Activations(sites, pd.DataFrame(index=pd.RangeIndex(20)), name="acts")
    left, right = acts.at("one").select(np.arange(5, 15)), acts.at("two").select(np.arange(10, 20)[::-1])
    found = wb.apart(left, right)
    assert found.run.aligned == "by row id, 5 of 10 rows in common" and found.evidence[0].n == 5
    assert value(found) == 1.0  # by order it would not be
    with pytest.raises(DataError, match="no row in common"):
        wb.apart(acts.at("one").select([0, 1]), acts.at("two").select([2, 3]))


def test_other_numbers_of_rows_without_common_ids_are_refused() -> None:
    a, b = clouds()
    with pytest.raises(DataError, match="a 30, b · 10 selected rows 10"):
        wb.apart(a, b.select(np.arange(10)))


def test_an_array_and_a_table_are_subjects_too() -> None:
    import pandas as pd

    x = np.ones((4, 2))
    assert value(wb.apart(x, pd.DataFrame({"u": [2.0] * 4, "v": [2.0] * 4}))) == 1.0


def test_a_result_is_an_input_and_its_run_is_in_the_lineage() -> None:
    cloud = wb.planted_clusters(n=60)
    groups = wb.spectral_clustering(cloud, n_clusters=3, n_null=0)
    found = wb.spread_within(cloud, groups)
    assert found.run.inputs[1].run == groups.run and "by row id" in found.run.aligned
    some = cloud.select(cloud.ids[:40])
    assert wb.spread_within(some, groups).evidence[0].n == 40
    with pytest.raises(ViewError, match="result of kind partition"):
        wb.spread_within(cloud, cloud)


def test_an_embedding_can_be_asked_as_rows() -> None:
    flat = wb.pca(wb.circle(n=40), n_null=0, n_boot=0)
    assert isinstance(flat, Embedding)
    assert wb.apart(flat, flat.values).evidence[0].value == pytest.approx(0)


def test_an_input_may_be_left_out_and_an_unpaired_one_has_rows_of_its_own() -> None:
    a, b = clouds()
    assert value(wb.further(a)) == 30
    assert value(wb.further(a, b.select([1, 2]))) == 32
    assert wb.further(a).run.key != wb.further(a, b).run.key


def test_too_few_and_too_many_are_refused_with_what_is_taken() -> None:
    a, b = clouds()
    for given in ((), (a,), (a, b, a)):
        with pytest.raises(TypeError, match=r"takes x \(rows of numbers"):
            wb.apart(*given)


def test_the_order_of_inputs_counts_and_equal_inputs_are_answered_from_the_cache() -> None:
    a, b = clouds()
    assert wb.apart(a, b).run.key != wb.apart(b, a).run.key
    assert wb.apart(a, b).run == wb.apart(a, b).run


def test_an_estimator_takes_the_inputs_in_order() -> None:
    from sklearn.base import clone

    a, b = clouds()
    made = wb.apart.make_estimator(power=1.0)
    again = clone(made).fit(a.values, b.values)
    assert again.get_params() == {"power": 1.0}
    assert value(again.result_) == pytest.approx(np.abs(a.values - b.values).mean())
    assert value(again.set_params(power=2.0).fit(a, b).result_) == value(wb.apart(a, b))
    assert wb.further.make_estimator().fit(a.values, np.ones(3)).result_.evidence[0].value == 33
    with pytest.raises(MissingError, match="no analysis"):
        wb.circle.make_estimator()


def test_a_wrong_annotation_is_said_when_the_method_is_written() -> None:
    def wrong(x: np.ndarray) -> Estimate: ...
    def default(x: Points, y: int = 3) -> Estimate: ...

    with pytest.raises(TypeError, match="the input x must be annotated with a view"):
        inputs_of(wrong)
    with pytest.raises(TypeError, match="y must be one input"):
        inputs_of(default)
    assert inputs_of(wb.prune.function)[0].takes is Checkpoint


def test_a_name_that_is_taken_is_refused() -> None:
    def umap(x: Points) -> Estimate:
        """Pretend."""

    umap.__module__ = "__main__"
    with pytest.raises(TypeError, match="There is a method umap already"):
        analysis(umap)


def test_a_dictionary_of_arrays_has_parts_and_gives_them_aligned() -> None:
    rng = np.random.default_rng(0)
    x = {"a": rng.standard_normal((20, 3)), "b": rng.standard_normal((20, 4))}
    found = wb.cka(x, n_null=0)
    assert found.values.shape == (2, 2)
    pair = wb.Arrays(x)
    assert pair.parts() == ("a", "b") and pair.at("b").values.shape == (20, 4)
    with pytest.raises(ViewError, match="choose with"):
        wb.pca(x)
