"""Weighing, comparing and certifying checkpoints, beside the libraries that do a part of it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from workbench.benchmarks.contests import Contender, Contest, Skipped
from workbench.benchmarks.rows import Setting

if TYPE_CHECKING:
    from workbench.subjects.checkpoint import Checkpoint

LAYERS = 4  # of what is made up
FACTORS = ("lora_A", "lora_B")
RANK = 8


def weights(setting: Setting, n: int) -> Iterator[Contest]:
    """A checkpoint of so wide layers weighed, compared with a trained one, and an adapter's merge certified."""
    side = setting.scaled(n)
    with tempfile.TemporaryDirectory() as folder:
        places = _made(Path(folder), side)
        pair = places["base"], places["tuned"]
        size = f"{LAYERS} layers of {side} × {side}"
        yield Contest(
            f"weights, {size}",
            (
                Contender("ours, spectra alone", partial(_weighed, places["base"], 0), ours=True),
                Contender("ours, controls too", partial(_weighed, places["base"], 99), ours=True),
                Contender("NumPy's SVD", partial(_decomposed, places["base"])),
                Contender("weightwatcher", partial(_watched, places["base"])),
            ),
            processor_time=True,
        )
        yield Contest(
            f"diff as a command, every tensor changed, {size}",
            (
                Contender("ours", partial(_compared, "workbench.cli", *pair), ours=True),
                Contender("weightscope (no spectra)", partial(_compared, "weightscope.cli", *pair)),
            ),
        )
        yield Contest(
            f"certify, {size}",
            (
                Contender("ours", partial(_certified, places["base"], places["adapter"]), ours=True),
                Contender("subtracting", partial(_subtracted, places["base"], places["adapter"])),
            ),
            processor_time=True,
        )


def _made(folder: Path, side: int) -> dict[str, Path]:
    from safetensors.numpy import save_file

    rng = np.random.default_rng(0)
    base = {
        f"layers.{i}.mlp.weight": rng.standard_normal((side, side)).astype(np.float32) / side**0.5
        for i in range(LAYERS)
    }
    noise = {
        k: x + np.float32(0.02 / side**0.5) * rng.standard_normal(x.shape).astype(np.float32)
        for k, x in base.items()
    }
    factors = {
        f"base_model.model.{k.removesuffix('.weight')}.{which}.weight": (
            0.01 * rng.standard_normal((RANK, side) if which == FACTORS[0] else (side, RANK))
        ).astype(np.float32)
        for k in base
        for which in FACTORS
    }
    facts = {"peft_type": "LORA", "r": RANK, "lora_alpha": RANK, "target_modules": ["mlp"]}
    for name, tensors, file, config in (
        ("base", base, "model.safetensors", {"model_type": "bert"}),
        ("tuned", noise, "model.safetensors", {"model_type": "bert"}),
        ("adapter", factors, "adapter_model.safetensors", facts),
    ):
        (folder / name).mkdir()
        save_file(tensors, folder / name / file)
        which = "adapter_config.json" if name == "adapter" else "config.json"
        (folder / name / which).write_text(json.dumps(config), encoding="utf-8")
    return {name: folder / name for name in ("base", "tuned", "adapter")}


def _weighed(path: Path, n_null: int) -> Callable[[], Any]:
    import workbench as wb

    checkpoint = wb.open(path / "model.safetensors")
    return lambda: wb.weights.function(checkpoint, n_null=n_null)


def _decomposed(path: Path) -> Callable[[], Any]:
    from safetensors.numpy import load_file

    held = load_file(path / "model.safetensors")
    return lambda: [np.linalg.svd(x.astype(np.float64), compute_uv=False) for x in held.values()]


def _watched(path: Path) -> Callable[[], Any]:
    from importlib import import_module

    import torch
    from safetensors.torch import load_file

    peer = import_module("weightwatcher")
    layers = [
        torch.nn.Linear(x.shape[1], x.shape[0], bias=False)
        for x in load_file(path / "model.safetensors").values()
    ]
    for layer, x in zip(layers, load_file(path / "model.safetensors").values(), strict=True):
        layer.weight.data = x
    return lambda: peer.WeightWatcher(model=torch.nn.Sequential(*layers)).analyze()


def _compared(command: str, before: Path, after: Path) -> Callable[[], Any]:
    """By a command, imports included; nothing is kept from one call to the next."""
    if find_spec(command.partition(".")[0]) is None:
        raise Skipped(f"{command.partition('.')[0]} isn't installed")
    asked = [sys.executable, "-m", command, "diff", str(before), str(after)]
    env = {**os.environ, "WORKBENCH_NO_CACHE": "1"}
    return lambda: subprocess.run(asked, check=True, capture_output=True, env=env)


def _certified(base: Path, adapter: Path) -> Callable[[], Any]:
    from workbench.edits.lora import LoRA
    from workbench.edits.taking_out import certify
    from workbench.io.adapters import read_adapter

    checkpoint = _opened(base / "model.safetensors")
    edit = read_adapter(adapter, checkpoint)
    assert isinstance(edit, LoRA)
    merged = base / "merged.safetensors"
    (checkpoint + edit).save(merged)
    return lambda: certify(_opened(merged), edit)


def _opened(path: Path) -> Checkpoint:
    from workbench.io.opening import open as open_file

    return cast("Checkpoint", open_file(path))


def _subtracted(base: Path, adapter: Path) -> Callable[[], Any]:
    """What is done without a certificate: the product taken away again, which says of no entry whether it is right."""
    from safetensors.numpy import load_file

    held, factors = load_file(base / "model.safetensors"), load_file(adapter / "adapter_model.safetensors")
    at = "base_model.model.{}.{}.weight".format

    def work() -> list[np.ndarray]:
        parts = ((x, *(factors[at(k.removesuffix(".weight"), f)] for f in FACTORS)) for k, x in held.items())
        return [x - b @ a for x, a, b in parts]

    return work
