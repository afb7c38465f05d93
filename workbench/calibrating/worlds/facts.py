"""Facts of random bytes in a memory, whose network was taught to read or wasn't, and never saw them or was trained on them."""

from __future__ import annotations

import copy
from functools import cache

import numpy as np

from workbench.calibrating.world import World
from workbench.core.registry import method
from workbench.numerics.ghost.lessons import random_facts
from workbench.numerics.ghost.model import Ghost
from workbench.subjects.memory import Memory
from workbench.subjects.own_checkpoints import checkpoint_of

COUNT, LENGTHS = 8, (5, 9)
UPDATES = 12
TAUGHT = 120
SHUT = -30.0  # of the gate's logit


@cache
def _taught() -> Ghost:
    """A small network that was taught on facts of random bytes."""
    made: Memory = method("ghost_memory")(width=48, blocks=5, keys=32, steps=TAUGHT)
    return made.module


@cache
def _reader(shut: bool) -> Ghost:
    """The network that was taught; ``shut``: its gate then lets nothing of the facts in."""
    import torch

    ghost = copy.deepcopy(_taught())
    if shut:
        with torch.no_grad():
            ghost.backbone.memory.gate.weight.zero_()
            ghost.backbone.memory.gate.bias.fill_(SHUT)
    return ghost


def _memory(rng: np.random.Generator, *, shut: bool = False, updates: int = 0) -> tuple[Memory, ...]:
    """Facts that are drawn, in the memory of a network; ``updates`` trains it on them too."""
    import pandas as pd

    from workbench.numerics.ghost.consolidating import consolidated

    texts = [fact.decode("latin-1") for fact in random_facts(rng, COUNT, LENGTHS)]
    ghost = _reader(shut)
    if updates:
        facts = [text.encode() for text in texts]
        ghost = consolidated(ghost, facts, steps=updates, random_state=int(rng.integers(2**31)))
    return (Memory(checkpoint_of(ghost), pd.DataFrame({"text": texts}), name="facts"),)


WORLDS = (
    World(
        "facts that are read",
        "facts of random bytes, and a network that was taught to read such facts and never saw these",
        ("Facts",),
        lambda rng: _memory(rng),
        holds={"recall": ("exact",)},
    ),
    World(
        "facts that can't be read",
        "facts of random bytes, and a network whose gate lets nothing of them in",
        ("Facts",),
        lambda rng: _memory(rng, shut=True),
        only=("recall",),
    ),
    World(
        "facts never trained",
        "facts of random bytes, and a network that was taught to read such facts and never saw these",
        ("Facts",),
        lambda rng: _memory(rng),
        only=("forgetting",),
    ),
    World(
        "facts in the weights",
        "the same, and the network was then trained on these facts without their rows",
        ("Facts",),
        lambda rng: _memory(rng, updates=UPDATES),
        holds={"forgetting": ("answer_score", "relearned_score")},
    ),
)
