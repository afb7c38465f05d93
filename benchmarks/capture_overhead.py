"""How much of the plain forward pass's speed is left when what the layers put out is captured.

    python benchmarks/capture_overhead.py [--store DIR] [--texts 512] [--tokens 64] [--repeats 7]

MiniLM reads the same batches twice: in a loop that only calls it, and in `workbench.capture` of its six layers.
The two take turns, in an order that alternates, so that what else the machine does hits both alike. By default
the store lies in /dev/shm, which is page cache and nothing else; with ``--store`` on a disk, the time until
all is safe there counts too. Prints the median speeds and the ratio with its spread.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

from workbench.capturing import capture
from workbench.core.subjects import Corpus
from workbench.io import corpus as open_corpus
from workbench.io.bundled import open_bundled


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
    corpus = long_texts(asked.texts, asked.tokens)
    table = corpus.table
    starts = range(0, asked.texts, asked.batch_size)
    batches = [network.encode(table.iloc[i : i + asked.batch_size], asked.tokens).inputs for i in starts]
    assert all(tuple(b["input_ids"].shape) == (asked.batch_size, asked.tokens) for b in batches)

    def plain() -> np.ndarray:
        start = clocks()
        with torch.inference_mode():
            for inputs in batches:
                network.module(**inputs)
        return clocks() - start

    def captured() -> tuple[np.ndarray, int]:
        folder = Path(tempfile.mkdtemp(prefix="capture-overhead-", dir=asked.store))
        try:
            start = clocks()
            acts = capture(
                network.module,
                batches,
                at="encoder.layer.*",
                batch_size=asked.batch_size,
                store=folder / "store",
            )
            return clocks() - start, sum(acts.array(s).nbytes for s in acts.sites)
        finally:
            shutil.rmtree(folder)

    plain()  # warm up
    _, nbytes = captured()
    taken: list[tuple[np.ndarray, np.ndarray]] = []
    for i in range(asked.repeats):
        without = plain() if i % 2 == 0 else None
        hooked, _ = captured()
        taken.append((plain() if without is None else without, hooked))
        speeds = [asked.texts / wall for wall, _ in taken[-1]]
        print(f"  {speeds[0]:7.1f} texts/s plain, {speeds[1]:7.1f} captured", flush=True)
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


def clocks() -> np.ndarray:
    """Seconds on the clock, and of CPU time in all threads."""
    return np.array([time.perf_counter(), time.process_time()])


def long_texts(n: int, tokens: int) -> Corpus:
    """Texts of the default corpus, joined until each fills the length, so that no padding flatters a side."""
    import pandas as pd

    texts = open_corpus().table["text"].to_numpy()
    rng = np.random.default_rng(0)
    return Corpus(
        pd.DataFrame({"text": [" ".join(rng.choice(texts, tokens // 8)) for _ in range(n)]}), name="long"
    )


if __name__ == "__main__":
    main()
