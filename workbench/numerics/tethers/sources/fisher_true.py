"""True Fisher information, diagonal: squared gradients in expectation over labels drawn from the network's own answer.

References
----------
Kunstner, Hennig and Balles 2019, Limitations of the empirical Fisher approximation, NeurIPS, eq. 2.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from workbench.core.errors import ViewError
from workbench.numerics.tethers.place import Place
from workbench.numerics.tethers.samples import call, gradients_of
from workbench.numerics.tethers.source import Contributions, Sampled

if TYPE_CHECKING:
    import torch

CLASSES = 64  # of an answer, up to which all are summed over


def require_likelihood(place: Place) -> None:
    """Refuse a loss (`ViewError`) that is no likelihood of one answer a sample."""
    if place.probe is not None and place.probe.loss not in LIKELIHOODS:
        raise ViewError(
            f"The true Fisher information needs a loss that is a likelihood with one answer a sample ({', '.join(LIKELIHOODS)}); "
            f"{place.name} has {place.probe.loss}. Ask for 'fisher'."
        )


def expected_squares(place: Place, network: torch.nn.Module, x: Any, y: torch.Tensor) -> Contributions:
    """Squared gradients of the log-likelihood, in expectation over the answers that the network itself gives."""
    import torch

    from workbench.numerics.objectives import output_of

    names = list(place.weights)
    with torch.no_grad():
        z = output_of(call(network, x))
    if z.ndim != 2 or z.shape[1] > CLASSES:
        raise ViewError(
            f"The true Fisher information is summed over answers here, at most {CLASSES} of one sample; {place.name} gives the shape "
            f"{tuple(z.shape)} for {len(z)} samples. Ask for 'fisher'."
        )
    probabilities_of, log_likelihood = LIKELIHOODS[place.loss]
    probabilities = probabilities_of(z)
    out: Contributions = {}
    for k in range(probabilities.shape[1]):
        label = torch.full((len(z),), k, device=z.device)
        for n, g in gradients_of(log_likelihood, network, names, x, label).items():
            c = probabilities[:, k].reshape(-1, *[1] * (g.ndim - 1)) * g.square()
            out[n] = out[n] + c if n in out else c
    return out


def _softmax(z: torch.Tensor) -> torch.Tensor:
    return z.softmax(1)


def _bernoulli(z: torch.Tensor) -> torch.Tensor:
    """Probabilities of the first output being 1, 0, the second being 1, 0, ..."""
    import torch

    p = z.sigmoid()
    return torch.stack([p, 1 - p], 2).flatten(1)


def _unit(z: torch.Tensor) -> torch.Tensor:
    import torch

    return torch.ones_like(z)


def _class(z: torch.Tensor, k: torch.Tensor) -> torch.Tensor:
    return z.log_softmax(-1).gather(-1, k.reshape(-1, 1)).sum()


def _bit(z: torch.Tensor, k: torch.Tensor) -> torch.Tensor:
    from torch.nn import functional as F

    chosen = z.gather(-1, (k // 2).reshape(-1, 1))
    return F.logsigmoid(chosen * (1 - 2 * (k % 2)).reshape(-1, 1)).sum()


def _output(z: torch.Tensor, k: torch.Tensor) -> torch.Tensor:
    """One output: Gaussian noise of unit variance gives the sum over outputs of squared derivatives."""
    return z.gather(-1, k.reshape(-1, 1)).sum()


LIKELIHOODS: dict[str, tuple[Callable[..., Any], Callable[..., Any]]] = {
    "cross_entropy": (_softmax, _class),
    "binary_cross_entropy": (_bernoulli, _bit),
    "mse": (_unit, _output),
    "half_squared_error": (_unit, _output),
}
"""Losses that are likelihoods: the weight of each possible answer, and the log-likelihood of one."""

SOURCE = Sampled(
    "true Fisher information, diagonal: the same in expectation over labels drawn from the network's own answer",
    position=20,
    contribute=expected_squares,
    require=require_likelihood,
)
