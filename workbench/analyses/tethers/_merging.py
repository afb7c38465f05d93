"""How networks meet: averaged, or merged where they are tethered alike; and what they are worth afterwards."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

import numpy as np

from workbench.numerics.compatibility import Measure
from workbench.numerics.neuron_chain import Layer
from workbench.numerics.tethers import top

if TYPE_CHECKING:
    from jaxtyping import Float, Int

Kept = Literal["magnitude", "movement", "fisher", "gradient_weight", "random"]
Drift = Literal["keep", "push"]
Weights = dict[str, np.ndarray]
ALONE, PLAIN, ALIGNED, MERGED, RANDOM = (
    "no interaction",
    "plain averaging",
    "averaging after alignment",
    "merge and drift",
    "merging at random",
)
PUSHED = 0.05  # of the difference, in a round


@dataclass(frozen=True)
class Rules:
    """How networks meet; see the parameters of `ensemble`."""

    rounds: int
    steps: int
    repeats: int
    source: Kept
    measure: Measure
    fraction: float
    rate: float
    draws: int
    drift: Drift
    batch_size: int
    learning_rate: float
    optimizer: str
    random_state: int
    device: str
    scored: str = "met"


@dataclass
class History:
    """What was seen: scores (arms, rounds + 1, seeds), and of the merging arm who was tethered to whom, a round.

    Attributes
    ----------
    compatibility, limits : (rounds, seeds, pairs, layers). said : what was trained and scored on, in words.
    """

    arms: tuple[str, ...]
    pairs: list[tuple[int, int]]
    said: str
    scores: dict[str, Float[np.ndarray, "a t s"]] = field(default_factory=dict)
    compatibility: list[np.ndarray] = field(default_factory=list)
    limits: list[np.ndarray] = field(default_factory=list)


SCORES = ("accuracy of one network", "accuracy of the ensemble", "disagreement", "ambiguity")


def scores(p: Float[np.ndarray, "m n c"], y: Int[np.ndarray, " n"]) -> dict[str, float]:
    """What networks' answers are worth, alone and averaged, and how they differ.

    Disagreement is the share of samples on which two networks answer differently, averaged over pairs; ambiguity how far
    answers lie from their mean (squared, averaged), by which the ensemble's squared error is below its members'
    (Krogh and Vedelsby 1995, Neural network ensembles, cross validation, and active learning, NeurIPS, eq. 6).
    """
    said = p.argmax(axis=2)
    mean = p.mean(axis=0)
    pairs = list(itertools.combinations(range(len(p)), 2))
    return {
        "accuracy of one network": float((said == y).mean()),
        "accuracy of the ensemble": float((mean.argmax(axis=1) == y).mean()),
        "disagreement": float(np.mean([(said[i] != said[j]).mean() for i, j in pairs])),
        "ambiguity": float(((p - mean) ** 2).sum(axis=2).mean()),
    }


def merged(
    chain: Sequence[Layer],
    family: Sequence[Weights],
    held: Sequence[Weights],
    close: np.ndarray,
    pairs: Sequence[tuple[int, int]],
    rules: Rules,
) -> list[Weights]:
    """Each layer of every pair that is compatible averaged over the edges that either tethers, and its biases with them.

    A network that is compatible with several meets them all at once. Of a pair that is not, the edges are kept, or
    pushed apart by a little while the layer keeps its norm. Neurons must be in one order.
    """
    tops = [top(t, rules.fraction, random_state=rules.random_state) for t in held]
    out: list[Weights] = [{n: w.copy() for n, w in one.items()} for one in family]
    for k, layer in enumerate(chain):
        for i, own in enumerate(family):
            joined: dict[str, tuple[np.ndarray, np.ndarray]] = {
                n: (own[n].copy(), np.ones_like(own[n])) for n in layer.rowwise if n in own
            }
            pushed = np.zeros_like(own[layer.weight])
            for q, pair in enumerate(pairs):
                if i not in pair:
                    continue
                j = pair[0] if pair[1] == i else pair[1]
                edges = tops[i][layer.weight] | tops[j][layer.weight]
                if close[q, k]:
                    for n, (total, count) in joined.items():
                        where = edges if n == layer.weight else np.ones(total.shape, bool)
                        total += where * family[j][n]
                        count += where
                elif rules.drift == "push":
                    pushed += PUSHED * edges * (own[layer.weight] - family[j][layer.weight])
            for n, (total, count) in joined.items():
                out[i][n] = total / count
            if pushed.any():
                w = out[i][layer.weight]
                moved = w + pushed
                out[i][layer.weight] = moved * np.linalg.norm(w) / max(np.linalg.norm(moved), 1e-30)
    return out


def averaged(family: Sequence[Weights]) -> list[Weights]:
    mean = {n: np.mean([w[n] for w in family], axis=0) for n in family[0]}
    return [{n: w.copy() for n, w in mean.items()} for _ in family]
