"""What all figures have in common."""

from __future__ import annotations

import numpy as np

import workbench as wb
from workbench.core import theme
from workbench.core.results import Embedding, MatrixResult, Partition


def partition() -> Partition:
    return Partition(
        labels=np.array([0, 0, 1]),
        ids=np.arange(3),
        names=("mixed", "mixed"),
        spectrum=np.array([0.0, 0.1, 0.4]),
    )


def test_every_axis_has_the_theme() -> None:
    figure = partition().figure()
    axes = [*figure.select_xaxes(), *figure.select_yaxes()]
    assert len(axes) == 4
    for axis in axes:
        assert (axis.gridcolor, axis.zeroline, axis.linecolor) == (
            theme.AXIS["gridcolor"],
            False,
            theme.AXIS["linecolor"],
        )


def test_groups_of_one_name_stay_apart() -> None:
    result = wb.pca(wb.PointCloud(np.eye(3)), n_null=0, n_boot=0, n_components=2)
    assert [t.name for t in result.figure(color=partition()).data] == ["0: mixed", "1: mixed"]


def test_a_scale_of_similarities_starts_at_nothing_in_common() -> None:
    alike = MatrixResult(values=np.array([[1, 0.9], [0.9, 1]]), row_names=("a", "b"), column_names=("a", "b"))
    assert (alike.figure().data[0].zmin, alike.figure().data[0].zmax) == (0, 1)
    far = MatrixResult(values=np.array([[0, 7.0], [7, 0]]), row_names=("a", "b"), column_names=("a", "b"))
    assert far.figure().data[0].zmin is None


def test_a_few_rows_far_out_do_not_shrink_the_rest_to_a_dot() -> None:
    x = np.random.default_rng(0).standard_normal((300, 2))
    calm = Embedding(values=x, ids=np.arange(300)).figure()
    assert calm.layout.xaxis.range is None
    x[:2] = 400
    figure = Embedding(values=x, ids=np.arange(300)).figure()
    assert figure.layout.xaxis.range[1] < 5
    assert "2 of 300 rows lie far outside" in figure.layout.xaxis.title.text
