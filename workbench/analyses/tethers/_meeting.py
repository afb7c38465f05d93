"""The parameters of networks that meet, declared once for the methods that show what becomes of them."""

from __future__ import annotations

from typing import Annotated, Literal

from annotated_types import Interval
from typing_extensions import Doc

from workbench.analyses.tethers._merging import Drift, Kept
from workbench.core.parameters import Few
from workbench.numerics.compatibility import Measure
from workbench.subjects.descents.siblings import Models

Rounds = Annotated[int, Interval(ge=1, le=20), Few(2), Doc("How often networks meet.")]
Updates = Annotated[int, Interval(ge=1, le=100), Few(3), Doc("Updates of each network between two meetings.")]
Repeats = Annotated[
    int,
    Interval(ge=3, le=24),
    Few(3),
    Doc("Seeds: batches, splits and random tethers, the same for every arm."),
]
Source = Annotated[
    Kept, Doc("What edges are tethered by; of samples, on those that are trained on. Random is the control.")
]
By = Annotated[Measure, Doc("How tethers of two networks are compared.")]
Subspace = Annotated[
    float,
    Interval(gt=0, le=1),
    Doc("Share of each layer's edges that is tethered; a merge averages those that either tethers."),
]
FalsePositives = Annotated[
    float, Interval(gt=0, lt=1), Doc("How often layers without a relation would count as compatible.")
]
Draws = Annotated[
    int,
    Interval(ge=1, le=999),
    Few(19),
    Doc("Draws behind each threshold; 1 / (draws + 1) is the least rate that they can hold."),
]
Below = Annotated[
    Drift, Doc("What becomes of tethers that aren't compatible: they are kept, or pushed apart by a little.")
]
BatchSize = Annotated[
    int, Interval(ge=1, le=1024), Doc("Samples of an update, drawn with replacement by each network.")
]
Rate = Annotated[float, Interval(gt=0, le=10), Doc("Learning rate.")]
Optimizer = Annotated[
    Literal["sgd", "momentum", "adam", "adamw"],
    Doc("What makes the updates, its memory new after every meeting; momentum is SGD with momentum 0.9."),
]
Start = Annotated[
    Literal["first", "last"], Doc("Which of the descents' steps with weights the networks begin from.")
]


def first_step(models: Models, start: str) -> int:
    """The step that networks begin from."""
    return int(models.weight_steps[0 if start == "first" else -1])
