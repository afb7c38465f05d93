"""Readers fed with damaged files: each gives a subject whose every tensor reads, or a refusal; nothing else."""

from __future__ import annotations

import contextlib
import functools
import io
import json
import random
import re
import tempfile
import time
import zipfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import gguf
import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import save

from workbench.core.errors import WorkbenchError
from workbench.core.subject import Rowed
from workbench.io import open as open_subject
from workbench.subjects.checkpoint import Checkpoint

SEED, MUTANTS, SECONDS, GROWTH = 20, 150, 30, 300 << 10  # growth of the peak memory in KiB
EDGES = (0, 1, 255, 2**31 - 1, 2**32 - 1, 2**40, 2**63 - 1, 2**64 - 1)
RNG = np.random.default_rng(0)


def safetensors_file() -> bytes:
    return save(
        {"a": torch.randn(3, 4), "b": torch.randn(5).bfloat16(), "c": torch.randn(9).to(torch.float8_e4m3fn)}
    )


def gguf_file() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        writer = gguf.GGUFWriter(Path(folder) / "x", "llama")
        writer.add_array("tokens", [f"t{i}" for i in range(70)])
        values = RNG.normal(size=(4, 64)).astype(np.float32)
        writer.add_tensor("f", values)
        for kind in (gguf.GGMLQuantizationType.Q4_1, gguf.GGMLQuantizationType.Q8_0):
            writer.add_tensor(kind.name, gguf.quants.quantize(values, kind), raw_dtype=kind)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()
        return (Path(folder) / "x").read_bytes()


def torch_file(zipped: bool = True) -> bytes:
    stream = io.BytesIO()
    state = {"a": torch.randn(3, 4), "b": torch.randn(5).bfloat16(), "t": torch.randn(4, 3).t()}
    torch.save(
        {"state_dict": state, "epoch": 3, "x": [1, (2, "s")]}, stream, _use_new_zipfile_serialization=zipped
    )
    return stream.getvalue()


def saved(save: Callable[..., None], *args: np.ndarray, **kwargs: np.ndarray) -> bytes:
    stream = io.BytesIO()
    save(stream, *args, **kwargs)
    return stream.getvalue()


def table() -> pd.DataFrame:
    return pd.DataFrame(
        {"t": pd.date_range("2024", periods=9), "x": RNG.normal(size=9), "w": list("abcabcabc")}
    )


def parquet_file() -> bytes:
    stream = io.BytesIO()
    table().assign(v=[[1.0, 2.0]] * 9).to_parquet(stream)
    return stream.getvalue()


ARRAYS = {"w": RNG.normal(size=(3, 4)), "b": RNG.normal(size=4).astype("f2"), "i": np.arange(3)}
WHOLE: dict[str, Callable[[], bytes]] = {
    "x.safetensors": safetensors_file,
    "x.gguf": gguf_file,
    "x.pth": torch_file,
    "old.pth": functools.partial(torch_file, False),
    "x.npy": lambda: saved(np.save, ARRAYS["w"]),
    "x.npz": lambda: saved(np.savez, **ARRAYS),
    "packed.npz": lambda: saved(np.savez_compressed, **ARRAYS),
    "x.csv": lambda: table().to_csv(index=False).encode(),
    "x.jsonl": lambda: (
        table().drop(columns="t").rename(columns={"w": "text"}).to_json(orient="records", lines=True).encode()
    ),
    "x.parquet": parquet_file,
}


def bytes_changed(raw: bytes, rng: random.Random) -> bytes:
    """Bits flipped, ends cut, numbers set to edges, pieces left out and repeated; most often near the start."""
    new = bytearray(raw)
    for _ in range(rng.choice((1, 1, 1, 3))):
        at = rng.randrange(min(len(new), 600) if rng.random() < 0.6 else len(new))
        match rng.randrange(6):
            case 0:
                new[at] ^= 1 << rng.randrange(8)
            case 1:
                new[at:] = b"" if at else new
            case 2:
                new[at : at + 8] = rng.choice(EDGES).to_bytes(8, "little")
            case 3:
                new[at : at + 4] = (rng.choice(EDGES) % 2**32).to_bytes(4, "little")
            case 4:
                del new[at : at + rng.randrange(1, min(20, len(new)))]
            case 5:
                new[at:at] = new[max(0, at - rng.randrange(1, 30)) : at]
        new = new or bytearray(b"x")
    return bytes(new)


def numbers_changed(raw: bytes, rng: random.Random) -> bytes:
    """A number that is written in digits becomes another."""
    spots = [m.span() for m in re.finditer(rb"\d+", raw[:2000])]
    if not spots:
        return bytes_changed(raw, rng)
    start, end = rng.choice(spots)
    return raw[:start] + str(rng.choice((-1, 3, *EDGES))).encode() + raw[end:]


def header_changed(raw: bytes, rng: random.Random) -> bytes:
    """Another safetensors header, its length right."""
    length = int.from_bytes(raw[:8], "little")
    new = rng.choice((numbers_changed, bytes_changed))(raw[8 : 8 + length], rng)
    return len(new).to_bytes(8, "little") + new + raw[8 + length :]


def member_changed(raw: bytes, rng: random.Random, ending: str) -> bytes:
    """Another member of an archive, its checksum right."""
    stream = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(raw)) as old, zipfile.ZipFile(stream, "w") as new:
        for info in old.infolist():
            member = old.read(info)
            if info.filename.endswith(ending):
                member = rng.choice((numbers_changed, bytes_changed))(member, rng)
            new.writestr(info.filename, member)
    return stream.getvalue()


DEEPER: dict[str, Callable[[bytes, random.Random], bytes]] = {
    "x.safetensors": header_changed,
    "x.pth": functools.partial(member_changed, ending="data.pkl"),
    "x.npy": numbers_changed,
    "x.npz": functools.partial(member_changed, ending="w.npy"),
    "x.csv": numbers_changed,
}


def outcome(path: Path) -> str:
    """Open a file and read all of it; whatever is raised but a refusal ends the test."""
    try:
        found = open_subject(path)
        if isinstance(found, Checkpoint):
            for name, info in found.tensors.items():
                array = found[name]
                assert array.shape == info.shape
                np.array(array)  # every byte
        else:
            assert isinstance(found, Rowed)
            assert len(found) == len(getattr(found, "values", found.table))
        assert found.digest
    except WorkbenchError as e:
        text = str(e)
        assert "\n" not in text
        assert text.isprintable()
        assert len(text) < 2000
        return "refused"
    return "opened"


def peak_memory() -> int:
    """The most that this process has held since the last call, in KiB; 0 where that can't be known."""
    status = Path("/proc/self/status")
    if not status.exists():
        return 0
    peak = int(re.search(r"VmHWM:\s+(\d+)", status.read_text())[1])  # type: ignore[index]
    with contextlib.suppress(OSError):  # a container may forbid it; then peaks only grow
        Path("/proc/self/clear_refs").write_text("5")
    return peak


@pytest.mark.parametrize("file", WHOLE)
def test_every_mutant_opens_or_is_refused(file: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    whole = WHOLE[file]()
    path = tmp_path / file
    path.write_bytes(whole)
    assert outcome(path) == "opened"
    rng = random.Random(SEED)
    ways = [bytes_changed, DEEPER.get(file, bytes_changed)]
    peak_memory()
    before, start = peak_memory(), time.perf_counter()
    ends: Counter[str] = Counter()
    for k in range(MUTANTS):
        path.write_bytes(ways[k % 2](whole, rng))
        ends[outcome(path)] += 1
    assert ends["refused"] > MUTANTS // 20
    assert time.perf_counter() - start < SECONDS
    assert peak_memory() - before < GROWTH
    assert [p.name for p in tmp_path.iterdir() if p.name != "cache"] == [file]


def test_every_mutant_of_an_index_opens_or_is_refused(tmp_path: Path) -> None:
    (tmp_path / "model-1.safetensors").write_bytes(safetensors_file())
    index = tmp_path / "model.safetensors.index.json"
    whole = json.dumps({"weight_map": dict.fromkeys("abc", "model-1.safetensors")}).encode()
    rng = random.Random(SEED)
    ends: Counter[str] = Counter()
    for k in range(MUTANTS):
        index.write_bytes(whole if k == 0 else bytes_changed(whole, rng))
        ends[outcome(index)] += 1
        if k == 0:
            assert ends["opened"] == 1
    assert ends["refused"] > MUTANTS // 4


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
SIZES = st.lists(st.integers(-1, 2**64) | st.integers(0, 5), max_size=4)
ENTRY = st.fixed_dictionaries(
    {
        "dtype": st.sampled_from(["F32", "BF16", "F8_E5M2", "BOOL", "F4", "X", 7]),
        "shape": SIZES,
        "data_offsets": SIZES,
    }
)


@settings(
    max_examples=100,
    derandomize=True,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    header=st.dictionaries(st.text(max_size=8), ENTRY | JSON, max_size=4) | JSON, data=st.binary(max_size=64)
)
def test_any_json_as_a_header_opens_or_is_refused(header: object, data: bytes, tmp_path: Path) -> None:
    raw = json.dumps(header).encode()
    (tmp_path / "x.safetensors").write_bytes(len(raw).to_bytes(8, "little") + raw + data)
    assert outcome(tmp_path / "x.safetensors") in ("opened", "refused")


@settings(
    max_examples=100,
    derandomize=True,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    raw=st.binary(max_size=200),
    start=st.sampled_from([b"", b"GGUF\3\0\0\0", b"\x93NUMPY\1\0", b"PK\3\4", b"PAR1", b"\x80\2"]),
)
def test_any_bytes_under_any_name_open_or_are_refused(raw: bytes, start: bytes, tmp_path: Path) -> None:
    for ending in ("safetensors", "gguf", "npz", "npy", "csv", "dat"):
        (tmp_path / f"x.{ending}").write_bytes(start + raw)
        assert outcome(tmp_path / f"x.{ending}") in ("opened", "refused")
