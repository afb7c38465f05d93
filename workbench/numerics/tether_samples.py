"""What single samples contribute to a tether: gradients, squared gradients in expectation, pushes along a descent, dropped edges."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from workbench.core.errors import ViewError
from workbench.numerics.tethers import Place

if TYPE_CHECKING:
    import torch

ONE_BY_ONE = 1 << 15  # edges, up to which each is dropped alone; beyond, each unit is, and its edges share
NUMBERS = 1 << 25  # per-sample numbers that are held at once, on a CPU
CLASSES = 64  # of an answer, up to which the true Fisher information sums over all

Found = dict[str, "torch.Tensor"]


def contribution(
    place: Place, source: str, network: torch.nn.Module, x: Any, y: torch.Tensor, at: torch.Tensor
) -> Found:
    """What some samples contribute to a source, name to (m, ...) where the network lies."""
    import torch

    from workbench.numerics.attention_use import head_norms

    find = {
        "attention": head_norms,
        "dropout": _dropped,
        "fisher_true": _true_fisher,
        "movement_score": _pushes,
    }.get(source, _gradients)
    part = find(place, network, _rows(x, at), y[at])
    if source in ("fisher", "fisher_weight"):
        return {n: c.square() for n, c in part.items()}
    if source == "second_moment":
        return {n: torch.stack([c, c.square()], -1) for n, c in part.items()}
    return part


def at_once(place: Place, source: str, device: str) -> int:
    """How many samples are taken together."""
    room = NUMBERS if device == "cpu" else 16 * NUMBERS
    copies = 1 if source == "dropout" and place.size <= ONE_BY_ONE else 4
    return max(1, room // (copies * place.size))


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


def _gradients(
    place: Place, network: torch.nn.Module, x: Any, y: torch.Tensor, weights: Found | None = None
) -> Found:
    """Gradient of each sample's own loss, name to (m, ...)."""
    from workbench.numerics.objectives import loss_function

    return _each(network, list(place.weights), x, y, loss_function(_probe(place)), weights)


def _true_fisher(place: Place, network: torch.nn.Module, x: Any, y: torch.Tensor) -> Found:
    """Squared gradients of the log-likelihood, in expectation over the answers that the network itself gives."""
    import torch

    from workbench.numerics.objectives import output_of

    names = list(place.weights)
    with torch.no_grad():
        z = output_of(_call(network, x))
    if z.ndim != 2 or z.shape[1] > CLASSES:
        raise ViewError(
            f"The true Fisher information is summed over answers here, at most {CLASSES} of one sample; {place.name} gives the shape "
            f"{tuple(z.shape)} for {len(z)} samples. Ask for 'fisher'."
        )
    weigh, likelihood = TRUE_FISHER[_probe(place)]
    chances = weigh(z)
    out: Found = {}
    for k in range(chances.shape[1]):
        which = torch.full((len(z),), k, device=z.device)
        for n, g in _each(network, names, x, which, likelihood).items():
            c = chances[:, k].reshape(-1, *[1] * (g.ndim - 1)) * g.square()
            out[n] = out[n] + c if n in out else c
    return out


def _softmax(z: torch.Tensor) -> torch.Tensor:
    return z.softmax(1)


def _bernoulli(z: torch.Tensor) -> torch.Tensor:
    """Chances of the first output being 1, 0, the second being 1, 0, ..."""
    import torch

    p = z.sigmoid()
    return torch.stack([p, 1 - p], 2).flatten(1)


def _unit(z: torch.Tensor) -> torch.Tensor:
    import torch

    return torch.ones_like(z)


def _class(z: torch.Tensor, k: torch.Tensor) -> torch.Tensor:
    return z.log_softmax(-1).gather(-1, k.reshape(-1, 1)).sum()


def _bit(z: torch.Tensor, k: torch.Tensor) -> torch.Tensor:
    from torch.nn import functional as F

    chosen = z.gather(-1, (k // 2).reshape(-1, 1))
    return F.logsigmoid(chosen * (1 - 2 * (k % 2)).reshape(-1, 1)).sum()


def _output(z: torch.Tensor, k: torch.Tensor) -> torch.Tensor:
    """One output: Gaussian noise of unit variance gives the sum over outputs of squared derivatives."""
    return z.gather(-1, k.reshape(-1, 1)).sum()


TRUE_FISHER: dict[str, tuple[Callable[..., Any], Callable[..., Any]]] = {
    "cross_entropy": (_softmax, _class),
    "binary_cross_entropy": (_bernoulli, _bit),
    "mse": (_unit, _output),
    "half_squared_error": (_unit, _output),
}
"""Losses that are likelihoods: the weight of each possible answer, and the log-likelihood of one."""


def _pushes(place: Place, network: torch.nn.Module, x: Any, y: torch.Tensor) -> Found:
    """- gradient × weight at each kept step before, times the updates from it to the next."""
    import torch

    assert place.descent is not None and place.step is not None
    steps = [*map(int, place.earlier), place.step]
    out: Found = {}
    for step, after in itertools.pairwise(steps):
        held = place.descent.weights(step)
        own = dict(network.named_parameters())
        # all weights of that step, biases too
        weights = {n: torch.as_tensor(np.array(held[n])).to(own[n]) for n in held}
        for n, g in _gradients(place, network, x, y, weights).items():
            c = -(after - step) * g * weights[n]
            out[n] = out[n] + c if n in out else c
    return out


def _dropped(place: Place, network: torch.nn.Module, x: Any, y: torch.Tensor) -> Found:
    """Rise of each sample's loss without an edge, (m, ...).

    Up to `ONE_BY_ONE` edges, each is dropped alone. Beyond, all that a unit feeds into a layer is dropped (a column of
    W), and its edges share the rise in proportion to |w|.
    """
    import torch

    whole = place.size <= ONE_BY_ONE
    own = {n: p.detach() for n, p in network.named_parameters()}
    evaluate = _losses(place, network, x, y)
    with torch.no_grad():
        base = evaluate({})
        out: Found = {}
        for name in place.weights:
            w = own[name]
            units = torch.arange(w.numel() if whole else w.shape[1], device=w.device)
            column = torch.arange(w.numel(), device=w.device).reshape(w.shape)
            if not whole:
                column = units.reshape(1, -1, *[1] * (w.ndim - 2)).expand(w.shape)

            def without(
                i: torch.Tensor, name: str = name, w: torch.Tensor = w, column: torch.Tensor = column
            ) -> Any:
                return evaluate({name: torch.where(column == i, torch.zeros_like(w), w)})

            chunk = max(1, NUMBERS // (8 * max(w.numel(), len(y) * 64)))
            rise = (torch.func.vmap(without, chunk_size=chunk)(units) - base).T  # (m, units)
            if whole:
                out[name] = rise.reshape(len(y), *w.shape)
            else:
                size = w.abs()
                total = size.sum([d for d in range(w.ndim) if d != 1], keepdim=True)
                share = size / torch.where(total > 0, total, 1)
                out[name] = rise.reshape(len(y), 1, -1, *[1] * (w.ndim - 2)) * share
    return out


def _losses(
    place: Place, network: torch.nn.Module, x: Any, y: torch.Tensor
) -> Callable[[Found], torch.Tensor]:
    """A function of changed weights to each sample's loss, (m,)."""
    import torch

    from workbench.numerics.objectives import loss_function, output_of

    compare = loss_function(_probe(place))

    def one(z: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return compare(z.unsqueeze(0), y.unsqueeze(0))

    def evaluate(weights: Found) -> torch.Tensor:
        z = output_of(call_with(network, weights, x))
        return torch.func.vmap(one)(z, y)

    return evaluate


def _each(
    network: torch.nn.Module,
    names: list[str],
    x: Any,
    y: torch.Tensor,
    compare: Callable[..., Any],
    weights: Found | None = None,
) -> Found:
    """Gradients of ``compare(answer, y)`` of every sample alone."""
    import torch

    own = {n: p.detach() for n, p in network.named_parameters()} | (weights or {})
    asked = {n: own.pop(n) for n in names}

    def loss(asked: Found, x: Any, y: torch.Tensor) -> torch.Tensor:
        alone = {k: v.unsqueeze(0) for k, v in x.items()} if isinstance(x, Mapping) else x.unsqueeze(0)
        return compare(call_with(network, {**own, **asked}, alone), y.unsqueeze(0))

    gradient = torch.func.grad(loss)
    try:
        return torch.func.vmap(gradient, (None, 0, 0))(asked, x, y)
    except (RuntimeError, ValueError, NotImplementedError) as e:
        if isinstance(e, torch.OutOfMemoryError):
            raise
        # a forward pass that looks at its numbers (masks of some transformers) takes one sample at a time
        found = [gradient(asked, _rows(x, i), y[i]) for i in range(len(y))]
        return {n: torch.stack([f[n] for f in found]) for n in names}


def _rows(x: Any, at: Any) -> Any:
    return {k: v[at] for k, v in x.items()} if isinstance(x, Mapping) else x[at]


def _call(network: torch.nn.Module, x: Any) -> Any:
    return network(**x) if isinstance(x, Mapping) else network(x)


def call_with(network: torch.nn.Module, weights: Found, x: Any) -> Any:
    """What a network gives with other weights."""
    import torch

    args, kwargs = ((), dict(x)) if isinstance(x, Mapping) else ((x,), {})
    return torch.func.functional_call(network, weights, args, kwargs)


def _probe(place: Place) -> str:
    assert place.probe is not None
    return place.probe.loss
