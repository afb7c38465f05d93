"""Processor time and memory of a training step of each kind of attention, beside the standard one.

python benchmarks/geometry_speed.py --repeats 3
"""

from __future__ import annotations

import argparse

import torch

from workbench.numerics.attention import NAMES
from workbench.numerics.geometry.config import GeometryConfig
from workbench.numerics.geometry.gpt import GPT
from workbench.report.attention.costs import kept_bytes, seconds_of_step


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
            taken[name].append(seconds_of_step(gpt, x))
    usual = min(taken[given.kinds[0]])
    print(
        f"| kind | seconds a step | speed against {given.kinds[0]} | training GFLOP of matrices | MB for the backward pass |"
    )
    print("|---|---|---|---|---|")
    for name, gpt in kinds.items():
        least, cost = min(taken[name]), gpt.cost(256, training=True).times(8)
        print(
            f"| {name} | {least:.3f} | {usual / least:.2f} | {cost.matrix / 1e9:.2f} | {kept_bytes(gpt, x[:, :-1]) / 1e6:.0f} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
