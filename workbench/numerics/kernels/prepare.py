"""Compile the kernels that a search or a layout will need at the same time, on inputs of nothing.

Triton compiles a kernel when it is first launched, one after another for half a second to two each; most
of that is spent outside Python, so threads overlap it. Compiled kernels stay in Triton's cache on disk.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import torch

from workbench.numerics.kernels import chunked, knn, layout

_done: set[tuple] = set()


def search(
    d: int,
    k: int,
    kept: int,
    room: int,
    bins: int,
    tiles: knn.Tiles,
    symmetric: bool,
    dot: bool,
    device: torch.device,
) -> list[Callable[[], object]]:
    """What to run before `k_nearest` by bins: one call for every kernel."""
    half = torch.zeros(
        (2 * knn.SPAN if symmetric else knn.SPAN, -(-d // 64) * 64), dtype=torch.half, device=device
    )
    norm = torch.zeros(len(half), device=device)
    zero = torch.zeros(1, dtype=torch.int64, device=device)
    rows = torch.zeros((16, d), device=device)
    some = torch.zeros((16, room), dtype=torch.int32, device=device)
    order = torch.arange(16, dtype=torch.int32, device=device)

    def products() -> object:
        if symmetric:
            return knn.bin_maxima_symmetric(half, norm, tiles)
        own = knn.SPAN // tiles.bin
        return knn.bin_maxima(
            half, half, norm, torch.zeros((1, 2), dtype=torch.int64, device=device), zero, own, tiles
        )

    def selection() -> object:
        keys = torch.zeros((bins, knn.SPAN), dtype=torch.int32, device=device)
        table = torch.zeros((1, -(-bins * tiles.bin // knn.SPAN)), dtype=torch.int32, device=device)
        return knn.select_bins(keys, table, kept, room, tiles.bin)

    return [products, selection, lambda: knn.rerank(rows, rows, some, k, dot, ids=order, rows=order)]


def embedding(
    n_neighbors: int, width: int, negatives: int, device: torch.device
) -> list[Callable[[], object]]:
    """What to run before a layout of ``width`` coordinates: a call for every kernel but `chunked.apply`'s."""
    graph = chunked.Chunks(
        torch.tensor([0, 1, 1], dtype=torch.int32, device=device),
        torch.zeros(1, dtype=torch.int32, device=device),
        torch.zeros((1, chunked.WIDTH), dtype=torch.int32, device=device),
        torch.zeros((1, chunked.WIDTH), device=device),
    )
    y, one = torch.zeros((2, width), device=device), torch.zeros(2, device=device)
    return [
        lambda: layout.bandwidths(torch.ones((2, n_neighbors - 1), device=device), n_neighbors, 1.0),
        lambda: layout.step(y, y, graph, one, 1.5, 0.9, 0.1, negatives, 0, 0),
    ]


def together(key: tuple, device: torch.device, calls: list[Callable[[], object]]) -> None:
    """Run ``calls`` in threads, once for each ``key`` of this process."""
    if device.type != "cuda" or key in _done:
        return

    def run(call: Callable[[], object]) -> None:
        with torch.cuda.device(device):
            call()

    with ThreadPoolExecutor(len(calls)) as pool:
        for done in [pool.submit(run, call) for call in calls]:
            done.result()
    _done.add(key)
