"""Tethers by a source: of all samples, of several choices of samples at once, or the contributions of single ones."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from workbench.core.errors import DataError, ViewError, WorkbenchError
from workbench.numerics.tethers.place import Place, Tensors, at_network
from workbench.numerics.tethers.source import Contributions, Sampled, Unsampled
from workbench.numerics.tethers.sources import SOURCES, require_source

if TYPE_CHECKING:
    import torch
    from jaxtyping import Float

NUMBERS = 1 << 25  # per-sample numbers that are held at once, on a CPU


def tether(
    place: Place | torch.nn.Module,
    source: str,
    *,
    samples: np.ndarray | None = None,
    random_state: int = 0,
    device: str = "cpu",
) -> Tensors:
    """How much each edge is to be held on to, by one source.

    Parameters
    ----------
    place : from `at_step` or `at_network`; a bare module will do for ``magnitude``, ``random`` and ``centrality``.
    source : a name from `SOURCES`. Those in `SAMPLED` need network and probe (``movement_score`` also earlier weights),
        ``movement`` a descent with earlier weights, ``adam`` a descent recorded with ``optimizer_state=True``.
    samples : positions of the probe's samples that count; None for all of them.

    Returns
    -------
    dict
        Each layer's tether, float64 and not negative, in the layer's shape. ``attention`` has the layers of heads only.

    Raises
    ------
    ParameterError
        There is no such source.
    ViewError, MissingError, DataError
        The source needs something that isn't there, or can't be had of such a network; the text says what.
    """
    method = SOURCES[require_source(source)]
    place = place if isinstance(place, Place) else at_network(place)
    if isinstance(method, Unsampled):
        return method.compute(place, random_state)
    require(place, source)
    assert place.probe is not None
    n = len(place.probe)
    counts = np.ones(n) if samples is None else np.bincount(np.asarray(samples, np.int64), minlength=n)
    return resampled(place, source, counts[None], device=device)[0]


def require(place: Place, source: str) -> None:
    """Refuse a source whose needs aren't met here, without computing anything.

    Raises
    ------
    ViewError, MissingError
        With what is lacking and how to get it.
    """
    method = SOURCES[source]
    lacks = []
    if isinstance(method, Sampled):
        if place.network is None:
            lacks.append("its network (.with_model(module))")
        if place.probe is None:
            lacks.append("a probe (.with_probe(x, y, loss), or at_network(module, Probe.of(...)))")
    if lacks:
        raise ViewError(
            f"{place.name} lacks {' and '.join(lacks)}, which the tether source {source!r} needs."
        )
    method.require(place)


def available(place: Place) -> dict[str, str]:
    """Why each source can't be had here; those that can are left out.

    Looks at what is there, and computes nothing.
    """
    lacking = {}
    for source in SOURCES:
        try:
            require(place, source)
        except WorkbenchError as e:
            lacking[source] = str(e)
    return lacking


def resampled(
    place: Place, source: str, counts: Float[np.ndarray, "b n"], *, device: str = "cpu"
) -> list[Tensors]:
    """The tethers of several choices of the probe's samples, for the price of one where choices overlap.

    Parameters
    ----------
    source : one of `SAMPLED`.
    counts : how often each of the probe's n samples counts, one line a choice.
    """
    import torch

    method = _sampled(source)
    used = np.flatnonzero(counts.any(0))
    sums = _batch_sums(place, method, counts, used, device) if method.sums is not None else None
    if sums is None:
        sums, done = {}, 0
        for part in _parts(place, source, used, device):
            first = next(iter(part.values()))
            share = torch.tensor(
                counts[:, used[done : done + len(first)]], dtype=torch.float64, device=first.device
            )
            done += len(first)
            for name, c in part.items():
                weighted = (share @ c.double().flatten(1)).reshape(-1, *c.shape[1:])
                sums[name] = sums[name] + weighted if name in sums else weighted
    total = counts.sum(1)
    means = {name: s.cpu().numpy() for name, s in sums.items()}
    weights = {name: place.weights[name].astype(np.float64) for name in means}
    return [
        method.of_mean(weights, {n: m[i] / total[i] for n, m in means.items()}) for i in range(len(counts))
    ]


def contributions(
    place: Place, source: str, *, samples: np.ndarray | None = None, device: str = "cpu"
) -> Iterator[dict[str, np.ndarray]]:
    """What single samples contribute to a source, some samples at a time: name to (m, ...) float32 or float64.

    Raises
    ------
    ViewError
        Network, probe or whatever else the source needs isn't there.
    DataError
        No samples, or a contribution that isn't finite.
    """
    require(place, require_source(source))
    for part in _parts(place, source, samples, device):
        yield {n: c.cpu().numpy() for n, c in part.items()}


def _parts(place: Place, source: str, samples: np.ndarray | None, device: str) -> Iterator[Contributions]:
    """As `contributions`, where they are computed."""
    import torch

    from workbench.numerics.tethers.samples import of_samples, plain_attention

    method = _sampled(source)
    assert place.network is not None and place.probe is not None
    network = place.network.to(device)
    room = NUMBERS if device == "cpu" else 16 * NUMBERS
    together = max(1, room // (method.copies(place) * place.size))
    try:
        with plain_attention():
            x, y = place.probe.tensors(network)
            at = torch.arange(len(y)) if samples is None else torch.as_tensor(np.asarray(samples, np.int64))
            if not len(at):
                raise DataError(f"{place.name}: no samples to compute {source!r} on.")
            for some in at.to(y.device).split(together):
                part = method.contribute(place, network, of_samples(x, some), y[some])
                for n, c in part.items():
                    # a look at each number costs as much as the gradients, and a sum of them that is finite says as much
                    if not torch.isfinite(c.sum()) and not torch.isfinite(c).all():
                        raise _not_finite(place, source, n)
                yield {n: c.detach() for n, c in part.items()}
    finally:
        network.to("cpu")


def _batch_sums(
    place: Place, method: Sampled, counts: np.ndarray, used: np.ndarray, device: str
) -> Contributions | None:
    """The contributions of the samples that are used, added up all at once; None where the source can't."""
    import torch

    from workbench.numerics.tethers.samples import of_samples

    assert place.network is not None and place.probe is not None and method.sums is not None
    network = place.network.to(device)
    try:
        x, y = place.probe.tensors(network)
        share = torch.as_tensor(counts, dtype=torch.float64).to(y.device)
        if len(used) < len(y):
            at = torch.as_tensor(used).to(y.device)
            x, y, share = of_samples(x, at), y[at], share[:, at]
        sums = method.sums(place, network, x, y, share) if len(used) else None
        # where something isn't finite, the samples one by one say of what
        return (
            sums if sums is not None and all(bool(torch.isfinite(s).all()) for s in sums.values()) else None
        )
    finally:
        network.to("cpu")


def _not_finite(place: Place, source: str, layer: str) -> DataError:
    return DataError(
        f"{place.name}: {source!r} of {layer} isn't finite on the probe. Ask about a step before it diverged."
    )


def _sampled(source: str) -> Sampled:
    method = SOURCES[source]
    if not isinstance(method, Sampled):
        raise TypeError(f"{source} looks at no samples; tether(place, {source!r}) is all there is to ask")
    return method
