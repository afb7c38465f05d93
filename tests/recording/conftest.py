"""A small problem that is learned in a moment."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch.nn import functional as F

import workbench as wb
from workbench.recording import writing


class Problem:
    """Two classes in six dimensions, a perceptron for them, and an optimizer."""

    def __init__(
        self, optimizer: str = "Adam", lr: float = 1e-2, dtype: torch.dtype = torch.float32, **settings: Any
    ):
        generator = torch.Generator().manual_seed(0)
        self.x = torch.randn(64, 6, generator=generator).to(dtype)
        self.y = (self.x[:, 0] > 0).long()
        torch.manual_seed(1)
        self.model = torch.nn.Sequential(
            torch.nn.Linear(6, 16), torch.nn.BatchNorm1d(16), torch.nn.Tanh(), torch.nn.Linear(16, 2)
        ).to(dtype)
        self.optimizer = getattr(torch.optim, optimizer)(self.model.parameters(), lr=lr, **settings)
        self.seen: dict[int, dict[str, torch.Tensor]] = {}
        self.rows: list[dict[str, float]] = []

    def loss(self) -> torch.Tensor:
        return F.cross_entropy(self.model(self.x), self.y)

    def step(self, run: Any = None, log: bool = True) -> float:
        """One turn, with what a careful reader would have noted of it."""
        self.optimizer.zero_grad()
        loss = self.loss()
        loss.backward()
        parameters = dict(self.model.named_parameters())
        before = {n: p.detach().clone() for n, p in parameters.items()}
        gradients = {n: p.grad.double().norm().item() for n, p in parameters.items()}  # type: ignore[union-attr]
        self.seen[len(self.rows)] = before
        self.optimizer.step()
        updates = {n: (p.detach().double() - before[n].double()).norm().item() for n, p in parameters.items()}
        self.rows.append(
            {
                "loss": loss.item(),
                **{f"g {n}": v for n, v in gradients.items()},
                **{f"u {n}": v for n, v in updates.items()},
            }
        )
        if run is not None and log:
            run.log(loss=loss)
        return loss.item()

    def record(self, steps: int, **how: Any) -> wb.Trajectory:
        with wb.record(self.model, self.optimizer, **how) as run:
            for _ in range(steps):
                self.step(run)
        self.seen[steps] = {n: p.detach().clone() for n, p in self.model.named_parameters()}
        return run.trajectory


@pytest.fixture(autouse=True)
def everything_is_worth_compressing(monkeypatch: pytest.MonkeyPatch) -> None:
    """The problem's tensors are small, and compression is to be tested."""
    monkeypatch.setattr(writing, "SMALL", 0)


@pytest.fixture
def problem() -> Callable[..., Problem]:
    """Makes a `Problem`."""
    return Problem
