"""A deep linear network (exact dynamics): each mode of the task is learned along a curve that is known in closed form."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import numpy as np
from annotated_types import Interval
from typing_extensions import Doc

from workbench.core.parameters import Few, Seed
from workbench.core.registry import source
from workbench.models._training import LearningRate
from workbench.subjects.descents.trajectory import Trajectory

if TYPE_CHECKING:
    import torch


@source
def linear_descent(
    *,
    modes: Annotated[
        tuple[Annotated[float, Interval(gt=0, le=100)], ...], Doc("Singular values of the task, one a mode.")
    ] = (4.0, 2.0, 1.0),
    dimensions: Annotated[
        int, Interval(ge=1, le=128), Doc("Inputs, hidden units and outputs; at least as many as modes.")
    ] = 8,
    depth: Annotated[
        int, Interval(ge=1, le=6), Doc("Matrices in a row; the closed form is for 1 and 2.")
    ] = 2,
    initial: Annotated[
        float, Interval(gt=0, le=10), Doc("Strength of every mode at the start; small ones wait long.")
    ] = 1e-3,
    steps: Annotated[int, Interval(ge=1, le=5000), Few(50), Doc("Updates.")] = 600,
    learning_rate: LearningRate = 0.01,
    random_state: Seed = 0,
) -> Trajectory:
    """Train a product of matrices, balanced and aligned with its task, by full gradients, and give the recorded descent.

    Known answers: mode strengths follow `strength` as the learning rate goes to 0 (time is step times learning rate);
    the stronger a mode, the earlier it is learned, a plateau before each; the rank of the product grows mode by mode.
    Inputs are white, the loss is half the squared error, all in float64.

    References
    ----------
    Saxe, McClelland, Ganguli (2014), Exact solutions to the nonlinear dynamics of learning in deep linear neural
    networks, ICLR.
    """
    import torch

    from workbench.core.errors import ParameterError
    from workbench.models._training import descend, optimizer_of, seeded
    from workbench.numerics.resampling import random_frame

    if not 0 < len(modes) <= dimensions:
        raise ParameterError(
            f"linear_descent: modes={modes!r} are {len(modes)} and dimensions={dimensions} has room for 1 to {dimensions}."
        )
    rng = np.random.default_rng(random_state)
    frames = [random_frame(dimensions, dimensions, rng) for _ in range(depth + 1)]
    k = len(modes)
    task = frames[-1][:, :k] * np.array(modes) @ frames[0][:, :k].T
    share = np.zeros(dimensions)
    share[:k] = initial ** (1 / depth)
    with seeded(random_state):
        layers = [
            torch.nn.Linear(dimensions, dimensions, bias=False, dtype=torch.float64) for _ in range(depth)
        ]
        network = torch.nn.Sequential(*layers)
        with torch.no_grad():
            for i, layer in enumerate(layers):
                layer.weight.copy_(torch.tensor(frames[i + 1] * share @ frames[i].T))
        x = torch.tensor(np.sqrt(dimensions) * np.eye(dimensions))
        y = x @ torch.tensor(task.T)

        def whole(step: int) -> tuple[torch.Tensor, torch.Tensor]:
            return x, y

        return descend(
            network,
            optimizer_of("sgd", network, learning_rate),
            whole,
            steps,
            loss="half_squared_error",
            probe=(x, y),
            training=(x, y),
            name="linear descent",
            truth={"modes": tuple(modes), "initial": initial, "rank": k},
        )


def strength(time: np.ndarray, mode: float, initial: float, depth: int) -> np.ndarray:
    """Strength of a mode after some time of gradient flow, in a product of one or two matrices."""
    if depth == 1:
        return mode + (initial - mode) * np.exp(-np.asarray(time, float))
    if depth == 2:
        return mode / (1 - (1 - mode / initial) * np.exp(-2 * mode * np.asarray(time, float)))
    raise ValueError("the closed form is for a depth of 1 or 2")
