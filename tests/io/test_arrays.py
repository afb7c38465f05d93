"""NumPy's files: equal arrays, mapped from disk; headers that lie and archives that swell are refused."""

from __future__ import annotations

import io
import tracemalloc
import zipfile
from pathlib import Path

import numpy as np
import pytest

from workbench.core.errors import DataError, FormatError
from workbench.io import arrays
from workbench.io.arrays import as_rows, named_weights, read_npy, read_npz

RNG = np.random.default_rng(0)
ARRAYS = {
    "f8": RNG.normal(size=(3, 4)),
    "f4": RNG.normal(size=(2, 3, 4)).astype("f4"),
    "f2": RNG.normal(size=5).astype("f2"),
    "fortran": np.asfortranarray(RNG.normal(size=(3, 5))),
    "big-endian": np.arange(6, dtype=">i4"),
    "bool": np.array([True, False]),
    "scalar": np.float32(3),
    "empty": np.empty((0, 4)),
    "u1": np.arange(9, dtype="u1"),
}


def npy(array: np.ndarray) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array)
    return stream.getvalue()


@pytest.mark.parametrize("name", ARRAYS)
def test_known_answer_npy_comes_back_equal_and_stays_on_disk(name: str, tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", ARRAYS[name])
    found = read_npy(tmp_path / "x.npy")
    np.testing.assert_array_equal(found, ARRAYS[name])
    assert found.dtype.isnative
    if name in ("f8", "f4", "fortran"):
        assert not found.flags.owndata
        assert not found.flags.writeable


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed], ids=lambda f: f.__name__)
def test_known_answer_npz_comes_back_equal(save, tmp_path: Path) -> None:
    save(tmp_path / "x.npz", **ARRAYS)
    found = read_npz(tmp_path / "x.npz")
    assert list(found.tensors) == list(ARRAYS)
    for name, array in ARRAYS.items():
        assert found.tensors[name].shape == array.shape
        read = found.read(name)
        np.testing.assert_array_equal(read, array)
        assert read.dtype == array.dtype.newbyteorder("=")


def test_weights_of_an_archive_are_float32(tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", **ARRAYS)
    found = named_weights(read_npz(tmp_path / "x.npz"), tmp_path / "x.npz")
    for name, array in ARRAYS.items():
        assert found.read(name).dtype == (
            np.float32 if array.dtype.kind == "f" else array.dtype.newbyteorder("=")
        )


def test_uncompressed_members_stay_on_disk(tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", w=np.zeros((1000, 1000), "u1"))
    found = read_npz(tmp_path / "x.npz").read("w")
    assert not found.flags.owndata
    assert not found.flags.writeable


def test_one_matrix_with_labels_is_rows(tmp_path: Path) -> None:
    x, y = RNG.normal(size=(3, 2)), np.array(["a", "b", "c"])
    np.savez(tmp_path / "x.npz", x=x, y=y)
    rows, labels = as_rows(read_npz(tmp_path / "x.npz"), tmp_path / "x.npz")
    np.testing.assert_array_equal(rows, x)
    assert rows.dtype == np.float64
    np.testing.assert_array_equal(labels["y"], y)
    with pytest.raises(DataError, match="'y'"):
        named_weights(read_npz(tmp_path / "x.npz"), tmp_path / "x.npz")


@pytest.mark.parametrize(
    "members",
    [
        {"a": np.ones((2, 2)), "b": np.ones((2, 2))},
        {"a": np.ones((2, 2)), "b": np.ones(3)},
        {"a": np.ones(2), "b": np.ones(2)},
    ],
)
def test_archives_without_one_matrix_are_no_rows(members: dict[str, np.ndarray], tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", **members)
    with pytest.raises(FormatError, match="kind='checkpoint'"):
        as_rows(read_npz(tmp_path / "x.npz"), tmp_path / "x.npz")


def header(text: str, data: bytes = bytes(96)) -> bytes:
    raw = text.encode().ljust(117) + b"\n"
    return b"\x93NUMPY\1\0" + len(raw).to_bytes(2, "little") + raw + data


WHOLE = "{'descr': '<f8', 'fortran_order': False, 'shape': (3, 4), }"
LIES = {
    "a larger shape": (header(WHOLE.replace("3,", "3000000,")), "announces"),
    "a shape beyond memory": (header(WHOLE.replace("3,", f"{2**62},")), "which is none"),
    "a smaller shape": (header(WHOLE.replace("3,", "2,")), "announces"),
    "a negative shape": (header(WHOLE.replace("3,", "-3,")), "which is none"),
    "an absurd empty shape": (header(WHOLE.replace("(3, 4)", f"(0, {2**62})"), b""), "which is none"),
    "another dtype": (header(WHOLE.replace("f8", "f4")), "announces"),
    "an unknown dtype": (header(WHOLE.replace("<f8", "<q9")), "damaged"),
    "Python objects": (header(WHOLE.replace("<f8", "|O")), "Python objects"),
    "objects in records": (header(WHOLE.replace("'<f8'", "[('a', '|O')]")), "Python objects"),
    "nothing in each place": (header(WHOLE.replace("<f8", "|V0")), "which is none"),
    "an expression": (header("__import__('os').mkdir('ran')"), "damaged"),
    "no shape": (header("{'descr': '<f8', 'fortran_order': False}"), "damaged"),
    "brackets without end": (header("(" * 100), "damaged"),
    "a later version": (b"\x93NUMPY\3\0" + header(WHOLE)[8:], "records"),
    "an unknown version": (b"\x93NUMPY\x09\0" + header(WHOLE)[8:], "damaged|records"),
    "a header longer than the file": (b"\x93NUMPY\1\0\xff\xff" + header(WHOLE)[10:], "damaged"),
    "a header without end": (b"\x93NUMPY\2\0\xff\xff\xff\xff" + header(WHOLE)[10:], "damaged"),
    "another beginning": (b"NUMPY" + header(WHOLE)[6:], "damaged"),
}


def test_the_header_by_hand_opens_when_it_does_not_lie(tmp_path: Path) -> None:
    (tmp_path / "x.npy").write_bytes(header(WHOLE))
    np.testing.assert_array_equal(read_npy(tmp_path / "x.npy"), np.zeros((3, 4)))


@pytest.mark.parametrize("lie", LIES)
def test_a_lying_npy_header_is_refused_in_words(
    lie: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    raw, words = LIES[lie]
    monkeypatch.chdir(tmp_path)
    (tmp_path / "x.npy").write_bytes(raw)
    with pytest.raises(FormatError, match=words) as caught:
        read_npy(tmp_path / "x.npy")
    assert len(str(caught.value)) < 600
    assert [p.name for p in tmp_path.iterdir()] == ["x.npy"]


@pytest.mark.parametrize("lie", LIES)
def test_a_lying_header_in_an_archive_is_refused_in_words(lie: str, tmp_path: Path) -> None:
    raw, words = LIES[lie]
    with zipfile.ZipFile(tmp_path / "x.npz", "w") as archive:
        archive.writestr("w.npy", raw)
    with pytest.raises(FormatError, match=words):
        read_npz(tmp_path / "x.npz")


def test_every_truncation_of_an_npy_is_refused(tmp_path: Path) -> None:
    whole = npy(np.arange(6.0).reshape(2, 3))
    for end in range(1, len(whole)):
        (tmp_path / "x.npy").write_bytes(whole[:end])
        with pytest.raises(FormatError):
            read_npy(tmp_path / "x.npy")


def test_an_archive_that_swells_is_refused_before_it_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    np.savez_compressed(tmp_path / "x.npz", w=np.zeros(50_000_000, "u1"))
    assert (tmp_path / "x.npz").stat().st_size < 100_000
    assert read_npz(tmp_path / "x.npz").read("w").shape == (50_000_000,)  # a thousandfold, and harmless
    monkeypatch.setattr(arrays, "EXPANDS_TO", 10_000_000)
    tracemalloc.start()
    with pytest.raises(
        FormatError, match=r"unpack to 50,000,128 bytes, and 10,000,000 are allowed.*np\.savez"
    ):
        read_npz(tmp_path / "x.npz")
    assert tracemalloc.get_traced_memory()[1] < 1_000_000
    tracemalloc.stop()


def test_a_size_that_lies_in_the_directory_of_an_archive_is_refused(tmp_path: Path) -> None:
    """The archive says that little comes out; the header in it announces more."""
    np.savez_compressed(tmp_path / "x.npz", w=np.zeros(1_000_000))
    raw = (tmp_path / "x.npz").read_bytes()
    true = (8_000_128).to_bytes(4, "little")
    assert raw.count(true) == 2
    (tmp_path / "x.npz").write_bytes(raw.replace(true, (500).to_bytes(4, "little")))
    with pytest.raises(FormatError, match=r"announces|damaged"):
        read_npz(tmp_path / "x.npz")


@pytest.mark.parametrize(
    "name", ["../w.npy", "/w.npy", "a/../../w.npy", "c:/w.npy", "..\\w.npy", "w\x1b.npy"]
)
def test_a_path_that_escapes_an_archive_is_refused(name: str, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    with zipfile.ZipFile(tmp_path / "in" / "x.npz", "w") as archive:
        archive.writestr(name, npy(np.ones(3)))
    with pytest.raises(FormatError, match="no plain name"):
        read_npz(tmp_path / "in" / "x.npz")
    assert [p.name for p in tmp_path.iterdir()] == ["in"]


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_archives_that_say_one_thing_twice_or_something_else_are_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "x.npz", "w") as archive:
        archive.writestr("w.npy", npy(np.ones(3)))
        archive.writestr("w.npy", npy(np.zeros(3)))
    with pytest.raises(FormatError, match="twice"):
        read_npz(tmp_path / "x.npz")
    with zipfile.ZipFile(tmp_path / "x.npz", "w") as archive:
        archive.writestr("notes.txt", "nothing")
    with pytest.raises(FormatError, match="no array"):
        read_npz(tmp_path / "x.npz")
    with zipfile.ZipFile(tmp_path / "x.npz", "w"):
        pass
    with pytest.raises(FormatError, match="no array"):
        read_npz(tmp_path / "x.npz")


def test_a_compressed_member_with_a_wrong_checksum_is_refused_when_read(tmp_path: Path) -> None:
    np.savez_compressed(tmp_path / "x.npz", w=RNG.normal(size=1000))
    raw = bytearray((tmp_path / "x.npz").read_bytes())
    raw[4000] ^= 1
    (tmp_path / "x.npz").write_bytes(raw)
    found = read_npz(tmp_path / "x.npz")
    with pytest.raises(FormatError, match="damaged"):
        found.read("w")


def test_the_cap_grows_with_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arrays, "EXPANDS_TO", 1000)
    np.savez(tmp_path / "x.npz", w=np.ones(1000))
    assert read_npz(tmp_path / "x.npz").read("w").sum() == 1000
    np.savez_compressed(tmp_path / "y.npz", w=np.ones(100_000))
    with pytest.raises(FormatError, match="allowed"):
        read_npz(tmp_path / "y.npz")
