"""Weights on their way to disk: byte by byte where nothing was edited, rounded once where something was, in little memory."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from nets_for_tests import checkpoint
from safetensors import safe_open
from safetensors.torch import load_file, save_file

import workbench as wb
from workbench.core.errors import DataError, ParameterError, StorageError
from workbench.core.progress import listening
from workbench.subjects import saving
from workbench.subjects.checkpoint import Checkpoint

DTYPES = {
    "half": torch.float16,
    "brain": torch.bfloat16,
    "single": torch.float32,
    "double": torch.float64,
    "eight": torch.float8_e4m3fn,
}


def tensors() -> dict[str, torch.Tensor]:
    torch.manual_seed(0)
    found = {f"{name}.weight": torch.randn(6, 8).to(dtype) for name, dtype in DTYPES.items()}
    found["brain.weight"][0, 0] = torch.nan
    return {
        **found,
        "ids": torch.arange(6).reshape(2, 3),
        "flags": torch.tensor([True, False, True]),
        "scalar": torch.tensor(2.5),
        "empty": torch.zeros(0, 3),
    }


@pytest.fixture
def net(tmp_path: Path) -> Checkpoint:
    save_file(tensors(), tmp_path / "net.safetensors")
    return wb.open(tmp_path / "net.safetensors")


def raw(path: Path) -> dict[str, tuple[str, tuple[int, ...], bytes]]:
    return {
        n: (str(t.dtype), tuple(t.shape), t.contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
        for n, t in load_file(path).items()
    }


def test_what_was_not_edited_is_copied_byte_by_byte(net, tmp_path) -> None:
    edit = wb.Dense({"single.weight": np.ones((6, 8))})
    path = (net + edit).save(tmp_path / "edited.safetensors")
    before, after = raw(tmp_path / "net.safetensors"), raw(path)
    assert list(after) == list(before)
    assert [n for n in before if after[n] != before[n]] == ["single.weight"]
    assert after["single.weight"][:2] == before["single.weight"][:2]
    again = wb.open(path)
    for n in net:
        np.testing.assert_array_equal(again[n], (net + edit)[n])


def test_an_unedited_checkpoint_is_written_as_it_is(net, tmp_path) -> None:
    assert raw(net.save(tmp_path / "copy.safetensors")) == raw(tmp_path / "net.safetensors")
    edited = net + wb.prune(net)
    assert raw(edited.undo().save(tmp_path / "undone.safetensors")) == raw(tmp_path / "net.safetensors")


@pytest.mark.parametrize("name", DTYPES)
def test_what_was_edited_is_rounded_to_nearest_in_the_stored_dtype(name, net, tmp_path) -> None:
    tensor, d = f"{name}.weight", np.random.default_rng(0).standard_normal((6, 8))
    edited = net + wb.Dense({tensor: d})
    after = load_file(edited.save(tmp_path / "edited.safetensors"))[tensor]
    expected = DTYPES[name] if name != "eight" else torch.float32
    assert after.dtype == expected
    torch.testing.assert_close(
        after, torch.tensor(edited[tensor]).to(expected), rtol=0, atol=0, equal_nan=True
    )


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
def test_all_floating_point_may_be_written_in_one_dtype(dtype, net, tmp_path) -> None:
    after = load_file(net.save(tmp_path / "one.safetensors", dtype=dtype))
    for n, before in tensors().items():
        wanted = getattr(torch, dtype) if before.is_floating_point() else before.dtype
        assert after[n].dtype == wanted
        expected = before.float().to(wanted) if before.is_floating_point() else before
        torch.testing.assert_close(after[n], expected, rtol=0, atol=0, equal_nan=True)


def test_peer_torch_rounds_to_bfloat16_the_same() -> None:
    from workbench.numerics.floats import decode, encode

    rng = np.random.default_rng(0)
    bits = rng.integers(0, 1 << 32, 200_000, dtype=np.uint64).astype(np.uint32)
    halfway = (np.arange(1 << 16, dtype=np.uint32) << 16) | 0x8000
    values = np.concatenate([bits, halfway, halfway - 1, halfway + 1]).view(np.float32)
    theirs = torch.tensor(values).to(torch.bfloat16).float().numpy()
    np.testing.assert_array_equal(decode(encode(values, "BF16"), "BF16"), theirs)
    codes = np.arange(1 << 16, dtype=np.uint16)
    numbers = ~np.isnan(decode(codes, "BF16"))
    np.testing.assert_array_equal(encode(decode(codes, "BF16"), "BF16")[numbers], codes[numbers])


@pytest.mark.parametrize(("dtype", "most"), [("float16", 65504.0), ("bfloat16", 3.3895313892515355e38)])
def test_a_number_beyond_the_dtypes_range_is_refused_and_nothing_is_left(dtype, most, tmp_path) -> None:
    def saved(value: float) -> Path:
        net = checkpoint(w=np.full((2, 2), value, np.float32))
        return net.save(tmp_path / "x.safetensors", dtype=dtype)

    ulp = most * 2.0 ** -(11 if dtype == "float16" else 8)
    assert (wb.open(saved(most + 0.4 * ulp))["w"] == np.float32(most)).all()  # rounds to the largest
    assert np.isinf(wb.open(saved(np.inf))["w"]).all()  # it was infinite
    (tmp_path / "x.safetensors").unlink()
    with pytest.raises(DataError, match=r"w has numbers beyond the range.*dtype='float32'"):
        saved(most + 0.6 * ulp)
    assert list(tmp_path.iterdir()) == []


def test_the_file_is_what_the_library_reads_and_aligned(net, tmp_path) -> None:
    path = net.save(tmp_path / "x.safetensors")
    with safe_open(path, framework="pt") as f:
        assert f.metadata() == {"format": "pt"}
    content = path.read_bytes()
    length = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + length])
    for name, said in header.items():
        if name != "__metadata__" and said["shape"] and 0 not in said["shape"]:
            size = (said["data_offsets"][1] - said["data_offsets"][0]) // np.prod(said["shape"])
            assert (8 + length + said["data_offsets"][0]) % size == 0


def test_saved_and_opened_the_difference_leads_back_to_the_last_bit(net, tmp_path) -> None:
    """What the algebra says of a file that has forgotten its base: a difference is exact both ways."""
    save_file(
        {n: t * 1.25 if t.is_floating_point() and "eight" not in n else t for n, t in tensors().items()},
        tmp_path / "tuned.safetensors",
    )
    tuned = wb.open(tmp_path / "tuned.safetensors")
    feature = wb.Dense.between(net, tuned)
    there = wb.open((net + feature).save(tmp_path / "there.safetensors"))
    assert (
        raw(tmp_path / "there.safetensors")["half.weight"]
        == raw(tmp_path / "tuned.safetensors")["half.weight"]
    )
    back = wb.open((there - feature).save(tmp_path / "back.safetensors"))
    for n in ("half.weight", "brain.weight", "single.weight"):
        np.testing.assert_array_equal(there[n], tuned[n])
        np.testing.assert_array_equal(back[n], net[n])


@pytest.mark.parametrize("ending", ["pth", "npz", "gguf"])
def test_other_formats_are_copied_too(ending, tmp_path) -> None:
    path = tmp_path / f"net.{ending}"
    w, v = np.random.default_rng(0).standard_normal((4, 64)), np.arange(64.0)
    if ending == "pth":
        torch.save(
            {"w": torch.tensor(w).bfloat16(), "v": torch.tensor(v).half(), "ids": torch.arange(3)}, path
        )
    elif ending == "npz":
        np.savez_compressed(path, w=np.asfortranarray(w), v=v.astype(np.float16), ids=np.arange(3))
    else:
        import gguf

        writer = gguf.GGUFWriter(path, "llama")
        quantized = gguf.quants.quantize(w.astype(np.float32), gguf.GGMLQuantizationType.Q4_1)
        writer.add_tensor("w", quantized, raw_dtype=gguf.GGMLQuantizationType.Q4_1)
        writer.add_tensor("v", v.astype(np.float16))
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()
    net = wb.open(path, kind="checkpoint")
    copied = wb.open(net.save(tmp_path / "copy.safetensors"))
    assert {n: t.dtype for n, t in copied.tensors.items()} == {
        n: "F32" if t.dtype == "Q4_1" else t.dtype for n, t in net.tensors.items()
    }
    edited = net + wb.prune(net)
    pruned = wb.open(edited.save(tmp_path / "pruned.safetensors"))
    for n in net:
        np.testing.assert_array_equal(copied[n], net[n])
        rounded = edited[n].astype(np.float16) if n == "v" else edited[n]
        np.testing.assert_array_equal(pruned[n], rounded)
    assert (pruned["w"] == 0).mean() == 0.5


def test_a_folder_has_shards_and_what_belongs_to_the_network(monkeypatch, tmp_path) -> None:
    net = wb.open("minilm")
    texts = ["A cat sat on the mat.", "A kitten lies on a rug.", "Shares fell sharply."]
    edited = net + wb.prune(net, fraction=0.3, at="encoder.**")
    monkeypatch.setattr(saving, "SHARD", 20_000_000)
    folder = edited.save(tmp_path / "pruned")
    shards = sorted(p.name for p in folder.glob("*.safetensors"))
    assert shards[0] == f"model-00001-of-{len(shards):05d}.safetensors" and len(shards) > 2
    index = json.loads((folder / "model.safetensors.index.json").read_text())
    assert set(index["weight_map"]) == set(net)
    assert index["metadata"]["total_size"] == sum(t.nbytes for t in net.tensors.values())
    again = wb.open(folder)
    for n in net:
        np.testing.assert_array_equal(again[n], edited[n])
    assert again.network().answer(texts) == edited.network().answer(texts) != net.network().answer(texts)


def test_a_place_that_holds_something_is_left_alone(net, tmp_path) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.tex").write_text("mine")
    with pytest.raises(StorageError, match="isn't empty"):
        net.save(tmp_path / "full")
    with pytest.raises(ParameterError, match=r"ends in \.pth"):
        net.save(tmp_path / "x.pth")
    with pytest.raises(ParameterError, match="'bfloat16'"):
        net.save(tmp_path / "x.safetensors", dtype="int8")
    with pytest.raises(StorageError, match=r"is what .* is read from"):
        (net + wb.prune(net)).save(tmp_path / "net.safetensors")
    (tmp_path / "empty").mkdir()
    assert raw(net.save(tmp_path / "empty") / "model.safetensors") == raw(tmp_path / "net.safetensors")


def test_progress_is_told_and_a_cancelled_writing_leaves_nothing(net, tmp_path) -> None:
    heard = []
    with listening(lambda *said: heard.append(said)):
        net.save(tmp_path / "x.safetensors")
    assert heard[-1][0] == "writing x.safetensors"
    assert heard[-1][1] == heard[-1][2] == sum(t.nbytes for t in net.tensors.values())

    def cancel(what: str, done: int, total: int | None) -> None:
        raise KeyboardInterrupt

    with listening(cancel), pytest.raises(KeyboardInterrupt):
        net.save(tmp_path / "y.safetensors")
    assert {p.name for p in tmp_path.iterdir()} == {"net.safetensors", "x.safetensors"}


SPARSE = """
import sys
import numpy as np
import workbench as wb
net = wb.open(sys.argv[1])
rows = net.tensors["block.0"].shape[0]
left, right = np.ones((rows, 4), np.float32), np.full((4, 4096), 0.25, np.float32)
edited = net + wb.prune(net, fraction=0.25, at="block.0") + wb.LowRank({"block.0": left}, {"block.0": right})
edited.save(sys.argv[2])
# not getrusage, which counts what the process was that this one was forked from
print(next(int(x.split()[1]) * 1024 for x in open("/proc/self/status") if x.startswith("VmHWM")))
"""


def sparse_checkpoint(path: Path, gigabytes: int) -> None:
    """A file of zeros in bfloat16 that takes no room on disk: tensors of 1 GB, and a small one."""
    rows = 10**9 // 2 // 4096
    shapes = {**{f"block.{i}": [rows, 4096] for i in range(gigabytes)}, "norm": [4096]}
    header, end = {}, 0
    for name, shape in shapes.items():
        size = int(np.prod(shape)) * 2
        header[name] = {"dtype": "BF16", "shape": shape, "data_offsets": [end, end + size]}
        end += size
    text = json.dumps(header).encode()
    with path.open("wb") as f:
        f.write(len(text).to_bytes(8, "little") + text)
        f.truncate(8 + len(text) + end)


@pytest.mark.slow
def test_a_checkpoint_larger_than_the_memory_it_takes_is_edited_on_its_way_to_disk(tmp_path) -> None:
    """Of tensors of 1 GB (2 GB as float32, which edits are made in), 3 GB in all; 20 GB take the same memory."""
    sparse_checkpoint(tmp_path / "net.safetensors", 3)
    try:
        done = subprocess.run(
            [sys.executable, "-c", SPARSE, tmp_path / "net.safetensors", tmp_path / "edited.safetensors"],
            capture_output=True,
            text=True,
            check=True,
            timeout=600,
        )
        assert float(done.stdout) < 1e9
        edited = wb.open(tmp_path / "edited.safetensors")
        assert edited.tensors["block.2"].dtype == "BF16"
        for start in (0, 50_000, edited.tensors["block.0"].shape[0] - 1):
            assert (edited.lazy("block.0").read(start, start + 1) == 1).all()
            assert (edited.lazy("block.1").read(start, start + 1) == 0).all()
    finally:
        for path in tmp_path.iterdir():
            path.unlink()
