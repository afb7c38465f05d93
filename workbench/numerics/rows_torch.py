"""Rows made ready for comparison on a device: scaled for their metric, streamed or held, and in half precision."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np
import torch

from workbench.core.errors import DataError
from workbench.numerics.kernels import knn
from workbench.numerics.near_origin import far_centre

if TYPE_CHECKING:
    from jaxtyping import Float, Int32
    from torch import Tensor

Metric = Literal["euclidean", "cosine", "correlation", "inner_product"]
_HALF_TOP = 4096.0  # fp16 holds rows scaled to this maximum with the widest range below it


def ready_rows(x: Tensor | np.ndarray, metric: Metric, device: torch.device) -> Float[Tensor, "n d"]:
    """All rows on the device in float32, as `k_nearest` compares them: of unit length for an angle."""
    return Rows(x, metric, device).hold()


class Rows:
    """Rows on the device or streamed to it, made ready so that a squared distance or a product ranks them."""

    def __init__(self, x: Tensor | np.ndarray, metric: str, device: torch.device, beside: Rows | None = None):
        """``beside``: the rows that these are compared with, which decide where both are moved to."""
        if x.ndim != 2:
            raise DataError(f"rows must be a table (n, d), not of shape {tuple(x.shape)}")
        self.x, self.metric, self.device = x, metric, device
        self.n, self.d = int(x.shape[0]), int(x.shape[1])
        self.dot = metric != "euclidean"
        self._held: Tensor | None = None
        self._centre: Tensor | None = None
        if beside is not None:
            self._centre = beside._centre
        elif metric == "euclidean" and (centre := far_centre(x)) is not None:
            self._centre = torch.from_numpy(centre).to(device)

    def hold(self) -> Tensor:
        """All rows on the device, float32."""
        if self._held is None:
            self._held = self.rows(0, self.n)
        return self._held

    def rows(self, start: int, stop: int) -> Tensor:
        if self._held is not None:
            return self._held[start:stop]
        return self._ready(self.x[start:stop])

    def at(self, positions: Tensor) -> Tensor:
        if self._held is not None:
            return self._held[positions.to(self.device)]
        if isinstance(self.x, torch.Tensor):
            return self._ready(self.x[positions.to(self.x.device)])
        return self._ready(self.x[positions.cpu().numpy()])

    def _ready(self, part: Tensor | np.ndarray) -> Tensor:
        if not isinstance(part, torch.Tensor):
            part = torch.from_numpy(np.array(part))
        rows = part.to(self.device)
        if self._centre is not None:
            rows = rows.double() - self._centre
        elif self.metric == "correlation" and rows.dtype == torch.float64:
            rows = rows - rows.mean(1, keepdim=True)
        rows = rows.float().contiguous()
        if not torch.isfinite(rows.sum()) and not torch.isfinite(rows).all():
            raise DataError("rows must be finite in float32; drop or fill the others")
        if self.metric == "correlation":
            rows = rows - rows.mean(1, keepdim=True)
        if self.metric in ("cosine", "correlation"):
            length = rows.norm(dim=1, keepdim=True)
            top = part.to(self.device).abs().amax(1, keepdim=True).float()
            exact = self.metric == "correlation" and part.dtype == torch.float64
            real = length > 4 * torch.finfo(torch.float64 if exact else torch.float32).eps * top
            rows = torch.where(real, rows / torch.where(real, length, 1.0), 0.0)
        return rows

    def scale(self, d: Tensor) -> Tensor:
        """What ranks (a squared distance or a negative product) on the metric's own scale."""
        if self.metric == "euclidean":
            return d.sqrt()
        return d if self.metric == "inner_product" else (1 + d).clamp_min(0)


def rows_at_once(d: int) -> int:
    """How many rows of ``d`` numbers are worked on at a time: 128 MiB of them."""
    return max(1, (1 << 25) // max(d, 1))


def slices(n: int, step: int) -> list[slice]:
    """Return consecutive slices of ``step`` that cover ``n``."""
    return [slice(s, min(s + step, n)) for s in range(0, n, step)]


def shuffled(n: int, seed: int, device: torch.device) -> Int32[Tensor, " n"]:
    """Return the numbers below ``n`` in a random order, the same for a seed and kind of device."""
    g = torch.Generator(device).manual_seed(seed)
    return torch.randperm(n, generator=g, device=device).int()


def half_rows(
    rows: Tensor, order: Tensor, shift: Tensor, factor: Tensor, norms: bool
) -> tuple[Tensor, Tensor]:
    """Rows in the given order as fp16, padded to whole spans, and half their squared length (or 0).

    Padding, also an ``order`` of -1, gets a length that no search finds.
    """
    n, d = len(order), rows.shape[1]
    padded, wide = -(-n // knn.SPAN) * knn.SPAN, -(-d // 64) * 64
    out = torch.zeros((padded, wide), dtype=torch.float16, device=rows.device)
    norm = torch.full((padded,), 1e30, device=rows.device)
    for part in slices(n, rows_at_once(d)):
        at = order[part]
        out[part, :d] = ((rows[at.clamp_min(0)] - shift) * factor).half()
        length = out[part].float().square().sum(1) / 2 if norms else torch.zeros(len(at), device=rows.device)
        norm[part] = torch.where(at >= 0, length, 1e30)
    return out, norm


def centre_and_factor(base: Rows, rows: Tensor) -> tuple[Tensor, Tensor]:
    """What to subtract from rows and multiply them by, so that half precision holds them best."""
    shift = torch.zeros(base.d, device=rows.device)
    if base.metric == "euclidean":
        some = rows[:: max(1, len(rows) // 65536)]
        shift = sum((some[part].sum(0) for part in slices(len(some), 4096)), shift) / len(some)
    low, high = torch.aminmax(rows)
    reach = torch.maximum(high, -low) + shift.abs().amax()
    return shift, torch.where(reach > 0, _HALF_TOP / reach.clamp_min(1e-30), 1.0)
