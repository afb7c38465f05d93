"""Units that a function doesn't need, silenced where they stand: their weights become 0, and every shape stays as it was."""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np

from workbench.core.errors import DataError
from workbench.numerics.exact.blocks import feed_forward
from workbench.numerics.exact.expansion import Basis
from workbench.numerics.exact.reading import Program, Step, program_of
from workbench.numerics.exact.simplifying import Change, _without_units, require_chain, same_function

if TYPE_CHECKING:
    from torch import nn

ACTIVATIONS = {
    "GELUActivation": "gelu",
    "SiLUActivation": "silu",
    "ReLU": "relu",
    "Tanh": "tanh",
    "Sigmoid": "sigmoid",
    "SiLU": "silu",
}


@dataclass(frozen=True, eq=False)
class Silenced:
    """Attributes
    ----------
    arrays : parameter name to what takes its place. proven, rounded : units silenced, by how it is known that the function stays.
    units : hidden units that were looked at.
    """

    arrays: dict[str, np.ndarray]
    proven: int
    rounded: int
    units: int


def silenced(
    module: nn.Module, *, low: Fraction | None, high: Fraction | None, rounding: bool, owner: str
) -> Silenced:
    """Silence units that are constant or multiples of one another.

    A chain of layers is read whole, on the domain; of a transformer each feed-forward layer of BERT's kind by itself, for
    all inputs of that layer.

    Raises
    ------
    DataError
        It is neither, or a constant would have to go into a bias that isn't there.
    """
    blocks = [(given[0], taken) for given, taken in feed_forward(module) if len(given) == 1]
    if not blocks:
        program = program_of(module, owner)
        require_chain(program, owner)
        return _of_program(program, low, high, rounding, owner)
    found = [_of_program(_block(module, *block), None, None, rounding, owner) for block in blocks]
    return Silenced(
        {name: array for one in found for name, array in one.arrays.items()},
        sum(one.proven for one in found),
        sum(one.rounded for one in found),
        sum(one.units for one in found),
    )


def _block(module: nn.Module, given: str, taken: str) -> Program:
    """A feed-forward layer as a program of its own, with the names that its parts have in the network."""
    up, down = module.get_submodule(given), module.get_submodule(taken)
    parent = module.get_submodule(given.rpartition(".")[0])
    acts = [m for m in parent.modules() if type(m).__name__ in ACTIVATIONS]
    if len(acts) != 1:
        raise DataError(
            f"{given} is followed by an activation that can't be read. It takes {', '.join(ACTIVATIONS)}."
        )
    kind = ACTIVATIONS[type(acts[0]).__name__]
    width = _array(up.weight).shape
    return (
        Step("input", (), "input", width[1]),
        _affine(given, up, 0),
        Step("unit", (1,), f"{given} activation", width[0], kind),
        _affine(taken, down, 2),
    )


def _affine(name: str, linear: Any, at: int) -> Step:
    bias = None if linear.bias is None else _array(linear.bias)
    return Step("affine", (at,), name, linear.out_features, weight=_array(linear.weight), bias=bias)


def _array(tensor: Any) -> np.ndarray:
    return np.asarray(tensor.detach().cpu().double().numpy())


def _of_program(
    program: Program, low: Fraction | None, high: Fraction | None, rounding: bool, owner: str
) -> Silenced:
    changes: list[Change] = []
    _without_units(program, Basis(program[0].width, low, high), rounding, owner, changes)
    layers = [s for s in program if s.op == "affine"]
    units = sum(s.width for s in layers[:-1])
    gone = [c for c in changes if "activation" not in c.what]  # an activation without effect may stay
    if not gone:
        return Silenced({}, 0, 0, units)
    small = {s.name: s for s in changes[-1].program if s.op == "affine"}
    stay = _staying(program, gone)
    before = np.arange(program[0].width)
    made: dict[str, np.ndarray] = {}
    padded: dict[str, Step] = {}
    for step in layers:
        assert step.weight is not None
        weight, bias = np.zeros_like(step.weight), np.zeros(step.width)
        weight[np.ix_(stay[step.name], before)] = small[step.name].weight
        held = small[step.name].bias
        bias[stay[step.name]] = 0 if held is None else held
        if step.bias is None and bias.any():
            raise DataError(
                f"{owner}: {step.name} has no bias that could take up the constants of units that leave. A network of other "
                "shapes can: network.simplified()."
            )
        before = stay[step.name]
        padded[step.name] = replace(step, weight=weight, bias=None if step.bias is None else bias)
        for part, new, old in (("weight", weight, step.weight), ("bias", bias, step.bias)):
            if old is not None and (new != old).any():
                made[f"{step.name}.{part}"] = new.astype(np.float32)
    whole = tuple(padded.get(s.name, s) if s.op == "affine" else s for s in program)
    exact = all(c.proof == "proven" for c in gone)
    if not same_function(program if exact else changes[-1].program, whole, low, high):
        raise DataError(
            f"{owner}: silencing was to keep the function and its check failed. This is a mistake of the workbench's own: "
            "please report it with the network."
        )
    count = {proof: sum(c.units for c in gone if c.proof == proof) for proof in ("proven", "rounded")}
    return Silenced(made, count["proven"], count["rounded"], units)


def _staying(program: Program, changes: list[Change]) -> dict[str, np.ndarray]:
    """Places of the units of each layer that are left, in the network as it was.

    A step takes rows out of one layer and leaves the others as they are; of equal rows it doesn't matter which one stays.
    """
    stay = {s.name: np.arange(s.width) for s in program if s.op == "affine"}
    before = program
    for change in changes:
        old, new = (
            next(s for s in p if (s.op, s.name) == ("affine", change.where)) for p in (before, change.program)
        )
        before = change.program
        left, at = [], 0
        for row in _rows(new):
            while _rows(old)[at] != row:
                at += 1
            left.append(at)
            at += 1
        stay[change.where] = stay[change.where][left]
    return stay


def _rows(step: Step) -> list[bytes]:
    assert step.weight is not None
    bias = np.zeros(step.width) if step.bias is None else step.bias
    return [row.tobytes() for row in np.column_stack([step.weight, bias])]
