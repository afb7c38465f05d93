"""How much of the plain forward pass's speed is left when what the layers put out is captured.

    python benchmarks/capture_overhead.py [--store DIR] [--texts 512] [--tokens 64] [--repeats 7]

MiniLM reads every batch twice, in a plain loop and in `workbench.capture` of its six layers. The two take turns
every few batches, within one capture, so that what else the machine does hits both alike. All that the capture
does counts as its time: looking at weights and batches, trying the sites, the hooks, the store. By default
the store lies in /dev/shm, which is page cache and nothing else; with ``--store`` on a disk, the time until all
is safe there counts too. Prints the median speeds and the ratio with its spread.
"""

from __future__ import annotations

import argparse
import copy
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

from workbench.capturing import capture
from workbench.io import corpus as open_corpus
from workbench.io.bundled import open_bundled
from workbench.subjects.corpus import Corpus
from workbench.subjects.network import Network

TURN = 4  # batches; more than one, since the store is written while the next batch runs


class Turns:
    """Batches for a capture that, when they are run, are each first run plainly; ``seconds`` is what that took."""

    def __init__(self, module: torch.nn.Module, batches: list[Any]):
        self.module, self.batches = module, batches
        self.looked_at = False
        self.seconds = np.zeros(2)

    def __iter__(self) -> Iterator[Any]:
        for start in range(0, len(self.batches), TURN):
            turn = self.batches[start : start + TURN]
            if self.looked_at:
                self.run(turn)
            yield from turn
        self.looked_at = True

    def run(self, turn: list[Any]) -> None:
        began = clocks()
        with torch.inference_mode():
            for inputs in turn:
                self.module(**inputs)
        self.seconds += clocks() - began


def clocks() -> np.ndarray:
    """Seconds on the clock, and of CPU time in all threads."""
    return np.array([time.perf_counter(), time.process_time()])


def once(
    network: Network, twin: torch.nn.Module, batches: list[Any], store: Path
) -> tuple[np.ndarray, np.ndarray, int]:
    """Seconds (wall, CPU) of the plain passes (through ``twin``) and of the capture, and bytes stored."""
    folder = Path(tempfile.mkdtemp(prefix="capture-overhead-", dir=store))
    try:
        turns = Turns(twin, batches)
        began = clocks()
        acts = capture(network.module, turns, at="encoder.layer.*", store=folder / "store")
        total = clocks() - began
        return turns.seconds, total - turns.seconds, sum(acts.array(s).nbytes for s in acts.sites)
    finally:
        shutil.rmtree(folder)


def long_texts(n: int, tokens: int) -> Corpus:
    """Texts of the default corpus, joined until each fills the length, so that no padding flatters a side."""
    import pandas as pd

    texts = open_corpus().table["text"].to_numpy()
    rng = np.random.default_rng(0)
    return Corpus(
        pd.DataFrame({"text": [" ".join(rng.choice(texts, tokens // 8)) for _ in range(n)]}), name="long"
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--store", type=Path, default=Path("/dev/shm"))
    parser.add_argument("--texts", type=int, default=512)
    parser.add_argument("--tokens", type=int, default=64)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--repeats", type=int, default=7)
    asked = parser.parse_args()

    network = open_bundled("minilm").network()
    table = long_texts(asked.texts, asked.tokens).table
    starts = range(0, asked.texts, asked.batch_size)
    batches = [network.encode(table.iloc[i : i + asked.batch_size], asked.tokens).inputs for i in starts]  # type: ignore[misc]
    assert all(tuple(b["input_ids"].shape) == (asked.batch_size, asked.tokens) for b in batches)

    twin = copy.deepcopy(network.module)
    once(network, twin, batches[:TURN], asked.store)  # warm up
    taken, nbytes = [], 0
    for _ in range(asked.repeats):
        plain, captured, nbytes = once(network, twin, batches, asked.store)
        taken.append((plain, captured))
        print(
            f"  {asked.texts / plain[0]:7.1f} texts/s plain, {asked.texts / captured[0]:7.1f} captured",
            flush=True,
        )
    seconds = np.array(taken)  # repeat, plain or captured, wall or CPU
    ratios = seconds[:, 0] / seconds[:, 1]
    low, high = np.quantile(ratios, [0.25, 0.75], axis=0)
    wall, cpu = np.median(ratios, axis=0)
    plainly, captures = asked.texts / np.median(seconds[:, :, 0], axis=0)
    print(
        f"{asked.texts} texts of {asked.tokens} tokens, 6 layers, {nbytes / 1e6:.0f} MB to {asked.store}, "
        f"{torch.get_num_threads()} threads, {asked.repeats} repeats\n"
        f"plain     {plainly:7.1f} texts/s\n"
        f"captured  {captures:7.1f} texts/s\n"
        f"speed     {wall:7.3f} of the plain pass's (middle half {low[0]:.3f} to {high[0]:.3f})\n"
        f"CPU time  {cpu:7.3f} (middle half {low[1]:.3f} to {high[1]:.3f}), which a busy machine disturbs less"
    )


if __name__ == "__main__":
    main()
