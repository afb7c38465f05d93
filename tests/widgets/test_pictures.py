"""Rows of a view have their images: by a column of paths, by what they are, or by what a network was run on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

import widgets
import workbench as wb
from workbench.core.errors import MissingError, ParameterError


def shown(view: Any, name: str = "image") -> np.ndarray:
    """The first pixel of each row's image in a view, by row id; -1 where it has none."""
    block = next(c for c in view.view.columns if c["name"] == name and c.get("kind") == "image")
    pixels = np.frombuffer(block["data"], np.uint8).reshape(-1, *block["shape"])[:, 0, 0, 0].astype(int)
    which = np.frombuffer(block["which"]["data"], "<i4") if "which" in block else np.arange(len(pixels))
    of = np.where(which < 0, -1, pixels[which])
    return np.array([of[np.flatnonzero(view.view.ids == i)[0]] for i in view.subject.ids])


def images(n: int, channels: int = 3) -> np.ndarray:
    """(n, channels, 6, 8), each of one shade, its number."""
    return np.arange(n, dtype=np.uint8)[:, None, None, None] * np.ones((1, channels, 6, 8), np.uint8)


def table(folder: Path, column: str = "file", n: int = 9) -> Path:
    (folder / "pics").mkdir()
    for i in range(n - 1):  # the last is missing
        Image.fromarray(np.full((5, 5), 10 * i, np.uint8)).save(folder / f"pics/{i}.png")
    rows = pd.DataFrame(np.random.default_rng(0).standard_normal((n, 3)), columns=["a", "b", "c"])
    rows[column] = [f"pics/{i}.png" for i in range(n)]
    rows.to_csv(folder / "mine.csv", index=False)
    return folder / "mine.csv"


@pytest.mark.parametrize("column", ["file", "image"])
def test_a_tables_paths_are_images_also_of_a_selection(column: str, tmp_path: Path) -> None:
    cloud = wb.open(table(tmp_path, column))
    view = widgets.explore(cloud.select(cloud.ids))
    name = "image" if column == "file" else "picture"
    assert shown(view, name).tolist() == [*range(0, 80, 10), -1]
    assert "1 of 9 images can't be shown; the first: pics/8.png is no file." in view.view.spec["note"]
    assert "images" not in view.code
    assert wb.open(tmp_path / "mine.csv").digest == cloud.digest


def test_a_named_column_is_read_and_a_column_that_is_not_there_is_refused(tmp_path: Path) -> None:
    cloud = wb.open(table(tmp_path))
    view = widgets.explore(cloud, images="file")
    assert "images='file'" in view.code
    with pytest.raises(MissingError, match="fil"):
        widgets.explore(cloud, images="fil")


def test_rows_that_are_images_are_seen_as_such() -> None:
    cloud = wb.PointCloud(images(12) + np.random.default_rng(0).random((12, 3, 6, 8), np.float32))
    assert shown(widgets.explore(cloud))[[0, 11]].tolist() == pytest.approx([0, 255], abs=24)
    assert not [
        c
        for c in widgets.explore(wb.PointCloud(np.random.default_rng(0).random((9, 4)))).view.columns
        if "kind" in c
    ]


def test_rows_of_a_network_have_the_image_that_it_was_run_on() -> None:
    torch.manual_seed(0)
    layers = [torch.nn.Conv2d(3, 4, 3), torch.nn.ReLU(), torch.nn.Flatten(), torch.nn.Linear(96, 5)]
    pixels = wb.PointCloud(images(20), name="pixels")
    acts = wb.capture(torch.nn.Sequential(*layers), pixels, at=["2", "3"])
    some = acts.sample(7, random_state=1)
    view = widgets.explore(some, images=pixels)
    assert shown(view).tolist() == some.ids.tolist()
    batch = widgets.explore(some, images=images(20)[:, 0])  # one of each sample, by its number
    assert shown(batch).tolist() == some.ids.tolist()
    with pytest.raises(ParameterError, match="7 rows"):
        widgets.explore(some, images=images(6)[:, 0])


def test_where_rows_are_many_those_that_have_a_place_have_a_picture(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("widgets._pictures.MOST", 10)
    cloud = wb.PointCloud(np.random.default_rng(0).random((30, 4, 4)))
    view = widgets.explore(cloud, sample=6)
    assert ((shown(view) >= 0) == np.isin(cloud.ids, view.result.ids)).all()
