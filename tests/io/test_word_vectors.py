"""Vectors as lines of text, and texts that are none."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from workbench.core.errors import FormatError
from workbench.io.opening import open as open_subject
from workbench.subjects.corpus import Corpus
from workbench.subjects.points import PointCloud

X = np.random.default_rng(0).standard_normal((30, 4)).round(4)
WORDS = ["the", ".", "at name", "-0.5", "123", "日本", "#", *(f"w{k}" for k in range(23))]


def lines() -> list[str]:
    return [f"{word} {' '.join(map(str, row))}" for word, row in zip(WORDS, X, strict=True)]


@pytest.mark.parametrize("kind", [None, "points"])
@pytest.mark.parametrize("start", ["", "30 4\n", "\ufeff"])
@pytest.mark.parametrize("ending", ["txt", "vec"])
def test_words_with_their_numbers_are_points(
    start: str, ending: str, kind: str | None, tmp_path: Path
) -> None:
    path = tmp_path / f"glove.{ending}"
    path.write_text(start + "\n".join(lines()) + "\n", encoding="utf-8")
    cloud = open_subject(path, kind=kind)
    assert isinstance(cloud, PointCloud)
    np.testing.assert_array_equal(cloud.values, X.astype(np.float32))
    assert cloud.table["word"].tolist() == WORDS


@pytest.mark.parametrize("options", [{}, {"header": "two numbers"}, {"fmt": "%.18e", "delimiter": "\t"}])
def test_what_numpy_wrote_is_points(options: dict[str, str], tmp_path: Path) -> None:
    np.savetxt(tmp_path / "x.txt", X, **options)
    cloud = open_subject(tmp_path / "x.txt")
    assert isinstance(cloud, PointCloud)
    np.testing.assert_array_equal(cloud.values, np.loadtxt(tmp_path / "x.txt"))
    assert cloud.table.columns.empty


def test_numbers_one_a_line_are_points(tmp_path: Path) -> None:
    np.savetxt(tmp_path / "x.txt", X[:, 0])
    np.testing.assert_allclose(open_subject(tmp_path / "x.txt").values, X[:, :1])


def test_a_line_that_is_no_vector_is_named(tmp_path: Path) -> None:
    (tmp_path / "x.txt").write_text("\n".join([*lines(), "cut 0.5 0.25"]), encoding="utf-8")
    with pytest.raises(
        FormatError, match=r"line 31 is 'cut 0.5 0.25', and those before it are a word and 4 numbers"
    ):
        open_subject(tmp_path / "x.txt")
    assert len(open_subject(tmp_path / "x.txt", kind="corpus")) == 31


@pytest.mark.parametrize(
    ("text", "texts"),
    [
        ("a cat sat\n  a dog ran \niron melts\n", ["a cat sat", "a dog ran", "iron melts"]),
        ("one\n", ["one"]),
        ("first line\ngoes on\n\nsecond\n", ["first line goes on", "second"]),
        ("chapter 1\nchapter 2\n", ["chapter 1", "chapter 2"]),
        ("room 101 on 2\n3 men 4 dogs\n", ["room 101 on 2", "3 men 4 dogs"]),
    ],
)
def test_known_answer_texts_stand_in_lines_unless_empty_lines_part_them(
    text: str, texts: list[str], tmp_path: Path
) -> None:
    (tmp_path / "x.txt").write_text(text)
    opened = open_subject(tmp_path / "x.txt")
    assert isinstance(opened, Corpus)
    assert opened.table["text"].tolist() == texts


def binary(ending: bytes) -> bytes:
    parts = (
        w.replace(" ", "_").encode() + b" " + x.astype("<f4").tobytes() for w, x in zip(WORDS, X, strict=True)
    )
    return b"30 4\n" + b"".join(part + ending for part in parts)


@pytest.mark.parametrize("ending", [b"", b"\n"])  # gensim's, and that of the first program
def test_binary_word2vec_is_points(ending: bytes, tmp_path: Path) -> None:
    (tmp_path / "w.bin").write_bytes(binary(ending))
    cloud = open_subject(tmp_path / "w.bin")
    assert isinstance(cloud, PointCloud)
    np.testing.assert_array_equal(cloud.values, X.astype(np.float32))
    assert cloud.table["word"].tolist() == [w.replace(" ", "_") for w in WORDS]


@pytest.mark.parametrize(
    ("raw", "why"),
    [
        (binary(b"")[:-3], "ends, or loses its order, in word 30 of 30"),
        (b"9999999999 300\n" + binary(b""), "says 9,999,999,999 words"),
        (b"30 0\n" + binary(b""), "30 words of 0 numbers"),
    ],
)
def test_binary_word2vec_that_is_damaged_is_refused(raw: bytes, why: str, tmp_path: Path) -> None:
    (tmp_path / "w.bin").write_bytes(raw)
    with pytest.raises(FormatError, match=why):
        open_subject(tmp_path / "w.bin")
