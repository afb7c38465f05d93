"""Safetensors: what the library writes comes back equal; headers that lie are refused in words."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors
import safetensors.torch
import torch

from workbench.core.errors import FormatError
from workbench.io.safetensors_files import read_safetensors

LISTING = """
import json, sys, time
from workbench import open as open_subject
start = time.perf_counter()
found = open_subject(sys.argv[1])
names = [(t.name, t.shape, t.dtype) for t in found.tensors.values()]
seconds = time.perf_counter() - start
peak = next(l for l in open("/proc/self/status") if l.startswith("VmHWM")).split()[1]
print(json.dumps({"tensors": len(names), "seconds": seconds, "peak_kib": int(peak), "torch": "torch" in sys.modules}))
"""


def write(path: Path, header: Any, data: bytes = b"", *, length: int | None = None) -> Path:
    raw = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes((len(raw) if length is None else length).to_bytes(8, "little") + raw + data)
    return path


def entry(shape: list[Any], start: Any, end: Any, dtype: str = "F32") -> dict[str, Any]:
    return {"dtype": dtype, "shape": shape, "data_offsets": [start, end]}


def test_known_answer_every_dtype_comes_back_equal(tmp_path: Path) -> None:
    torch.manual_seed(0)
    written = {
        "f64": torch.randn(3, 4, dtype=torch.float64),
        "f32": torch.randn(2, 3, 4),
        "f16": torch.randn(7).half(),
        "bf16": torch.randn(5).bfloat16(),
        "e4m3": torch.randn(9).to(torch.float8_e4m3fn),
        "e5m2": torch.randn(9).to(torch.float8_e5m2),
        "bool": torch.tensor([True, False, True]),
        "scalar": torch.tensor(3.0),
        "empty": torch.zeros(0, 3),
        "c64": torch.randn(3, dtype=torch.complex64),
    }
    written |= {
        f"i{d}".replace("torch.", ""): torch.arange(5).to(d) for d in (torch.int8, torch.uint8, torch.int64)
    }
    safetensors.torch.save_file(written, tmp_path / "x.safetensors", {"format": "pt"})
    found = read_safetensors(tmp_path / "x.safetensors")
    assert set(found.tensors) == set(written)
    for name, tensor in written.items():
        expected = tensor.float() if tensor.is_floating_point() else tensor
        read = found.read(name)
        assert read.dtype == expected.numpy().dtype
        np.testing.assert_array_equal(read, expected.numpy())
        assert found.tensors[name].shape == tuple(tensor.shape)
        assert found.tensors[name].nbytes == tensor.numel() * tensor.element_size()
    assert "8-bit" in found.tensors["e4m3"].noise
    assert found.tensors["bf16"].noise == ""


def test_tensors_stay_on_disk_and_cannot_be_written(tmp_path: Path) -> None:
    safetensors.torch.save_file({"w": torch.ones(4, 4)}, tmp_path / "x.safetensors")
    array = read_safetensors(tmp_path / "x.safetensors").read("w")
    assert not array.flags.owndata
    with pytest.raises(ValueError, match="read-only"):
        array[0] = 2


def test_unaligned_tensors_are_aligned_when_read(tmp_path: Path) -> None:
    data = b"\x07" + np.arange(3, dtype="<f4").tobytes()
    path = write(tmp_path / "x.safetensors", {"b": entry([1], 0, 1, "U8"), "w": entry([3], 1, 13)}, data)
    array = read_safetensors(path).read("w")
    assert array.flags.aligned
    np.testing.assert_array_equal(array, [0, 1, 2])


def test_doubles_beyond_float32_become_infinite_without_a_warning(tmp_path: Path) -> None:
    safetensors.torch.save_file(
        {"w": torch.tensor([1e300, 1.0], dtype=torch.float64)}, tmp_path / "x.safetensors"
    )
    np.testing.assert_array_equal(read_safetensors(tmp_path / "x.safetensors").read("w"), [np.inf, 1])


DATA = bytes(48)
LIES = {
    "a tensor larger than its file": ({"w": entry([1000, 1000], 0, 4_000_000)}, "truncated"),
    "shape and bytes differ": ({"w": entry([3, 5], 0, 48)}, "takes 60 bytes, and is given 48"),
    "overlap": ({"a": entry([8], 0, 32), "b": entry([8], 16, 48)}, "overlaps"),
    "the same bytes twice": ({"a": entry([12], 0, 48), "b": entry([12], 0, 48)}, "overlaps"),
    "a hole": ({"a": entry([4], 0, 16), "b": entry([4], 32, 48)}, "belong to none"),
    "bytes after the end": ({"a": entry([4], 0, 16)}, "32 bytes after its last tensor"),
    "an unknown dtype": ({"w": entry([12], 0, 48, "F33")}, "dtype 'F33'"),
    "a dtype that is no text": ({"w": {"dtype": 7, "shape": [12], "data_offsets": [0, 48]}}, "dtype"),
    "a negative size": ({"w": entry([-12], 0, 48)}, "no list of sizes"),
    "a fractional size": ({"w": entry([12.0], 0, 48)}, "no list of sizes"),
    "a truth as a size": ({"w": entry([True, 12], 0, 48)}, "no list of sizes"),
    "an absurd size": ({"w": entry([2**62, 0], 0, 0), "v": entry([12], 0, 48)}, "no list of sizes"),
    "too many dimensions": ({"w": entry([1] * 65 + [12], 0, 48)}, "no list of sizes"),
    "offsets that run back": ({"w": entry([12], 48, 0)}, "byte range"),
    "one offset": ({"w": {"dtype": "F32", "shape": [12], "data_offsets": [48]}}, "byte range"),
    "no description": ({"w": 5}, "no description"),
    "a name with control characters": ({"w\n\x1b[2J": entry([12], 0, 48)}, "plain text"),
    "a name that never ends": ({"w" * 5000: entry([12], 0, 48)}, "plain text"),
    "an empty name": ({"": entry([12], 0, 48)}, "plain text"),
    "no tensor": ({"__metadata__": {"format": "pt"}}, "belong to none|no tensor"),
    "a list": ([1, 2], "not an object"),
    "no JSON": (b"{'w': 1}", "damaged"),
    "JSON nested without end": (b"[" * 100_000, "nested"),
    "a number without end": (b'{"w": ' + b"9" * 10_000 + b"}", "damaged"),
    "no UTF-8": (b'{"\xff": 1}', "damaged"),
    "one name twice": (
        b'{"w": {"dtype": "F32", "shape": [12], "data_offsets": [0, 48]}, "w": '
        b'{"dtype": "F32", "shape": [6, 2], "data_offsets": [0, 48]}}',
        "twice",
    ),
}


@pytest.mark.parametrize("lie", LIES)
def test_a_lying_header_is_refused_in_words(lie: str, tmp_path: Path) -> None:
    header, words = LIES[lie]
    path = write(tmp_path / "x.safetensors", header, DATA)
    before = path.read_bytes()
    with pytest.raises(FormatError, match=words) as caught:
        read_safetensors(path)
    text = str(caught.value)
    assert str(path) in text
    assert "\n" not in text
    assert "\x1b" not in text
    assert len(text) < 600
    assert path.read_bytes() == before


@pytest.mark.parametrize("length", [0, 1, 50, 2**31, 100_000_001, 2**63, 2**64 - 1])
def test_a_lying_header_length_is_refused(length: int, tmp_path: Path) -> None:
    with pytest.raises(FormatError, match="safetensors"):
        read_safetensors(write(tmp_path / "x.safetensors", {"w": entry([12], 0, 48)}, DATA, length=length))


def test_every_truncation_is_refused(tmp_path: Path) -> None:
    whole = safetensors.torch.save({"w": torch.ones(12), "b": torch.ones(2).bfloat16()})
    path = tmp_path / "x.safetensors"
    for end in range(len(whole)):
        path.write_bytes(whole[:end])
        with pytest.raises(FormatError):
            read_safetensors(path)
    path.write_bytes(whole)
    assert len(read_safetensors(path).tensors) == 2


def test_peer_the_library_lets_only_these_lies_pass(tmp_path: Path) -> None:
    """When the library refuses them too, its header check can take the place of ours."""
    passed = set()
    for lie, (header, _) in LIES.items():
        try:
            with safetensors.safe_open(write(tmp_path / "x.safetensors", header, DATA), "pt"):
                passed.add(lie)
        except safetensors.SafetensorError:
            continue
    assert passed == {
        "an absurd size",
        "too many dimensions",
        "a name with control characters",
        "a name that never ends",
        "an empty name",
        "one name twice",
    }


def test_a_file_cut_after_opening_is_told_and_not_a_crash(tmp_path: Path) -> None:
    safetensors.torch.save_file({"w": torch.ones(100_000)}, tmp_path / "x.safetensors")
    found = read_safetensors(tmp_path / "x.safetensors")
    with (tmp_path / "x.safetensors").open("r+b") as f:
        f.truncate(1000)
    with pytest.raises(FormatError, match="shorter after it was opened"):
        found.read("w")


def test_four_bit_floats_are_listed_and_refused_when_read(tmp_path: Path) -> None:
    found = read_safetensors(write(tmp_path / "x.safetensors", {"w": entry([4, 2], 0, 4, "F4")}, bytes(4)))
    assert found.tensors["w"].shape == (4, 2)
    with pytest.raises(FormatError, match="F4"):
        found.read("w")


def sparse_checkpoint(folder: Path, shards: int, shard_bytes: int, tensors: int) -> None:
    """Write a sharded checkpoint whose files are all hole: their size is real, their blocks are not."""
    where = {}
    for k in range(shards):
        each = shard_bytes // tensors // 8192 * 8192
        names = [f"model.layers.{k}.block.{i}.weight" for i in range(tensors)]
        header = {
            n: entry([each // 8192, 4096], i * each, (i + 1) * each, "BF16") for i, n in enumerate(names)
        }
        file = f"model-{k + 1:05d}-of-{shards:05d}.safetensors"
        path = write(folder / file, header)
        with path.open("r+b") as f:
            f.truncate(path.stat().st_size + tensors * each)
        where |= dict.fromkeys(names, file)
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": where}))


def test_listing_40_gb_takes_under_a_second_and_200_mb(tmp_path: Path) -> None:
    if not Path("/proc/self/status").exists():
        pytest.skip("peak memory is read from /proc")
    try:
        sparse_checkpoint(tmp_path, shards=8, shard_bytes=5 * 10**9, tensors=120)
    except OSError as e:
        pytest.skip(f"this filesystem has no files with holes of 5 GB: {e}")
    files = list(tmp_path.glob("*.safetensors"))
    if sum(f.stat().st_blocks * 512 for f in files) > 10**9:
        pytest.skip("this filesystem fills the holes of sparse files")
    assert sum(f.stat().st_size for f in files) > 39e9
    found: list[dict[str, Any]] = []
    for _ in range(3):  # another process may hold the cores: the best of three is what it takes
        run = subprocess.run(
            [sys.executable, "-c", LISTING, str(tmp_path)], capture_output=True, text=True, check=True
        )
        found.append(json.loads(run.stdout))
        if found[-1]["seconds"] < 1:
            break
    assert found[-1]["tensors"] == 960
    assert min(f["seconds"] for f in found) < 1, found
    assert max(f["peak_kib"] for f in found) < 200_000, found
    assert not found[-1]["torch"]  # two seconds of import that listing doesn't need


class Tied(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embed = torch.nn.Embedding(10, 4)
        self.lm_head = torch.nn.Linear(4, 10, bias=False)
        self.lm_head.weight = self.embed.weight


def test_shared_tensors_are_there_under_each_name(tmp_path: Path) -> None:
    module = Tied()
    safetensors.torch.save_model(module, str(tmp_path / "x.safetensors"))
    found = read_safetensors(tmp_path / "x.safetensors")
    assert set(found.tensors) == {"embed.weight", "lm_head.weight"}
    for name in found.tensors:
        np.testing.assert_array_equal(found.read(name), module.embed.weight.detach())
        assert found.tensors[name].shape == (10, 4)


@pytest.mark.parametrize(
    "metadata", [{"b": "c"}, {"a": "a"}, {"b\n": "a"}, {"format": "pt"}, ["a"], "a", {"b": 3}], ids=str
)
def test_other_metadata_names_no_tensor(metadata: Any, tmp_path: Path) -> None:
    path = write(tmp_path / "x.safetensors", {"__metadata__": metadata, "a": entry([1], 0, 4)}, b"\0" * 4)
    assert list(read_safetensors(path).tensors) == ["a"]


def test_a_name_that_stands_twice_is_found_at_once(tmp_path: Path) -> None:
    names = [f"t{i}" for i in range(50_000)]
    fields = ",".join(
        f'"{n}":{{"dtype":"F32","shape":[0],"data_offsets":[0,0]}}' for n in [*names, names[-1]]
    )
    path = write(tmp_path / "x.safetensors", f"{{{fields}}}".encode())
    start = time.process_time()
    with pytest.raises(FormatError, match=r"t49999.* twice"):
        read_safetensors(path)
    assert time.process_time() - start < 2


def test_json_of_lists_in_lists_is_refused_before_it_takes_memory(tmp_path: Path) -> None:
    path = write(tmp_path / "x.safetensors", b'{"a":[' + b"[]," * 2_000_000 + b"[]]}")
    with pytest.raises(FormatError, match="lists and objects"):
        read_safetensors(path)
