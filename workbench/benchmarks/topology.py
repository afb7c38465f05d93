"""Vietoris-Rips barcodes beside giotto-ph on all cores, Ripser++ and Ripser."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from workbench.benchmarks import quality
from workbench.benchmarks.contests import Contender, Contest
from workbench.benchmarks.rows import Setting

if TYPE_CHECKING:
    from scipy.sparse import csr_array

Bars = Callable[[np.ndarray, int], np.ndarray]


def sphere(n: int, d: int) -> np.ndarray:
    """``n`` points uniform on the d-sphere."""
    x = np.random.default_rng(0).normal(size=(n, d + 1))
    return x / np.linalg.norm(x, axis=1, keepdims=True)


def normal(n: int, d: int) -> np.ndarray:
    """``n`` normal points in ``d`` dimensions."""
    return np.random.default_rng(0).normal(size=(n, d))


def torus(n: int, d: int) -> np.ndarray:
    """``n`` points on a torus in three dimensions."""
    a, b = np.random.default_rng(0).uniform(0, 2 * np.pi, (2, n))
    return np.stack([(2 + np.cos(b)) * np.cos(a), (2 + np.cos(b)) * np.sin(a), np.sin(b)], 1)


def near_pairs(n: int, d: int) -> csr_array:
    """Distances of ``n`` points on the d-sphere that are among the shortest: 56 each."""
    from scipy.sparse import csr_array
    from scipy.spatial.distance import cdist

    x = sphere(n, d)
    lengths = np.triu(cdist(x, x).astype(np.float32), 1)
    last = min(56 * n, n * (n - 1) // 2 - 1)
    threshold = np.partition(lengths[lengths > 0], last)[last]
    return csr_array(np.where(lengths <= threshold, lengths, 0))


# name, what makes the points, their number, the dimension, the highest homology; points on a CPU's small run
CLOUDS = (
    ("3-sphere", sphere, 192, 3, 3, 40),
    ("3-sphere", sphere, 400, 3, 2, 80),
    ("2-sphere", sphere, 400, 2, 2, 80),
    ("normal 10-d", normal, 300, 10, 2, 80),
    ("3-sphere", sphere, 3000, 3, 1, 300),
    ("normal 10-d", normal, 2000, 10, 1, 200),
    ("normal 384-d", normal, 3000, 384, 1, 200),
    ("torus", torus, 1500, 3, 1, 300),
    ("3-sphere under a threshold", near_pairs, 4096, 3, 3, 120),
)


def barcode(setting: Setting, n: int) -> Iterator[Contest]:
    """Vietoris-Rips barcodes: H0 to H2, H0 to H3, H0 to H1 of thousands, H0 to H3 of thousands under a threshold."""
    for name, make, full, d, highest, small in CLOUDS:
        x = make(setting.scaled(full if n else small, least=16), d)
        answers: dict[str, np.ndarray] = {}

        def kept(who: str, bars: Callable[[], Bars], x: Any = x, h: int = highest, a: Any = answers) -> Any:
            def prepare() -> Callable[[], Any]:
                work = bars()

                def answer() -> np.ndarray:
                    a[who] = work(x, h)
                    return a[who]

                return answer

            return Contender(who, prepare, ours=who == "ours")

        yield Contest(
            f"barcode H0 to H{highest}, {name}, {x.shape[0]:,} points",
            (
                kept("ours", lambda: _ours(setting)),
                kept("giotto-ph", giotto_bars),
                kept("Ripser++", _ripser_plus_plus),
                kept("Ripser", _ripser),
            ),
            partial(_judged, answers),
        )


def _judged(answers: dict[str, np.ndarray], bars: np.ndarray) -> dict[str, Any]:
    said: dict[str, Any] = {"bars": int((bars[:, 0] < bars[:, 1]).sum())}
    own = answers.get("ours")
    if own is not None and own is not bars:
        said["equal to ours"] = quality.bars_equal(bars, own)
    return said


def _ours(setting: Setting) -> Bars:
    from workbench.numerics.rips import rips

    device: Any = setting.device
    return lambda x, highest: rips(x, max_dimension=highest, device=device, metric=_metric(x))


def _metric(x: Any) -> Any:
    """What points and sparse distances are given as."""
    return "precomputed" if hasattr(x, "tocoo") else "euclidean"


def giotto_bars() -> Bars:
    """giotto-ph's barcode on all cores, as (birth, death, dimension)."""
    from gph import ripser_parallel

    threads = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return lambda x, highest: _joined(
        ripser_parallel(x, maxdim=highest, n_threads=threads, metric=_metric(x))["dgms"]
    )


def _ripser_plus_plus() -> Bars:
    import ripserplusplus

    def bars(x: np.ndarray, highest: int) -> np.ndarray:
        found = ripserplusplus.run(f"--dim {highest} --format point-cloud", x)
        return _joined([np.stack([b["birth"], b["death"]], 1) for _, b in sorted(found.items())])

    return bars


def _ripser() -> Bars:
    from ripser import ripser

    return lambda x, highest: _joined(
        ripser(x, maxdim=highest, distance_matrix=_metric(x) == "precomputed")["dgms"]
    )


def _joined(found: list[np.ndarray]) -> np.ndarray:
    return np.concatenate([np.column_stack([b, np.full(len(b), i)]) for i, b in enumerate(found)])
