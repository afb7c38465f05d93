"""The Hessian of a probe's loss as an operator: products, extreme eigenvalues, trace and density, on any device."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch

from workbench.core.errors import DataError, ParameterError
from workbench.numerics.device import memory_budget
from workbench.numerics.linalg_torch import lanczos
from workbench.numerics.objectives import Probe
from workbench.numerics.per_sample import sample_losses

if TYPE_CHECKING:
    from jaxtyping import Float
    from torch import Tensor

Product = Callable[["Tensor"], "Tensor"]


class Hessian:
    """Second derivatives of a network's loss on a probe, in the parameters ``names``, in one vector of ``n`` entries.

    Products are exact (a derivative of the gradient, Pearlmutter 1994), computed in float64. Where the loss has kinks
    (ReLU) it is the Hessian of the piece that the weights lie in.

    Parameters
    ----------
    network : is moved to the device and made float64, in place. names : of parameters, in the order of the vector.

    Raises
    ------
    DataError
        Loss or gradient are not finite.
    """

    def __init__(
        self, network: torch.nn.Module, probe: Probe, names: Sequence[str], device: torch.device | str = "cpu"
    ):
        self.network, self.probe = network.to(device, torch.float64), probe
        held = dict(network.named_parameters())
        for p in held.values():
            p.requires_grad_(False)
        self.parameters = [held[n].requires_grad_() for n in names]
        self.n = sum(p.numel() for p in self.parameters)
        with _differentiable_twice():
            loss = probe.evaluate(self.network)
            self.gradient = self._gradient(loss)
        if not bool(torch.isfinite(loss)) or not bool(torch.isfinite(self.gradient).all()):
            raise DataError(
                "Loss or gradient are not finite at these weights: there is no Hessian. Ask about an earlier step."
            )

    def __call__(self, v: Float[Tensor, " n"]) -> Float[Tensor, " n"]:
        """The Hessian times a vector."""
        if not self.gradient.requires_grad:  # a loss that is linear in the parameters
            return torch.zeros_like(v)
        with _differentiable_twice():
            return self._gradient(self.gradient @ v, keep=False)

    def products(self, v: Float[Tensor, "k n"]) -> Float[Tensor, "k n"]:
        """The Hessian times each of several vectors: at once on a GPU (9 times as fast), one by one on a CPU (1.4 times)."""
        if not self.gradient.requires_grad:
            return torch.zeros_like(v)
        if v.device.type == "cpu":
            return torch.stack([self(one) for one in v])
        with _differentiable_twice():
            found = torch.autograd.grad(
                self.gradient,
                self.parameters,
                v,
                is_grads_batched=True,
                retain_graph=True,
                materialize_grads=True,
                allow_unused=True,
            )
        return torch.cat([f.reshape(len(v), -1) for f in found], dim=1)

    def along(self, v: Float[Tensor, " n"]) -> Float[Tensor, " s"]:
        """vᵀ Hᵢ v for the loss of each sample i: what one sample adds to the curvature along ``v``."""
        with _differentiable_twice():
            losses = sample_losses(self.network, self.probe)
            weights = torch.ones_like(losses, requires_grad=True)
            slope = self._gradient((weights * losses).sum()) @ v
            if not slope.requires_grad:
                return torch.zeros_like(losses)
            curvature = self._gradient(slope) @ v
            if not curvature.requires_grad:
                return torch.zeros_like(losses)
            found = torch.autograd.grad(curvature, weights, allow_unused=True, materialize_grads=True)[0]
        return found.detach()

    def dense(self) -> Float[Tensor, "n n"]:
        """The whole matrix; for few parameters."""
        return self.products(torch.eye(self.n, dtype=torch.float64, device=self.parameters[0].device))

    def _gradient(self, value: Tensor, keep: bool = True) -> Tensor:
        """Derivative of a number in the parameters, as one vector; differentiable again if it is to be kept."""
        parts = torch.autograd.grad(
            value,
            self.parameters,
            create_graph=keep,
            retain_graph=True,
            allow_unused=True,
            materialize_grads=True,
        )
        return torch.cat([p.reshape(-1) for p in parts])


@contextmanager
def _differentiable_twice() -> Iterator[None]:
    """Leave aside the fused attention and recurrent kernels, which have a first derivative only."""
    from torch.nn.attention import SDPBackend, sdpa_kernel

    with sdpa_kernel(SDPBackend.MATH), torch.backends.cudnn.flags(enabled=False):
        yield


class Extremes(NamedTuple):
    """Eigenvalues, falling; unit eigenvectors in columns; and how far from each value an eigenvalue lies at most."""

    values: Float[np.ndarray, " k"]
    vectors: Float[Tensor, "n k"]
    residuals: Float[np.ndarray, " k"]


def extreme_eigenpairs(
    product: Product,
    n: int,
    largest: int,
    smallest: int,
    *,
    steps: int,
    random_state: int = 0,
    device: torch.device | str = "cpu",
) -> Extremes:
    """Return the largest and the smallest eigenpairs of a symmetric operator on float64 vectors, by Lanczos.

    An eigenvalue lies within each residual of the value given (Parlett 1998, theorem 4.5.1). Of one that repeats
    exactly, copies are found only where the vectors span an invariant subspace before there are enough; otherwise one.

    Raises
    ------
    ParameterError
        More are asked for than there are, or than steps.
    DataError
        The basis doesn't fit in memory.
    """
    wanted = largest + smallest
    if not 1 <= wanted <= min(n, steps):
        raise ParameterError(
            f"{wanted} eigenvalues must be at least 1 and at most {min(n, steps)}, the parameters and the steps."
        )
    _require_room(n, steps, device)
    rng = np.random.default_rng([random_state, 0x6C616E])
    values, residuals = np.empty(0), np.empty(0)
    vectors = torch.empty((n, 0), dtype=torch.float64, device=device)
    while len(values) < wanted:
        known = vectors

        def outside(x: Tensor, known: Tensor = known) -> Tensor:
            return x - known @ (known.T @ x)

        def deflated(x: Tensor, outside: Product = outside) -> Tensor:
            return outside(product(outside(x)))

        start = outside(outside(_normal(rng, n, device)))
        found, basis, residual = lanczos(deflated, start, min(steps, n - len(values)))
        values, residuals = np.concatenate([values, found]), np.concatenate([residuals, residual])
        vectors = torch.cat([vectors, basis], dim=1)
        if len(found) == steps:
            break
    order = np.argsort(-values)
    order = np.concatenate([order[:largest], order[len(order) - smallest :]])
    residuals = np.maximum(
        residuals, np.finfo(float).eps * np.abs(values).max()
    )  # none is known better than rounding
    return Extremes(values[order], vectors[:, torch.from_numpy(order).to(vectors.device)], residuals[order])


class Trace(NamedTuple):
    """A trace: its estimate, the estimate's standard error, and vᵀ H v of each random vector."""

    value: float
    standard_error: float
    draws: Float[np.ndarray, " m"]

    @property
    def interval(self) -> tuple[float, float]:
        """95 % interval (Student's t)."""
        from scipy.stats import t

        half = t.ppf(0.975, len(self.draws) - 1) * self.standard_error
        return self.value - half, self.value + half


def signs(n: int, draws: int, random_state: int, device: torch.device | str = "cpu") -> Float[Tensor, "m n"]:
    """Random vectors of ±1 (Rademacher), the same on every device."""
    rng = np.random.default_rng([random_state, 0x747261])
    return torch.from_numpy(rng.integers(0, 2, (draws, n), dtype=np.int8)).to(device, torch.float64) * 2 - 1


def hutchinson(products: Product, vectors: Float[Tensor, "m n"], at_once: int = 16) -> Trace:
    """Estimate a trace as the mean of vᵀ H v over random vectors of ±1, and that mean's standard error.

    Parameters
    ----------
    products : (k, n) to (k, n), the operator times each row. vectors : from `signs`, two or more.

    References
    ----------
    Hutchinson 1989, A stochastic estimator of the trace of the influence matrix, Commun. Stat. Simul. 18; Girard 1989.
    """
    found = (
        torch.cat([(block * products(block)).sum(dim=1) for block in vectors.split(at_once)]).cpu().numpy()
    )
    return Trace(float(found.mean()), float(found.std(ddof=1) / np.sqrt(len(found))), found)


class Quadrature(NamedTuple):
    """Nodes and weights whose sums approximate integrals over the spectrum, one line a random start; weight 0 fills up."""

    nodes: Float[np.ndarray, "m k"]
    weights: Float[np.ndarray, "m k"]

    def density(self, grid: Float[np.ndarray, " g"], width: float) -> Float[np.ndarray, "m g"]:
        """Share of the eigenvalues per unit at each place of ``grid``, smoothed by a normal curve of that width, per start."""
        bells = np.exp(-0.5 * ((grid[None, :, None] - self.nodes[:, None, :]) / width) ** 2)
        return (bells * self.weights[:, None, :]).sum(axis=2) / (width * np.sqrt(2 * np.pi))

    def share(self, low: float, high: float) -> Float[np.ndarray, " m"]:
        """Share of the eigenvalues in [low, high], per start."""
        return (self.weights * ((self.nodes >= low) & (self.nodes <= high))).sum(axis=1)


def lanczos_quadrature(
    product: Product,
    n: int,
    *,
    starts: int,
    steps: int,
    random_state: int = 0,
    device: torch.device | str = "cpu",
) -> Quadrature:
    """Approximate the spectrum's density by Lanczos from random starts (stochastic Lanczos quadrature).

    References
    ----------
    Ubaru, Chen and Saad 2017, Fast estimation of tr(f(A)) via stochastic Lanczos quadrature, SIAM J. Matrix Anal.
    Appl. 38; Ghorbani, Krishnan and Xiao 2019, An investigation into neural net optimization via Hessian eigenvalue
    density, ICML.
    """
    _require_room(n, steps, device)
    rng = np.random.default_rng([random_state, 0x736C71])
    k = min(n, steps)
    nodes, weights = np.zeros((starts, k)), np.zeros((starts, k))
    for i in range(starts):
        start = _normal(rng, n, device)
        values, vectors, _ = lanczos(product, start, k)
        m = len(values)
        nodes[i, :m], weights[i, :m] = values, ((vectors.T @ start / start.norm()) ** 2).cpu().numpy()
        nodes[i, m:] = values[-1]
    return Quadrature(nodes, weights / weights.sum(axis=1, keepdims=True))


def _normal(rng: np.random.Generator, n: int, device: torch.device | str) -> Float[Tensor, " n"]:
    return torch.from_numpy(rng.standard_normal(n)).to(device)


def _require_room(n: int, steps: int, device: torch.device | str) -> None:
    needed, free = (
        3 * 8 * n * min(n, steps),
        memory_budget(torch.device(device)),
    )  # basis, its turned copy, one in passing
    if needed > free:
        raise DataError(
            f"Lanczos with {steps} steps on {n:,} parameters needs {needed / 2**30:.1f} GiB and {free / 2**30:.1f} GiB are free: "
            f"lower lanczos_steps to {free // (24 * n)}."
        )
