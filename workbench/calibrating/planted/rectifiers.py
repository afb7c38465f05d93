"""Pairs of networks of rectifiers that are one function by construction, or aren't, though nearly all units agree."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from torch import nn

Arrays = list[np.ndarray]  # weight, bias, weight, bias ... of one layer after another


class Pair(NamedTuple):
    """Two networks. equal : whether they are one function on the domain. low, high : the domain; None for no bound."""

    first: nn.Sequential
    second: nn.Sequential
    equal: bool
    low: float | None = None
    high: float | None = None


def network_of(arrays: Sequence[np.ndarray]) -> nn.Sequential:
    """A network of given weights and biases, which are rounded to float32."""
    import torch
    from torch import nn

    layers: list[nn.Module] = []
    with torch.no_grad():
        for weight, bias in zip(arrays[::2], arrays[1::2], strict=True):
            linear = nn.utils.skip_init(nn.Linear, weight.shape[1], weight.shape[0])
            linear.weight.copy_(torch.as_tensor(weight))
            linear.bias.copy_(torch.as_tensor(bias))
            layers += [linear, nn.ReLU()]
    return nn.Sequential(*layers[:-1]).eval()


def _drawn(rng: np.random.Generator, widths: Sequence[int]) -> Arrays:
    """Weights as torch fills linear layers, in float32's numbers."""
    arrays: Arrays = []
    for n, m in itertools.pairwise(widths):
        arrays += [rng.uniform(-1, 1, (m, n)) / n**0.5, rng.uniform(-1, 1, m) / n**0.5]
    return [a.astype(np.float32).astype(np.float64) for a in arrays]


def _moved(rng: np.random.Generator, arrays: Sequence[np.ndarray]) -> Arrays:
    """The same function: hidden units in another order and scaled by powers of two, which rounds nothing."""
    made = [a.copy() for a in arrays]
    for at in range(0, len(made) - 2, 2):
        order = rng.permutation(len(made[at]))
        scale = 2.0 ** rng.integers(-3, 4, len(order))
        made[at] = (made[at] * scale[:, None])[order]
        made[at + 1] = (made[at + 1] * scale)[order]
        made[at + 2] = (made[at + 2] / scale)[:, order]
    return made


def _with_unit(arrays: Sequence[np.ndarray], layer: int, row: np.ndarray, bias: float, out: float) -> Arrays:
    """One more unit in a hidden layer, of incoming weights ``row``, that all units behind it hear with weight ``out``."""
    made, at = [a.copy() for a in arrays], 2 * layer
    made[at] = np.vstack([made[at], row])
    made[at + 1] = np.append(made[at + 1], bias)
    made[at + 2] = np.hstack([made[at + 2], np.full((len(made[at + 2]), 1), out)])
    return made


def twins(rng: np.random.Generator, widths: Sequence[int], *, equal: bool = True) -> Pair:
    """Units in another order and rescaled; unequal by one weight of the first layer, moved by one rounding."""
    one = _drawn(rng, widths)
    other = _moved(rng, one)
    if not equal:
        other[0][0, 0] = np.nextafter(np.float32(other[0][0, 0]), np.float32(9))
    return Pair(network_of(one), network_of(other), equal)


def folds(rng: np.random.Generator, widths: Sequence[int], *, equal: bool = True) -> Pair:
    """relu(\\|z\\| - 1) in the second layer, in the other network as relu(z - 1) + relu(-z - 1) of its first; or nearly so."""
    one = _drawn(rng, widths)
    one[1][0] = 0.5  # so that one added to it is a float32 too
    one[0][1], one[1][1] = -one[0][0], -0.5
    one[2][0], one[3][0] = 0, -1
    one[2][0, :2] = 1
    other = _with_unit(one, 0, one[0][0], -0.5, 0.0)
    other = _with_unit(other, 0, -one[0][0], -1.5, 0.0)
    other[2][0], other[3][0] = 0, 0
    other[2][0, -2:] = 1, 1 if equal else 1 + 2.0**-20
    return Pair(network_of(one), network_of(_moved(rng, other)), equal)


def ordered(rng: np.random.Generator, widths: Sequence[int], *, equal: bool = True) -> Pair:
    """One more unit in the second layer, relu(u - v) of two units with u <= v always: it is off; unequal where its bias isn't 0."""
    one = _drawn(rng, widths)
    one[0][1], one[1][0], one[1][1] = one[0][0], 0.25, 1.25
    row = np.zeros(widths[1])
    row[:2] = 1, -1
    other = _with_unit(one, 1, row, 0.0 if equal else 2.0**-10, 1.0)
    return Pair(network_of(one), network_of(_moved(rng, other)), equal)


def seldom(rng: np.random.Generator, widths: Sequence[int], *, equal: bool = True) -> Pair:
    """One more unit in the second layer that acts only far out, beyond what is drawn; equal on a box where it is off."""
    one = _drawn(rng, widths)
    row = np.abs(rng.standard_normal(widths[1])) / widths[1] ** 0.5
    row[::2] *= -1
    most = np.maximum(np.abs(one[0]).sum(axis=1) + one[1], 0)  # of a first unit, from -1 to 1
    bound = float(np.maximum(row * most, 0).sum())
    other = _with_unit(one, 1, row, -0.8 * bound if equal else -500 * bound, 1.0)
    box = (-1.0, 1.0) if equal else (None, None)
    return Pair(network_of(one), network_of(_moved(rng, other)), equal, *box)


KINDS: dict[str, Callable[..., Pair]] = {
    "twins": twins,
    "folds": folds,
    "ordered": ordered,
    "seldom": seldom,
}
