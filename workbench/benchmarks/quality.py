"""What an answer is worth, measured for all contenders by the same code."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch

if TYPE_CHECKING:
    from jaxtyping import Float, Int
    from torch import Tensor

K = 15
QUERIES = 2000
_AT_ONCE = 100


def tensor(x: Any, device: str | torch.device) -> Tensor:
    """Return whatever array a contender gives as a tensor on the device."""
    if hasattr(x, "get") and hasattr(x, "device"):  # CuPy's
        x = x.get()
    return x.to(device) if isinstance(x, torch.Tensor) else torch.as_tensor(np.asarray(x), device=device)


def layout(x: Float[Tensor, "n d"], y: Float[Tensor, "n c"]) -> dict[str, float]:
    """Trustworthiness and recall at 15 of up to 2,000 rows of a layout against all, exact."""
    n, k = len(x), min(K, (len(x) - 1) // 2)
    at = _some(n, QUERIES, 0)
    penalty = shared = 0.0
    for rows in at.split(_AT_ONCE):
        dx, dy = _others(x, rows), _others(y.float(), rows)
        near_x, near_y = (d.topk(k, largest=False).indices for d in (dx, dy))
        chosen = dx.gather(1, near_y)
        rank = torch.stack([(dx < chosen[:, j : j + 1]).sum(1) + 1 for j in range(k)], 1)
        penalty += (rank - k).clamp_min(0).sum().item()
        shared += (near_x[:, :, None] == near_y[:, None, :]).any(1).sum().item()
    return {
        "trust": 1 - 2 * penalty / (len(at) * k * (2 * n - 3 * k - 1)),
        "recall": shared / (len(at) * k),
    }


def search(x: Float[Tensor, "n d"], found: Int[Tensor, "n k"]) -> dict[str, float]:
    """Recall of neighbours that don't name the row itself, on 1,000 rows; ties count as found."""
    at = _some(len(x), QUERIES // 2, 1)
    hits = 0.0
    for rows in at.split(_AT_ONCE):
        d = _others(x, rows)
        edge = d.topk(found.shape[1], largest=False).values[:, -1:]
        near = found[rows.to(found.device)].to(x.device).long()
        hits += (d.gather(1, near) <= edge * (1 + 1e-4)).sum().item()
    return {"recall": hits / (len(at) * found.shape[1])}


def bars_equal(a: np.ndarray, b: np.ndarray) -> bool:
    """Whether two barcodes (m, 3) are the same to float32 rounding, bars of no length left out."""
    a, b = (_sorted(bars) for bars in (a, b))
    return a.shape == b.shape and bool(np.allclose(a, b, rtol=2e-6, atol=1e-6))


def _sorted(bars: np.ndarray) -> np.ndarray:
    bars = np.asarray(bars, np.float32)
    bars = bars[bars[:, 0] < bars[:, 1]]
    return bars[np.lexsort((bars[:, 1], bars[:, 0], bars[:, 2]))]


def _some(n: int, most: int, seed: int) -> Tensor:
    return torch.randperm(n, generator=torch.Generator().manual_seed(seed))[:most]


def _others(x: Tensor, rows: Tensor) -> Tensor:
    gap = torch.cdist(x[rows.to(x.device)], x)
    gap[torch.arange(len(rows)), rows] = torch.inf
    return gap
