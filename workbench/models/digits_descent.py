"""A descent on handwritten digits: a small classifier, trained and recorded."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Annotated

from annotated_types import Interval
from typing_extensions import Doc

from workbench.core.parameters import Few, Seed
from workbench.core.registry import source
from workbench.models._training import LearningRate, OptimizerName
from workbench.subjects.descents.trajectory import Trajectory

if TYPE_CHECKING:
    import torch

PROBE = 256


@source
def digits_descent(
    *,
    width: Annotated[int, Interval(ge=1, le=256), Doc("Units of each hidden layer.")] = 32,
    depth: Annotated[int, Interval(ge=0, le=8), Doc("Hidden layers; 0 is a linear classifier.")] = 2,
    steps: Annotated[int, Interval(ge=1, le=2000), Few(20), Doc("Updates.")] = 500,
    learning_rate: LearningRate = 1e-3,
    optimizer: Annotated[
        OptimizerName, Doc("What makes the updates; momentum is SGD with momentum 0.9.")
    ] = "adam",
    batch_size: Annotated[int, Interval(ge=1, le=1500), Doc("Images a step, drawn with replacement.")] = 64,
    random_state: Seed = 0,
) -> Trajectory:
    """Train a multilayer perceptron (ReLU) on scikit-learn's 8 × 8 digits and give its recorded descent.

    Trained on 1,500 of the 1,797 images, chosen by the seed; the probe is 256 of the others with cross-entropy, so
    that instruments see images that weren't trained on. All the optimizer's state is kept beside the weights.
    """
    import torch

    from workbench.models._training import descend, optimizer_of, seeded

    with seeded(random_state):
        x, y = digits()
        order = torch.randperm(len(x))
        train, rest = order[:1500], order[1500:][:PROBE]
        network = perceptron(64, [width] * depth, 10)

        def batch(step: int) -> tuple[torch.Tensor, torch.Tensor]:
            chosen = train[torch.randint(len(train), (batch_size,))]
            return x[chosen], y[chosen]

        return descend(
            network,
            optimizer_of(optimizer, network, learning_rate),
            batch,
            steps,
            loss="cross_entropy",
            probe=(x[rest], y[rest]),
            training=(x[train], y[train]),
            name="digits descent",
            optimizer_state=True,
        )


def digits() -> tuple[torch.Tensor, torch.Tensor]:
    """The images, (1797, 64) between 0 and 1, and their classes."""
    import torch
    from sklearn.datasets import load_digits

    images, classes = load_digits(return_X_y=True)
    return torch.tensor(images / 16, dtype=torch.float32), torch.tensor(classes)


def perceptron(inputs: int, hidden: list[int], outputs: int) -> torch.nn.Sequential:
    """Linear layers with ReLU between them."""
    from torch import nn

    sizes = [inputs, *hidden, outputs]
    layers: list[nn.Module] = []
    for a, b in itertools.pairwise(sizes):
        layers += [nn.Linear(a, b), nn.ReLU()]
    return nn.Sequential(*layers[:-1])
