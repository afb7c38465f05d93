"""Several descents on handwritten digits: small classifiers of one structure, trained from different beginnings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from annotated_types import Interval
from typing_extensions import Doc

from workbench.core.parameters import Few, Seed
from workbench.core.registry import source
from workbench.models._training import LearningRate, OptimizerName
from workbench.subjects.descents.siblings import Siblings
from workbench.subjects.descents.trajectory import Trajectory

if TYPE_CHECKING:
    import torch

TRAINED = 1000


@source
def digits_siblings(
    *,
    models: Annotated[int, Interval(ge=2, le=8), Doc("How many networks are trained.")] = 3,
    width: Annotated[int, Interval(ge=1, le=128), Doc("Units of each hidden layer.")] = 24,
    depth: Annotated[int, Interval(ge=1, le=4), Doc("Hidden layers.")] = 2,
    steps: Annotated[int, Interval(ge=1, le=400), Few(10), Doc("Updates of each.")] = 100,
    learning_rate: LearningRate = 5e-3,
    optimizer: Annotated[
        OptimizerName, Doc("What makes the updates; momentum is SGD with momentum 0.9.")
    ] = "adam",
    batch_size: Annotated[int, Interval(ge=1, le=1000), Doc("Images a step, drawn with replacement.")] = 64,
    images: Annotated[
        Literal["shared", "split", "scrambled"],
        Doc(
            "What each network is trained on: the same 1,000 images; a part of its own; or all of them with pixels and "
            "classes in an order of its own, so that the networks have nothing in common (a control)."
        ),
    ] = "shared",
    random_state: Seed = 0,
) -> Siblings:
    """Train several perceptrons (ReLU) on scikit-learn's digits from different beginnings and give their recorded descents.

    1,000 of the 1,797 images are trained on; the probe that all share is the other 797 with cross-entropy.
    """
    import torch

    from workbench.models._training import descend, optimizer_of, seeded
    from workbench.models.digits_descent import digits, perceptron

    with seeded(random_state):
        x, y = digits()
        order = torch.randperm(len(x))
    train, rest = order[:TRAINED], order[TRAINED:]

    def one(i: int) -> Trajectory:
        with seeded(random_state + 1 + i):
            network = perceptron(64, [width] * depth, 10)
            mine = train[i::models] if images == "split" else train
            inputs, targets = x, y
            if images == "scrambled":
                inputs, targets = x[:, torch.randperm(x.shape[1])], torch.randperm(10)[y]

            def batch(step: int) -> tuple[torch.Tensor, torch.Tensor]:
                chosen = mine[torch.randint(len(mine), (batch_size,))]
                return inputs[chosen], targets[chosen]

            return descend(
                network,
                optimizer_of(optimizer, network, learning_rate),
                batch,
                steps,
                loss="cross_entropy",
                probe=(x[rest], y[rest]),
                training=(inputs[mine], targets[mine]),
                name=f"digits {i}",
                optimizer_state=True,
            )

    return Siblings([one(i) for i in range(models)], name="digits siblings")
