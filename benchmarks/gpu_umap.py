"""Time neighbours and UMAP on a GPU beside the peers that are importable, in one process, with quality.

Usage: python benchmarks/gpu_umap.py DATA.npy OUT.json [SIZE ...]

DATA holds float rows, at least as many as the largest SIZE (50000 and 1000000 unless given). Every peer gets
the same rows, on the device already. Of each the first call is timed apart, and the median and extremes of
three more are given, unless the first took longer than half a minute. Trustworthiness and recall of a layout
are measured at k = 15 on 2,000 rows against all, exactly; a search's recall on 1,000.
"""

from __future__ import annotations

import json
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

import numpy as np
import torch

K, REPEATS = 15, 3
ONCE = 30  # seconds beyond which the first call is the only one


def timed(work: Callable[[], object]) -> tuple[float, object]:
    torch.cuda.synchronize()
    start = time.perf_counter()
    made = work()
    torch.cuda.synchronize()
    return time.perf_counter() - start, made


def others(x: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
    gap = torch.cdist(x[rows], x)
    gap[torch.arange(len(rows)), rows] = torch.inf
    return gap


def layout_quality(x: torch.Tensor, y: torch.Tensor, queries: int = 2000) -> dict[str, float]:
    n = len(x)
    at = torch.randperm(n, generator=torch.Generator().manual_seed(0))[:queries]
    penalty = shared = 0
    for rows in at.split(100):
        dx, dy = others(x, rows), others(y, rows)
        near_x, near_y = (d.topk(K, largest=False).indices for d in (dx, dy))
        chosen = dx.gather(1, near_y)
        rank = torch.stack([(dx < chosen[:, j : j + 1]).sum(1) + 1 for j in range(K)], 1)
        penalty += (rank - K).clamp_min(0).sum().item()
        shared += (near_x[:, :, None] == near_y[:, None, :]).any(1).sum().item()
    return {
        "trust": 1 - 2 * penalty / (len(at) * K * (2 * n - 3 * K - 1)),
        "recall": shared / (len(at) * K),
    }


def search_quality(x: torch.Tensor, found: torch.Tensor, queries: int = 1000) -> dict[str, float]:
    """Recall of (n, k) indices that don't name the row itself, ties counted as found."""
    at = torch.randperm(len(x), generator=torch.Generator().manual_seed(1))[:queries]
    hits = 0
    for rows in at.split(100):
        d = others(x, rows)
        edge = d.topk(K, largest=False).values[:, -1:]
        hits += (
            (d.gather(1, found[rows.to(found.device)].to(x.device).long()) <= edge * (1 + 1e-4)).sum().item()
        )
    return {"recall": hits / (len(at) * K)}


class Board:
    def __init__(self, path: str):
        self.path, self.rows = path, []

    def add(
        self, task: str, who: str, n: int, work: Callable[[], object], quality: Callable[..., dict]
    ) -> None:
        try:
            first, made = timed(work)
            times = []
            for _ in range(REPEATS):
                seconds, made = timed(work)
                times.append(seconds)
            row = {
                "task": task, "who": who, "n": n, "first": first, "median": statistics.median(times),
                "low": min(times), "high": max(times), **quality(made),
            }  # fmt: skip
        except Exception as e:
            row = {"task": task, "who": who, "n": n, "failed": f"{type(e).__name__}: {str(e)[:200]}"}
        torch.cuda.empty_cache()
        self.rows.append(row)
        print(json.dumps({k: round(v, 4) if isinstance(v, float) else v for k, v in row.items()}), flush=True)
        Path(self.path).write_text(
            json.dumps({"device": torch.cuda.get_device_name(), "rows": self.rows}, indent=1)
        )

    def ratios(self) -> None:
        for row in self.rows:
            if row["who"].startswith("ours") or "median" not in row:
                continue
            for own in self.rows:
                if (
                    own["who"].startswith("ours")
                    and "median" in own
                    and (own["task"], own["n"]) == (row["task"], row["n"])
                ):
                    print(
                        f"{row['task']} {row['n']:,}: {own['who']} {row['median'] / own['median']:.1f}x {row['who']}"
                    )


def main() -> None:
    from workbench.numerics import neighbours_torch, umap_torch

    data, out = sys.argv[1:3]
    sizes = [int(s) for s in sys.argv[3:]] or [50_000, 1_000_000]
    held = np.load(data, mmap_mode="r")
    board = Board(out)
    everything = torch.from_numpy(np.array(held[: max(sizes)], dtype=np.float32)).cuda()
    torch.cuda.synchronize()
    for n in sizes:
        x = everything[:n].contiguous()
        board.add(
            "umap", "ours", n, lambda x=x: umap_torch.fit(x), lambda f, x=x: layout_quality(x, f.embedding)
        )
        sets = {"knn": x, "knn uniform": torch.rand(x.shape, device="cuda")} if n >= 500_000 else {"knn": x}
        for task, rows in sets.items():
            for search in ("bins", "exact", "clusters"):
                board.add(
                    task, f"ours {search}", n,
                    lambda x=rows, s=search: neighbours_torch.k_nearest(x, K, search=s, recall_rows=0),
                    lambda f, x=rows: search_quality(x, f.indices),
                )  # fmt: skip
        del sets, rows
    try:
        import cupy
        from cuml.manifold import UMAP
        from cuml.neighbors import NearestNeighbors

        def search(xg: cupy.ndarray, kind: str) -> cupy.ndarray:
            return (
                NearestNeighbors(n_neighbors=K + 1, algorithm=kind, output_type="cupy")
                .fit(xg)
                .kneighbors(xg)[1]
            )
    except ImportError as e:
        print("cuML can't be imported:", e)
    else:
        for n in sizes:
            x = everything[:n].contiguous()
            xg = cupy.asarray(x)
            board.add(
                "umap", "cuml", n,
                lambda xg=xg: UMAP(n_neighbors=K, output_type="numpy").fit_transform(xg),
                lambda y, x=x: layout_quality(x, torch.as_tensor(np.asarray(y)).cuda()),
            )  # fmt: skip
            for kind in ("brute", "ivfflat"):
                board.add(
                    "knn", f"cuml {kind}", n,
                    lambda xg=xg, kind=kind: search(xg, kind),
                    lambda i, x=x: search_quality(x, torch.as_tensor(i, device="cuda")[:, 1:]),
                )  # fmt: skip
            cupy.get_default_memory_pool().free_all_blocks()
    if min(sizes) <= 50_000:
        try:
            import umap
        except ImportError as e:
            print("umap-learn can't be imported:", e)
        else:
            n = min(sizes)
            x = everything[:n]
            rows = x.cpu().numpy()
            board.add(
                "umap", "umap-learn", n, lambda rows=rows: umap.UMAP(n_neighbors=K).fit_transform(rows),
                lambda y, x=x: layout_quality(x, torch.as_tensor(y).cuda()),
            )  # fmt: skip
    board.ratios()


if __name__ == "__main__":
    main()
