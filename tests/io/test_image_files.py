"""Files of images, which a table names: read small, bounded before they are decoded, from its own folder alone."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from workbench.core.errors import FormatError, MissingError
from workbench.io import image_files
from workbench.io.image_files import SIDE, column_of_paths, read_image, read_images


def saved(path: Path, pixels: np.ndarray, **how: Any) -> Path:
    Image.fromarray(pixels).save(path, **how)
    return path


def test_small_images_keep_their_pixels_and_large_ones_their_proportions(tmp_path: Path) -> None:
    grey = np.random.default_rng(0).integers(0, 256, (28, 20), dtype=np.uint8)
    np.testing.assert_array_equal(read_image(saved(tmp_path / "a.png", grey)), grey[:, :, None])
    photo = np.zeros((300, 600, 3), np.uint8)
    photo[:, :300] = (200, 30, 10)
    small = read_image(saved(tmp_path / "b.jpg", photo, quality=95))
    assert small.shape == (SIDE // 2, SIDE, 3)
    assert np.abs(small[10, 5].astype(int) - (200, 30, 10)).max() < 8 and small[10, -5].max() < 8
    clear = np.dstack([photo, np.full((300, 600), 128, np.uint8)])
    assert read_image(saved(tmp_path / "c.png", clear))[3, 3, 3] == 128
    deep = read_image(saved(tmp_path / "d.png", np.arange(64, dtype=np.uint16).reshape(8, 8) * 1000))
    assert (deep[0, 0, 0], deep[-1, -1, 0]) == (0, 255)


def test_a_photograph_stands_upright_as_its_camera_says(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by a quarter
    assert read_image(saved(tmp_path / "a.jpg", np.zeros((20, 40, 3), np.uint8), exif=exif)).shape == (
        40,
        20,
        3,
    )


def png_header(width: int, height: int) -> bytes:
    """A PNG that claims a size and holds next to nothing."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(b"\0" * 100)) + chunk(b"IEND", b"")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (png_header(60_000, 60_000), "image: .*(pixels are more|exceeds limit)"),
        (png_header(9_000, 9_000), "81,000,000|9,000 × 9,000 pixels are more"),
        (png_header(64, 64)[:60], "image"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>", "read from PNG"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "read from PNG"),
        (b"", "empty"),
    ],
    ids=["bomb", "large", "cut", "svg", "eps", "empty"],
)
def test_what_is_no_harmless_image_is_refused(content: bytes, said: str, tmp_path: Path) -> None:
    path = tmp_path / "x.png"
    path.write_bytes(content)
    with pytest.raises(FormatError, match=said):
        read_image(path)


def test_a_file_is_bounded_before_it_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = saved(tmp_path / "x.png", np.zeros((8, 8), np.uint8))
    monkeypatch.setattr(image_files, "MAX_BYTES", 20)
    with pytest.raises(FormatError, match="more than 20"):
        read_image(path)


def test_only_files_inside_of_the_tables_folder_are_read_unless_the_column_is_named(tmp_path: Path) -> None:
    folder = tmp_path / "table"
    folder.mkdir()
    pixels = np.full((4, 4), 7, np.uint8)
    saved(folder / "in.png", pixels)
    private = saved(tmp_path / "private.png", pixels)
    (folder / "link.png").symlink_to(private)
    cells = [
        "in.png",
        "../private.png",
        str(private),
        "link.png",
        "https://example.org/a.png",
        None,
        "no.png",
        "a\0b",
    ]
    found, note = read_images(cells, folder)
    assert [f is not None for f in found] == [True] + [False] * 7
    assert note.startswith("6 of 8 images can't be shown") and "outside of the table's folder" in note
    assert str(tmp_path) not in note
    found, _ = read_images(cells, folder, anywhere=True)
    assert [f is not None for f in found] == [True] * 4 + [False] * 4


def test_a_column_is_one_of_paths_by_its_endings() -> None:
    table = pd.DataFrame({"n": [1, 2], "text": ["a photo.", "b"], "file": ["x/a.PNG", "b.jpeg"]})
    assert column_of_paths(table) == "file"
    assert column_of_paths(table[["n", "text"]]) == ""
    assert column_of_paths(pd.DataFrame({"file": [None, float("nan")]})) == ""


def test_metadata_are_left_behind(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x010E] = "where it was taken"
    kept = io.BytesIO(
        read_image(saved(tmp_path / "a.jpg", np.zeros((9, 9, 3), np.uint8), exif=exif)).tobytes()
    )
    assert b"taken" not in kept.getvalue() and len(kept.getvalue()) == 9 * 9 * 3


def test_a_missing_file_is_missing(tmp_path: Path) -> None:
    with pytest.raises(MissingError, match="no file"):
        read_image(tmp_path / "a.png")
