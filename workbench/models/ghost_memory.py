"""A memory of facts, and a Ghost that was taught to read one."""

from __future__ import annotations

from typing import Annotated

from annotated_types import Interval
from typing_extensions import Doc

from workbench.core.parameters import Few, Seed
from workbench.core.registry import source
from workbench.models._training import LearningRate
from workbench.subjects.memory import Memory


@source
def ghost_memory(
    *,
    steps: Annotated[int, Interval(ge=1, le=5000), Few(3), Doc("Updates, each of facts that are new.")] = 100,
    width: Annotated[
        int, Interval(ge=16, le=1024), Few(16), Doc("Numbers of a position's state between blocks.")
    ] = 128,
    blocks: Annotated[
        int, Interval(ge=5, le=64), Few(5), Doc("State-space blocks; keys come from two of them.")
    ] = 6,
    keys: Annotated[int, Interval(ge=4, le=1024), Few(8), Doc("Numbers of a key.")] = 64,
    every_layer: Annotated[
        bool,
        Doc(
            "Whether what is read comes in after each block from the second of the keys on, by gates of their own."
        ),
    ] = False,
    raw_bytes: Annotated[bool, Doc("Whether gates see the byte that was read last too.")] = False,
    learning_rate: LearningRate = 3e-3,
    random_state: Seed = 0,
) -> Memory:
    """Teach Ghost to answer from rows of bytes, and give it ten facts to answer from.

    It is taught on questions and answers of random bytes, new ones in every step, so that its weights can hold none of them: what
    it then answers, it reads. The ten facts are Ghost's ten questions, on which it was never trained.
    """
    import pandas as pd

    from workbench.models._training import seeded
    from workbench.numerics.ghost.config import GhostConfig
    from workbench.numerics.ghost.lessons import teach_reading
    from workbench.numerics.ghost.model import Ghost
    from workbench.numerics.ghost.questions import questions
    from workbench.subjects.own_checkpoints import checkpoint_of

    head = next(h for h in (32, 16, 8, 4, 2, 1) if (2 * width) % h == 0)
    config = GhostConfig(
        width=width,
        blocks=blocks,
        head=head,
        heads=1,
        attend_every=0,
        memory=keys,
        memory_every=every_layer,
        memory_raw=raw_bytes,
    )
    with seeded(random_state):
        ghost = Ghost(config)
        teach_reading(ghost, steps, learning_rate, random_state)
    table = pd.DataFrame({"text": [f"{q.question}\n{q.answer}\n" for q in questions()]})
    made = Memory(checkpoint_of(ghost.eval()), table, name="ghost memory")
    made.truth = {"answers": [q.answer for q in questions()]}
    return made
