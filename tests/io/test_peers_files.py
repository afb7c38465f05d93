"""What safetensors' and gguf's own interfaces can write, all of it: equal numbers, or a refusal in words.

Their packages come without example files, and their own tests write files in code. So is done here, by what they document.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest
import safetensors.torch
import torch

import workbench as wb
from workbench.core.errors import FormatError

RANDOM = np.random.default_rng(0)
TYPES = gguf.GGMLQuantizationType
BLOCKS = [kind for kind in TYPES if gguf.GGML_QUANT_SIZES[kind][0] > 1]

SAFE = (
    "bool uint8 int8 uint16 int16 uint32 int32 uint64 int64 float64 float32 float16 bfloat16 complex64 "
    "float8_e4m3fn float8_e5m2 float8_e4m3fnuz float8_e5m2fnuz float8_e8m0fnu"
)


@pytest.mark.parametrize("shape", [(), (0,), (2, 0), (5,), (3, 4), (2, 1, 3, 2)], ids=str)
@pytest.mark.parametrize("dtype", SAFE.split())
def test_peer_every_dtype_of_torch_and_every_rank_comes_back_equal(
    dtype: str, shape: tuple[int, ...], tmp_path: Path
) -> None:
    kind = getattr(torch, dtype)
    size = kind.itemsize * int(np.prod(shape))
    codes = RANDOM.integers(0, 2 if dtype == "bool" else 256, size, np.uint8)
    tensor = torch.from_numpy(codes).view(kind).reshape(shape) if size else torch.zeros(shape, dtype=kind)
    safetensors.torch.save_file({"w": tensor}, tmp_path / "x.safetensors", {"format": "pt", "by": "é"})
    with np.errstate(over="ignore", invalid="ignore"):  # any bits: infinite and NaN too
        expected = (tensor.float() if tensor.is_floating_point() else tensor).numpy()
        read = wb.open(tmp_path / "x.safetensors")["w"]
    assert (read.shape, read.dtype) == (expected.shape, expected.dtype)
    np.testing.assert_array_equal(read, expected)


def test_peer_four_bits_are_listed_and_refused_when_read(tmp_path: Path) -> None:
    packed = torch.zeros(2, 4, dtype=torch.uint8).view(torch.float4_e2m1fn_x2)
    safetensors.torch.save_file({"w": packed, "scale": torch.ones(2)}, tmp_path / "x.safetensors")
    opened = wb.open(tmp_path / "x.safetensors")
    np.testing.assert_array_equal(opened["scale"], [1, 1])
    with pytest.raises(FormatError, match="w is stored as F4, which is listed but not read"):
        opened["w"]


class Tied(torch.nn.Module):
    """Modules that are one, weights that are one, and one that isn't laid out in rows."""

    def __init__(self) -> None:
        super().__init__()
        self.first = torch.nn.Linear(4, 4)
        self.second = self.first
        self.head = torch.nn.Linear(4, 4, bias=False)
        self.head.weight = self.first.weight
        self.turned = torch.nn.Parameter(torch.randn(3, 5).T)
        self.register_buffer("count", torch.tensor(7))


def test_peer_a_model_of_shared_tensors_opens_under_each_name(tmp_path: Path) -> None:
    model = Tied()
    safetensors.torch.save_model(model, tmp_path / "x.safetensors")
    opened = wb.open(tmp_path / "x.safetensors")
    state = model.state_dict()
    assert set(opened.tensors) == set(state)
    for name, tensor in state.items():
        np.testing.assert_array_equal(opened[name], tensor.numpy())


def write(path: Path, tensors: dict[str, tuple[np.ndarray, Any]], **options: Any) -> gguf.GGUFWriter:
    writer = gguf.GGUFWriter(path, "llama", **options)
    for name, (values, kind) in tensors.items():
        writer.add_tensor(name, values, raw_dtype=kind)
    return writer


def closed(writer: gguf.GGUFWriter) -> None:
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


VALUES: dict[str, Any] = {
    "uint8": 255,
    "int8": -128,
    "uint16": 65_535,
    "int16": -32_768,
    "uint32": 2**32 - 1,
    "int32": -(2**31),
    "uint64": 2**64 - 1,
    "int64": -(2**63),
    "float32": 0.25,
    "float64": 0.1,
    "bool": True,
    "string": "é and a\nline",
}
LISTS: dict[str, list[Any]] = {
    "of numbers": [1, -2, 3],
    "of fractions": [0.5, -0.25],
    "of truths": [True, False],
    "of texts": ["a", "", "é"],
    "of lists": [[1, 2], [3]],
    "of lists of texts": [["a"], ["b", "c"]],
    "of lists of lists": [[[1], [2, 3]], [[4]]],
}


def test_peer_every_kind_of_metadata_comes_back_equal(tmp_path: Path) -> None:
    writer = write(tmp_path / "x.gguf", {"w": (np.ones(4, np.float32), None)})
    for kind, value in VALUES.items():
        getattr(writer, f"add_{kind}")(f"a.{kind}", value)
    for kind, values in LISTS.items():
        writer.add_array(f"list {kind}", values)
    closed(writer)
    config = wb.open(tmp_path / "x.gguf").config
    assert {n: config[f"a.{n}"] for n in VALUES} == VALUES
    assert {n: config[f"list {n}"] for n in LISTS} == LISTS


@pytest.mark.parametrize("kind", BLOCKS, ids=lambda k: k.name)
def test_peer_every_block_type_comes_back_as_the_package_reads_it(kind: Any, tmp_path: Path) -> None:
    per_block, block_bytes = gguf.GGML_QUANT_SIZES[kind]
    blocks = RANDOM.integers(0, 256, (2, 3, 2 * block_bytes), np.uint8)  # any bits are some numbers
    vector = RANDOM.integers(0, 256, 2 * block_bytes, np.uint8)
    closed(write(tmp_path / "x.gguf", {"w": (blocks, kind), "v": (vector, kind)}))
    opened = wb.open(tmp_path / "x.gguf")
    assert opened.tensors["w"].shape == (2, 3, 2 * per_block)
    try:
        with np.errstate(over="ignore", invalid="ignore"):
            expected = {"w": gguf.quants.dequantize(blocks, kind), "v": gguf.quants.dequantize(vector, kind)}
    except NotImplementedError:  # ggml's own steps between others, and what llama.cpp alone reads
        with pytest.raises(FormatError, match=f"w is stored as {kind.name}.*llama-quantize"):
            opened["w"]
        return
    for name, values in expected.items():
        np.testing.assert_array_equal(opened[name], values)


def test_peer_the_other_byte_order_is_refused_with_what_converts_it(tmp_path: Path) -> None:
    closed(write(tmp_path / "x.gguf", {"w": (np.ones(4, np.float32), None)}, endianess=gguf.GGUFEndian.BIG))
    with pytest.raises(FormatError, match="big-endian, which gguf-convert-endian converts"):
        wb.open(tmp_path / "x.gguf")


@pytest.mark.parametrize("alignment", [1, 8, 32, 4096])
def test_peer_any_alignment_is_read(alignment: int, tmp_path: Path) -> None:
    values = {f"w{i}": RANDOM.normal(size=(i + 1, 3)).astype(np.float32) for i in range(4)}
    writer = write(tmp_path / "x.gguf", {})
    writer.add_custom_alignment(alignment)
    for name, array in values.items():
        writer.add_tensor(name, array)
    closed(writer)
    opened = wb.open(tmp_path / "x.gguf")
    for name, array in values.items():
        np.testing.assert_array_equal(opened[name], array)


@pytest.mark.parametrize(
    "options", [{"split_max_tensors": 2}, {"split_max_size": 200, "small_first_shard": True}]
)
def test_peer_what_the_package_splits_opens_whole(options: dict[str, Any], tmp_path: Path) -> None:
    values = {f"w{i}": RANDOM.normal(size=(8, 4)).astype(np.float32) for i in range(5)}
    closed(write(tmp_path / "x.gguf", {n: (a, None) for n, a in values.items()}, **options))
    parts = sorted(tmp_path.glob("*.gguf"))
    assert len(parts) > 2
    for part in (parts[0], parts[-1]):
        opened = wb.open(part)
        assert set(opened.tensors) == set(values)
        for name, array in values.items():
            np.testing.assert_array_equal(opened[name], array)
