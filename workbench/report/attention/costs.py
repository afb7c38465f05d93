"""Kinds of attention beside each other: what a step costs, what is learned, and what was measured of their promises."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from workbench.core.evidence import Evidence

if TYPE_CHECKING:
    import pandas as pd
    import torch

    from workbench.numerics.geometry.gpt import GPT
    from workbench.numerics.geometry.invariants import Check
    from workbench.report.geometry import Comparison


def kept_bytes(gpt: GPT, x: torch.Tensor) -> int:
    """Bytes that the tape keeps for the backward pass of tokens (b, n), weights left out."""
    import torch

    weights = {p.untyped_storage().data_ptr() for p in gpt.parameters()}
    held: dict[int, int] = {}

    def pack(t: torch.Tensor) -> torch.Tensor:
        if t.untyped_storage().data_ptr() not in weights:
            held[t.untyped_storage().data_ptr()] = t.untyped_storage().nbytes()
        return t

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda t: t):
        logits = gpt(x)
    del logits
    return sum(held.values())


def seconds_of_step(gpt: GPT, x: torch.Tensor) -> float:
    """Processor seconds of a forward and a backward pass over tokens (b, n)."""
    from torch.nn import functional as F

    begin = time.process_time()
    F.cross_entropy(gpt(x[:, :-1]).flatten(0, 1), x[:, 1:].flatten()).backward()
    taken = time.process_time() - begin
    gpt.zero_grad()
    return taken


def costs(kinds: Iterable[str], *, texts: int, length: int, repeats: int, **sizes: Any) -> pd.DataFrame:
    """What a training step of each kind costs: a row a kind, networks drawn anew.

    Parameters
    ----------
    texts, length : of a step. repeats : steps that are timed, in turn, so that all share what the machine does beside them; the least
    counts. sizes : of `GeometryConfig`.
    """
    import pandas as pd
    import torch

    from workbench.numerics.geometry.config import GeometryConfig
    from workbench.numerics.geometry.gpt import GPT

    x = torch.randint(sizes["vocabulary"], (texts, length), generator=torch.Generator().manual_seed(0))
    gpts: dict[str, GPT] = {}
    with torch.random.fork_rng(devices=[]):
        for kind in kinds:
            torch.manual_seed(0)
            gpts[kind] = GPT(GeometryConfig(mechanism=kind, **sizes))
    taken: dict[str, list[float]] = {kind: [] for kind in gpts}
    for _ in range(repeats + 1):  # the first of each, in which torch prepares itself, isn't counted
        for kind, gpt in gpts.items():
            taken[kind].append(seconds_of_step(gpt, x))
    found = {}
    for kind, gpt in gpts.items():
        counted = gpt.cost(length - 1, training=True).times(texts)
        found[kind] = {
            "processor ms a step": 1e3 * min(taken[kind][1:]),
            "MB kept for the backward pass": kept_bytes(gpt, x[:, :-1]) / 1e6,
            "MFLOP of matrices": counted.matrix / 1e6,
            "other operations, millions": sum(counted.other.values()) / 1e6,
            "parameters": float(sum(p.numel() for p in gpt.parameters())),
        }
    return pd.DataFrame(found).T.rename_axis("kind")


def beside_standard(kinds: Iterable[str], *, seeds: int, **how: Any) -> Comparison:
    """As `geometry.compare` of kinds, in this process and without keeping trials: networks of a page are trained in seconds.

    Memory isn't measured so, since a process has one peak alone.

    Parameters
    ----------
    how : for `geometry.training.Trial`, as there.

    Raises
    ------
    ParameterError
        Fewer than 3 seeds, or a kind that can't have these sizes.
    """
    from workbench.core.errors import ParameterError
    from workbench.numerics.geometry.training import Trial, refusal, run
    from workbench.report.geometry import FEWEST, judged

    if seeds < FEWEST:
        raise ParameterError(f"seeds={seeds}: an interval needs {FEWEST} or more.")
    asked = [
        Trial(kind, seed=seed, **how) for kind in dict.fromkeys(["standard", *kinds]) for seed in range(seeds)
    ]
    for trial in asked:
        if why := refusal(trial):
            raise ParameterError(f"{trial.mechanism} can't be trained: {why}.")
    return judged([(trial, run(trial)) for trial in asked], {})


def differences(bits: Mapping[str, Sequence[float]]) -> tuple[Evidence, ...]:
    """Each kind's bits less the standard one's, paired by seed.

    Parameters
    ----------
    bits : of each kind, the standard one among them, one number a seed; at least two seeds.
    """
    from workbench.numerics.paired import paired_interval

    usual, found = np.asarray(bits["standard"], float), []
    for kind, own in bits.items():
        if kind == "standard":
            continue
        apart = np.asarray(own, float) - usual
        low, high = paired_interval(apart)
        found.append(
            Evidence(
                id="bits",
                of=kind,
                question=f"Does {kind} take more or fewer bits of held-out text than standard, for the same counted operations?",
                label=f"bits a letter with {kind} attention, less those with standard",
                value=apart.mean(),
                interval=(float(low), float(high)),
                interval_method="Student's t over seeds, paired",
                n=len(apart),
                unit="seeds",
                untested="the verdict is by Student's t, corrected for the number of kinds, and stands in the table",
            )
        )
    return tuple(found)


def promises(checks: Mapping[str, Sequence[Check]]) -> pd.DataFrame:
    """What was measured of kinds' promises: a row a promise, beside its bound and its control."""
    import pandas as pd

    rows: list[dict[str, Any]] = [
        {
            "kind": kind,
            "promise": c.claim,
            "measured": f"{c.measured:.2g}",
            "bound": f"{c.bound:.2g}",
            "holds": "✓" if c.holds else "✗",
            "control": "" if np.isnan(c.control) else f"{c.control:.2g}",
            "of": c.beside,
        }
        for kind, found in checks.items()
        for c in found
    ]
    return pd.DataFrame(rows).set_index("kind")
