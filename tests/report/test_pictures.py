"""Columns of arrays become small pictures."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from workbench.report import pictures, points
from workbench.report.pictures import MISSING, SIDE, STEPS, block


def pixels(made: dict[str, Any]) -> np.ndarray:
    """The distinct pictures of a block."""
    return np.frombuffer(made["data"], np.uint8).reshape(-1, *made["shape"])


def which(made: dict[str, Any]) -> list[int]:
    return np.frombuffer(made["which"]["data"], "<i4").tolist()


def test_small_images_keep_their_pixels() -> None:
    images = np.random.default_rng(0).integers(0, 256, (5, 8, 6, 3), dtype=np.uint8)
    made = block("seen", images)
    assert made is not None and (made["kind"], made["shape"]) == ("image", [8, 6, 3])
    np.testing.assert_array_equal(pixels(made), images)
    assert "which" not in made


def test_large_images_become_means_of_their_parts() -> None:
    image = np.zeros((4 * SIDE, 2 * SIDE), np.uint8)
    image[: 2 * SIDE] = 200
    made = block("seen", pd.Series([image, image // 2]))
    assert made is not None and made["shape"] == [SIDE, SIDE // 2, 1]
    assert pixels(made)[0, : SIDE // 2].tolist() == [[[200]] * (SIDE // 2)] * (SIDE // 2)
    assert pixels(made)[1].max() == 100


def test_rows_that_share_an_image_share_its_pixels_and_one_may_have_none() -> None:
    one, other = np.eye(8), np.ones((8, 8))
    made = block("patch_of", pd.Series([one, other, None, one.copy()]))
    assert made is not None and which(made) == [0, 1, -1, 0]
    assert len(pixels(made)) == 2


def test_numbers_between_their_extremes_are_grey_and_channels_may_come_first() -> None:
    image = np.linspace(-3, 1, 3 * 64).reshape(3, 8, 8)
    made = block("seen", pd.Series([image, np.full((3, 8, 8), np.nan)]))
    assert made is not None and made["shape"] == [8, 8, 3]
    shown = pixels(made)
    assert shown[0, 0, 0, 0] == 0 and shown[0, -1, -1, 2] == 255
    assert not shown[1].any()
    assert pixels(block("halves", np.full((2, 4, 4), 0.5)) or {}).max() == 128  # 0 to 1 is black to white


def test_series_are_lines_between_the_columns_extremes() -> None:
    made = block("wave", pd.Series([[0.0, 1.0, 2.0, 4.0], [4.0, np.nan, 0.0, 2.0]]))
    assert made is not None and made["kind"] == "series" and (made["low"], made["high"]) == (0.0, 4.0)
    assert pixels(made).tolist() == [[0, 64, 127, 254], [254, MISSING, 0, 127]]
    long = block("long", np.sin(np.arange(1000) / 50)[None])
    assert long is not None and long["shape"] == [STEPS]


def test_many_images_are_made_smaller(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pictures, "ROOM", 701 * (SIDE // 2) ** 2)
    made = block(
        "seen", np.arange(701, dtype=np.float32)[:, None, None] * np.ones((1, SIDE, SIDE), np.float32)
    )
    assert made is not None and made["shape"] == [SIDE // 2, SIDE // 2, 1]
    np.testing.assert_allclose(pixels(made)[:, 3, 3, 0], np.arange(701) * 255 / 700, atol=0.51)


@pytest.mark.parametrize(
    "values",
    [
        pd.Series([1, 2]),
        pd.Series(["a", "b"]),
        pd.Series([[1, 2], [3, 4]]),
        pd.Series([["a", "b", "c", "d"]]),
        pd.Series([np.ones((2, 2, 2, 2, 2))]),
        pd.Series([np.ones(8), np.ones((8, 8))]),
        pd.Series([None, None]),
        pd.Series([{"a": 1}]),
    ],
)
def test_what_is_no_picture_is_read(values: pd.Series) -> None:
    assert block("column", values) is None


def test_a_picture_column_is_packed_with_what_it_shares() -> None:
    table = pd.DataFrame({"seen": [np.eye(8), np.eye(8), np.ones((8, 8))]}, index=[3, 5, 9])
    row, seen = points.columns(table.index.to_numpy(), table)
    assert (row["name"], seen["kind"]) == ("row", "image")
    assert set(points._packed_column(seen)["which"]) == {"dtype", "data"}
