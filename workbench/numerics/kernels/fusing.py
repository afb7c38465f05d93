"""When a kernel may stand in for torch's own operations inside a network, and how it is differentiated twice."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib.util import find_spec

import torch
from torch import Tensor

from workbench.numerics.kernels.chunked import compiled

TYPES = (torch.float32, torch.bfloat16, torch.float16)


def fusable(x: Tensor) -> bool:
    """Whether Triton can take ``x``, and nothing looks at single operations."""
    # torch.func (vmap, grad) sees into torch's own operations only
    under_transform = torch._C._are_functorch_transforms_active()
    return compiled(x) and x.dtype in TYPES and find_spec("triton") is not None and not under_transform


def by_plain(
    plain: Callable[..., tuple[Tensor, ...]],
    given: Sequence[Tensor | None],
    of_outputs: Sequence[Tensor | None],
) -> list[Tensor | None]:
    """Gradients of ``plain(*given)`` that can be differentiated themselves; None where none is asked for."""
    with torch.enable_grad():
        made = plain(*given)
    ends = [(a, b) for a, b in zip(made, of_outputs, strict=True) if b is not None]
    asked = [part for part in given if part is not None and part.requires_grad]
    found = iter(
        torch.autograd.grad(
            [a for a, _ in ends], asked, [b for _, b in ends], create_graph=True, allow_unused=True
        )
    )
    return [next(found) if part is not None and part.requires_grad else None for part in given]
