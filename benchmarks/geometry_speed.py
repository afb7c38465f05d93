"""Processor time and memory of a training step of each kind of attention, beside the standard one.

python benchmarks/geometry_speed.py --repeats 3
"""

from __future__ import annotations

import argparse
import time

import torch
from torch.nn import functional as F

from workbench.numerics.attention import NAMES
from workbench.numerics.geometry.config import GeometryConfig
from workbench.numerics.geometry.gpt import GPT


def step(gpt: GPT, x: torch.Tensor) -> float:
    """Processor seconds of a forward and a backward pass."""
    begin = time.process_time()
    F.cross_entropy(gpt(x[:, :-1]).flatten(0, 1), x[:, 1:].flatten()).backward()
    taken = time.process_time() - begin
    gpt.zero_grad()
    return taken


def kept_bytes(gpt: GPT, x: torch.Tensor) -> int:
    """Bytes that the tape keeps for the backward pass, weights left out."""
    weights = {p.untyped_storage().data_ptr() for p in gpt.parameters()}
    held: dict[int, int] = {}

    def pack(t: torch.Tensor) -> torch.Tensor:
        if t.untyped_storage().data_ptr() not in weights:
            held[t.untyped_storage().data_ptr()] = t.untyped_storage().nbytes()
        return t

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda t: t):
        logits = gpt(x[:, :-1])
    del logits
    return sum(held.values())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--kinds", nargs="*", default=NAMES)
    given = parser.parse_args()
    torch.set_num_threads(1)
    x = torch.randint(256, (8, 257), generator=torch.Generator().manual_seed(0))
    kinds = {}
    for name in given.kinds:
        torch.manual_seed(0)
        kinds[name] = GPT(GeometryConfig(mechanism=name, width=128, layers=4, heads=4))
    taken: dict[str, list[float]] = {name: [] for name in kinds}
    for _ in range(given.repeats):  # in turn, so that all share what the machine does beside it
        for name, gpt in kinds.items():
            taken[name].append(step(gpt, x))
    usual = min(taken[given.kinds[0]])
    print(
        f"| kind | seconds a step | speed against {given.kinds[0]} | training GFLOP of matrices | MB for the backward pass |"
    )
    print("|---|---|---|---|---|")
    for name, gpt in kinds.items():
        least, cost = min(taken[name]), gpt.cost(256, training=True).times(8)
        print(
            f"| {name} | {least:.3f} | {usual / least:.2f} | {cost.matrix / 1e9:.2f} | {kept_bytes(gpt, x) / 1e6:.0f} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
