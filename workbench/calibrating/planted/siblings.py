"""Small networks on digits, of which is known what ties them: the siblings that the tour of tethers is tried on."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from workbench.calibrating.planted import Planted
from workbench.calibrating.planted._training import STILL, digits, perceptron, trained
from workbench.subjects.descents.siblings import Siblings
from workbench.subjects.descents.trajectory import Trajectory

if TYPE_CHECKING:
    import torch

MODELS, WIDTH, STEPS, IMAGES, PROBE = 2, 12, 60, 500, 256
RATE, BEGUN = 5e-3, 5
DARK, LARGE = (0, 7), 3.0
"""Columns of the images that are made dark, and the size of the weights from there, which nothing ever moves."""
CONTRASTS_ALONE = False
PARAMETERS = {
    "models": MODELS,
    "rounds": 3,
    "repeats": 10,
    "n_null": 199,
    "merged_by": "magnitude",
    "within_sources": ("fisher_weight", "gradient_weight", "magnitude"),
    "between_sources": ("magnitude",),
}


@dataclass(frozen=True)
class Task:
    """How siblings of a kind are made.

    Attributes
    ----------
    rate : learning rate. permuted : whether labels are dealt to images at random. scrambled : whether each has pixels and
        classes in an order of its own. copies : whether all are the first, its hidden units in another order.
    dark : whether some columns of the images are dark, with large weights from there.
    """

    rate: float = RATE
    permuted: bool = False
    scrambled: bool = False
    copies: bool = False
    dark: bool = False

    def __call__(self, seed: int, models: int, steps: int, name: str) -> Siblings:
        """Train them."""
        import torch

        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            x, y = digits()
            order = torch.randperm(len(x))
            x, y = x[order][: IMAGES + PROBE], y[order][: IMAGES + PROBE]
            if self.permuted:
                y = y[torch.randperm(len(y))]
            if self.dark:
                x = x * ~_dark()
            return Siblings([self._one(seed, i, x, y, steps) for i in range(models)], name=name)

    def _one(self, seed: int, i: int, x: torch.Tensor, y: torch.Tensor, steps: int) -> Trajectory:
        import torch

        torch.manual_seed(seed + 1 + (0 if self.copies else i))
        network = perceptron(WIDTH, 1)
        seen, held = (x[:IMAGES], y[:IMAGES]), (x[IMAGES:], y[IMAGES:])
        if self.scrambled:
            seen = seen[0][:, torch.randperm(64)], torch.randperm(10)[seen[1]]
        first, last = (layer for layer in network if isinstance(layer, torch.nn.Linear))
        with torch.no_grad():
            if self.dark:
                first.weight[:, _dark()] = LARGE * torch.randn(WIDTH, int(_dark().sum())).sign()
            if self.copies and i:
                order = torch.randperm(WIDTH, generator=torch.Generator().manual_seed(seed + i))
                for t, axis in ((first.weight, 0), (first.bias, 0), (last.weight, 1)):
                    t.copy_(t.index_select(axis, order))
        return trained(network, seen, held, steps=steps, rate=lambda step: self.rate, name=f"network {i}")


def _dark() -> torch.Tensor:
    import torch

    return torch.isin(torch.arange(64) % 8, torch.tensor(DARK))


def opened(kind: str, seed: int) -> dict[str, Any]:
    """The networks that the tour is run on, those that have nothing in common, and those that it begins with."""
    make: Task = KINDS[kind].plant  # type: ignore[assignment]
    nets = make(100 * seed, MODELS, STEPS, "siblings")
    return {
        "random_state": 100 * seed,
        "nets": nets,
        "one": nets[0],
        "strangers": Task(scrambled=True)(100 * seed + 50, MODELS, STEPS, "strangers"),
        "begun": replace(make, copies=False)(
            100 * seed + 20, BEGUN, 1, "begun"
        ),  # each from a beginning of its own
    }


STRANGERS = "between_networks@* of strangers"
KINDS = {
    "still": Planted(
        "a learning rate at which no weight moves, and labels dealt at random",
        Task(rate=STILL, permuted=True),
        never=("agreement", "between_networks@*", "accuracy_of_*"),
    ),
    "permuted": Planted(
        "labels dealt at random",
        Task(permuted=True),
        never=("accuracy_of_*", STRANGERS),
    ),
    "copies": Planted(
        "two networks that are one, its hidden units in another order",
        Task(copies=True),
        {"between_networks@* of siblings": "more"},
        never=(STRANGERS,),
    ),
    "dark": Planted(
        "large weights from pixels that are always dark",
        Task(dark=True),
        {"advantage_over_magnitude@*": "more"},
        never=(STRANGERS,),
    ),
}
