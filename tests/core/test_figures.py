"""What all figures have in common."""

from __future__ import annotations

import numpy as np
from plotly.colors import sample_colorscale

import workbench as wb
from workbench.results import theme
from workbench.results.curve import Curve
from workbench.results.embedding import Embedding
from workbench.results.matrix import MatrixResult
from workbench.results.partition import Partition


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


def test_several_nulls_say_whose_they_are() -> None:
    x, y = np.arange(3.0), np.arange(6.0).reshape(3, 2)
    two = Curve(x=x, y=y, names=("a", "b"), null_low=y - 1, null_high=y + 1).figure()
    lines = {t.name: t.line.color for t in two.data if t.name in ("a", "b")}
    edges = [t.line.color for t in two.data if t.line.dash == "dot"]
    assert edges == [lines["a"], lines["a"], lines["b"], lines["b"]]
    assert [t.name for t in two.data if t.showlegend] == ["null, 95 %, dotted in the line's colour"]
    one = Curve(x=x, y=y[:, :1], names=("a",), null_low=y[:, :1] - 1, null_high=y[:, :1] + 1).figure()
    assert [t.name for t in one.data if t.showlegend] == ["null, 95 %"]
    assert not any(t.line.dash for t in one.data)


def test_numbers_in_cells_read_on_every_colour_of_the_scale() -> None:
    values = np.linspace(0, 1, 20).reshape(4, 5)
    names = {"row_names": tuple("abcd"), "column_names": tuple("vwxyz")}
    cells, numbers = MatrixResult(values=values, **names).figure().data
    assert (cells.type, numbers.mode, numbers.text[1]) == ("heatmap", "text", "0.05")

    def luminance(colour: tuple[float, ...]) -> float:
        return float(
            np.dot(
                [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in colour],
                (0.2126, 0.7152, 0.0722),
            )
        )

    for value, ink in zip(values.ravel(), numbers.textfont.color, strict=True):
        behind = luminance(sample_colorscale("cividis", [value], colortype="tuple")[0])
        text = luminance(tuple(int(ink[k : k + 2], 16) / 255 for k in (1, 3, 5)))
        assert (max(behind, text) + 0.05) / (min(behind, text) + 0.05) > 4.5, (
            value,
            ink,
        )  # WCAG's least for text


def test_a_matrix_of_one_value_or_of_none_is_drawn() -> None:
    for value in (1.0, np.nan):
        figure = MatrixResult(
            values=np.full((2, 2), value), row_names=("1", "2"), column_names=("10", "20")
        ).figure()
        assert figure.layout.xaxis.type == "category"  # names that look like numbers are names
        assert len(figure.data[1].text) == 4


def test_a_few_rows_far_out_do_not_shrink_the_rest_to_a_dot() -> None:
    x = np.random.default_rng(0).standard_normal((300, 2))
    calm = Embedding(values=x, ids=np.arange(300)).figure()
    assert calm.layout.xaxis.range is None
    x[:2] = 400
    figure = Embedding(values=x, ids=np.arange(300)).figure()
    assert figure.layout.xaxis.range[1] < 5
    assert "2 of 300 rows lie far outside" in figure.layout.xaxis.title.text


def test_a_long_title_is_wrapped_and_gets_the_room() -> None:
    points = np.random.default_rng(0).normal(size=(30, 3))
    short = wb.pca(wb.PointCloud(points, name="short"), n_null=0, n_boot=0).figure().layout
    words = " ".join(["token not in ['[CLS]', '[SEP]']"] * 6)
    long = wb.pca(wb.PointCloud(points, name=words), n_null=0, n_boot=0).figure().layout
    lines = long.title.text.split("<br>")
    assert len(lines) == 3 and max(map(len, lines)) <= 88
    assert long.height - short.height == long.margin.t - short.margin.t == 44
