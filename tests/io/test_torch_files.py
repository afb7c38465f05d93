"""``torch.save`` files: equal tensors, mapped from disk; nothing in them runs."""

from __future__ import annotations

import argparse
import codecs
import collections
import enum
import os
import pickle
import re
import resource
import shlex
import time
import warnings
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from workbench.cli import main
from workbench.core.errors import FormatError
from workbench.io.files import checkpoint
from workbench.io.safetensors_files import read_safetensors
from workbench.io.torch_files import read_torch


@pytest.fixture
def state() -> dict[str, torch.Tensor]:
    torch.manual_seed(0)
    base = torch.randn(6, 4)
    return {
        "f32": base,
        "tied": base,
        "transposed": base.t(),
        "slice": base[1:3, ::2],
        "f64": torch.randn(3).double(),
        "f16": torch.randn(5).half(),
        "bf16": torch.randn(5).bfloat16(),
        "i64": torch.arange(4),
        "scalar": torch.tensor(2.0),
        "bool": torch.tensor([True, False]),
        "empty": torch.zeros(0, 3),
        "parameter": torch.nn.Parameter(torch.ones(2)),
    }


def assert_equal(found: Any, state: dict[str, torch.Tensor]) -> None:
    assert list(found.tensors) == list(state)
    for name, tensor in state.items():
        expected = (tensor.detach().float() if tensor.is_floating_point() else tensor).numpy()
        assert found.tensors[name].shape == expected.shape
        assert found.read(name).dtype == expected.dtype
        np.testing.assert_array_equal(found.read(name), expected)


@pytest.mark.parametrize("zipped", [True, False], ids=["archive", "before torch 1.6"])
def test_known_answer_tensors_come_back_equal(
    zipped: bool, state: dict[str, torch.Tensor], tmp_path: Path
) -> None:
    torch.save(state, tmp_path / "x.pth", _use_new_zipfile_serialization=zipped)
    assert_equal(read_torch(tmp_path / "x.pth"), state)


def test_known_answer_8_bit_floats_and_quantized_tensors(tmp_path: Path) -> None:
    x = torch.linspace(-2, 2, 16)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # making one is deprecated; files that hold them exist
        quantized = torch.quantize_per_tensor(x, 0.1, 0, torch.qint8)
    fp8 = {"e4m3": x.to(torch.float8_e4m3fn), "e5m2": x.to(torch.float8_e5m2)}
    torch.save({**fp8, "quantized": quantized}, tmp_path / "x.pth")
    found = read_torch(tmp_path / "x.pth")
    for name, tensor in fp8.items():
        np.testing.assert_array_equal(found.read(name), tensor.float().numpy())
        assert "8-bit floats" in found.tensors[name].noise
    np.testing.assert_allclose(found.read("quantized"), x.numpy(), atol=0.051)
    assert "quantization noise" in found.tensors["quantized"].noise


OPTIMIZER = {"state": {0: {"exp_avg": torch.ones(3)}}, "param_groups": [{"lr": 0.1}]}
WRAPPED: dict[str, Any] = {
    "state_dict": lambda s: {"state_dict": s, "epoch": 3, "optimizer": OPTIMIZER, "note": "a text"},
    "state_dict beside callbacks": lambda s: {"state_dict": s, "callbacks": {"best": torch.tensor(0.1)}},
    "model": lambda s: {"model": s, "optimizer": OPTIMIZER, "lr": 0.1},
    "model in model": lambda s: {"model": {"state_dict": s}},
    "optimizer under another name": lambda s: {"model": s, "adam": OPTIMIZER},
    "ordered": lambda s: collections.OrderedDict(s),
    "bare": lambda s: s,
}


@pytest.mark.parametrize("how", WRAPPED)
def test_of_a_training_state_the_network_is_read(
    how: str, state: dict[str, torch.Tensor], tmp_path: Path
) -> None:
    torch.save(WRAPPED[how](state), tmp_path / "x.pth")
    assert_equal(read_torch(tmp_path / "x.pth"), state)


def test_several_networks_keep_their_names(tmp_path: Path) -> None:
    torch.save({"model": {"w": torch.ones(2)}, "ema": {"w": torch.zeros(2)}, "step": 7}, tmp_path / "x.pth")
    found = read_torch(tmp_path / "x.pth")
    assert list(found.tensors) == ["model.w", "ema.w"]
    np.testing.assert_array_equal(found.read("ema.w"), [0, 0])


def test_names_that_begin_like_a_wrapper_are_left_alone(tmp_path: Path) -> None:
    torch.save({"model.w": torch.ones(2), "optimal.w": torch.ones(3)}, tmp_path / "x.pth")
    assert list(read_torch(tmp_path / "x.pth").tensors) == ["model.w", "optimal.w"]


def test_weights_are_mapped_and_read_only(tmp_path: Path) -> None:
    torch.save({"w": torch.ones(1000)}, tmp_path / "x.pth")
    found = read_torch(tmp_path / "x.pth")
    if Path("/proc/self/maps").exists():
        assert str(tmp_path / "x.pth") in Path("/proc/self/maps").read_text()
    with pytest.raises(ValueError, match="read-only"):
        found.read("w")[0] = 2


class Bomb:
    """Leaves a trace if it is ever unpickled."""

    def __init__(self, trace: Path):
        self.trace = trace

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.trace),)


@pytest.mark.parametrize("how", ["archive", "before torch 1.6", "bare pickle", "bare pickle, protocol 2"])
def test_nothing_in_a_file_runs(how: str, tmp_path: Path) -> None:
    content = {"w": torch.ones(2), "bomb": Bomb(tmp_path / "ran")}
    path = tmp_path / "x.pth"
    if "pickle" in how:
        path.write_bytes(pickle.dumps({"bomb": Bomb(tmp_path / "ran")}, protocol=2 if "2" in how else 4))
    else:
        torch.save(content, path, _use_new_zipfile_serialization=how == "archive")
    before = sorted(tmp_path.iterdir())
    with pytest.raises(FormatError) as caught:
        read_torch(path)
    assert sorted(tmp_path.iterdir()) == before
    assert "weights_only=True" not in str(caught.value)  # torch's own advice is to turn the protection off
    assert "\n" not in str(caught.value)


class Colour(enum.Enum):
    RED = 1


class Settings:
    """A class that whoever opens the file need not have."""

    def __init__(self) -> None:
        self.rate, self.table = 0.1, torch.ones(3)


def test_objects_and_numbers_beside_the_weights_are_set_aside_by_name(
    state: dict[str, torch.Tensor], tmp_path: Path
) -> None:
    beside = {
        "accuracy": np.float64(0.5),
        "args": argparse.Namespace(rate=0.1),
        "folder": Path("runs"),
        "counts": collections.defaultdict(int, {"a": 1}),
        "epoch": 3,
    }
    for zipped in (True, False):
        torch.save({"model": state, **beside}, tmp_path / "x.pth", _use_new_zipfile_serialization=zipped)
        weights = read_torch(tmp_path / "x.pth")
        assert_equal(weights, state)
        assert weights.aside == tuple(beside)
    assert "set aside: accuracy, args" in checkpoint(weights, "x", tmp_path).holds


def test_no_class_of_a_file_is_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.save({"w": torch.ones(2), "settings": Settings()}, tmp_path / "x.pth")

    def never(*args: Any) -> None:
        raise AssertionError("the file's class was used")

    monkeypatch.setattr(Settings, "__new__", never)
    monkeypatch.setattr(Settings, "__setstate__", never, raising=False)
    assert list(read_torch(tmp_path / "x.pth").tensors) == ["w", "settings.table"]


def test_a_call_is_refused_and_the_advised_command_takes_the_tensors_out(
    state: dict[str, torch.Tensor], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "it's $HOME; a folder"
    folder.mkdir()
    torch.save(
        {"state_dict": state, "colour": Colour.RED, "layers": {Colour.RED: torch.ones(2)}}, folder / "x.pth"
    )
    with pytest.raises(FormatError, match=r"calls '\S*Colour'.*without running anything") as caught:
        read_torch(folder / "x.pth")
    command = shlex.split(str(caught.value).rpartition("with: ")[2])  # as a shell would hand it over
    assert command[0] == "workbench"
    monkeypatch.chdir(tmp_path)
    assert main(command[1:]) == 0
    written = read_safetensors(tmp_path / "weights.safetensors")
    np.testing.assert_array_equal(written.read("state_dict.f32"), state["f32"])
    assert len(written.tensors) == len(state) + 1


@pytest.mark.parametrize("zipped", [True, False], ids=["archive", "before torch 1.6"])
def test_what_only_malice_calls_is_not_converted_either(zipped: bool, tmp_path: Path) -> None:
    content = {"w": torch.ones(2), "bomb": Bomb(tmp_path / "ran")}
    torch.save(content, tmp_path / "x.pth", _use_new_zipfile_serialization=zipped)
    assert main(["convert", str(tmp_path / "x.pth"), str(tmp_path / "y.safetensors")]) == 4
    assert [p.name for p in tmp_path.iterdir()] == ["x.pth"]


@pytest.mark.parametrize("wrapped", [False, True])
def test_a_whole_module_gives_its_state_dict(wrapped: bool, tmp_path: Path) -> None:
    module = torch.nn.Sequential(
        torch.nn.Linear(3, 4), torch.nn.BatchNorm1d(4), torch.nn.Sequential(torch.nn.Tanh())
    )
    module.register_buffer("passing", torch.ones(1), persistent=False)
    torch.save({"model": module, "epoch": 1} if wrapped else module, tmp_path / "x.pth")
    weights = read_torch(tmp_path / "x.pth")
    assert list(weights.tensors) == list(module.state_dict())
    np.testing.assert_array_equal(weights.read("0.weight"), module[0].weight.detach())


NESTED: dict[str, tuple[Any, list[str]]] = {
    "one tensor": (torch.ones(3), ["tensor"]),
    "one parameter": (torch.nn.Parameter(torch.ones(3)), ["tensor"]),
    "a list": ([torch.ones(2), (torch.ones(1), {"a": torch.ones(3)})], ["0", "1.0", "1.1.a"]),
    "lists beside": (
        {"layers": [torch.ones(3, 2), torch.ones(2)], "scale": torch.ones(1)},
        ["layers.0", "layers.1", "scale"],
    ),
    "numbers as names": ({0: torch.ones(1), "b": {1: torch.ones(2)}}, ["0", "b.1"]),
    "an ensemble": (
        {"members": [{"w": torch.ones(1)}, {"w": torch.ones(2)}]},
        ["members.0.w", "members.1.w"],
    ),
    "a teacher beside": (
        {"state_dict": {"w": torch.ones(1)}, "ema_state_dict": {"w": torch.ones(2)}},
        ["state_dict.w", "ema_state_dict.w"],
    ),
    "two networks": (
        {
            "netG": {"w": torch.ones(1)},
            "netD": {"w": torch.ones(2)},
            "optimizerG": {"state": {0: torch.ones(1)}},
        },
        ["netG.w", "netD.w"],
    ),
}


@pytest.mark.parametrize("how", NESTED)
def test_tensors_anywhere_have_the_names_of_their_places(how: str, tmp_path: Path) -> None:
    content, names = NESTED[how]
    torch.save(content, tmp_path / "x.pth")
    assert list(read_torch(tmp_path / "x.pth").tensors) == names


def test_numpy_arrays_are_tensors(tmp_path: Path) -> None:
    arrays = {
        "f64": np.arange(6.0).reshape(2, 3),
        "columns": np.asfortranarray(np.arange(6, dtype=np.int32).reshape(2, 3)),
        "swapped": np.arange(4, dtype=">i4"),
        "empty": np.ones((0, 2), np.float32),
    }
    torch.save({**arrays, "words": np.array(["a"]), "objects": np.array([None])}, tmp_path / "x.pth")
    weights = read_torch(tmp_path / "x.pth")
    assert list(weights.tensors) == list(arrays)
    assert weights.aside == ("words", "objects")
    for name, array in arrays.items():
        np.testing.assert_array_equal(weights.read(name), array)


class Asks:
    """An object whose pickle calls something."""

    def __init__(self, *call: Any):
        self.call = call

    def __reduce__(self) -> Any:
        return self.call[0], self.call[1:]


@pytest.mark.parametrize("zipped", [True, False], ids=["archive", "before torch 1.6"])
@pytest.mark.parametrize("call", [bytearray, torch.FloatTensor, torch.Tensor], ids=str)
def test_a_small_file_takes_little_memory(call: Any, zipped: bool, tmp_path: Path) -> None:
    torch.save(
        {"w": torch.ones(1), "x": Asks(call, 700_000_000)},
        tmp_path / "x.pth",
        _use_new_zipfile_serialization=zipped,
    )
    before = resident()
    with pytest.raises(FormatError):
        read_torch(tmp_path / "x.pth")
    assert resident() - before < 300 << 20


STANDS_FOR_MANY = torch.ones(1, dtype=torch.int64).expand(10**9, 2)
ENDLESS: dict[str, tuple[Any, ...]] = {
    "a set": (set, STANDS_FOR_MANY),
    "a count": (collections.Counter, STANDS_FOR_MANY),
    "a dictionary": (collections.OrderedDict, STANDS_FOR_MANY),
    "a shape": (torch.Size, STANDS_FOR_MANY),
    "a conversion": (
        torch._utils._rebuild_device_tensor_from_cpu_tensor,
        STANDS_FOR_MANY,
        torch.float64,
        "cpu",
        False,
    ),
    "a set in a rebuild": (torch._tensor._rebuild_from_type_v2, set, torch.Tensor, (STANDS_FOR_MANY,), {}),
    "a slow encoding": (codecs.encode, "\u0100" * 200_000, "punycode"),
}


@pytest.mark.parametrize("zipped", [True, False], ids=["archive", "before torch 1.6"])
@pytest.mark.parametrize("what", ENDLESS)
def test_nothing_goes_through_a_tensor_that_stands_for_many(what: str, zipped: bool, tmp_path: Path) -> None:
    torch.save({"x": Asks(*ENDLESS[what])}, tmp_path / "x.pth", _use_new_zipfile_serialization=zipped)
    start = time.process_time()
    with pytest.raises(FormatError, match="asks for"):
        read_torch(tmp_path / "x.pth")
    assert time.process_time() - start < 1


def test_ordinary_objects_beside_tensors_are_no_danger(tmp_path: Path) -> None:
    tensor = torch.ones(3)
    tensor.note = "an attribute"
    beside = {"s": {1, 2}, "c": collections.Counter("aab"), "o": torch.Size([1]), "b": b"ab"}
    torch.save({"w": tensor, "p": torch.nn.Parameter(tensor), **beside}, tmp_path / "x.pth")
    weights = read_torch(tmp_path / "x.pth")
    assert list(weights.tensors) == ["w", "p"]
    assert weights.aside == tuple(beside)


def resident() -> int:
    """The most memory that this process has had, in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10


def test_shared_dictionaries_take_no_longer_than_they_are_long(tmp_path: Path) -> None:
    tensor, n = torch.zeros(1), 4000
    inner = {f"k{i}": tensor for i in range(n)}
    torch.save({f"o{i}": inner for i in range(n)}, tmp_path / "x.pth")
    start = time.process_time()
    weights = read_torch(tmp_path / "x.pth")
    assert time.process_time() - start < 2
    assert list(weights.tensors) == [f"o0.k{i}" for i in range(n)]
    assert len(weights.aside) == n - 1


def test_torchscript_is_refused_with_how_to_convert_it(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "x.pt", "w") as archive:
        for member in ("x/data.pkl", "x/constants.pkl", "x/version"):
            archive.writestr(member, b"3")
    with pytest.raises(FormatError, match=r"TorchScript.*torch\.jit\.load"):
        read_torch(tmp_path / "x.pt")


def repacked(source: Path, target: Path, change: Any = None, compression: int = zipfile.ZIP_STORED) -> Path:
    """Copy an archive with another pickle, its checksums right."""
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w", compression) as new:
        for info in old.infolist():
            raw = old.read(info)
            new.writestr(info.filename, change(raw) if change and info.filename.endswith("data.pkl") else raw)
    return target


def test_lies_about_sizes_are_refused(tmp_path: Path) -> None:
    source = tmp_path / "x.pth"
    torch.save({"w": torch.arange(6.0).reshape(2, 3)}, source)
    assert read_torch(repacked(source, tmp_path / "same.pth")).tensors["w"].shape == (2, 3)
    shape, numel = b"K\x02K\x03\x86", b"K\x06t"
    assert shape in zipfile.ZipFile(source).read("x/data.pkl")
    lies = {
        "a larger shape": (shape, b"K\xc8K\x03\x86"),
        "a shape beyond memory": (shape, b"J\xff\xff\xff\x7fK\x03\x86"),
        "a longer storage": (numel, b"K\xfft"),
        "a storage beyond memory": (numel, b"J\xff\xff\xff\x7ft"),
        "a storage of negative length": (numel, b"J\xff\xff\xff\xfft"),
    }
    for k, (old, new) in enumerate(lies.values()):
        path = repacked(
            source, tmp_path / f"lie{k}.pth", lambda raw, old=old, new=new: raw.replace(old, new, 1)
        )
        with pytest.raises(FormatError):
            read_torch(path)


def test_compressed_archives_are_refused(tmp_path: Path) -> None:
    torch.save({"w": torch.zeros(10_000)}, tmp_path / "x.pth")
    bomb = repacked(tmp_path / "x.pth", tmp_path / "y.pth", compression=zipfile.ZIP_DEFLATED)
    with pytest.raises(FormatError, match="compressed"):
        read_torch(bomb)


@pytest.mark.filterwarnings("ignore:Sparse")
def test_tensors_that_stand_for_more_than_they_hold_are_refused(tmp_path: Path) -> None:
    torch.save({"w": torch.ones(1).expand(10**6, 10**6)}, tmp_path / "x.pth")
    with pytest.raises(FormatError, match="contiguous"):
        read_torch(tmp_path / "x.pth")
    torch.save({"w": torch.ones(2, 2).to_sparse()}, tmp_path / "x.pth")
    with pytest.raises(FormatError, match="dense"):
        read_torch(tmp_path / "x.pth")
    torch.save({"w": torch.ones(2, 2, device="meta")}, tmp_path / "x.pth")
    with pytest.raises(FormatError, match=r"meta|dense"):
        read_torch(tmp_path / "x.pth")


def test_dictionaries_that_hold_themselves_end(tmp_path: Path) -> None:
    loop: dict[str, Any] = {"w": torch.ones(2)}
    loop["model"] = loop
    torch.save(loop, tmp_path / "x.pth")
    assert any(n.endswith("w") for n in read_torch(tmp_path / "x.pth").tensors)
    layer: dict[str, Any] = {}
    for _ in range(30):  # 2**30 paths lead to the bottom
        layer = {"a": layer, "b": layer}
    torch.save(layer, tmp_path / "y.pth")
    with pytest.raises(FormatError, match="no tensor"):
        read_torch(tmp_path / "y.pth")


@pytest.mark.parametrize("content", [[], {}, {"epoch": 3}, 5, "text", [{"a": (1, None)}]], ids=str)
def test_files_without_tensors_are_refused(content: Any, tmp_path: Path) -> None:
    torch.save(content, tmp_path / "x.pth")
    with pytest.raises(FormatError, match=r"state_dict\(\)"):
        read_torch(tmp_path / "x.pth")


@pytest.mark.parametrize("protocol", [2, 4, 5])
def test_a_plain_pickle_is_named_as_one_and_its_conversion_works(
    protocol: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    tensor = torch.arange(3.0)
    Path("p.pkl").write_bytes(pickle.dumps({"a": tensor, "b": tensor.numpy()}, protocol=protocol))
    with pytest.raises(FormatError, match=rf"plain pickle \(protocol {protocol}\)") as refusal:
        read_torch(Path("p.pkl"))
    line = re.search(r"python -c .*(?=, and open weights\.pth)", str(refusal.value))
    assert line is not None
    exec(shlex.split(line[0])[2], {})
    weights = read_torch(Path("weights.pth"))
    assert all(np.array_equal(weights.read(name), tensor) for name in ("a", "b"))
