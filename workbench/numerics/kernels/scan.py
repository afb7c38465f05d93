"""The selective scan: the choice between plain torch and Triton."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from workbench.numerics.kernels.fusing import fusable
from workbench.numerics.kernels.scan_plain import CHUNK, scan_reference

if TYPE_CHECKING:
    from jaxtyping import Float

MOST_STATES = 256  # that the kernels take


def scan(
    x: Float[torch.Tensor, "b t h p"],
    log_decay: Float[torch.Tensor, "b t h"],
    weight: Float[torch.Tensor, "b t h"],
    B: Float[torch.Tensor, "b t g n"],
    C: Float[torch.Tensor, "b t g n"],
    *,
    state: Float[torch.Tensor, "b h p n"] | None = None,
    skip: Float[torch.Tensor, " h"] | None = None,
    chunk: int | None = None,
) -> tuple[Float[torch.Tensor, "b t h p"], Float[torch.Tensor, "b h p n"]]:
    """Scan a sequence of any length in chunks: on a GPU by Triton, elsewhere as `scan_reference` does, which says what is taken.

    ``chunk`` is chosen if it isn't given. The kernels take float32, bfloat16 and float16, and states of at most 256 numbers; of the
    two of lower precision they round what enters a product, and sum and hand on states within a segment in float32.
    """
    if fusable(x) and x.numel() and B.shape[-1] <= MOST_STATES:
        from workbench.numerics.kernels.scan_launches import scan_triton

        return scan_triton(x, log_decay, weight, B, C, state, skip, chunk)
    return scan_reference(x, log_decay, weight, B, C, state=state, skip=skip, chunk=chunk or CHUNK)
