"""Node-steps a second of many worlds on a GPU: ``python benchmarks/medusa_gpu.py out.json [--worlds 10000] [--tune]``."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch

from workbench.numerics.fractal_graphs import gasket
from workbench.numerics.medusa import many
from workbench.numerics.medusa.many import Stepping
from workbench.numerics.medusa.system import Settings, System

KINDS: dict[str, dict[str, Any]] = {
    "rates and wave, noise in the rates": {},
    "no noise": {"rate_noise": 0.0},
    "noise in both": {"wave_noise": 0.1},
    "adapters": {"adapting": 0.5},
    "four heads": {"heads": 4},
}
BYTES = 24  # of r, q and p, read and written in single precision: what an ideal kernel moves a node and step


def measured(settings: dict[str, Any], worlds: int, steps: int) -> dict[str, float]:
    made = gasket(6)
    rng = np.random.default_rng(0)
    weights = rng.standard_normal(len(made.edges)) / 2
    system = System(made.edges, weights, np.ones(len(made.edges)), made.n, Settings(h=0.1, **settings))
    step = Stepping(system, range(worlds), 4 * steps, 0, torch.device("cuda"))
    now, after = (torch.zeros(3, made.n, worlds, device="cuda") for _ in range(2))
    took = []
    for repeat in range(4):
        begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        begin.record()
        for i in range(steps):
            step(repeat * steps + i, now, after)
            now, after = after, now
        end.record()
        torch.cuda.synchronize()
        took.append(begin.elapsed_time(end) / 1000)
    rates = [made.n * worlds * steps / t for t in took[1:]]
    return {"nodes": made.n, "edges": len(made.edges), "least": min(rates), "most": max(rates)}


def copied() -> float:
    """Bytes a second that a plain copy moves, read and written."""
    a = torch.empty(1 << 30, dtype=torch.float32, device="cuda")
    b = torch.empty_like(a)
    for _ in range(2):
        begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        begin.record()
        b.copy_(a)
        end.record()
        torch.cuda.synchronize()
    return 2 * a.nbytes / begin.elapsed_time(end) * 1000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--worlds", type=int, default=10_000)
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--tune", action="store_true")
    asked = parser.parse_args()
    bandwidth = copied()
    found: list[dict[str, Any]] = []
    sizes = (
        [(w, k) for w in (128, 256, 512, 1024) for k in (2, 4, 8)]
        if asked.tune
        else [(many.WORLDS, many.WARPS)]
    )
    for many.WORLDS, many.WARPS in sizes:
        for kind, settings in list(KINDS.items())[: 2 if asked.tune else None]:
            rate = measured(settings, asked.worlds, asked.steps)
            share = rate["least"] * BYTES / bandwidth
            found.append(
                {"kind": kind, "block": many.WORLDS, "warps": many.WARPS, **rate, "of_a_copy": share}
            )
            print(json.dumps(found[-1]), flush=True)
    told = {
        "device": torch.cuda.get_device_name(),
        "copy_bytes_a_second": bandwidth,
        "worlds": asked.worlds,
        "rates": found,
    }
    asked.out.write_text(json.dumps(told, indent=1) + "\n")


if __name__ == "__main__":
    main()
