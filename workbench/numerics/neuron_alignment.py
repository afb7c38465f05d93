"""Neurons of two networks of one shape, put in one order by linear assignment (Git Re-Basin).

A network of layers in a chain (see `neuron_chain.chain_of`) computes the same when the neurons of a hidden layer
change places: rows of its own weights, bias and normalization, and the columns of the next layer's weights. A
permutation is an array *p* of positions: neuron *i* of the result is neuron ``p[i]`` of the second network.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from workbench.core.errors import DataError
from workbench.numerics.neuron_chain import Layer

if TYPE_CHECKING:
    from jaxtyping import Float, Int
    from torch import nn

Permutations = Sequence["Int[np.ndarray, ' d']"]
MOST_SWEEPS = 100


def match_weights(
    chain: Sequence[Layer], a: Mapping[str, np.ndarray], b: Mapping[str, np.ndarray], *, random_state: int = 0
) -> list[Int[np.ndarray, " d"]]:
    """Permute the hidden neurons of ``b`` so that its weights have the greatest inner product with those of ``a``.

    Coordinate ascent over layers in random order, one assignment problem each, until nothing improves (Ainsworth et
    al.'s algorithm 1), from two beginnings: no permutation, and one greedily matched layer after layer from the inputs,
    which finds a planted permutation exactly. The better end is returned.

    Parameters
    ----------
    chain : from `chain_of`. a, b : tensors by name, such as ``trajectory.state(step)``.
    random_state : seed of the order of layers.

    Returns
    -------
    list of (width,) arrays, one a hidden layer (one fewer than ``chain``).

    Raises
    ------
    DataError
        A tensor of the chain is missing, differs in shape or isn't finite.

    References
    ----------
    Ainsworth, Hayase, Srinivasa 2023, Git Re-Basin: merging models modulo permutation symmetries, ICLR, algorithm 1.
    """
    a, b = _checked(chain, a, b)
    rng = np.random.default_rng(random_state)
    starts = [identity(chain), match_forward(chain, a, b)]
    ends = [_ascend(chain, a, b, start, rng) for start in starts]
    return max(ends, key=lambda p: agreement(chain, a, permuted(chain, b, p)))


def match_forward(
    chain: Sequence[Layer], a: Mapping[str, np.ndarray], b: Mapping[str, np.ndarray], *, cosine: bool = False
) -> list[Int[np.ndarray, " d"]]:
    """Match layer after layer from the inputs by what comes in alone; what goes out isn't looked at.

    So the order of a layer's inputs owes nothing to that layer's own weights, which a null of theirs needs. With
    ``cosine`` neurons of large weights aren't matched for being large.
    """
    found: list[Int[np.ndarray, " d"]] = []
    for layer in chain[:-1]:
        before = found[-1] if found else None
        rows = [_incoming(layer, w, p) for w, p in ((a, None), (b, before))]
        if cosine:
            rows = [r / np.maximum(np.linalg.norm(r, axis=1, keepdims=True), 1e-30) for r in rows]
        found.append(assign(rows[0] @ rows[1].T))
    return found


def match_activations(
    a: Sequence[Float[np.ndarray, "n d"]], b: Sequence[Float[np.ndarray, "n d"]]
) -> list[Int[np.ndarray, " d"]]:
    """Permute each hidden layer's neurons of ``b`` to the greatest correlations with those of ``a``, from `hidden_activations`.

    References
    ----------
    Li, Yosinski, Clune, Lipson, Hopcroft 2015, Convergent learning, section 3; Ainsworth et al. 2023, section 3.1.
    """
    found = []
    for x, y in zip(a, b, strict=True):
        if x.shape != y.shape:
            raise DataError(f"Activations of the shapes {x.shape} and {y.shape} can't be matched one to one.")
        x, y = (
            (v - v.mean(axis=0)) / np.maximum(v.std(axis=0), 1e-12)
            for v in (x.astype(float), y.astype(float))
        )
        found.append(assign(x.T @ y / len(x)))
    return found


def hidden_activations(
    chain: Sequence[Layer], network: nn.Module, x: Any
) -> list[Float[np.ndarray, "rows d"]]:
    """What each hidden layer hands on (after activation, normalization and pooling): one column a neuron.

    Rows are samples, or samples and places where a neuron has several (convolutions), a sample's one after another.
    """
    activations = []
    handed = inputs_of(chain, network, x)[1:]
    for layer, following, value in zip(chain, chain[1:], handed, strict=False):
        if following.kind == "linear":
            value = value.reshape(-1, layer.width, following.spread)
            activations.append(np.moveaxis(value, 1, 2).reshape(-1, layer.width))
        else:
            activations.append(np.moveaxis(value, 1, -1).reshape(-1, layer.width))
    return activations


def inputs_of(chain: Sequence[Layer], network: nn.Module, x: Any) -> list[Float[np.ndarray, "n ..."]]:
    """What each layer of a chain is given, as it is given it."""
    import torch

    modules = dict(network.named_modules())
    caught: dict[str, np.ndarray] = {}

    def catcher(name: str) -> Any:
        def catch(module: nn.Module, given: tuple[torch.Tensor, ...]) -> None:
            caught[name] = given[0].detach().cpu().numpy()

        return catch

    hooks = [modules[n.name].register_forward_pre_hook(catcher(n.name)) for n in chain]
    try:
        with torch.no_grad():
            network(x)
    finally:
        for hook in hooks:
            hook.remove()
    return [caught[layer.name] for layer in chain]


def permuted(
    chain: Sequence[Layer], weights: Mapping[str, np.ndarray], permutations: Permutations
) -> dict[str, np.ndarray]:
    """The same network with its hidden neurons in another order; tensors beside the chain are passed on as they are."""
    out = {n: np.asarray(weights[n]) for n in weights}
    for i, layer in enumerate(chain):
        before = permutations[i - 1] if i else None
        if before is not None:
            w = out[layer.weight]
            columns = (before[:, None] * layer.spread + np.arange(layer.spread)).ravel()
            out[layer.weight] = w[:, columns]
        if i < len(permutations):
            for name in layer.rowwise:
                if name in out:
                    out[name] = out[name][permutations[i]]
    return out


def inverse(permutations: Permutations) -> list[Int[np.ndarray, " d"]]:
    """The permutations that undo these."""
    return [np.argsort(p) for p in permutations]


def identity(chain: Sequence[Layer]) -> list[Int[np.ndarray, " d"]]:
    """Every hidden neuron in its place."""
    return [np.arange(layer.width) for layer in chain[:-1]]


def agreement(chain: Sequence[Layer], a: Mapping[str, np.ndarray], b: Mapping[str, np.ndarray]) -> float:
    """Cosine between all trained tensors of two chains, in the order that their neurons have."""
    pairs = [(a[n], b[n]) for layer in chain for n in _matched(layer, a)]
    inner = sum(float(np.vdot(x, y)) for x, y in pairs)
    norms = [sum(float(np.vdot(p[k], p[k])) for p in pairs) for k in (0, 1)]
    return inner / np.sqrt(norms[0] * norms[1]) if min(norms) > 0 else 0.0


def assign(similarity: Float[np.ndarray, "d d"]) -> Int[np.ndarray, " d"]:
    """For each row the column that it is given, each once, for the greatest sum."""
    from scipy.optimize import linear_sum_assignment

    return linear_sum_assignment(similarity, maximize=True)[1].astype(np.int64)


# -- parts ------------------------------------------------------------------------------------------


def _ascend(
    chain: Sequence[Layer],
    a: Mapping[str, np.ndarray],
    b: Mapping[str, np.ndarray],
    start: Permutations,
    rng: np.random.Generator,
) -> list[Int[np.ndarray, " d"]]:
    found = [p.copy() for p in start]
    for _ in range(MOST_SWEEPS):
        moved = False
        for i in rng.permutation(len(found)):
            before = found[i - 1] if i else None
            after = found[i + 1] if i + 1 < len(found) else None
            s = _incoming(chain[i], a, None) @ _incoming(chain[i], b, before).T
            s += _outgoing(chain[i], chain[i + 1], a, None) @ _outgoing(chain[i], chain[i + 1], b, after).T
            new = assign(s)
            at = np.arange(len(new))
            if s[at, new].sum() > s[at, found[i]].sum() + 1e-9 * max(1.0, np.abs(s).max()):
                found[i], moved = new, True
        if not moved:
            break
    return found


def _incoming(
    layer: Layer, w: Mapping[str, np.ndarray], before: np.ndarray | None
) -> Float[np.ndarray, "d k"]:
    """One row a neuron: its weights (columns in the order of the layer before), bias and normalization."""
    weight = w[layer.weight]
    if before is not None:
        weight = weight[:, (before[:, None] * layer.spread + np.arange(layer.spread)).ravel()]
    parts = [weight.reshape(len(weight), -1)]
    parts += [w[n].reshape(len(weight), -1) for n in _matched(layer, w)[1:]]
    return np.concatenate(parts, axis=1).astype(np.float64)


def _outgoing(
    layer: Layer, following: Layer, w: Mapping[str, np.ndarray], after: np.ndarray | None
) -> Float[np.ndarray, "d k"]:
    """One row a neuron: its weights to the next layer (in the order of that layer's neurons)."""
    weight = w[following.weight] if after is None else w[following.weight][after]
    split = weight.reshape(len(weight), layer.width, -1)
    return np.moveaxis(split, 1, 0).reshape(layer.width, -1).astype(np.float64)


def _matched(layer: Layer, w: Mapping[str, np.ndarray]) -> list[str]:
    """Tensors that are compared: the weight first; running moments say what came in, not what was learned."""
    return [n for n in layer.rowwise if n in w and not n.endswith(("running_mean", "running_var"))]


def _checked(
    chain: Sequence[Layer], a: Mapping[str, np.ndarray], b: Mapping[str, np.ndarray]
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """All tensors of the chain, read once."""
    out: tuple[dict[str, np.ndarray], dict[str, np.ndarray]] = ({}, {})
    for name in (n for layer in chain for n in layer.rowwise):
        if name not in a or name not in b:
            if name.endswith(("running_mean", "running_var")):
                continue  # buffers, which not every mapping of weights has
            raise DataError(f"{name} is missing in {'the first' if name not in a else 'the second'} network.")
        x, y = np.asarray(a[name]), np.asarray(b[name])
        if x.shape != y.shape:
            raise DataError(
                f"{name} has the shape {x.shape} in the first network and {y.shape} in the second: neurons are matched one to "
                f"one, so that both must have the same widths."
            )
        if not (np.isfinite(x).all() and np.isfinite(y).all()):
            raise DataError(f"{name} has NaN or infinite values: choose a step before the descent diverged.")
        out[0][name], out[1][name] = x, y
    return out
