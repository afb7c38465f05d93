"""The main line of every GPU measurement, each beside its fastest peer, few enough for one run."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator

from workbench.benchmarks import embedding, graphs, topology
from workbench.benchmarks.contests import Contest
from workbench.benchmarks.rows import Setting

Contests = Callable[[Setting, int], Iterator[Contest]]

# what is measured, of how many rows (0: their own) on a GPU and on a CPU, the first so many contests, and who takes part
LINES: tuple[tuple[Contests, int, int, int, frozenset[str]], ...] = (
    (embedding.umap, 1_000_000, 500, 1, frozenset({"ours, torch", "cuML"})),
    (embedding.umap, 50_000, 500, 1, frozenset({"ours, torch", "cuML", "umap-learn"})),
    (embedding.neighbours, 1_000_000, 500, 2, frozenset({"ours", "ours, bins"})),
    (graphs.spectral, 50_000, 500, 1, frozenset({"ours", "cuML"})),
    (topology.barcode, 1, 0, len(topology.CLOUDS), frozenset({"ours", "giotto-ph", "Ripser++"})),
    (graphs.tree, 1_000_000, 500, 1, frozenset({"ours"})),
    (embedding.aligned, 50_000, 100, 1, frozenset({"ours"})),
    (embedding.aligned, 200, 100, 1, frozenset({"ours", "umap-learn"})),
)


def summary(setting: Setting, n: int) -> Iterator[Contest]:
    """What the others measure, one line each, beside the fastest peer: a whole table in one run."""
    for contests, on_gpu, on_cpu, first, who in LINES:
        for i, contest in enumerate(contests(setting, on_gpu if n else on_cpu)):
            if i == first:
                break
            taking_part = tuple(c for c in contest.contenders if c.who in who)
            yield dataclasses.replace(contest, contenders=taking_part)
