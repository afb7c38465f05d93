"""Forward hooks as context managers, which are gone when the block ends, however it ends; and where there is what to hook."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from workbench.core.errors import DataError, MissingError, suggest

if TYPE_CHECKING:
    import torch

ATTENTION = "#attention"
"""What a site's name ends in when it stands for a module's attention map rather than its output."""


@contextmanager
def hooked(
    module: torch.nn.Module, sites: Iterable[str], take: Callable[[str, torch.Tensor], Any] | None = None
) -> Iterator[dict[str, Any]]:
    """Catch what modules put out while the block runs.

    Parameters
    ----------
    sites : names from ``module.named_modules()``: the first tensor of the output. With ``#attention`` at the
        end of the name: the attention map, the second part of the output, (batch, heads, queries, keys).
    take : makes what is kept of a tensor, inside the forward pass; None keeps a copy, since the network may
        overwrite its own.

    Yields
    ------
    dict
        Site to what was kept, in the order of the forward pass. Clear it between passes.

    Raises
    ------
    MissingError
        There is no such module.
    DataError
        In the forward pass: a module puts out no tensor, or runs twice before the dictionary is cleared.
    """
    keep = take or (lambda _, tensor: tensor.detach().clone())
    known = dict(module.named_modules())
    caught: dict[str, Any] = {}
    handles = []
    try:
        for site in sites:
            name = site.removesuffix(ATTENTION)
            if name not in known:
                raise MissingError(f"The network has no module {name!r}. {suggest(name, known)}")
            handles.append(known[name].register_forward_hook(_hook(site, caught, keep)))
        yield caught
    finally:
        for handle in handles:
            handle.remove()


def _hook(site: str, caught: dict[str, Any], keep: Callable[[str, torch.Tensor], Any]) -> Callable[..., None]:
    find = attention_map if site.endswith(ATTENTION) else first_tensor

    def hook(module: torch.nn.Module, args: Any, output: Any) -> None:
        tensor = find(output)
        if tensor is None:
            what = "no attention map" if site.endswith(ATTENTION) else "no tensor"
            raise DataError(
                f"{site}: the module ({type(module).__name__}) puts out {what}. Choose another site."
            )
        if site in caught:
            raise DataError(
                f"{site} ran twice in one forward pass, so that it has no single output. Choose the modules around it."
            )
        caught[site] = keep(site, tensor)

    return hook


def as_array(tensor: torch.Tensor) -> np.ndarray:
    """A tensor's numbers; a view of them where it lies in memory that numpy knows."""
    import torch

    known = (
        tensor.dtype in (torch.float16, torch.float32, torch.float64) or not tensor.dtype.is_floating_point
    )
    return (tensor if known else tensor.float()).detach().cpu().numpy()


def first_tensor(output: Any) -> torch.Tensor | None:
    """The first tensor in an output, looking into tuples, lists and mappings (a model's output is one)."""
    import torch

    if isinstance(output, torch.Tensor):
        return output
    parts = (
        output.values() if hasattr(output, "values") else output if isinstance(output, tuple | list) else ()
    )
    return next((t for t in map(first_tensor, parts) if t is not None), None)


def attention_map(output: Any) -> torch.Tensor | None:
    """The first further part of a tuple that is (batch, heads, queries, keys) and whose rows are weights.

    T5's modules put out what they add to each score, in the same shape, before the weights.
    """
    parts = output[1:] if isinstance(output, tuple) else ()
    return next((part for part in parts if getattr(part, "ndim", 0) == 4 and _are_weights(part)), None)


def _are_weights(part: Any) -> bool:
    """Whether no number is negative, no row sums to more than one (in halves' precision), and not all are zero."""
    import torch

    if not isinstance(part, torch.Tensor):
        return False
    known = part.detach().float().nan_to_num()
    sums = known.sum(-1)
    return bool((known >= 0).all() and (sums <= 1.01).all() and sums.any())


def blocks(module: torch.nn.Module) -> list[str]:
    """Names of a network's blocks: what its outermost lists of modules hold, or its parts if it has none."""
    import torch

    holders = (torch.nn.ModuleList, torch.nn.Sequential)
    outermost: list[str] = []
    for name, part in module.named_modules():
        inside = any(held == "" or name.startswith(f"{held}.") for held in outermost)
        if isinstance(part, holders) and not inside:
            outermost.append(name)
    found = [
        f"{name}.{n}".lstrip(".")
        for name in outermost
        for n, _ in module.get_submodule(name).named_children()
    ]
    return found or [n for n, _ in module.named_children()]


@contextmanager
def eager_attention(module: torch.nn.Module) -> Iterator[None]:
    """Let transformers' modules compute attention maps, which their fused kernels don't give."""
    changed: list[tuple[Callable[[str], Any], str]] = []
    try:
        for part in module.modules():
            before = getattr(getattr(part, "config", None), "_attn_implementation", None)
            set_to = getattr(part, "set_attn_implementation", None)
            if callable(set_to) and isinstance(before, str) and before != "eager":
                changed.append((set_to, before))
                set_to("eager")
        yield
    finally:
        for set_to, before in reversed(changed):
            set_to(before)


@contextmanager
def evaluating(module: torch.nn.Module) -> Iterator[None]:
    """Have a module in evaluation mode inside the block, and afterwards in the mode that it was in."""
    modes = [(part, part.training) for part in module.modules()]
    module.eval()
    try:
        yield
    finally:
        for part, mode in modes:
            part.training = mode
