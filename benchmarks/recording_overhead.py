"""How much longer a training loop takes when it is recorded at the default settings.

    python benchmarks/recording_overhead.py [--width 256] [--depth 3] [--batch-size 256] [--steps 1500] [--repeats 9]

Two copies of one network learn from the same batches of digits with Adam, one plainly and one inside
`workbench.record`. They take turns every few steps, so that what else the machine does hits both alike; the
recorded copy's time holds the beginning and the end of the block, the hooks, `run.log`, and the writer's thread, which is
waited for at the end of each of its turns so that nothing of it falls into the other's. Prints the median of the
repeats' ratios with its middle half. CPU time is the one to read on a machine that others use.
"""

from __future__ import annotations

import argparse
import copy
import time
from typing import Any

import numpy as np
import torch
from torch.nn import functional as F

import workbench as wb
from workbench.models.digits_descent import digits, perceptron

TURN = 50


class Loop:
    """A network and its optimizer, which take some steps at a time."""

    def __init__(self, network: torch.nn.Module, batches: torch.Tensor):
        self.network, self.batches = network, batches
        self.optimizer = torch.optim.Adam(network.parameters(), lr=1e-3)
        self.x, self.y = digits()
        self.run: Any = None
        self.seconds = np.zeros(2)

    def turn(self, start: int, stop: int) -> None:
        began = clocks()
        for chosen in self.batches[start:stop]:
            x, y = self.x[chosen], self.y[chosen]
            self.optimizer.zero_grad()
            loss = F.cross_entropy(self.network(x), y)
            loss.backward()
            self.optimizer.step()
            if self.run is not None:
                self.run.log(loss=loss)
        if self.run is not None:
            self.run._writer.wait()
        self.seconds += clocks() - began


def clocks() -> np.ndarray:
    """Seconds on the clock, and of CPU time in all threads."""
    return np.array([time.perf_counter(), time.process_time()])


def once(asked: argparse.Namespace, seed: int) -> tuple[np.ndarray, np.ndarray, int]:
    """Seconds (wall, CPU) of the plain loop and of the recorded one, and bytes stored."""
    torch.manual_seed(seed)
    network = perceptron(64, [asked.width] * asked.depth, 10)
    batches = torch.randint(1797, (asked.steps, asked.batch_size))
    plain, recorded = Loop(copy.deepcopy(network), batches), Loop(network, batches)
    began = clocks()
    with wb.record(recorded.network, recorded.optimizer, **asked.how) as run:
        recorded.run = run
        recorded.seconds += clocks() - began
        for turn, start in enumerate(range(0, asked.steps, TURN)):
            for loop in (plain, recorded) if turn % 2 else (recorded, plain):
                loop.turn(start, start + TURN)
        began = clocks()
    recorded.seconds += clocks() - began
    assert all(
        torch.equal(a, b) for a, b in zip(plain.network.parameters(), network.parameters(), strict=True)
    )
    return plain.seconds, recorded.seconds, sum(f.stat().st_size for f in run.folder.iterdir())


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--width", type=int, default=256)
    parser.add_argument("--depth", type=int, default=3)
    parser.add_argument("--batch-size", type=int, default=256)
    parser.add_argument("--steps", type=int, default=1500)
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--every", type=int, default=1, help="a row every so many steps")
    parser.add_argument(
        "--no-weights", action="store_true", help="record no weights, for telling what they cost"
    )
    asked = parser.parse_args()
    asked.how = {"every": asked.every, **({"weights_at": None} if asked.no_weights else {})}

    torch.set_num_threads(1)
    once(asked, 99)  # warm up
    taken, nbytes = [], 0
    for seed in range(asked.repeats):
        plain, recorded, nbytes = once(asked, seed)
        taken.append((plain, recorded))
    seconds = np.array(taken)  # repeat, plain or recorded, wall or CPU
    ratios = seconds[:, 1] / seconds[:, 0] - 1
    (wall, cpu), (low, high) = np.median(ratios, axis=0), np.quantile(ratios, [0.25, 0.75], axis=0)
    micro = np.median(seconds[:, :, 0], axis=0) / asked.steps * 1e6
    print(
        f"{asked.depth} hidden layers of {asked.width}, batches of {asked.batch_size}, {asked.steps} steps, {nbytes / 1e6:.1f} MB, "
        f"{asked.repeats} repeats\n"
        f"plain     {micro[0]:7.0f} µs a step\n"
        f"recorded  {micro[1]:7.0f} µs a step\n"
        f"overhead  {wall:7.1%} of the plain loop's time (middle half {low[0]:.1%} to {high[0]:.1%})\n"
        f"CPU time  {cpu:7.1%} (middle half {low[1]:.1%} to {high[1]:.1%}), the writer's thread included"
    )


if __name__ == "__main__":
    main()
