"""Facts moved from a memory into the weights by replay, and how soon weights learn a fact (again)."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from workbench.core.progress import track
from workbench.numerics.ghost.lessons import padded

if TYPE_CHECKING:
    import torch

    from workbench.numerics.ghost.model import Ghost

RELEARNING_RATE = 1e-3
TOGETHER = 16  # facts of an update


def consolidated(
    ghost: Ghost,
    facts: Sequence[bytes],
    *,
    steps: int,
    rehearsed: Sequence[bytes] = (),
    learning_rate: float = 2e-3,
    random_state: int = 0,
) -> Ghost:
    """A copy of a Ghost that was trained to answer facts without their rows.

    Parameters
    ----------
    facts, rehearsed : lines ``question, newline, answer, newline``. In every update stand facts, and half as many again that are
        rehearsed, so that what these hold isn't lost; empty rehearses nothing.
    """
    import torch

    rng = np.random.default_rng([random_state, 0x7265706C])
    made = copy.deepcopy(ghost)
    optimizer = torch.optim.AdamW(made.parameters(), lr=learning_rate)
    for _ in track(range(steps), "consolidating facts"):
        drawn = [facts[i] for i in rng.permutation(len(facts))[:TOGETHER]]
        drawn += [rehearsed[i] for i in rng.permutation(len(rehearsed))[: TOGETHER // 2]]
        _update(made, drawn, optimizer)
    return made.eval()


def relearned(ghost: Ghost, fact: bytes, steps: int) -> float:
    """Mean log-probability of a fact's answer, without any memory, after so many updates of a copy on that fact alone.

    References
    ----------
    Ebbinghaus 1885, Über das Gedächtnis, for savings in relearning; Golatkar, Achille and Soatto 2020, Eternal sunshine of the
    spotless net (1911.04933), for relearning time as what tells forgetting from hiding.
    """
    import torch

    made = copy.deepcopy(ghost)
    optimizer = torch.optim.AdamW(made.parameters(), lr=RELEARNING_RATE)
    for _ in range(steps):
        _update(made, [fact], optimizer)
    with torch.no_grad():
        return -float(_loss(made, [fact]))


def _update(ghost: Ghost, facts: list[bytes], optimizer: torch.optim.Optimizer) -> None:
    optimizer.zero_grad()
    _loss(ghost, facts).backward()
    optimizer.step()


def _loss(ghost: Ghost, facts: list[bytes]) -> torch.Tensor:
    from torch.nn import functional as F

    device = ghost.lm_head.weight.device
    x, of_answer, _ = (part.to(device) for part in padded(facts))
    asked = of_answer[:, 1:]
    return F.cross_entropy(ghost(x)[:, :-1][asked], x[:, 1:][asked])
