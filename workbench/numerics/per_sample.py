"""Losses and gradients of single samples of a probe."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch

from workbench.core.errors import DataError
from workbench.numerics.device import memory_budget
from workbench.numerics.objectives import Probe, loss_function, output_of

if TYPE_CHECKING:
    from jaxtyping import Float, Int
    from torch import Tensor

COPIES = 3  # of all gradients that are alive at once: vmap's own, its result, and what is computed from it


class SampleGradients(NamedTuple):
    """One gradient a sample.

    Attributes
    ----------
    by_name : parameter to (n, size), on the network's device.
    one_by_one : why samples were taken one by one; "" where `torch.func.vmap` took them at once.
    """

    by_name: dict[str, Float[Tensor, "n d"]]
    one_by_one: str


def subset(probe: Probe, rows: Int[np.ndarray, " m"]) -> Probe:
    """The probe of some of its samples."""
    x = {k: v[rows] for k, v in probe.x.items()} if isinstance(probe.x, Mapping) else probe.x[rows]
    return Probe(x, probe.y[rows], probe.loss)


def answers(network: torch.nn.Module, probe: Probe) -> Tensor:
    """What the network gives for the probe, (n, ...) or whatever it gives for a whole batch."""
    x, _ = probe.tensors(network)
    return output_of(network(**x) if isinstance(x, Mapping) else network(x))


def sample_losses(network: torch.nn.Module, probe: Probe) -> Float[Tensor, " n"]:
    """Loss of each sample on its own, that can be differentiated.

    Their mean is the probe's loss, except for ``next_token`` where samples have unequally many tokens that count. A
    network that computes its loss itself is called with one sample at a time.
    """
    compare = loss_function(probe.loss)
    given = answers(network, probe)
    if given.ndim == 0 or len(given) != len(probe):
        return torch.stack([subset(probe, np.array([i])).evaluate(network) for i in range(len(probe))])
    y = probe.tensors(network)[1]
    return torch.func.vmap(lambda z, t: compare(z[None], t[None]))(given, y)


def sample_gradients(network: torch.nn.Module, probe: Probe, names: Sequence[str]) -> SampleGradients:
    """Gradient of each sample's loss in the parameters ``names``.

    All samples at once by `torch.func.vmap`; one by one where it can't, since the network's forward pass depends on
    values (``.item()``, ``if`` on a tensor), changes buffers in place or has an operation without a batching rule. Memory
    is the number of samples times the number of entries, three times over; beyond what is free it is refused.

    Raises
    ------
    DataError
        With how many samples would fit.
    """
    parameters = dict(network.named_parameters())
    chosen = {n: parameters[n].detach() for n in names}
    rest = {n: t.detach() for n, t in (*parameters.items(), *network.named_buffers()) if n not in chosen}
    first = next(iter(chosen.values()))
    entries = sum(p.numel() for p in chosen.values())
    fits = memory_budget(first.device) // (COPIES * entries * first.element_size())
    if len(probe) > fits:
        raise DataError(
            f"Gradients of {len(probe):,} samples in {entries:,} parameters need more memory than there is: {fits:,} samples fit. "
            f"Lower max_samples to that, or ask about fewer layers (layers=)."
        )
    x, y = probe.tensors(network)
    gradients, reason = gradients_of(loss_function(probe.loss), network, chosen, rest, x, y)
    return SampleGradients({n: g.reshape(len(probe), -1) for n, g in gradients.items()}, reason)


def gradients_of(
    compare: Callable[[Any, Tensor], Tensor],
    network: torch.nn.Module,
    free: dict[str, Tensor],
    fixed: dict[str, Tensor],
    x: Any,
    y: Tensor,
) -> tuple[dict[str, Tensor], str]:
    """Gradients of ``compare(answer, y)`` of every sample alone in the tensors ``free``, and why one by one if so.

    ``fixed`` are the network's other parameters and buffers, or what stands in their place. Each gradient is (m, ...).
    """

    def loss(free: dict[str, Tensor], x: Any, y: Tensor) -> Tensor:
        args, kwargs = (
            ((), {k: v[None] for k, v in x.items()}) if isinstance(x, Mapping) else ((x[None],), {})
        )
        return compare(torch.func.functional_call(network, {**fixed, **free}, args, kwargs), y[None])

    gradient = torch.func.grad(loss)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings(
                "ignore", "There is a performance drop"
            )  # it goes one by one inside, by itself
            return torch.func.vmap(gradient, (None, 0, 0))(free, x, y), ""
    except (RuntimeError, ValueError, NotImplementedError) as e:
        if isinstance(e, torch.OutOfMemoryError):
            raise
        # a forward pass that looks at its numbers (masks of some transformers) takes one sample at a time
        return _one_by_one(gradient, free, x, y), str(e).strip().split("\n")[0]


def _one_by_one(gradient: Any, free: dict[str, Tensor], x: Any, y: Tensor) -> dict[str, Tensor]:
    out = {n: p.new_empty((len(y), *p.shape)) for n, p in free.items()}
    for i in range(len(y)):
        one = {k: v[i] for k, v in x.items()} if isinstance(x, Mapping) else x[i]
        for n, g in gradient(free, one, y[i]).items():
            out[n][i] = g
    return out


@contextmanager
def outputs_of(network: torch.nn.Module, names: Sequence[str]) -> Iterator[dict[str, Tensor]]:
    """Collect what modules give inside the block, name to its last output; hooks are removed at the end."""
    outputs: dict[str, Tensor] = {}

    def keep(name: str) -> Any:
        def hook(module: Any, given: Any, out: Any) -> None:
            tensor = output_of(out)
            if isinstance(tensor, torch.Tensor):
                outputs[name] = tensor.detach()

        return hook

    modules = dict(network.named_modules())
    handles = [modules[n].register_forward_hook(keep(n)) for n in names]
    try:
        yield outputs
    finally:
        for handle in handles:
            handle.remove()
