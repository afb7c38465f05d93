"""GGUF: what the gguf package writes comes back; a header that lies is refused before memory is asked for."""

from __future__ import annotations

import struct
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest

import workbench as wb
from workbench.core.errors import FormatError, MissingError
from workbench.io.gguf_files import read_gguf

TYPES = gguf.GGMLQuantizationType
WRITABLE = (TYPES.Q4_0, TYPES.Q4_1, TYPES.Q5_0, TYPES.Q5_1, TYPES.Q8_0, TYPES.TQ2_0, TYPES.BF16)


def write(path: Path, tensors: dict[str, tuple[np.ndarray, Any]]) -> Path:
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_block_count(2)
    writer.add_float32("llama.rope.freq_base", 10_000.0)
    writer.add_array("general.languages", ["en", "fr"])
    writer.add_array("tokenizer.ggml.tokens", [f"token{i}" for i in range(200)])
    writer.add_array("tokenizer.ggml.scores", [float(i) for i in range(200)])
    for name, (values, kind) in tensors.items():
        writer.add_tensor(name, values, raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


@pytest.mark.parametrize("kind", WRITABLE, ids=lambda k: k.name)
def test_known_answer_quantized_blocks_come_back_near_what_was_quantized(kind: Any, tmp_path: Path) -> None:
    x = np.random.default_rng(0).normal(size=(3, 5, 512)).astype(np.float32)
    blocks = gguf.quants.quantize(x, kind)
    found = read_gguf(write(tmp_path / "x.gguf", {"w": (blocks, kind)}))
    info, values = found.tensors["w"], found.read("w")
    assert info.shape == values.shape == x.shape
    assert values.dtype == np.float32
    assert (info.dtype, info.nbytes) == (kind.name, blocks.nbytes)
    np.testing.assert_array_equal(values, gguf.quants.dequantize(blocks, kind))
    correlation = np.corrcoef(values.ravel(), x.ravel())[0, 1]
    assert correlation > (0.7 if kind.name.startswith("TQ") else 0.98)
    if kind == TYPES.BF16:
        assert info.noise == ""
    else:
        bits = kind.name.lstrip("TQ")[0]
        assert info.noise == f"{bits}-bit blocks: values carry quantization noise"


def test_known_answer_plain_numbers_come_back_equal(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    written = {
        "f32": rng.normal(size=(2, 3, 4)).astype(np.float32),
        "f16": rng.normal(size=5).astype(np.float16),
        "f64": rng.normal(size=(3, 2)),
        "i8": np.arange(6, dtype=np.int8),
        "i32": np.arange(6, dtype=np.int32),
        "i64": np.arange(6, dtype=np.int64),
    }
    found = read_gguf(write(tmp_path / "x.gguf", {n: (v, None) for n, v in written.items()}))
    for name, values in written.items():
        expected = values.astype(np.float32) if values.dtype.kind == "f" else values
        np.testing.assert_array_equal(found.read(name), expected)
        assert found.read(name).dtype == expected.dtype
        assert found.tensors[name].noise == ""


def test_metadata_is_the_configuration_without_the_vocabulary(tmp_path: Path) -> None:
    config = read_gguf(write(tmp_path / "x.gguf", {"w": (np.ones(4, np.float32), None)})).config
    assert config["general.architecture"] == "llama"
    assert config["llama.block_count"] == 2
    assert config["llama.rope.freq_base"] == 10_000.0
    assert config["general.languages"] == ["en", "fr"]
    assert not any(name.startswith("tokenizer") for name in config)


def test_peer_the_package_s_reader_lists_the_same(tmp_path: Path) -> None:
    x = np.random.default_rng(2).normal(size=(4, 64)).astype(np.float32)
    tensors = {k.name: (gguf.quants.quantize(x, k), k) for k in (TYPES.Q4_1, TYPES.Q8_0)} | {"f": (x, None)}
    path = write(tmp_path / "x.gguf", tensors)
    found, theirs = read_gguf(path), gguf.GGUFReader(path)
    assert list(found.tensors) == [t.name for t in theirs.tensors]
    for t in theirs.tensors:
        info = found.tensors[t.name]
        assert info.shape == tuple(int(d) for d in reversed(t.shape))
        assert (info.dtype, info.nbytes) == (t.tensor_type.name, t.n_bytes)
        np.testing.assert_array_equal(found.read(t.name), gguf.quants.dequantize(t.data, t.tensor_type))


def test_without_the_package_it_says_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path / "x.gguf", {"w": (np.ones(4, np.float32), None)})
    monkeypatch.setitem(sys.modules, "gguf", None)
    with pytest.raises(MissingError, match="pip install gguf"):
        read_gguf(path)


def text(value: bytes, length: int | None = None) -> bytes:
    return struct.pack("<Q", len(value) if length is None else length) + value


def tensor(
    name: bytes = b"w", shape: Sequence[int] = (32,), kind: int = 0, at: int = 0, rank: int | None = None
) -> bytes:
    dims = struct.pack(f"<{len(shape)}Q", *shape)
    return (
        text(name)
        + struct.pack("<I", len(shape) if rank is None else rank)
        + dims
        + struct.pack("<IQ", kind, at)
    )


def built(
    *tensors: bytes,
    fields: Sequence[bytes] = (),
    data: int = 128,
    version: bytes = b"\x03\0\0\0",
    counts: tuple[int, int] | None = None,
) -> bytes:
    """A GGUF file by hand; the counts are true unless given."""
    head = b"GGUF" + version + struct.pack("<QQ", *(counts or (len(tensors), len(fields))))
    raw = head + b"".join(fields) + b"".join(tensors)
    return raw + bytes(-len(raw) % 32) + bytes(data)


def field(key: bytes, kind: int, raw: bytes) -> bytes:
    return text(key) + struct.pack("<I", kind) + raw


def array(item: int, n: int, raw: bytes = b"") -> bytes:
    return struct.pack("<IQ", item, n) + raw


DEEP = b"".join(array(9, 1) for _ in range(5000))
LIES = {
    "another version": (built(tensor(), version=b"\x09\0\0\0"), "version is 9"),
    "big-endian": (built(tensor(), version=b"\0\0\0\x03"), "big-endian"),
    "more tensors than there are": (built(tensor(), counts=(2**63, 0)), "truncated|known|plain|claims"),
    "more fields than there are": (built(tensor(), counts=(1, 2**64 - 1)), "truncated|plain|unknown"),
    "a key without end": (built(tensor(), fields=[text(b"k", 2**60)]), "truncated"),
    "a text without end": (built(tensor(), fields=[field(b"k", 8, text(b"v", 2**62))]), "truncated"),
    "an array of numbers without end": (
        built(tensor(), fields=[field(b"k", 9, array(4, 2**61))]),
        "truncated",
    ),
    "an array of bytes without end": (built(tensor(), fields=[field(b"k", 9, array(0, 2**40))]), "truncated"),
    "an array of texts without end": (built(tensor(), fields=[field(b"k", 9, array(8, 2**60))]), "truncated"),
    "an array of arrays without end": (
        built(tensor(), fields=[field(b"k", 9, array(9, 2**60))]),
        "unknown|truncated",
    ),
    "arrays in arrays": (built(tensor(), fields=[field(b"k", 9, DEEP)]), "unknown type"),
    "a value of unknown type": (built(tensor(), fields=[field(b"k", 99, b"")]), "unknown type 99"),
    "a key twice": (built(tensor(), fields=[field(b"k", 0, b"\1")] * 2), "twice"),
    "text that is no UTF-8": (built(tensor(), fields=[field(b"k", 8, text(b"\xff"))]), "UTF-8"),
    "a name twice": (built(tensor(), tensor(at=32)), "twice"),
    "a name with control characters": (built(tensor(b"w\x1b[2J")), "plain text"),
    "too many dimensions": (built(tensor(shape=[1] * 5)), "5 dimensions"),
    "an absurd rank": (built(tensor(rank=2**32 - 1)), "dimensions"),
    "an absurd shape": (built(tensor(shape=(2**63, 2**63))), "shape"),
    "an absurd empty shape": (built(tensor(shape=(2**63, 0))), "shape"),
    "an unknown type": (built(tensor(kind=9999)), "9999"),
    "half a block": (built(tensor(shape=(33,), kind=2)), "blocks"),
    "no shape for blocks": (built(tensor(shape=(), kind=2)), "blocks"),
    "overlap": (built(tensor(), tensor(b"v", at=64)), "overlaps"),
    "beyond the end": (built(tensor(at=2**63)), "truncated"),
    "larger than the file": (built(tensor(shape=(10**9,))), "truncated"),
    "an alignment of 3": (
        built(tensor(), fields=[field(b"general.alignment", 4, b"\3\0\0\0")]),
        "power of two",
    ),
    "an alignment of 0": (
        built(tensor(), fields=[field(b"general.alignment", 4, b"\0\0\0\0")]),
        "power of two",
    ),
    "an alignment in words": (
        built(tensor(), fields=[field(b"general.alignment", 8, text(b"8"))]),
        "power of two",
    ),
    "no tensor": (built(), "no tensor"),
    "a beginning only": (b"GGUF\3", "doesn't begin"),
}


def test_the_file_by_hand_opens_when_it_does_not_lie(tmp_path: Path) -> None:
    (tmp_path / "x.gguf").write_bytes(built(tensor(), tensor(b"v", at=128), data=256))
    found = read_gguf(tmp_path / "x.gguf")
    assert [t.shape for t in found.tensors.values()] == [(32,), (32,)]
    np.testing.assert_array_equal(found.read("v"), np.zeros(32))


@pytest.mark.parametrize("lie", LIES)
def test_a_lying_header_is_refused_in_words_at_once(lie: str, tmp_path: Path) -> None:
    raw, words = LIES[lie]
    (tmp_path / "x.gguf").write_bytes(raw)
    start = time.perf_counter()
    with pytest.raises(FormatError, match=words) as caught:
        read_gguf(tmp_path / "x.gguf")
    assert time.perf_counter() - start < 2
    assert "x.gguf" in str(caught.value)
    assert "\x1b" not in str(caught.value)
    assert len(str(caught.value)) < 600


def test_every_truncation_of_the_header_is_refused(tmp_path: Path) -> None:
    whole = write(tmp_path / "whole.gguf", {"w": (np.ones(32, np.float32), None)}).read_bytes()
    path = tmp_path / "x.gguf"
    for end in range(1, len(whole), 31):
        path.write_bytes(whole[:end])
        with pytest.raises(FormatError):
            read_gguf(path)


def test_types_that_the_package_cannot_read_are_refused_when_read(tmp_path: Path) -> None:
    listed = gguf.quants.quantize(np.ones((1, 32), np.float32), TYPES.Q8_0)
    q8_1 = np.zeros((1, 40), np.uint8)
    path = write(tmp_path / "x.gguf", {"a": (q8_1, TYPES.Q8_1), "b": (listed, TYPES.Q8_0)})
    found = read_gguf(path)
    assert found.tensors["a"].shape == (1, 32)
    with pytest.raises(FormatError, match=r"Q8_1.*llama-quantize"):
        found.read("a")
    np.testing.assert_allclose(found.read("b"), np.ones((1, 32)), rtol=1e-3)


def write_parts(folder: Path, count: int, *, announced: int | None = None, named: str = "m") -> list[Path]:
    """A checkpoint of as many tensors as parts, as llama.cpp splits it."""
    paths = [folder / f"{named}-{i + 1:05d}-of-{count:05d}.gguf" for i in range(count)]
    for i, path in enumerate(paths):
        writer = gguf.GGUFWriter(path, "llama")
        writer.add_uint16("split.no", i)
        writer.add_uint16("split.count", count)
        writer.add_int32("split.tensors.count", count if announced is None else announced)
        if i == 0:
            writer.add_block_count(7)
        writer.add_tensor(f"blk.{i}.attn_q.weight", np.full((2, 2), i, np.float32))
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()
    return paths


@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize("asked", ["folder", "first", "last"])
def test_known_answer_parts_open_as_the_whole(count: int, asked: str, tmp_path: Path) -> None:
    parts = write_parts(tmp_path, count)
    opened = wb.open({"folder": tmp_path, "first": parts[0], "last": parts[-1]}[asked])
    assert [opened[f"blk.{i}.attn_q.weight"][0, 0] for i in range(count)] == list(range(count))
    assert len(opened) == count
    assert opened.config["llama.block_count"] == 7
    assert opened.digest == wb.open(parts[0]).digest


def test_a_missing_part_is_refused_by_name(tmp_path: Path) -> None:
    parts = write_parts(tmp_path, 3)
    parts[1].unlink()
    for asked in (tmp_path, parts[0]):
        with pytest.raises(MissingError, match=r"3 parts, of which 1 .*'m-00002-of-00003\.gguf'"):
            wb.open(asked)


def test_parts_that_do_not_belong_together_are_refused(tmp_path: Path) -> None:
    parts = write_parts(tmp_path, 2)
    whole = parts[1].read_bytes()
    parts[1].write_bytes(parts[0].read_bytes())
    with pytest.raises(FormatError, match="isn't part 2 of 2"):
        wb.open(parts[0])
    parts[1].write_bytes(whole)
    other = parts[0].rename(tmp_path / "renamed.gguf")
    with pytest.raises(FormatError, match="one of 2 parts, and isn't called"):
        wb.open(other)
    (tmp_path / "few").mkdir()
    with pytest.raises(FormatError, match="hold 2 tensors, and '5' are announced"):
        wb.open(write_parts(tmp_path / "few", 2, announced=5)[0])
