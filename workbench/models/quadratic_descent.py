"""A descent into an exact quadratic bowl: the Hessian's spectrum is known everywhere."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

import numpy as np
from annotated_types import Interval
from typing_extensions import Doc

from workbench.core.parameters import Few, Seed
from workbench.core.registry import source
from workbench.models._training import LearningRate, OptimizerName
from workbench.subjects.descents.trajectory import Trajectory

if TYPE_CHECKING:
    import torch


@source
def quadratic_descent(
    *,
    dimensions: Annotated[int, Interval(ge=1, le=512), Doc("Parameters.")] = 16,
    condition: Annotated[
        float, Interval(ge=1, le=1e6), Doc("Greatest over smallest curvature; the greatest is 1.")
    ] = 100.0,
    spectrum: Annotated[
        Literal["geometric", "linear", "outlier"],
        Doc(
            "How curvatures lie between: evenly in their logarithm, evenly, or one at 1 and all others at the smallest."
        ),
    ] = "geometric",
    steps: Annotated[int, Interval(ge=1, le=2000), Few(30), Doc("Updates.")] = 300,
    learning_rate: LearningRate = 0.5,
    optimizer: Annotated[
        OptimizerName, Doc("What makes the updates; momentum is SGD with momentum 0.9.")
    ] = "sgd",
    random_state: Seed = 0,
) -> Trajectory:
    """Minimize ½ (w - w*)ᵀ H (w - w*) by full gradients, and give the recorded descent.

    Known answers: the Hessian of the probe's loss is H at every step, with the eigenvalues that `curvatures` gives
    (in random directions); under ``sgd`` the error along an eigenvector shrinks by 1 - learning_rate · λ a step, and
    with learning_rate above 2 the descent diverges. A linear regression without noise whose inputs are the rows of
    a square root of H, in float64.
    """
    import torch

    from workbench.models._training import descend, optimizer_of, seeded
    from workbench.numerics.resampling import random_frame

    rng = np.random.default_rng(random_state)
    frame = random_frame(dimensions, dimensions, rng)
    root = np.sqrt(dimensions * curvatures(dimensions, condition, spectrum))[:, None] * frame.T
    with seeded(random_state):
        x = torch.tensor(root)
        network = torch.nn.Linear(dimensions, 1, bias=False, dtype=torch.float64)
        y = x @ torch.tensor(rng.standard_normal((dimensions, 1)))
        torch.nn.init.zeros_(network.weight)

        def whole(step: int) -> tuple[torch.Tensor, torch.Tensor]:
            return x, y

        return descend(
            network,
            optimizer_of(optimizer, network, learning_rate),
            whole,
            steps,
            loss="half_squared_error",
            probe=(x, y),
            training=(x, y),
            name="quadratic descent",
            truth={"hessian": tuple(curvatures(dimensions, condition, spectrum).tolist())},
            optimizer_state=True,
        )


def curvatures(dimensions: int, condition: float, spectrum: str) -> np.ndarray:
    """The Hessian's eigenvalues, falling from 1 to 1 / condition."""
    low = 1 / condition
    if spectrum == "outlier":
        return np.array([1.0] + [low] * (dimensions - 1))
    if dimensions == 1:
        return np.ones(1)
    return np.geomspace(1, low, dimensions) if spectrum == "geometric" else np.linspace(1, low, dimensions)
