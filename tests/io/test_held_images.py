"""Images in a Parquet file, as bytes or as Hugging Face datasets write them: rows with pictures, bounded and by name."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

import widgets
import workbench as wb
from workbench.core.errors import FormatError
from workbench.io import held_images, image_files
from workbench.io.image_files import read_images

N = 24
PIXELS = np.random.default_rng(0).integers(0, 256, (N, 10, 14, 3), dtype=np.uint8)


def coded(pixels: np.ndarray, how: str = "PNG") -> bytes:
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, how)
    return out.getvalue()


def written(path: Path, column: list[Any], **others: Any) -> Path:
    pq.write_table(pa.table({**others, "image": column}), path)
    return path


def cells(kind: str) -> list[Any]:
    raw = [coded(p) for p in PIXELS]
    return raw if kind == "bytes" else [{"bytes": b, "path": f"{i}.png"} for i, b in enumerate(raw)]


@pytest.mark.parametrize("kind", ["bytes", "structure"])
def test_rows_beside_images_have_their_pictures_after_a_selection_too(kind: str, tmp_path: Path) -> None:
    numbers = np.random.default_rng(1).standard_normal((2, N))
    path = written(tmp_path / "t.parquet", cells(kind), a=numbers[0], b=numbers[1])
    cloud = wb.open(path)
    assert isinstance(cloud, wb.PointCloud) and cloud.values.shape == (N, 2)
    shown = widgets.explore(cloud.select(np.arange(5, N)))._pictures["picture"]
    np.testing.assert_array_equal(np.stack(shown.tolist()), PIXELS[5:])


def test_images_with_nothing_but_labels_are_rows_of_pixels(tmp_path: Path) -> None:
    held: list[Any] = cells("structure")
    held[3] = None
    cloud = wb.open(written(tmp_path / "t.parquet", held, label=np.arange(N) % 3))
    assert isinstance(cloud, wb.PointCloud) and cloud.row_shape == (10, 14, 3)
    np.testing.assert_array_equal(cloud.shaped, np.delete(PIXELS, 3, axis=0))
    assert cloud.table["label"].tolist() == np.delete(np.arange(N) % 3, 3).tolist()
    assert cloud.note == "Rows without an image that is read are left out: 1."


def test_a_named_column_of_images_is_taken_for_coordinates(tmp_path: Path) -> None:
    path = written(tmp_path / "t.parquet", [coded(p[:, :, 0]) for p in PIXELS], width=np.arange(N))
    cloud = wb.open(path, columns="image")
    assert isinstance(cloud, wb.PointCloud) and cloud.row_shape == (10, 14)


def test_wide_and_high_ones_stand_in_one_frame(tmp_path: Path) -> None:
    held = [coded(np.full((8, 16, 3) if i % 2 else (16, 8, 3), 200, np.uint8)) for i in range(N)]
    cloud = wb.open(written(tmp_path / "t.parquet", held))
    assert isinstance(cloud, wb.PointCloud) and cloud.row_shape == (16, 16, 3)
    assert (cloud.shaped[0, :, 4:12] == 200).all() and not cloud.shaped[0, :, :4].any()


def test_what_is_no_image_is_no_picture_and_damaged_ones_are_counted(tmp_path: Path) -> None:
    other = wb.open(written(tmp_path / "o.parquet", [b"\x00\x01rest"] * N, a=np.arange(N) / 2))
    assert isinstance(other, wb.PointCloud) and "image" in other.table.columns
    assert "picture" not in widgets.explore(other, method="pca", x="a", y="a")._pictures
    held = cells("bytes")
    held[2] = held[2][:40]
    cloud = wb.open(written(tmp_path / "d.parquet", held, a=np.arange(N) / 2))
    assert isinstance(cloud, wb.PointCloud)
    found, note = read_images(cloud.table["image"].tolist(), tmp_path)
    assert found[2] is None and note.startswith(f"1 of {N} images can't be shown")
    assert str(tmp_path) not in note


def test_a_name_reaches_no_file_outside_of_the_folder_and_no_other_kind(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    written(tmp_path / "secret.parquet", cells("bytes"))
    (folder / "notes.txt").write_text("x")
    names = [
        "../secret.parquet#image[0]",
        "notes.txt#image[0]",
        "gone.parquet#image[0]",
        "a.parquet#b[99999999999]",
    ]
    found, note = read_images(names, folder)
    assert found == [None] * 4 and note.startswith("4 of 4")
    written(folder / "t.parquet", cells("bytes"))
    assert read_images([f"t.parquet#image[{N}]", "t.parquet#other[0]"], folder)[0] == [None, None]


def test_sizes_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = written(tmp_path / "t.parquet", cells("bytes"))
    monkeypatch.setattr(image_files, "MAX_PIXELS", 100)
    with pytest.raises(FormatError, match="pixels are more than 100"):
        wb.open(path)
    monkeypatch.setattr(held_images, "MAX_HELD", 1000)
    with pytest.raises(FormatError, match="more than 1,000 bytes"):
        wb.open(path)


def test_gaps_and_texts_stay_what_they_are(tmp_path: Path) -> None:
    texts = [f"word {i}" for i in range(N)]
    frame = pd.DataFrame({"a": np.arange(N) / 2, "text": texts})
    frame.to_parquet(tmp_path / "t.parquet")
    assert wb.open(tmp_path / "t.parquet").table["text"].tolist() == texts  # type: ignore[attr-defined]
