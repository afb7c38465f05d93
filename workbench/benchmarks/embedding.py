"""Neighbours, UMAP and aligned UMAP beside cuML, TorchDR, umap-learn and scikit-learn."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np

from workbench.benchmarks import quality
from workbench.benchmarks.contests import Contender, Contest, Skipped
from workbench.benchmarks.rows import Setting
from workbench.core.errors import DataError

K = quality.K
SLOW_FROM = 100_000  # rows from which peers on the CPU take minutes


def neighbours(setting: Setting, n: int) -> Iterator[Contest]:
    """Nearest neighbours, k = 15."""
    import torch

    name, rows = setting.rows(n)
    sets = {name: rows}
    if setting.device != "cpu":
        sets["uniform"] = np.random.default_rng(0).random(rows.shape, dtype=np.float32)
    for which, held in sets.items():
        x = torch.from_numpy(held).to(setting.device)
        yield Contest(
            f"{K} neighbours, {which}, {len(x):,} × {x.shape[1]}",
            tuple(_searches(setting, x, held)),
            partial(_found, x),
        )


def _found(x: Any, indices: Any) -> dict[str, float]:
    return quality.search(x, quality.tensor(indices, x.device))


def _searches(setting: Setting, x: Any, held: np.ndarray) -> Iterator[Contender]:
    def ours(search: str) -> Callable[[], Callable[[], Any]]:
        def prepare() -> Callable[[], Any]:
            from workbench.numerics.neighbours_torch import k_nearest

            return lambda: k_nearest(x, K, search=search, recall_rows=0).indices  # type: ignore[arg-type]

        return prepare

    if setting.device == "cpu":
        from workbench.numerics.neighbours import k_nearest

        yield Contender("ours", lambda: lambda: k_nearest(held, K)[0], ours=True)
        yield Contender("ours, torch", ours("exact"), ours=True)
    else:
        for search in ("bins", "exact", "clusters"):
            yield Contender(f"ours, {search}", ours(search), ours=True)
        yield from (
            Contender(f"cuML {kind}", partial(_cuml_search, x, kind)) for kind in ("brute", "ivfflat")
        )
    yield Contender("scikit-learn", lambda: _scikit_search(held))


def _cuml_search(x: Any, kind: str) -> Callable[[], Any]:
    import cupy
    from cuml.neighbors import NearestNeighbors

    xg = cupy.asarray(x)
    return lambda: (
        NearestNeighbors(n_neighbors=K + 1, algorithm=kind, output_type="cupy")
        .fit(xg)
        .kneighbors(xg)[1][:, 1:]
    )


def _scikit_search(held: np.ndarray) -> Callable[[], Any]:
    from sklearn.neighbors import NearestNeighbors

    _few(len(held))
    return lambda: NearestNeighbors(n_neighbors=K).fit(held).kneighbors(return_distance=False)


def umap(setting: Setting, n: int) -> Iterator[Contest]:
    """UMAP to two dimensions, k = 15."""
    import torch

    name, held = setting.rows(n)
    x = torch.from_numpy(held).to(setting.device)

    def ours() -> Callable[[], Any]:
        from workbench.numerics.umap_torch import fit

        return lambda: fit(x, n_neighbors=K).embedding

    yield Contest(
        f"UMAP, {name}, {len(x):,} × {x.shape[1]}",
        (
            Contender("ours, torch", ours, ours=True),
            Contender("cuML", lambda: _cuml_umap(setting, x)),
            Contender("TorchDR", lambda: _torchdr(setting, x)),
            Contender("umap-learn", lambda: _umap_learn(held)),
        ),
        lambda y: quality.layout(x, quality.tensor(y, setting.device)),
    )


def _cuml_umap(setting: Setting, x: Any) -> Callable[[], Any]:
    _on_gpu(setting)
    import cupy
    from cuml.manifold import UMAP

    xg = cupy.asarray(x)
    return lambda: UMAP(n_neighbors=K, output_type="numpy").fit_transform(xg)


def _torchdr(setting: Setting, x: Any) -> Callable[[], Any]:
    _on_gpu(setting)
    _few(len(x))
    from torchdr import UMAP

    return lambda: UMAP(n_neighbors=K, device="cuda", backend=None).fit_transform(x)


def _umap_learn(held: np.ndarray) -> Callable[[], Any]:
    _few(len(held))
    from umap import UMAP

    return lambda: UMAP(n_neighbors=K).fit_transform(held)


def several(setting: Setting, n: int) -> Iterator[Contest]:
    """Neighbours and UMAP, k = 15, shared by all GPUs and on one; on a CPU, where nothing is gained, by two halves of it."""
    import torch

    from workbench.numerics.neighbours_torch import k_nearest
    from workbench.numerics.umap_torch import fit

    count = 2 if setting.device == "cpu" else torch.cuda.device_count()
    if count < 2:
        raise DataError("there is one GPU, and work is shared by two or more")
    every = [setting.device] * count if setting.device == "cpu" else [f"cuda:{i}" for i in range(count)]
    name, held = setting.rows(n)
    x = torch.from_numpy(held).to(every[0])
    size = f"{name}, {len(x):,} × {x.shape[1]}"

    def taking_part(work: Callable[[list[str]], Any]) -> tuple[Contender, ...]:
        return (
            Contender(f"{count} devices", lambda: lambda: work(every), ours=True),
            Contender("one device", lambda: lambda: work(every[:1]), ours=True),
        )

    yield Contest(
        f"{K} neighbours, shared, {size}",
        taking_part(lambda devices: k_nearest(x, K, recall_rows=0, device=devices).indices),
        partial(_found, x),
    )
    yield Contest(
        f"UMAP, shared, {size}",
        taking_part(lambda devices: fit(x, n_neighbors=K, device=devices).embedding),
        lambda y: quality.layout(x, y),
    )


def aligned(setting: Setting, n: int) -> Iterator[Contest]:
    """Aligned UMAP over layers of the same rows, k = 15."""
    import torch

    name, held = setting.rows(n)
    layers = _layers(held, 12 if setting.device != "cpu" else 3)
    xs = [torch.from_numpy(layer).to(setting.device) for layer in layers]

    def ours() -> Callable[[], Any]:
        from workbench.numerics.aligned_umap import fit_aligned

        return lambda: [quality.tensor(e, setting.device) for e in fit_aligned(xs, n_neighbors=K).embeddings]

    def judge(ys: Any) -> dict[str, float]:
        ys = [quality.tensor(y, setting.device) for y in ys]
        each = [quality.layout(x, y) for x, y in zip(xs, ys, strict=True)]
        wide = torch.stack([y.std() for y in ys]).mean()
        moved = torch.stack([(a - b).norm(dim=1).mean() for a, b in itertools.pairwise(ys)]).mean()
        return {
            "trust": float(np.mean([e["trust"] for e in each])),
            "recall": float(np.mean([e["recall"] for e in each])),
            "moved, of the spread": float(moved / wide),
        }

    yield Contest(
        f"aligned UMAP, {name}, {len(xs)} layers of {len(held):,} × {held.shape[1]}",
        (Contender("ours", ours, ours=True), Contender("umap-learn", lambda: _aligned_learn(layers))),
        judge,
    )


def _layers(held: np.ndarray, count: int) -> list[np.ndarray]:
    """The rows turned step by step into random features of them, as a network's layers do."""
    rng = np.random.default_rng(0)
    d = held.shape[1]
    features = np.tanh(held @ rng.standard_normal((d, d), dtype=np.float32) / np.sqrt(d)) * held.std()
    return [
        ((1 - t) * held + t * features).astype(np.float32) for t in np.linspace(0, 1, count, dtype=np.float32)
    ]


def _aligned_learn(layers: list[np.ndarray]) -> Callable[[], Any]:
    from umap import AlignedUMAP

    _few(len(layers) * len(layers[0]), 60_000)
    same = {i: i for i in range(len(layers[0]))}
    return lambda: AlignedUMAP(n_neighbors=K).fit(layers, relations=[same] * (len(layers) - 1)).embeddings_


def _few(n: int, most: int = SLOW_FROM) -> None:
    if n > most:
        raise Skipped(f"{n:,} rows would take it minutes; --scale shows it at fewer than {most:,}")


def _on_gpu(setting: Setting) -> None:
    if setting.device == "cpu":
        raise Skipped("needs a GPU")
