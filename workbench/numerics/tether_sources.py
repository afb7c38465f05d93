"""Where tethers come from: contributions of single samples and what is made of their mean, and sources without samples.

References
----------
Empirical and true Fisher information: Kunstner, Hennig and Balles 2019, Limitations of the empirical Fisher
approximation, NeurIPS, eq. 2 and 3. Its product with w²: Theis, Korshunova, Tejani and Huszár 2018, Faster gaze
prediction with dense networks and Fisher pruning, eq. 8. Gradient × weight: Lee, Ajanthan and Torr 2019, SNIP, ICLR,
eq. 5. Movement score: Sanh, Wolf and Rush 2020, Movement pruning, NeurIPS, eq. 3. Second moment: Kingma and Ba 2015,
Adam, ICLR. Norms of heads: Kobayashi, Kuribayashi, Yokoi and Inui 2020, Attention is not only a weight, EMNLP, eq. 3.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING

import numpy as np

from workbench.core.errors import DataError, MissingError, ViewError
from workbench.numerics.tethers import SAMPLED, Place, Tensors, require_source

if TYPE_CHECKING:
    import torch
    from jaxtyping import Float

    from workbench.numerics.tether_samples import Found

BATCH = 32  # of the estimated second moment
DAMPING = 0.85


# -- what a source needs ------------------------------------------------------------------------------


def require(place: Place, source: str) -> None:
    """Refuse a source whose needs aren't met here, without computing anything.

    Raises
    ------
    ViewError, MissingError
        With what is lacking and how to get it.
    """
    from workbench.numerics.attention_use import heads_of
    from workbench.numerics.tether_samples import TRUE_FISHER

    if source in SAMPLED and (place.network is None or place.probe is None):
        lacks = " and ".join(
            (["its network (.with_model(module))"] if place.network is None else [])
            + (
                ["a probe (.with_probe(x, y, loss), or at_network(module, Probe.of(...)))"]
                if place.probe is None
                else []
            )
        )
        raise ViewError(f"{place.name} lacks {lacks}, which the tether source {source!r} needs.")
    if source in ("movement", "movement_score") and not len(place.earlier):
        raise ViewError(
            f"{place.name} has no weights at a step before {place.step}, which the tether source {source!r} needs: it compares "
            f"with where the descent began. Ask about a later step, or record with weights_at=."
        )
    if source == "adam":
        _exp_avg_sq(place)
    if source == "attention" and place.network is not None and not heads_of(place.network):
        raise ViewError(
            f"{place.name} is a {type(place.network).__name__} without attention that is known here (nn.MultiheadAttention, or "
            f"projections named as in BERT or Llama), so that the tether source 'attention' has nothing to measure."
        )
    if source == "fisher_true" and place.probe is not None and place.probe.loss not in TRUE_FISHER:
        raise ViewError(
            f"The true Fisher information needs a loss that is a likelihood with one answer a sample ({', '.join(TRUE_FISHER)}); "
            f"{place.name} has {place.probe.loss}. Ask for 'fisher'."
        )
    if source == "centrality":
        _require_plain(place)


def _exp_avg_sq(place: Place) -> Tensors:
    advice = "Record with optimizer_state=True and an Adam, or ask for 'second_moment', which estimates it on the probe."
    if place.descent is None or place.step is None:
        raise MissingError(f"{place.name} is no recorded descent, and has no optimizer state. {advice}")
    held = place.descent.trajectory.optimizer_state(place.step)
    found = {
        n: np.asarray(held[n]["exp_avg_sq"], np.float64)
        for n in place.weights
        if "exp_avg_sq" in held.get(n, {})
    }
    if len(found) < len(place.weights):
        lack = next(n for n in place.weights if n not in found)
        raise MissingError(f"{place.name} has no second moment of {lack} at step {place.step}. {advice}")
    return found


def _require_plain(place: Place) -> None:
    """A graph of units needs every weight of a layer to join one of its inputs to one of its outputs."""
    if place.network is None:
        return
    for name, module in place.network.named_modules():
        if getattr(module, "transposed", False) and f"{name}.weight" in place.weights:
            raise ViewError(
                f"{name} is a transposed convolution, whose weight lists inputs before outputs: the tether source 'centrality' "
                f"doesn't draw its graph. Ask for another source."
            )
        if getattr(module, "groups", 1) != 1 and f"{name}.weight" in place.weights:
            raise ViewError(
                f"{name} is a convolution in {module.groups} groups, whose units aren't joined all with all: the tether source "
                f"'centrality' doesn't draw its graph. Ask for another source."
            )


# -- sources without samples --------------------------------------------------------------------------


def _magnitude(place: Place, random_state: int) -> Tensors:
    return {n: np.abs(w.astype(np.float64)) for n, w in place.weights.items()}


def _random(place: Place, random_state: int) -> Tensors:
    rng = np.random.default_rng([random_state, 0x72616E64])
    return {n: rng.random(w.shape) for n, w in place.weights.items()}


def _movement(place: Place, random_state: int) -> Tensors:
    require(place, "movement")
    assert place.descent is not None
    start = place.descent.weights(int(place.earlier[0]))
    return {n: np.abs(w.astype(np.float64) - start[n].astype(np.float64)) for n, w in place.weights.items()}


def _adam(place: Place, random_state: int) -> Tensors:
    return _exp_avg_sq(place)


def _centrality(place: Place, random_state: int) -> Tensors:
    """Flow through each edge: visits of the unit it leaves times the chance to take it.

    Units of a layer stand before units of the next; layers whose sizes fit follow each other, and where they don't (a
    branch, a flattening) a new graph begins. A walker follows |W| with probability 0.85 and starts anew anywhere
    otherwise (PageRank). Of the undirected graph the flow would be |W| itself; so the walk goes forwards, then
    backwards, and the tether is the geometric mean of the two flows. Entries of a kernel share their channels' edge.
    """
    _require_plain(place)
    out: Tensors = {}
    for chain in _chains(place.weights):
        sizes = [np.abs(place.weights[n].astype(np.float64)) for n in chain]
        matrices = [a.reshape(*a.shape[:2], -1).sum(2) for a in sizes]
        forward = flows(matrices)
        backward = [f.T for f in reversed(flows([m.T for m in reversed(matrices)]))]
        for name, a, m, f, b in zip(chain, sizes, matrices, forward, backward, strict=True):
            share = a / np.where(m > 0, m, 1).reshape(*m.shape, *[1] * (a.ndim - 2))
            out[name] = np.sqrt(f * b).reshape(*m.shape, *[1] * (a.ndim - 2)) * share
    return {n: out[n] for n in place.weights}


def flows(matrices: list[np.ndarray]) -> list[np.ndarray]:
    """Flow of PageRank through every edge of layers in a row.

    Parameters
    ----------
    matrices : |W| of each layer, (outputs, inputs); one's outputs are the next one's inputs.

    Returns
    -------
    list of arrays
        The same shapes; visits are in units of what starts at one unit.
    """
    visits = np.ones(matrices[0].shape[1])
    out = []
    for m in matrices:
        total = m.sum(0)
        flow = DAMPING * visits * m / np.where(total > 0, total, 1)
        visits = 1 + flow.sum(1)
        out.append(flow)
    return out


def _chains(weights: Mapping[str, np.ndarray]) -> list[list[str]]:
    chains: list[list[str]] = []
    before = -1
    for name, w in weights.items():
        if w.shape[1] == before:
            chains[-1].append(name)
        else:
            chains.append([name])
        before = w.shape[0]
    return chains


UNSAMPLED: dict[str, Callable[[Place, int], Tensors]] = {
    "magnitude": _magnitude,
    "random": _random,
    "movement": _movement,
    "adam": _adam,
    "centrality": _centrality,
}


# -- sources that are means over samples --------------------------------------------------------------


def sampled(place: Place, source: str, *, samples: np.ndarray | None = None, device: str = "cpu") -> Tensors:
    """A tether that is made of the mean of what single samples contribute."""
    require(place, source)
    assert place.probe is not None
    n = len(place.probe)
    counts = np.ones(n) if samples is None else np.bincount(np.asarray(samples, np.int64), minlength=n)
    return resampled(place, source, counts[None], device=device)[0]


def resampled(
    place: Place, source: str, counts: Float[np.ndarray, "b n"], *, device: str = "cpu"
) -> list[Tensors]:
    """The tethers of several choices of the probe's samples, for the price of one where choices overlap.

    Parameters
    ----------
    counts : how often each of the probe's n samples counts, one line a choice.
    """
    import torch

    sums: dict[str, torch.Tensor] = {}
    used = np.flatnonzero(counts.any(0))
    done = 0
    for part in _parts(place, source, used, device):
        first = next(iter(part.values()))
        weigh = torch.tensor(
            counts[:, used[done : done + len(first)]], dtype=torch.float64, device=first.device
        )
        done += len(first)
        for name, c in part.items():
            found = (weigh @ c.double().flatten(1)).reshape(-1, *c.shape[1:])
            sums[name] = sums[name] + found if name in sums else found
    total = counts.sum(1)
    means = {name: s.cpu().numpy() for name, s in sums.items()}
    return [
        from_mean(place, source, {n: m[i] / total[i] for n, m in means.items()}) for i in range(len(counts))
    ]


def from_mean(place: Place, source: str, mean: Mapping[str, np.ndarray]) -> Tensors:
    """The tether that a source makes of mean contributions; every draw of samples has its own mean."""
    w = {n: place.weights[n].astype(np.float64) for n in mean}
    if source == "gradient_weight":
        return {n: np.abs(m * w[n]) for n, m in mean.items()}
    if source == "fisher_weight":
        return {n: m * w[n] ** 2 for n, m in mean.items()}
    if source in ("dropout", "movement_score"):
        return {n: np.maximum(m, 0) for n, m in mean.items()}
    if source == "second_moment":  # the last axis holds the gradient and its square
        first, second = ({n: m[..., i] for n, m in mean.items()} for i in (0, 1))
        return {n: first[n] ** 2 + (second[n] - first[n] ** 2) / BATCH for n in mean}
    return {n: np.asarray(m, np.float64) for n, m in mean.items()}


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
    require_source(source)
    require(place, source)
    for part in _parts(place, source, samples, device):
        yield {n: c.cpu().numpy() for n, c in part.items()}


def _parts(place: Place, source: str, samples: np.ndarray | None, device: str) -> Iterator[Found]:
    """As `contributions`, where they are computed."""
    import torch

    from workbench.numerics import tether_samples

    assert place.network is not None and place.probe is not None
    network = place.network.to(device)
    try:
        with tether_samples.plain_attention():
            x, y = place.probe.tensors(network)
            at = torch.arange(len(y)) if samples is None else torch.as_tensor(np.asarray(samples, np.int64))
            if not len(at):
                raise DataError(f"{place.name}: no samples to compute {source!r} on.")
            for some in at.to(y.device).split(tether_samples.at_once(place, source, device)):
                part = tether_samples.contribution(place, source, network, x, y, some)
                for n, c in part.items():
                    if not torch.isfinite(c).all():
                        raise DataError(
                            f"{place.name}: {source!r} of {n} isn't finite on the probe. Ask about a step before it diverged."
                        )
                yield {n: c.detach() for n, c in part.items()}
    finally:
        network.to("cpu")
