"""Patches: changed bits go forward and back to the last bit, in every format, and onto nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

import workbench as wb
from workbench import cli
from workbench.core.errors import DataError, FormatError, ViewError

DTYPES = (
    torch.float32,
    torch.float16,
    torch.bfloat16,
    torch.float64,
    torch.float8_e4m3fn,
    torch.int64,
    torch.uint8,
)


def pair(folder: Path) -> tuple[Path, Path]:
    """Two checkpoints that differ in some entries of every format, NaN and minus zero among them."""
    torch.manual_seed(0)
    before = {str(d).removeprefix("torch."): (10 * torch.randn(12, 16)).to(d) for d in DTYPES}
    before |= {
        "flags": torch.tensor([True, False, True]),
        "scalar": torch.tensor(2.5),
        "same": torch.randn(5, 5),
    }
    after = {n: t.clone() for n, t in before.items()}
    for name in ("float32", "float16", "bfloat16", "float64", "float8_e4m3fn"):
        after[name][3] = (7 * torch.randn(16)).to(after[name].dtype)
        after[name][0, 0] = torch.nan
        before[name][1, 1] = 0
        after[name][1, 1] = -0.0
    after["float32"].view(torch.int32)[5, 5] = 0x7F800001  # a signalling NaN with a payload
    after["bfloat16"].view(torch.int16)[5, 5] = 0x7F81
    after["int64"][2] += 1
    after["uint8"][2] += 1
    after["flags"][1] = True
    after["scalar"] += 1
    save_file(before, folder / "before.safetensors")
    save_file(after, folder / "after.safetensors")
    return folder / "before.safetensors", folder / "after.safetensors"


def raw(path: Path) -> dict[str, bytes]:
    return {
        n: t.contiguous().reshape(-1).view(torch.uint8).numpy().tobytes() for n, t in load_file(path).items()
    }


def test_a_patch_goes_forward_and_back_to_the_last_bit(tmp_path: Path) -> None:
    one, two = pair(tmp_path)
    before, after = wb.open(one), wb.open(two)
    wb.Bits.between(before, after).save(tmp_path / "patch")
    patch = wb.load(tmp_path / "patch")
    assert "same" not in patch.tensors and "float32" in patch.tensors
    (before + patch).save(tmp_path / "forward.safetensors")
    (after + -patch).save(tmp_path / "back.safetensors")
    assert raw(tmp_path / "forward.safetensors") == raw(two)
    assert raw(tmp_path / "back.safetensors") == raw(one)
    assert raw(one) != raw(two)
    # and as it is read, without a file between
    for name in before:
        assert (before + patch)[name].tobytes() == after[name].tobytes()


def test_a_patch_of_few_entries_is_small(tmp_path: Path) -> None:
    w = torch.randn(500, 400)
    other = w.clone()
    other[torch.randint(500, (50,)), torch.randint(400, (50,))] += 1
    for name, t in (("a", w), ("b", other)):
        save_file({"w": t}, tmp_path / f"{name}.safetensors")
    patch = wb.Bits.between(wb.open(tmp_path / "a.safetensors"), wb.open(tmp_path / "b.safetensors"))
    assert patch.turned["w"].nbytes < 4000 < w.nbytes


def test_the_wrong_base_is_named_before_anything_is_written(tmp_path: Path) -> None:
    one, two = pair(tmp_path)
    before, after = wb.open(one), wb.open(two)
    patch = wb.Bits.between(before, after)
    other = load_file(one)
    other["float32"].view(torch.int32)[11, 15] ^= 1  # one bit
    save_file(other, tmp_path / "other.safetensors")
    target = tmp_path / "out.safetensors"
    with pytest.raises(DataError, match=r"float32 isn't the tensor .*wrong base. Nothing was written"):
        (wb.open(tmp_path / "other.safetensors") + patch).save(target)
    with pytest.raises(DataError, match="already what this edit gives"):
        (after + patch).save(target)
    assert not target.exists()
    with pytest.raises(DataError, match="nothing to patch"):
        wb.Bits.between(before, before)
    with pytest.raises(DataError, match="patch changes the bits"):
        wb.Bits.between(before, after.at("float32"))
    with pytest.raises(ViewError, match="no other multiple"):
        _ = patch * 0.5


def test_a_patch_that_was_damaged_is_refused(tmp_path: Path) -> None:
    one, two = pair(tmp_path)
    wb.Bits.between(wb.open(one), wb.open(two)).save(tmp_path / "patch")
    arrays = tmp_path / "patch" / "arrays.safetensors"
    held = bytearray(arrays.read_bytes())
    held[-5] ^= 1
    arrays.write_bytes(held)
    with pytest.raises(FormatError, match="changed after it was stored"):
        wb.load(tmp_path / "patch")


def test_at_the_command_line(tmp_path: Path, capsys, monkeypatch) -> None:
    monkeypatch.setenv("WORKBENCH_NO_CACHE", "1")
    torch.manual_seed(0)
    w = {"a.weight": torch.randn(30, 20), "b.weight": torch.randn(30, 20)}
    d = torch.randn(30, 1) @ torch.randn(1, 20)
    save_file(w, tmp_path / "a.safetensors")
    save_file({**w, "b.weight": w["b.weight"] + 0.1 * d}, tmp_path / "b.safetensors")
    a, b, patch, out = (
        str(tmp_path / n) for n in ("a.safetensors", "b.safetensors", "patch", "out.safetensors")
    )
    assert cli.main(["diff", a, b, "--patch", patch, "--n-null", "19"]) == 0
    said = capsys.readouterr().out
    assert "low-rank" in said and "b.weight" in said and "rank 1" in said
    assert cli.main(["apply", a, patch, "--out", out]) == 0
    assert raw(Path(out)) == raw(Path(b))
    assert cli.main(["apply", b, patch, "--back", "--out", str(tmp_path / "base.safetensors")]) == 0
    assert raw(tmp_path / "base.safetensors") == raw(Path(a))
    assert cli.main(["apply", b, patch, "--out", str(tmp_path / "no.safetensors")]) == 3
    assert "already" in capsys.readouterr().err
    assert cli.main(["apply", a, patch, "--out", a]) == 2  # an output that is an input
