"""What the trained examples share: a seed that leaves torch's own generator alone, optimizers by name, one recorded loop."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated, Any

from annotated_types import Interval
from typing_extensions import Doc

from workbench.core.progress import track
from workbench.numerics import optimizers
from workbench.numerics.optimizers import OptimizerName as OptimizerName
from workbench.subjects.descents.trajectory import Trajectory

if TYPE_CHECKING:
    import torch

LearningRate = Annotated[
    float, Interval(gt=0, le=100), Doc("Learning rate; too large a one diverges, which is recorded.")
]


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Let torch draw from a seed inside the block, on one thread, so that equal seeds give equal last bits."""
    import torch

    threads = torch.get_num_threads()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        torch.set_num_threads(1)
        try:
            yield
        finally:
            torch.set_num_threads(threads)


def optimizer_of(name: str, network: torch.nn.Module, learning_rate: float) -> torch.optim.Optimizer:
    """An optimizer of all of a network's parameters by its name; see `optimizers.optimizer_of`."""
    return optimizers.optimizer_of(name, network.parameters(), learning_rate)


def descend(
    network: torch.nn.Module,
    optimizer: torch.optim.Optimizer,
    batch: Callable[[int], tuple[torch.Tensor, torch.Tensor]],
    steps: int,
    *,
    loss: str,
    probe: tuple[torch.Tensor, torch.Tensor],
    name: str,
    truth: Mapping[str, Any] = MappingProxyType({}),
    **how: Any,
) -> Trajectory:
    """Train for so many steps and return what was recorded.

    Parameters
    ----------
    batch : gives inputs and targets of a step. loss : a name from `objectives.LOSSES`.
    truth : what is known of the descent because it was made so. how : for `record`.
    """
    from workbench.numerics.objectives import loss_function
    from workbench.recording import record

    compare = loss_function(loss)
    with record(network, optimizer, probe=probe, loss=loss, name=name, **how) as run:
        for step in track(range(steps), f"training {name}"):
            x, y = batch(step)
            optimizer.zero_grad()
            found = compare(network(x), y)
            found.backward()
            optimizer.step()
            run.log(loss=found)
    network.eval()
    made = run.trajectory
    made.truth = dict(truth)
    return made
