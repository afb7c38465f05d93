"""Gradients and losses of a network's single samples, with its own weights or others."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from workbench.numerics.tethers.place import Place
from workbench.numerics.tethers.source import Contributions

if TYPE_CHECKING:
    import torch

Weights = dict[str, "torch.Tensor"]


@contextmanager
def plain_attention() -> Iterator[None]:
    """Let attention be computed inside the block by operations that vmap has rules for."""
    import torch
    from torch.nn.attention import SDPBackend, sdpa_kernel

    fused = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with sdpa_kernel(SDPBackend.MATH):
            yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fused)


def gradients(
    place: Place, network: torch.nn.Module, x: Any, y: torch.Tensor, weights: Weights | None = None
) -> Contributions:
    """Gradient of each sample's own loss, layer to (m, ...); with other weights where they are given."""
    from workbench.numerics.objectives import loss_function

    return gradients_of(loss_function(place.loss), network, list(place.weights), x, y, weights)


def gradients_of(
    compare: Callable[..., Any],
    network: torch.nn.Module,
    names: list[str],
    x: Any,
    y: torch.Tensor,
    weights: Weights | None = None,
) -> Contributions:
    """Gradients of ``compare(answer, y)`` in the parameters ``names``, of every sample alone."""
    from workbench.numerics import per_sample

    fixed = {n: p.detach() for n, p in network.named_parameters()} | (weights or {})
    free = {n: fixed.pop(n) for n in names}
    return per_sample.gradients_of(compare, network, free, fixed, x, y)[0]


def losses_of(
    place: Place, network: torch.nn.Module, x: Any, y: torch.Tensor
) -> Callable[[Weights], torch.Tensor]:
    """A function of changed weights to each sample's loss, (m,)."""
    import torch

    from workbench.numerics.objectives import loss_function, output_of

    compare = loss_function(place.loss)

    def one(z: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return compare(z.unsqueeze(0), y.unsqueeze(0))

    def evaluate(weights: Weights) -> torch.Tensor:
        z = output_of(call_with(network, weights, x))
        return torch.func.vmap(one)(z, y)

    return evaluate


def of_samples(x: Any, at: Any) -> Any:
    """Some of a batch's samples, or one."""
    return {k: v[at] for k, v in x.items()} if isinstance(x, Mapping) else x[at]


def call(network: torch.nn.Module, x: Any) -> Any:
    """What a network gives for a batch, several inputs by name."""
    return network(**x) if isinstance(x, Mapping) else network(x)


def call_with(network: torch.nn.Module, weights: Weights, x: Any) -> Any:
    """What a network gives with other weights."""
    import torch

    args, kwargs = ((), dict(x)) if isinstance(x, Mapping) else ((x,), {})
    return torch.func.functional_call(network, weights, args, kwargs)
