"""Spectral clustering and spanning trees: warm seconds, normalized cut, stages.

    python benchmarks/gpu_spectral.py [DATA.npy] [--rows N ...] [--out FILE]

Without data: normal clusters of uneven size in 384 dimensions, a hundredth of the rows copies of others.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from workbench.numerics import neighbours_torch
from workbench.numerics import spanning_tree as tree
from workbench.numerics import spectral_clustering as spectral
from workbench.numerics.kernels import spanning, spanning_host
from workbench.numerics.neighbours_torch import k_nearest


def clustered(n: int, d: int) -> torch.Tensor:
    g = torch.Generator("cuda").manual_seed(0)
    centres = torch.randn(2000, d, device="cuda", generator=g)
    share = torch.rand(2000, device="cuda", generator=g) ** 3
    y = torch.multinomial(share, n, replacement=True, generator=g)
    spread = 0.2 + torch.rand(2000, 1, device="cuda", generator=g)
    x = centres[y] + spread[y] * torch.randn(n, d, device="cuda", generator=g)
    copies = torch.randint(0, n, (2, n // 100), device="cuda", generator=g)
    x[copies[0]] = x[copies[1]]
    return x


def clock(work: Callable[[], Any], runs: int) -> tuple[list[float], Any]:
    times, out = [], None
    for _ in range(runs):
        torch.cuda.synchronize()
        start = time.perf_counter()
        out = work()
        torch.cuda.synchronize()
        times.append(time.perf_counter() - start)
    return times, out


def say(row: dict[str, Any]) -> None:
    times = row["seconds"]
    more = {k: v for k, v in row.items() if k not in ("work", "seconds")}
    print(
        f"{row['work']}: {statistics.median(times):.3f} s ({min(times):.3f}-{max(times):.3f}) {more}",
        flush=True,
    )


def stages(x: torch.Tensor) -> None:
    """Print how long each step of a tree takes, and how many pairs are looked at."""

    def timed(module: Any, name: str) -> None:
        plain = getattr(module, name)

        def shown(*arguments: Any, **options: Any) -> Any:
            times, out = clock(lambda: plain(*arguments, **options), 1)
            count = out[1] if name == "shortcuts" else ""
            print(f"    {name} {1e3 * times[0]:.1f} ms {count}", flush=True)
            return out

        setattr(module, name, shown)
        undo.append(lambda: setattr(module, name, plain))

    undo: list[Callable[[], None]] = []
    for name in ("_distinct", "forest", "_joined", "_shortcuts", "_lengths", "_within_tiles"):
        timed(tree, name)
    timed(neighbours_torch, "k_nearest")
    timed(spanning, "shortcuts")
    timed(spanning_host, "leaf_order")
    try:
        tree.minimum_spanning_tree(x)
    finally:
        for restore in undo:
            restore()


def spectral_rows(x: torch.Tensor, name: str, k: int = 20) -> dict[str, Any]:
    first, _ = clock(lambda: spectral.spectral_clustering(x, k), 1)
    times, found = clock(lambda: spectral.spectral_clustering(x, k), 3)
    search, near = clock(lambda: k_nearest(x, 15, recall_rows=0), 2)
    linked, graph = clock(lambda: spectral.neighbour_graph(near.indices), 2)
    modes, m = clock(lambda: spectral.spectral_modes(graph, k), 2)
    labels, _ = clock(lambda: spectral._best_labels(graph, m.vectors, 0), 2)
    sizes = torch.bincount(found.labels, minlength=k).sort(descending=True).values
    return {
        "work": f"spectral clustering, {name}, {len(x):,}x{x.shape[1]}, {k} clusters", "seconds": times,
        "first": first[0], "cut": found.normalized_cut, "pieces": found.modes.pieces,
        "residual": found.modes.residual, "largest": sizes[:3].tolist(), "values": m.values[-3:].tolist(),
        "k-NN": search[-1], "graph": linked[-1], "modes": modes[-1], "labels": labels[-1],
    }  # fmt: skip


def tree_rows(x: torch.Tensor, name: str, runs: int = 2) -> dict[str, Any]:
    tree.minimum_spanning_tree(x[:20_000])
    times, found = clock(lambda: tree.minimum_spanning_tree(x), runs)
    total = float(found.lengths.astype(np.float64).sum())
    return {
        "work": f"minimum spanning tree, {name}, {len(x):,}x{x.shape[1]}",
        "seconds": times,
        "length": total,
    }


def main() -> None:
    ask = argparse.ArgumentParser(description=__doc__)
    ask.add_argument("data", nargs="?")
    ask.add_argument("--rows", type=int, nargs="*", default=[50_000, 1_000_000])
    ask.add_argument("--out")
    ask.add_argument("--stages", action="store_true")
    options = ask.parse_args()
    print(torch.cuda.get_device_name(), flush=True)
    rows = []
    for n in options.rows:
        sets = {"clusters": clustered(n, 384)}
        if options.data:
            data = np.load(options.data, mmap_mode="r")
            if len(data) >= n:
                sets["data"] = torch.from_numpy(np.array(data[:n])).float().cuda()
        for name, x in sets.items():
            for measure in (tree_rows, spectral_rows):
                torch.cuda.reset_peak_memory_stats()
                rows.append(measure(x, name))
                rows[-1]["GiB"] = torch.cuda.max_memory_allocated() / 2**30
                say(rows[-1])
            if options.stages:
                stages(x)
        for d in (3, 32):
            g = torch.Generator("cuda").manual_seed(1)
            rows.append(tree_rows(torch.randn(n, d, device="cuda", generator=g), "normal"))
            say(rows[-1])
    if options.out:
        with open(options.out, "w") as file:
            json.dump(rows, file, indent=1)


if __name__ == "__main__":
    main()
