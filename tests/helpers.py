"""What several tests need: calibration of p-values, comparison up to rotation, descents made by hand."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from scipy.stats import binom


def assert_calibrated(
    p_value: Callable[[int], float | None], *, runs: int = 200, level: float = 0.05, exact: bool = True
) -> None:
    """Assert that a test rejects a true null at its level.

    ``p_value(seed)`` draws data for which the null holds and returns the p-value, or None where that can't be tested,
    which is no rejection. The number of rejections must lie within the middle 99.9 % of the binomial with the level's
    rate; it may be fewer where the test isn't ``exact``: the null is any of several, of which the one that contradicts
    least counts, or some data aren't tested, or the statistic has many ties. Use a number of null draws m with
    ``level * (m + 1)`` whole (19, 39, 99), where the Monte-Carlo test is exact.
    """
    found = [p_value(seed) for seed in range(runs)]
    rejected = sum(p is not None and p <= level for p in found)
    low, high = binom.ppf([0.0005, 0.9995], runs, level)
    low = low if exact else 0
    assert low <= rejected <= high, (
        f"{rejected} of {runs} true nulls rejected at {level}; {low:.0f} to {high:.0f} expected"
    )
    assert any(p is not None for p in found), "it was never tested"


def procrustes_distance(a: np.ndarray, b: np.ndarray) -> float:
    """Relative distance of two (n, d) configurations after the best translation, rotation and scale."""
    from scipy.spatial import procrustes

    return float(np.sqrt(procrustes(np.asarray(a, float), np.asarray(b, float))[2]))


def hand_made_descent(network: Any, x: Any, y: Any, loss: str = "cross_entropy", steps: Any = None) -> Any:
    """A descent of a network's own weights at step 0, or of the state dicts that ``steps`` has by step."""
    import pandas as pd

    from workbench.numerics.objectives import Probe
    from workbench.subjects.descents.record import Record
    from workbench.subjects.descents.step_weights import ArrayWeights
    from workbench.subjects.descents.trajectory import Trajectory

    parameters = [n for n, _ in network.named_parameters()]  # of tied weights the first name
    kept = {*parameters, *(n for n, _ in network.named_buffers())}
    states = steps or {0: network.state_dict()}
    arrays = {
        s: {n: t.detach().numpy().copy() for n, t in held.items() if n in kept} for s, held in states.items()
    }
    table = pd.DataFrame({"loss": np.ones(len(arrays))}, index=sorted(arrays))
    record = Record(ArrayWeights(arrays, parameters), probe=Probe.of(x, y, loss), model=network)
    return Trajectory(table, record, name="by hand")


def untrained_descent(seed: int, width: int = 6, samples: int = 24) -> Any:
    """A small network as it was initialized, entries alike within each tensor, with noise for data."""
    import torch
    from torch import nn

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = nn.Sequential(
            nn.Linear(4, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU(), nn.Linear(width, 3)
        )
    rng = np.random.default_rng(seed)
    x, y = rng.standard_normal((samples, 4)).astype(np.float32), rng.integers(0, 3, samples)
    return hand_made_descent(network.eval(), x, y)
