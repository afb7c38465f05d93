"""HOSS: a step that follows the gradient flow of the local quadratic exactly, in the Krylov space of the gradient."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from workbench.numerics.linalg_torch import lanczos

RATE = 0.3
RANK = 8
CAP = 3.0  # of δ|λ| where the curvature is negative: the flow grows by e³ at most
Product = Callable[[torch.Tensor], torch.Tensor]


class Step(NamedTuple):
    """A step (n), how many products it took, and how many negative curvatures were capped in it."""

    moved: torch.Tensor
    products: int
    capped: int


def flow(values: np.ndarray, delta: float, cap: float = CAP) -> np.ndarray:
    """φ_δ(λ) = (1 - e^(-δλ)) / λ, δ at λ = 0; δ|λ| counts as ``cap`` where λ is negative and more."""
    x = np.maximum(delta * values, -cap)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(x == 0, 1.0, -np.expm1(-x) / np.where(x == 0, 1.0, x)) * delta


def spread(values: np.ndarray, delta: float, cap: float = CAP) -> np.ndarray:
    """√((1 - e^(-2δλ)) / λ): the standard deviation that noise of variance 2 in time leaves after δ."""
    return np.sqrt(flow(values, 2 * delta, 2 * cap))


def step_of(
    product: Product,
    gradient: torch.Tensor,
    delta: float,
    *,
    rank: int = RANK,
    cap: float = CAP,
    temperature: float = 0.0,
    noise: torch.Tensor | None = None,
) -> Step:
    """Δ = -φ_δ(H) g + ξ, where ξ has the covariance T (1 - e^(-2δH)) / H that the flow with noise has after time δ.

    Parameters
    ----------
    product : multiplies (n) by the Hessian. rank : Hessian products, and as many again where there is noise.
    noise : (n) of standard normal numbers.

    Raises
    ------
    ParameterError
        The gradient is zero or not finite.

    References
    ----------
    Gradient flow and Ornstein and Uhlenbeck's process of a quadratic: Gardiner 2009, Stochastic methods, section 4.5. Functions
    of a matrix by Lanczos: Higham 2008, Functions of matrices, section 13.2.
    """
    values, vectors, _ = lanczos(product, gradient, rank)
    part = torch.from_numpy(flow(values, delta, cap)).to(gradient)
    moved = -vectors @ (part * (vectors.mT @ gradient))
    capped, products = int((delta * values < -cap).sum()), len(values)
    if temperature and noise is not None:
        values, vectors, _ = lanczos(product, noise, rank)
        wide = torch.from_numpy(spread(values, delta, cap)).to(gradient)
        moved = moved + math.sqrt(temperature) * vectors @ (wide * (vectors.mT @ noise))
        products += len(values)
    return Step(moved, products, capped)


class HOSS(torch.optim.Optimizer):
    """`step_of` at each step; ``step`` needs a closure that gives the loss, without its backward pass.

    Attributes
    ----------
    products, capped : Hessian products, and capped negative curvatures, of all steps so far.

    Raises
    ------
    ValueError
        There are several groups of parameters: a step is one of all of them.
    """

    needs_loss = True

    def __init__(
        self, params: Any, lr: float = 1.0, *, rank: int = RANK, temperature: float = 0.0, cap: float = CAP
    ):
        super().__init__(params, {"lr": lr, "rank": rank, "temperature": temperature, "cap": cap})
        if len(self.param_groups) > 1:
            raise ValueError("HOSS takes one step of all parameters: give them in one group")
        self.products = self.capped = 0

    def step(self, closure: Callable[[], torch.Tensor] | None = None) -> torch.Tensor:  # type: ignore[override]
        if closure is None:
            raise ValueError(
                "HOSS needs second derivatives: call step(closure), where closure() gives the loss"
            )
        group = self.param_groups[0]
        parameters = [p for p in group["params"] if p.requires_grad]
        with torch.enable_grad(), sdpa_kernel(SDPBackend.MATH):  # fused attention has one derivative
            loss = closure()
            slopes = torch.autograd.grad(loss, parameters, create_graph=True, allow_unused=True)
            used = [(p, d) for p, d in zip(parameters, slopes, strict=True) if d is not None]
            held, gradient = [p for p, _ in used], torch.cat([d.flatten() for _, d in used])

            def product(v: torch.Tensor) -> torch.Tensor:
                twice = torch.autograd.grad(gradient @ v, held, retain_graph=True, materialize_grads=True)
                return torch.cat([d.flatten() for d in twice])

            start = gradient.detach()
            made = step_of(
                product,
                start,
                group["lr"],
                rank=group["rank"],
                cap=group["cap"],
                temperature=group["temperature"],
                noise=torch.randn_like(start) if group["temperature"] else None,
            )
        with torch.no_grad():
            for p, d, part in zip(
                held, (d for _, d in used), made.moved.split([p.numel() for p in held]), strict=True
            ):
                p.grad = d.detach()
                p.add_(part.view_as(p))
        self.products += made.products
        self.capped += made.capped
        return loss.detach()


def optimizer_of(network: nn.Module, learning_rate: float) -> HOSS:
    """HOSS of all parameters; the learning rate is the time of the flow."""
    return HOSS(network.parameters(), learning_rate)
