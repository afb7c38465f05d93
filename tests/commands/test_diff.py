"""``workbench diff`` and ``apply``: what is said, and that bits go forward and back."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def pair(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path]:
    """A base in bfloat16 and what an adapter made of one of its matrices."""
    monkeypatch.setenv("WORKBENCH_NO_CACHE", "1")
    g = torch.Generator().manual_seed(0)
    base = {n: torch.randn(48, 32, generator=g).bfloat16() for n in ("moved", "same")}
    factors = torch.randn(48, 2, generator=g), torch.randn(2, 32, generator=g)
    tuned = {**base, "moved": (base["moved"].float() + 0.2 * factors[0] @ factors[1]).bfloat16()}
    save_file(base, tmp_path / "base.safetensors")
    save_file(tuned, tmp_path / "tuned.safetensors")
    return tmp_path / "base.safetensors", tmp_path / "tuned.safetensors"


def test_a_change_is_told_and_its_patch_goes_forward_and_back_bit_for_bit(
    run: Run, pair: tuple[Path, Path]
) -> None:
    base, tuned = pair
    code, out, _ = run("diff", base, tuned, "--patch", "patch")
    assert code == 0 and "low-rank" in out and "1 of 1 changed tensors" in out
    assert "unchanged, bit for bit: 1 of 2" in out
    assert run("apply", base, "patch", "--out", "forward.safetensors")[0] == 0
    assert run("apply", tuned, "patch", "--back", "--out", "back.safetensors")[0] == 0
    for made, wanted in (("forward", tuned), ("back", base)):
        here = Path(f"{made}.safetensors").read_bytes()
        assert here[-48 * 32 * 4 :] == wanted.read_bytes()[-48 * 32 * 4 :]  # both tensors' bits


def test_what_is_the_same_is_said_to_be(run: Run, pair: tuple[Path, Path]) -> None:
    code, out, _ = run("diff", pair[0], pair[0])
    assert code == 0 and "identical" in out and "All 2 tensors" in out
    told = json.loads(run("diff", pair[0], pair[0], "--json")[1])
    assert "identical" in told["title"]


def test_a_tensor_that_isnt_finite_is_located_and_can_be_left_out(run: Run, pair: tuple[Path, Path]) -> None:
    base, tuned = pair
    tensors = load_file(tuned)
    tensors["moved"][3, 5] = torch.nan
    save_file(tensors, tuned)
    code, _, err = run("diff", base, tuned)
    assert code == 3 and "moved of tuned holds nan at row 3, column 5" in err and "--at PATTERN" in err
    code, out, _ = run("diff", base, tuned, "--at", "sam*")
    assert code == 0 and "All 1 tensors" in out


def test_a_wrong_base_is_named_and_nothing_is_written(run: Run, pair: tuple[Path, Path]) -> None:
    base, tuned = pair
    run("diff", base, tuned, "--patch", "patch")
    code, _, err = run("apply", tuned, "patch", "--out", "out.safetensors")
    assert (
        code == 3 and "moved is already what this edit gives" in err and not Path("out.safetensors").exists()
    )
    code, _, err = run("apply", base, "patch", "--out", base)
    assert code != 0 and base.exists() and "base" in err
    code, _, err = run("apply", base, "patch", "--undo", "undo", "--out", "out.safetensors")
    assert code == 2 and "--undo works for one adapter" in err and not Path("out.safetensors").exists()


def test_an_adapter_of_peft_is_merged_and_taken_out_again_to_the_last_bit(
    run: Run, pair: tuple[Path, Path], tmp_path: Path
) -> None:
    base, _ = pair
    g = torch.Generator().manual_seed(1)
    (tmp_path / "adapter").mkdir()
    config = {"peft_type": "LORA", "r": 2, "lora_alpha": 4, "target_modules": ["moved"], "bias": "none"}
    (tmp_path / "adapter" / "adapter_config.json").write_text(json.dumps(config))
    factors = {
        "base_model.model.moved.lora_A.weight": torch.randn(2, 32, generator=g),
        "base_model.model.moved.lora_B.weight": 0.1 * torch.randn(48, 2, generator=g),
    }
    save_file(factors, tmp_path / "adapter" / "adapter_model.safetensors")
    weights = {f"{n}.weight": t for n, t in load_file(base).items()}
    save_file(weights, tmp_path / "net.safetensors")
    net = tmp_path / "net.safetensors"
    code, out, err = run(
        "apply",
        net,
        tmp_path / "adapter",
        "--strength",
        "0.5",
        "--undo",
        "undo",
        "--out",
        "merged.safetensors",
    )
    assert code == 0, err
    assert "takes it out again" in out
    assert run("apply", "merged.safetensors", "undo", "--out", "again.safetensors")[0] == 0
    merged, again = load_file("merged.safetensors"), load_file("again.safetensors")
    assert not torch.equal(merged["moved.weight"], weights["moved.weight"])
    assert all(torch.equal(again[n].view(torch.int16), w.view(torch.int16)) for n, w in weights.items())
    code, _, err = run("apply", "merged.safetensors", "undo", "--undo", "other", "--out", "no.safetensors")
    assert code == 2 and "--undo works for one adapter" in err


def test_what_is_certain_of_a_merge_is_counted_and_another_strength_is_caught(
    run: Run, pair: tuple[Path, Path], tmp_path: Path
) -> None:
    g = torch.Generator().manual_seed(1)
    adapter = tmp_path / "adapter"
    adapter.mkdir()
    facts = {"peft_type": "LORA", "r": 2, "lora_alpha": 2, "target_modules": ["linear"]}
    (adapter / "adapter_config.json").write_text(json.dumps(facts))
    factors = {"A": 0.1 * torch.randn(2, 32, generator=g), "B": 0.1 * torch.randn(48, 2, generator=g)}
    save_file(
        {f"base_model.model.linear.lora_{s}.weight": x for s, x in factors.items()},
        adapter / "adapter_model.safetensors",
    )
    save_file({"linear.weight": torch.randn(48, 32, generator=g)}, tmp_path / "b.safetensors")
    assert run("apply", tmp_path / "b.safetensors", adapter, "--out", "merged.safetensors")[0] == 0
    code, out, err = run("certify", "merged.safetensors", adapter, "--out", "kept")
    assert code == 0, err
    assert "What of merged is certain" in out and "linear.weight" in out and "no such number" not in out
    told = json.loads(run("certify", "merged.safetensors", adapter, "--json")[1])
    assert 0.5 < told["evidence"][0]["value"] < 1
    assert "no such number" in run("certify", "merged.safetensors", adapter, "--strength", 0.5)[1]
    code, _, err = run("certify", tmp_path / "base.safetensors", adapter)
    assert code == 4 and "linear" in err
    assert run("certify", "merged.safetensors", adapter, "--arithmetic", "theirs")[0] == 2
