"""What stands behind a line between two layers: the edges that both tether, and the samples that pass through them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from workbench.analyses.tethers._between import Member, of_samples
from workbench.numerics.neuron_alignment import match_forward, permuted
from workbench.numerics.neuron_chain import Layer
from workbench.numerics.tethers import Tensors, top

if TYPE_CHECKING:
    from jaxtyping import Int

BEHIND = 0.05  # of the samples that are looked at
NAMED = 3  # edges that are named


def behind(
    members: list[Member],
    arrays: list[Tensors],
    what: str,
    a: tuple[int, int],
    b: tuple[int, int],
    fraction: float,
    ids: np.ndarray,
) -> tuple[np.ndarray, str]:
    """The samples and, in words, the edges behind a line."""
    (i, k), (j, _) = a, b
    chain = members[i].chain
    sizes = [
        {n: np.abs(x) for n, x in (arrays[q] or members[q].arrays("weights", 0)).items()} for q in (i, j)
    ]
    if i == j:
        return _between_layers(members[i], sizes[0], k, fraction, ids)
    order = match_forward(chain, members[i].tensors, members[j].tensors, cosine=True)
    name = chain[k].weight
    mine = top(sizes[0], fraction)[name]
    theirs = permuted(chain, {**members[j].tensors, **top(sizes[1], fraction)}, order)[name].astype(bool)
    aligned = permuted(chain, {**members[j].tensors, **sizes[1]}, order)[name]
    both = mine & theirs
    weight = np.where(both, np.minimum(sizes[0][name] / _most(sizes[0][name]), aligned / _most(aligned)), 0)
    other = Member(
        chain,
        permuted(chain, members[j].tensors, order),
        members[j].place,
        _reordered(members[j], order),
        "cpu",
    )
    mask = {name: both if both.any() else mine}
    rows = samples_behind([members[i], other], [mask, mask], k, ids)
    share = (
        f"{int(both.sum())} edges are tethered in both, {both.sum() / max(1, mine.sum()):.0%} of those in one"
    )
    return rows, f"{share}; {_named(weight)}"


def _between_layers(
    member: Member, sizes: Tensors, k: int, fraction: float, ids: np.ndarray
) -> tuple[np.ndarray, str]:
    """Neurons through which tethered edges come in and go out."""
    one, two = member.chain[k], member.chain[k + 1]
    into = sizes[one.weight].reshape(one.width, -1).sum(axis=1)
    out = (
        np.moveaxis(sizes[two.weight].reshape(two.width, one.width, -1), 1, 0)
        .reshape(one.width, -1)
        .sum(axis=1)
    )
    both = np.minimum(into / _most(into), out / _most(out))
    chosen = np.argsort(-both, kind="stable")[: max(1, round(fraction * one.width))]
    mask = np.zeros(sizes[one.weight].shape, bool)
    mask[chosen] = True
    rows = samples_behind([member], [{one.weight: mask}], k, ids)
    return rows, "neurons through which most of both passes: " + ", ".join(map(str, chosen[:NAMED]))


def _named(weight: np.ndarray) -> str:
    strongest = np.argsort(-weight.ravel(), kind="stable")[:NAMED]
    cells = [np.unravel_index(s, weight.shape) for s in strongest if weight.ravel()[s] > 0]
    return "strongest " + ", ".join(f"{c[1]}→{c[0]}" for c in cells) if cells else "none stands out"


def _most(values: np.ndarray) -> float:
    return float(values.max()) or 1.0


def _reordered(member: Member, order: list[np.ndarray]) -> list[np.ndarray]:
    """A member's inputs of each layer, its neurons in another's order."""
    out = list(member.inputs)
    for i, (p, layer, following) in enumerate(zip(order, member.chain, member.chain[1:], strict=False)):
        value = member.inputs[i + 1]
        if following.kind == "linear":
            columns = (p[:, None] * following.spread + np.arange(following.spread)).ravel()
            out[i + 1] = value[..., columns]
        else:
            assert value.shape[1] == layer.width
            out[i + 1] = value[:, p]
    return out


def samples_behind(
    members: Sequence[Member], masks: Sequence[Mapping[str, np.ndarray]], layer: int, ids: np.ndarray
) -> Int[np.ndarray, " r"]:
    """Row ids of the samples whose signal passes through marked edges of a layer for the greatest share, in all members."""
    shares = []
    for member, mask in zip(members, masks, strict=True):
        name = member.chain[layer].weight
        w = np.abs(np.asarray(member.tensors[name], np.float64))
        through, whole = ((v.reshape(len(v), v.shape[1], -1).sum(axis=(0, 2))) for v in (w * mask[name], w))
        given = _size_by_input(member.chain[layer], member.inputs[layer], len(whole))
        total = given @ whole
        shares.append((given @ through) / np.where(total > 0, total, 1))
    share = np.min(shares, axis=0)
    k = max(2, round(BEHIND * len(share)))
    chosen = np.argsort(-share, kind="stable")[: min(k, len(share))]
    return np.sort(of_samples(ids)[chosen])


def _size_by_input(layer: Layer, value: np.ndarray, inputs: int) -> np.ndarray:
    """Mean size of each input over places, (samples, inputs)."""
    value = np.abs(value.astype(np.float64))
    if layer.kind == "linear":
        return value.reshape(len(value), -1, inputs).mean(axis=1)
    return value.reshape(len(value), inputs, -1).mean(axis=2)
