"""`open`: the right subject for each thing, and a sentence that helps for each mistake."""

from __future__ import annotations

import contextlib
import json
import os
import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import save_file

import workbench
from workbench.core.errors import DataError, FormatError, MissingError, ParameterError, WorkbenchError
from workbench.core.subject import Subject
from workbench.io import open as open_subject
from workbench.subjects.checkpoint import Checkpoint
from workbench.subjects.corpus import Corpus
from workbench.subjects.points import PointCloud
from workbench.subjects.series import TimeSeries

VALUES = np.random.default_rng(0).normal(size=(5, 3)).astype(np.float32)


def write_gguf(path: Path) -> None:
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_tensor("w", VALUES)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


WRITERS: dict[str, Any] = {
    "safetensors": lambda p: save_file({"w": torch.from_numpy(VALUES)}, p),
    "gguf": write_gguf,
    "pth": lambda p: torch.save({"w": torch.from_numpy(VALUES)}, p),
    "npy": lambda p: np.save(p, VALUES),
    "npz": lambda p: np.savez(p, w=VALUES, b=VALUES[0]),
    "parquet": lambda p: pd.DataFrame(VALUES, columns=list("abc")).to_parquet(p),
    "csv": lambda p: pd.DataFrame(VALUES, columns=list("abc")).to_csv(p, index=False),
}
CHECKPOINTS = ("safetensors", "gguf", "pth", "npz")


def written(folder: Path, ending: str) -> Path:
    WRITERS[ending](folder / f"thing.{ending}")
    return folder / f"thing.{ending}"


def assert_holds_values(found: Subject) -> None:
    read = found["w"] if isinstance(found, Checkpoint) else found.values  # type: ignore[attr-defined]
    np.testing.assert_allclose(read, VALUES, rtol=1e-6)


@pytest.mark.parametrize("ending", WRITERS)
def test_known_answer_each_kind_of_file_is_the_right_subject(ending: str, tmp_path: Path) -> None:
    path = written(tmp_path, ending)
    found = open_subject(path)
    assert type(found) is (Checkpoint if ending in CHECKPOINTS else PointCloud)
    assert_holds_values(found)
    assert found.name == "thing"
    assert open_subject(str(path)).digest == found.digest
    assert open_subject(path, name="mine").name == "mine"
    assert found.digest in (open_subject(path, name="mine").digest,)


@pytest.mark.parametrize("ending", ["safetensors", "gguf", "pth", "npy", "npz", "parquet"])
@pytest.mark.parametrize("wrong", ["dat", "csv", "safetensors", "npz", "pth", ""])
def test_a_wrong_ending_does_not_matter(ending: str, wrong: str, tmp_path: Path) -> None:
    path = written(tmp_path, ending)
    path = path.rename(tmp_path / (f"x.{wrong}" if wrong else "x"))
    assert_holds_values(open_subject(path))


def test_the_package_offers_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = written(tmp_path, "npy")
    assert_holds_values(workbench.open(path))
    monkeypatch.chdir(tmp_path)
    found = workbench.open("thing.npy")
    monkeypatch.chdir("/")
    assert_holds_values(found)
    assert workbench.open(tmp_path / "thing.npy").digest == found.digest


def test_tensors_are_read_from_elsewhere_than_where_they_were_opened(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    found = open_subject(written(Path(), "safetensors"))
    monkeypatch.chdir("/")
    assert_holds_values(found)
    assert len(found.digest) == 32


def test_kind_overrides_the_guess(tmp_path: Path) -> None:
    np.savez(tmp_path / "one.npz", x=VALUES)
    assert type(open_subject(tmp_path / "one.npz")) is PointCloud
    assert list(open_subject(tmp_path / "one.npz", kind="checkpoint")) == ["x"]
    assert type(open_subject(tmp_path / "one.npz", kind="series")) is TimeSeries
    assert type(open_subject(written(tmp_path, "npy"), kind="series")) is TimeSeries
    np.savez(tmp_path / "labelled.npz", x=VALUES, y=np.arange(5))
    assert type(open_subject(tmp_path / "labelled.npz")) is Checkpoint  # as a layer's weight and bias are
    found = open_subject(tmp_path / "labelled.npz", kind="points")
    assert found.table["y"].tolist() == [0, 1, 2, 3, 4]
    assert_holds_values(found)
    np.savez(tmp_path / "words.npz", x=VALUES, y=np.array(list("abcde")))
    assert open_subject(tmp_path / "words.npz").table["y"].tolist() == list("abcde")


def test_texts_are_a_corpus(tmp_path: Path) -> None:
    pd.DataFrame({"text": ["one", "two"], "mood": ["a", "b"], "x": [1, 2]}).to_csv(
        tmp_path / "x.csv", index=False
    )
    assert type(open_subject(tmp_path / "x.csv")) is PointCloud
    found = open_subject(tmp_path / "x.csv", kind="corpus", name="moods")
    assert isinstance(found, Corpus)
    assert found.name == "moods"
    assert found.table["text"].tolist() == ["one", "two"]
    (tmp_path / "x.jsonl").write_text("".join(json.dumps({"text": t}) + "\n" for t in ("7", "8")))
    assert open_subject(tmp_path / "x.jsonl").table["text"].tolist() == ["7", "8"]
    (tmp_path / "x.txt").write_text("<html>first\n\nsecond\n")
    assert open_subject(tmp_path / "x.txt").table["text"].tolist() == ["<html>first", "second"]
    (tmp_path / "n.txt").write_text("1,2\n3,4\n")
    np.testing.assert_array_equal(open_subject(tmp_path / "n.txt", kind="points").values, [[1, 2], [3, 4]])


MISFITS = [
    ("safetensors", "points"),
    ("gguf", "corpus"),
    ("pth", "series"),
    ("npy", "checkpoint"),
    ("csv", "checkpoint"),
]


@pytest.mark.parametrize(("ending", "kind"), MISFITS)
def test_a_kind_that_a_file_cannot_be_is_refused_with_what_it_can(
    ending: str, kind: str, tmp_path: Path
) -> None:
    with pytest.raises(ParameterError, match=f"kind='{kind}'. It can be: '"):
        open_subject(written(tmp_path, ending), kind=kind)


@pytest.mark.parametrize("kind", ["cloud", "", 3])
def test_an_unknown_kind_is_refused_with_the_choices(kind: Any, tmp_path: Path) -> None:
    with pytest.raises(
        ParameterError,
        match="'points', 'arrays', 'series', 'checkpoint', 'corpus', 'trajectory', 'siblings', or None",
    ):
        open_subject(written(tmp_path, "npy"), kind=kind)


@pytest.mark.parametrize("what", [None, 3, b"x", "", {}, ["x"]], ids=lambda w: type(w).__name__)
def test_what_is_no_path_is_refused(what: Any) -> None:
    with pytest.raises(ParameterError, match="takes a path or a name"):
        open_subject(what)


@pytest.mark.parametrize(
    "values",
    [np.array(["a", "b"]), np.array([1j]), np.zeros(3, "V8"), np.zeros(2, "M8[s]")],
    ids=lambda a: str(a.dtype),
)
def test_arrays_that_are_no_numbers_are_refused(values: np.ndarray, tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", values)
    for kind in ("points", "series"):
        with pytest.raises(DataError, match=r"real (numbers|ones)"):
            open_subject(tmp_path / "x.npy", kind=kind)
    np.savez(tmp_path / "x.npz", values)
    with pytest.raises(DataError, match=r"real (numbers|ones)"):
        open_subject(tmp_path / "x.npz")


@pytest.mark.parametrize("ending", ["npy", "npz"])
def test_a_single_number_is_refused_and_images_are_rows_that_keep_their_shape(
    ending: str, tmp_path: Path
) -> None:
    def saved(values: np.ndarray) -> Path:
        {"npy": np.save, "npz": np.savez}[ending](tmp_path / f"x.{ending}", values)
        return tmp_path / f"x.{ending}"

    with pytest.raises(DataError, match="shape"):
        open_subject(saved(np.float32(3)))
    images = np.arange(5 * 3 * 4 * 6, dtype=np.float32).reshape(5, 3, 4, 6)
    cloud = open_subject(saved(images))
    assert isinstance(cloud, PointCloud) and cloud.holds == "5 rows of 3 × 4 × 6 numbers"
    some = cloud.select([1, 4])
    assert some.values.shape == (2, 72) and cloud.as_points().values.shape == (5, 72)
    np.testing.assert_array_equal(some.shaped, images[[1, 4]])
    assert cloud.digest != PointCloud(images.reshape(5, 72)).digest
    again = open_subject(some.save(tmp_path / f"some.{ending}"))
    assert isinstance(again, PointCloud) and again.row_shape == (3, 4, 6)


def refused(what: Any) -> str:
    with pytest.raises((MissingError, FormatError)) as caught:
        open_subject(what)
    text = str(caught.value)
    assert "\n" not in text
    assert len(text) < 800
    return text


def test_a_name_that_is_nothing_suggests_near_ones(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert "Did you mean 'minilm'" in refused("minlm")
    written(tmp_path, "npy")
    assert "Did you mean 'thing.npy'" in refused("thinq.npy")
    assert "Did you mean 'thing.npy'" in refused(tmp_path / "thing.npx")
    assert "nor does" in refused(tmp_path / "nowhere" / "thing.npy")
    assert "minilm" in refused("zzzzzz")
    assert "owner/model" in refused("zzzzzz")
    assert "does not exist" in refused(tmp_path / "thing.npy" / "inside")


@pytest.mark.parametrize("what", ["a\0b", "x" * 5000, "~nobody-of-that-name/x", "sub/" + "x" * 300])
def test_paths_that_can_be_none_are_refused(what: str) -> None:
    assert refused(what)


@pytest.mark.parametrize("ending", [*WRITERS, "txt", "jsonl", "dat", "index.json", ""])
def test_empty_files_are_refused(ending: str, tmp_path: Path) -> None:
    path = tmp_path / f"x.{ending}"
    path.touch()
    assert "empty (0 bytes)" in refused(path)


@pytest.mark.parametrize(
    "content",
    [b"\x80", b"PK", b"PK\3\4", b"\0", b"abc", b"\x89HDF\r\n\x1a\n", bytes(64), bytes(range(190, 254))],
)
def test_files_of_no_known_kind_say_what_is_read(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "x.dat").write_bytes(content)
    assert ".safetensors, .gguf" in refused(tmp_path / "x.dat")


def test_what_downloads_leave_behind_is_told(tmp_path: Path) -> None:
    (tmp_path / "x.gguf").write_text("\n<!DOCTYPE html><html><body>Sign in</body></html>")
    assert "web page" in refused(tmp_path / "x.gguf")
    (tmp_path / "x.pth").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n")
    assert "git lfs pull" in refused(tmp_path / "x.pth")
    (tmp_path / "config.json").write_text("{}")
    assert "Open the folder" in refused(tmp_path / "config.json")
    (tmp_path / "x.pkl").write_bytes(pickle.dumps([1, 2]))
    assert "plain pickle" in refused(tmp_path / "x.pkl")


def test_pipes_and_devices_are_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.npy")
    assert "neither a file nor a folder" in refused(tmp_path / "pipe.npy")
    assert "neither a file nor a folder" in refused("/dev/zero")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    assert "can't be read" in refused(tmp_path / "loop")


@contextlib.contextmanager
def as_nobody() -> Iterator[None]:
    """Take root's right to read everything away, where the tests have it."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


def test_files_and_folders_that_may_not_be_read_are_told(tmp_path: Path) -> None:
    for folder in [tmp_path, *tmp_path.parents]:
        if folder.stat().st_uid == os.getuid() and folder.name.startswith(("pytest", "popen", tmp_path.name)):
            folder.chmod(0o755)
    files = [written(tmp_path, ending) for ending in WRITERS]
    (tmp_path / "shut").mkdir()
    (tmp_path / "open").mkdir()
    save_file({"w": torch.ones(1)}, tmp_path / "open" / "model.safetensors")
    for path in files:
        open_subject(path)  # it did open before
    shut = [*files, tmp_path / "shut", tmp_path / "open" / "model.safetensors"]
    for path in shut:
        path.chmod(0)
    try:
        with as_nobody():
            texts = {path: refused(path) for path in [*shut, tmp_path / "open", tmp_path / "shut" / "x.npy"]}
    finally:
        (tmp_path / "shut").chmod(0o755)
    for path, text in texts.items():
        assert "permission denied" in text, path


def test_every_refusal_of_a_file_leaves_the_disk_as_it_was(tmp_path: Path) -> None:
    for ending in WRITERS:
        path = written(tmp_path, ending)
        path.write_bytes(path.read_bytes()[:-40])
    before = {p: (p.read_bytes(), p.stat().st_mtime_ns) for p in tmp_path.iterdir()}
    refusals = 0
    for path in before:
        try:
            open_subject(path)
        except WorkbenchError:
            refusals += 1
    assert refusals >= len(WRITERS) - 1  # a shorter csv is a csv
    assert {p: (p.read_bytes(), p.stat().st_mtime_ns) for p in tmp_path.iterdir()} == before


def test_opening_a_file_of_weights_does_not_read_them(tmp_path: Path) -> None:
    """A file of 8 GB, all hole: reading any of it would take seconds and memory."""
    header = json.dumps({"w": {"dtype": "F32", "shape": [2, 10**9], "data_offsets": [0, 8 * 10**9]}}).encode()
    header += b" " * (-len(header) % 8)
    path = tmp_path / "x.safetensors"
    try:
        with path.open("wb") as f:
            f.write(len(header).to_bytes(8, "little") + header)
            f.truncate(8 + len(header) + 8 * 10**9)
    except OSError as e:
        pytest.skip(f"this filesystem has no files with holes of 8 GB: {e}")
    found = open_subject(path)
    assert found["w"].shape == (2, 10**9)
    assert found["w"][1, 5] == 0
    assert found.digest.startswith("sampled-")


def test_an_address_is_told_from_a_path() -> None:
    with pytest.raises(MissingError, match=r"http://x\.y/z.? is an address.*Download it"):
        open_subject("http://x.y/z")


def test_captures_are_told_from_weights(tmp_path: Path) -> None:
    for name in ("half.partial", "whole"):
        (tmp_path / name).mkdir()
        for i in range(2):
            (tmp_path / name / f"site{i:03d}.bin").write_bytes(b"1234")
    with pytest.raises(MissingError, match=r"unfinished capture.*same capture again"):
        open_subject(tmp_path / "half.partial")
    with pytest.raises(FormatError, match="open_store"):
        open_subject(tmp_path / "whole")
