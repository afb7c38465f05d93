"""Networks with fewer units than their function needs: which ones leave, by what they do, by magnitude or at random."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from workbench.numerics.exact.reading import Program
from workbench.numerics.exact.sampling import run
from workbench.numerics.exact.simplifying import ELEMENTWISE, chained, module_of, narrowed

Hidden = tuple[int, int]  # places of the affine map that gives the units, and of the one that takes them


def hidden_layers(program: Program) -> list[Hidden]:
    """The pairs of affine maps of a chain with what acts number by number between them, whose units can leave."""
    affine = [i for i, s in enumerate(program) if s.op == "affine"]
    pairs = itertools.pairwise(affine)
    return [(i, j) for i, j in pairs if j > i + 1 and all(s.op in ELEMENTWISE for s in program[i + 1 : j])]


def scores(program: Program, x: np.ndarray) -> dict[str, dict[Hidden, np.ndarray]]:
    """How much each unit counts: by ``effect`` (its spread over some inputs times its outgoing weights) and by ``magnitude``
    (its incoming times its outgoing weights)."""
    by: dict[str, dict[Hidden, np.ndarray]] = {"effect": {}, "magnitude": {}}
    for (i, j), values in activations(program, x).items():
        incoming, outgoing = program[i].weight, program[j].weight
        assert incoming is not None and outgoing is not None
        out = np.linalg.norm(outgoing, axis=0)
        by["effect"][i, j] = values.std(axis=0) * out
        by["magnitude"][i, j] = np.linalg.norm(incoming, axis=1) * out
    return by


def activations(program: Program, x: np.ndarray) -> dict[Hidden, np.ndarray]:
    """What the units of each hidden layer are for some inputs."""
    return {(i, j): outputs(program[:j], x) for i, j in hidden_layers(program)}


def without(
    program: Program, gone: Mapping[Hidden, np.ndarray], means: Mapping[Hidden, np.ndarray]
) -> Program:
    """The program less some units of each hidden layer, each replaced by its mean, which goes into the next bias."""
    steps = list(program)
    for (i, j), units in gone.items():
        after = steps[j]
        assert after.weight is not None
        stay = np.setdiff1d(np.arange(program[i].width), units)
        bias = np.zeros(after.width) if after.bias is None else after.bias
        moved = bias + after.weight[:, units] @ means[i, j][units]
        steps[i:j] = [narrowed(s, stay) for s in steps[i:j]]
        steps[j] = replace(after, weight=after.weight[:, stay], bias=moved)
    return chained(steps)


def outputs(program: Program, x: np.ndarray) -> np.ndarray:
    """What a chain gives for some inputs, in double precision."""
    return run(module_of(program).double(), x)


def share_lost(whole: np.ndarray, fewer: np.ndarray) -> float:
    """The share of the variance of some outputs (n, m) that others miss."""
    spread = np.square(whole - whole.mean(axis=0)).sum()
    return float(np.square(whole - fewer).sum() / spread) if spread else 0.0
