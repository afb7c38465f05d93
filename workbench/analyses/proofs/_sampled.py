"""What the methods that prove things take alike, and what they say of inputs that were drawn."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

import numpy as np
from annotated_types import Interval
from typing_extensions import Doc

from workbench.core.evidence import Evidence
from workbench.numerics.exact.sampling import drawn, run
from workbench.subjects.network import Network

Low = Annotated[
    float | None, Doc("What every input is at least, on the domain that the claim is about; None: no bound.")
]
High = Annotated[float | None, Doc("What every input is at most; None: no bound.")]
Samples = Annotated[int, Interval(ge=1, le=10_000_000), Doc("Inputs that are drawn from the domain.")]
Tolerance = Annotated[
    float,
    Interval(ge=0, le=1e6),
    Doc("What two outputs may differ by and still count as alike, where samples are counted."),
]


def apart_at(
    modules: Sequence[Any], width: int, low: float | None, high: float | None, n: int, random_state: int
) -> tuple[np.ndarray, list[np.ndarray]]:
    """How far outputs are apart at drawn inputs, in double precision, and the inputs where they are farthest, if anywhere."""
    apart, worst = [], []
    for x in drawn(n, width, low, high, random_state):
        away = np.abs(run(modules[0], x) - run(modules[1], x)).max(axis=1)
        at = int(away.argmax())
        apart.append(away)
        worst.append((float(away[at]), x[at]))
    worst.sort(key=lambda pair: -pair[0])
    return np.concatenate(apart), [x for away, x in worst if away > 0]


def sampled(apart: np.ndarray, tolerance: float, how: str) -> list[Evidence]:
    from scipy.stats import binomtest

    beyond = int((apart > tolerance).sum())
    covered = binomtest(beyond, len(apart)).proportion_ci(method="exact")
    return [
        Evidence(
            id="share_apart",
            question=f"On which share of inputs, {how}, are outputs further apart than {tolerance:g}?",
            label=f"share of inputs ({how}) with outputs further apart than {tolerance:g}",
            value=beyond / len(apart),
            n=len(apart),
            unit="inputs",
            interval=(covered.low, covered.high),
            interval_method="exact binomial (Clopper and Pearson)",
        ),
        Evidence(
            id="largest_difference",
            question="How far apart are outputs at most, among the inputs that were drawn?",
            label="largest difference of outputs, in double precision",
            value=float(apart.max()),
            n=len(apart),
            unit="inputs",
        ),
    ]


def in_own_precision(network: Network, x: np.ndarray) -> np.ndarray:
    """What a network gives for some inputs as it is run, in the precision that it has."""
    import torch

    own = next((p.dtype for p in network.module.parameters()), torch.float32)
    with torch.no_grad():
        return network.module(torch.as_tensor(x, device=network.device).to(own)).double().cpu().numpy()
