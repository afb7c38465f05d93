"""Barcodes beside giotto-ph on all cores, in one process: seconds, ratios, and whether the bars are equal.

python benchmarks/gpu_rips.py [--out FILE] [--only NAME] [--stages]
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import time
from collections.abc import Callable

import numpy as np
import torch

from workbench.numerics import rips as ours


def sphere(n: int, d: int) -> np.ndarray:
    x = np.random.default_rng(0).normal(size=(n, d + 1))
    return x / np.linalg.norm(x, axis=1, keepdims=True)


def gaussian(n: int, d: int) -> np.ndarray:
    return np.random.default_rng(0).normal(size=(n, d))


def torus(n: int) -> np.ndarray:
    a, b = np.random.default_rng(0).uniform(0, 2 * np.pi, (2, n))
    return np.stack([(2 + np.cos(b)) * np.cos(a), (2 + np.cos(b)) * np.sin(a), np.sin(b)], 1)


WORK: dict[str, tuple[Callable[[], np.ndarray], int]] = {
    "S3, 192 points, H0-H3": (lambda: sphere(192, 3), 3),
    "S3, 400 points, H0-H2": (lambda: sphere(400, 3), 2),
    "normal 10-d, 300 points, H0-H2": (lambda: gaussian(300, 10), 2),
    "S3, 3000 points, H0-H1": (lambda: sphere(3000, 3), 1),
    "normal 10-d, 2000 points, H0-H1": (lambda: gaussian(2000, 10), 1),
    "normal 384-d, 3000 points, H0-H1": (lambda: gaussian(3000, 384), 1),
    "torus, 1500 points, H0-H1": (lambda: torus(1500), 1),
    "S2, 400 points, H0-H2": (lambda: sphere(400, 2), 2),
}


def seconds(work: Callable[[], np.ndarray], least: int, most: float) -> tuple[list[float], np.ndarray]:
    """Times of at least ``least`` runs, more while they take less than ``most`` seconds together."""
    times: list[float] = []
    out = np.empty((0, 3))
    while len(times) < least or (len(times) < 5 and sum(times) < most):
        start = time.perf_counter()
        out = work()
        times.append(time.perf_counter() - start)
    return times, out


def theirs(x: np.ndarray, highest: int, threads: int) -> np.ndarray:
    from gph import ripser_parallel

    found = ripser_parallel(x, maxdim=highest, n_threads=threads)["dgms"]
    bars = np.concatenate([np.column_stack([b, np.full(len(b), i)]) for i, b in enumerate(found)])
    bars = bars[bars[:, 0] < bars[:, 1]].astype(np.float32)
    return bars[np.lexsort((bars[:, 1], bars[:, 0], bars[:, 2]))]


def same(a: np.ndarray, b: np.ndarray) -> bool:
    return a.shape == b.shape and np.allclose(a, b, rtol=2e-6, atol=1e-7)


def stages(x: np.ndarray, highest: int, threads: int) -> None:
    """Print where the time goes."""
    clock = time.perf_counter

    def said(name: str, start: float) -> float:
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        print(f"    {name} {1e3 * (clock() - start):.1f} ms", flush=True)
        return clock()

    t = clock()
    d = ours._distances(x, "euclidean", ours.choose("auto"))
    t = said("distances", t)
    f = ours._Filtration.of(d, np.inf, highest)
    t = said("ranks", t)
    cleared = torch.from_numpy(ours.spanning(f)).to(d.device)
    t = said("spanning tree", t)
    parents = torch.arange(len(x), device=d.device)
    from workbench.numerics.kernels.rips_apparent import extensions

    for k in range(2, highest + 2):
        found = ours._left_over(f, k, parents, threads)
        t = said(f"H{k - 1}: {len(found):,} columns found", t)
        found = found[~torch.isin(found, cleared)]
        level = ours._reduce(f, k, found, threads)
        t = said(f"H{k - 1}: {len(found):,} columns reduced", t)
        if k <= highest:
            cleared = torch.from_numpy(level.deaths[level.deaths >= 0]).to(d.device)
            parents = torch.cat([parents[:0], *extensions(f.ranks, f.limit, f.bits, k - 1, parents)])
            t = said(f"H{k}: {len(parents):,} parents", t)


def main() -> None:
    ask = argparse.ArgumentParser(description=__doc__)
    ask.add_argument("--out")
    ask.add_argument("--only", default="")
    ask.add_argument("--stages", action="store_true")
    ask.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    options = ask.parse_args()
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu"
    print(f"{device}, {options.threads} threads", flush=True)
    start = time.perf_counter()
    ours.rips(sphere(40, 3), max_dimension=3)
    print(f"first call {time.perf_counter() - start:.1f} s", flush=True)
    rows = []
    for name, (points, highest) in WORK.items():
        if options.only not in name:
            continue
        x = points()
        ours.rips(x, max_dimension=highest)
        mine, bars = seconds(lambda x=x, h=highest: ours.rips(x, max_dimension=h), 3, 2.0)
        other, expected = seconds(lambda x=x, h=highest: theirs(x, h, options.threads), 1, 3.0)
        row = {
            "work": name, "device": device, "ours": mine, "giotto-ph": other,
            "ratio": statistics.median(other) / statistics.median(mine), "bars": len(bars), "equal": same(bars, expected),
        }  # fmt: skip
        rows.append(row)
        print(
            f"{name}: ours {statistics.median(mine):.3f} s ({min(mine):.3f}-{max(mine):.3f}), giotto-ph "
            f"{statistics.median(other):.3f} s, {row['ratio']:.1f}x, {len(bars)} bars, "
            f"{'equal' if row['equal'] else 'NOT EQUAL'}",
            flush=True,
        )
        if options.stages:
            stages(x, highest, options.threads)
    if options.out:
        with open(options.out, "w") as file:
            json.dump(rows, file, indent=1)


if __name__ == "__main__":
    main()
