"""A descent of Ghost: a small model of bytes learns to answer ten questions."""

from __future__ import annotations

from typing import Annotated, Any

from annotated_types import Interval
from typing_extensions import Doc

from workbench.core.errors import ParameterError
from workbench.core.parameters import Few, Seed
from workbench.core.progress import track
from workbench.core.registry import source
from workbench.models._training import LearningRate
from workbench.numerics.ghost.names import Places, Step, Tokenizer
from workbench.numerics.ghost.questions import lesson, lesson_loss, questions
from workbench.subjects.descents.trajectory import Trajectory


@source
def ghost_descent(
    *,
    steps: Annotated[
        int, Interval(ge=1, le=5000), Few(3), Doc("Updates, each of all questions at once.")
    ] = 40,
    paraphrases: Annotated[
        int,
        Interval(ge=0, le=4),
        Doc("Paraphrases of each question that are trained on too; the others aren't seen."),
    ] = 0,
    width: Annotated[
        int, Interval(ge=32, le=1024), Few(32), Doc("Numbers of a position's state between blocks.")
    ] = 320,
    blocks: Annotated[int, Interval(ge=1, le=64), Few(5), Doc("State-space blocks.")] = 8,
    tokenizer: Annotated[Tokenizer, Doc("Where units of text begin; none reads bytes throughout.")] = "none",
    attend_every: Annotated[
        int,
        Interval(ge=0, le=64),
        Doc("Attention follows every block of this number, twice it and so on; 0 has none."),
    ] = 4,
    places: Annotated[Places, Doc("What attention takes for the place of a byte.")] = "index",
    step: Annotated[Step, Doc("How a block takes its input in over time.")] = "euler",
    rotating: Annotated[bool, Doc("Whether states turn by learned angles.")] = False,
    substeps: Annotated[int, Interval(ge=1, le=8), Doc("Steps in which each block's change is taken.")] = 1,
    prompt_weight: Annotated[
        float, Interval(ge=0, le=1), Doc("Weight of a question's bytes in the loss; an answer's have 1.")
    ] = 0.1,
    learning_rate: LearningRate = 2e-3,
    random_state: Seed = 0,
) -> Trajectory:
    """Train Ghost to answer ten questions, byte for byte, and give its recorded descent.

    The probe is the answers: their loss given the questions. What it answers is asked of the network of a step,
    ``descent.at(step).network().answer("What do bees make?\\n")``; a step that is saved to a folder opens again as a network.

    Raises
    ------
    ParameterError
        Sizes that don't go together, such as a tokenizer with too few blocks to read its units.
    """
    import torch

    from workbench.models._training import seeded
    from workbench.numerics.ghost.model import Ghost
    from workbench.recording import record

    config = _configuration(
        width=width,
        blocks=blocks,
        tokenizer=tokenizer,
        attend_every=attend_every,
        places=places,
        step=step,
        rotating=rotating,
        substeps=substeps,
    )
    x, of_answer, real = lesson(paraphrases)
    weight = torch.where(of_answer, 1.0, prompt_weight) * real
    y = torch.where(of_answer, x, -1)
    with seeded(random_state):
        ghost = Ghost(config)
        optimizer = torch.optim.AdamW(ghost.parameters(), lr=learning_rate)
        with record(
            ghost, optimizer, probe=(x, y), loss="next_token", name="ghost descent", training=(x, y)
        ) as run:
            for _ in track(range(steps), "training ghost"):
                loss = lesson_loss(ghost, x, weight)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                run.log(loss=loss)
    ghost.eval()
    found: Trajectory = run.trajectory
    found.truth = {"questions": [q.question for q in questions()], "answers": [q.answer for q in questions()]}
    return found


def _configuration(**sizes: Any) -> Any:
    from workbench.numerics.ghost.config import GhostConfig

    width = sizes["width"]
    heads = next((h for h in (5, 4, 3, 2) if width % (2 * h) == 0), 1)
    head = next(h for h in (64, 32, 16, 8, 4, 2) if 2 * width % h == 0)
    try:
        return GhostConfig(heads=heads, head=head, **sizes)
    except ValueError as e:
        raise ParameterError(f"ghost_descent can't be built: {e}.") from None
