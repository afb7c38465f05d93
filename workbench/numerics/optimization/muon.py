"""Muon: the momentum of a matrix is made orthogonal before it is taken as a step."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import cache
from typing import Any

import numpy as np
import torch
from torch import nn

Quintic = tuple[float, float, float]
JORDANS: tuple[Quintic, ...] = ((3.4445, -4.775, 2.0315),) * 5
"""The quintic that torch.optim.Muon repeats."""
RATE = 0.02
SMALLEST = 1e-3
ROUNDS = 5
BESIDE = (
    0.1  # of Muon's rate, which is a spectral norm, what the parameters that aren't matrices are moved by
)
TINY = 1e-12


@cache
def polar_express(smallest: float = SMALLEST, rounds: int = ROUNDS) -> tuple[Quintic, ...]:
    """Odd quintics of which each brings the singular values that the one before left as near to 1 as a quintic can.

    Parameters
    ----------
    smallest : singular values from this to 1 are brought to 1.

    References
    ----------
    Amsel et al. 2025, The polar express (2505.16932), theorem 3.1: the greedy choice is the best one; each is found as
    Remez does, by equal deviations at the ends and at both bends.
    """
    low, high, found = smallest, 1.0, []
    for _ in range(rounds):
        quintic, error = _best(low, high)
        found.append(quintic)
        low, high = 1 - error, 1 + error
    return tuple(found)


def _best(low: float, high: float) -> tuple[Quintic, float]:
    """The odd quintic nearest to 1 on an interval, and by how much it deviates."""
    bends = np.array([0.75 * low + 0.25 * high, 0.25 * low + 0.75 * high])
    for _ in range(100):
        x = np.array([low, *bends, high])
        a, b, c, error = np.linalg.solve(np.stack([x, x**3, x**5, [1.0, -1.0, 1.0, -1.0]], 1), np.ones(4))
        inside = 9 * b * b - 20 * a * c
        if error < 1e-9 or inside <= 0:
            break
        moved = np.sqrt((-3 * b + np.array([-1.0, 1.0]) * np.sqrt(inside)) / (10 * c))
        if np.abs(moved - bends).max() < 1e-12:
            break
        bends = moved
    return (float(a), float(b), float(c)), float(abs(error))


def orthogonalized(m: torch.Tensor, quintics: Sequence[Quintic] | None = None) -> torch.Tensor:
    """The orthogonal matrix nearest to (rows, columns), roughly, by products alone.

    Singular values from `SMALLEST` of the Frobenius norm on end in [0.85, 1.15] with `polar_express`; Jordan's quintic
    leaves them in [0.47, 1.21].
    """
    x = m.mT if m.shape[-2] > m.shape[-1] else m
    x = x / (x.norm(dim=(-2, -1), keepdim=True) + TINY)
    for a, b, c in quintics or polar_express():
        square = x @ x.mT
        x = a * x + (b * square + c * square @ square) @ x
    return x.mT if m.shape[-2] > m.shape[-1] else x


class Muon(torch.optim.Optimizer):
    """Nesterov's momentum, made orthogonal, of matrices; groups with ``matrices=False`` take Adam's step.

    Parameters
    ----------
    lr : a matrix is moved by this times √max(1, rows / columns). rescaled : each row of a step is divided by its running
        root mean square, and the step is brought back to its norm (NorMuon).
    quintics : `polar_express`'s by default.

    Raises
    ------
    ValueError
        A parameter that isn't a matrix, in a group that doesn't say ``matrices=False``.

    References
    ----------
    Jordan et al. 2024, Muon; Amsel et al. 2025 (2505.16932); Li et al. 2025, NorMuon (2510.05491).
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = RATE,
        *,
        momentum: float = 0.95,
        rescaled: bool = False,
        quintics: Sequence[Quintic] | None = None,
        beta: float = 0.95,
    ):
        defaults = {
            "lr": lr,
            "momentum": momentum,
            "rescaled": rescaled,
            "beta": beta,
            "matrices": True,
        }
        super().__init__(params, defaults)
        self.quintics = tuple(quintics or polar_express())
        for group in self.param_groups:
            for p in group["params"]:
                if group["matrices"] and p.ndim != 2:
                    raise ValueError(
                        f"Muon takes matrices only, and was given a parameter of shape {tuple(p.shape)}: "
                        "give such ones in a group with matrices=False, which takes Adam's step"
                    )

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is not None:
                    (self._matrix if group["matrices"] else self._adam)(p, group, self.state[p])
        return loss

    def _matrix(self, p: torch.Tensor, group: dict[str, Any], state: dict[str, Any]) -> None:
        assert p.grad is not None
        moving = state.setdefault("momentum_buffer", torch.zeros_like(p))
        moving.lerp_(p.grad, 1 - group["momentum"])
        step = orthogonalized(p.grad.lerp(moving, group["momentum"]), self.quintics)
        if group["rescaled"]:
            rows = state.setdefault("row_squares", torch.zeros_like(p[:, :1]))
            rows.lerp_(step.square().mean(1, keepdim=True), 1 - group["beta"])
            scaled = step / (rows.sqrt() + TINY)
            step = scaled * (step.norm() / (scaled.norm() + TINY))
        p.sub_(step, alpha=group["lr"] * max(1.0, p.shape[0] / p.shape[1]) ** 0.5)

    def _adam(self, p: torch.Tensor, group: dict[str, Any], state: dict[str, Any]) -> None:
        assert p.grad is not None
        first = state.setdefault("exp_avg", torch.zeros_like(p))
        second = state.setdefault("exp_avg_sq", torch.zeros_like(p))
        state["step"] = state.get("step", 0) + 1
        first.lerp_(p.grad, 0.1)
        second.lerp_(p.grad.square(), 0.05)
        whole = second / (1 - 0.95 ** state["step"])
        p.addcdiv_(first / (1 - 0.9 ** state["step"]), whole.sqrt() + 1e-8, value=-group["lr"])


def optimizer_of(network: nn.Module, learning_rate: float) -> Muon:
    """Muon of the matrices between embedding and head; Adam of these two and of all else, at `BESIDE` of the rate."""
    named = list(network.named_parameters())
    inside = [
        p
        for name, p in named
        if p.ndim == 2
        and name.endswith((".weight", ".direction"))  # biases of heads by place are no maps
        and not name.startswith(("embedding", "lm_head"))
    ]
    held = {id(p) for p in inside}
    others = [p for _, p in named if id(p) not in held]
    return Muon(
        [{"params": inside}, {"params": others, "matrices": False, "lr": BESIDE * learning_rate}],
        lr=learning_rate,
    )
