"""What planted descents share: the images, the networks, and the one loop by which they are trained, recorded."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from workbench.recording import record
from workbench.subjects.descents.trajectory import Trajectory

if TYPE_CHECKING:
    import torch

BATCH = 64
STILL = 1e-12
"""A learning rate that moves no weight by its last bit."""


def digits() -> tuple[torch.Tensor, torch.Tensor]:
    """scikit-learn's images of digits, (1797, 64) between 0 and 1, and their classes."""
    import torch
    from sklearn.datasets import load_digits

    images, classes = load_digits(return_X_y=True)
    return torch.tensor(images / 16, dtype=torch.float32), torch.tensor(classes)


def perceptron(width: int, depth: int) -> torch.nn.Sequential:
    """Hidden layers with ReLU behind each, and one that answers."""
    from torch import nn

    hidden = [layer for i in range(depth) for layer in (nn.Linear(width if i else 64, width), nn.ReLU())]
    return nn.Sequential(*hidden, nn.Linear(width, 10))


def trained(
    network: torch.nn.Module,
    seen: tuple[torch.Tensor, torch.Tensor],
    held: tuple[torch.Tensor, torch.Tensor],
    *,
    steps: int,
    rate: Callable[[int], float],
    name: str,
    anew_at: int | None = None,
) -> Trajectory:
    """Train a classifier, batches drawn by torch's own generator.

    Parameters
    ----------
    seen, held : inputs and classes that are trained on, and the probe. rate : the learning rate of a step.
    anew_at : a step at which all weights are drawn anew.
    """
    import torch

    from workbench.numerics.optimizers import optimizer_of

    optimizer = optimizer_of("adam", network.parameters(), rate(0))
    with record(
        network, optimizer, probe=held, training=seen, loss="cross_entropy", name=name, optimizer_state=True
    ) as run:
        for step in range(steps):
            if step == anew_at:
                _draw_anew(network)
            for group in optimizer.param_groups:
                group["lr"] = rate(step)
            chosen = torch.randint(len(seen[1]), (BATCH,))
            optimizer.zero_grad()
            loss = torch.nn.functional.cross_entropy(network(seen[0][chosen]), seen[1][chosen])
            loss.backward()
            optimizer.step()
            run.log(loss=loss)
    network.eval()
    return run.trajectory


def _draw_anew(network: torch.nn.Module) -> None:
    import torch

    for layer in network.modules():
        if isinstance(layer, torch.nn.Linear):
            layer.reset_parameters()
