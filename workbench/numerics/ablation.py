"""Ablation: what each sample loses when edges are taken away, and whether one choice of edges loses it more than another."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from workbench.core.errors import DataError, ViewError
from workbench.numerics.tethers import Place, Rest, Scope, Tensors, hold, top

if TYPE_CHECKING:
    import torch
    from jaxtyping import Float

Measure = Literal["loss", "error"]
NUMBERS = 1 << 24  # weights of variants that are evaluated at once


def sample_losses(
    place: Place,
    variants: Sequence[Tensors],
    samples: np.ndarray,
    *,
    measure: Measure = "loss",
    device: str = "cpu",
) -> Float[np.ndarray, "k m"]:
    """Each sample's loss under each choice of weights.

    Parameters
    ----------
    variants : weights by name; those that aren't named stay as they are.
    samples : positions in the probe.
    measure : the probe's loss, or ``error``, 1 where the largest output isn't the right class and 0 where it is.

    Raises
    ------
    ViewError
        Network or probe are lacking, or ``error`` is asked of a loss without classes.
    """
    import torch

    from workbench.numerics.tethers.samples import call_with, plain_attention

    if place.network is None or place.probe is None:
        raise ViewError(
            f"{place.name} lacks a network or a probe, without which there is no loss to measure."
        )
    compare = _compare(place, measure)
    network = place.network.to(device)
    try:
        x, y = place.probe.tensors(network)
        at = torch.as_tensor(np.asarray(samples, np.int64), device=y.device)
        x = {k: v[at] for k, v in x.items()} if isinstance(x, dict) else x[at]
        y = y[at]

        def losses(weights: dict[str, torch.Tensor]) -> torch.Tensor:
            return compare(call_with(network, weights, x), y)

        own = dict(network.named_parameters())
        chunk = max(1, NUMBERS // place.size)
        out = []
        with torch.no_grad(), plain_attention():
            for start in range(0, len(variants), chunk):
                some = variants[start : start + chunk]
                stacked = {
                    n: torch.as_tensor(np.stack([v[n] for v in some])).to(y.device, own[n].dtype)
                    for n in some[0]
                }
                out.append(torch.func.vmap(losses)(stacked).double().cpu().numpy())
    finally:
        network.to("cpu")
    return np.concatenate(out)


def _compare(place: Place, measure: Measure) -> Callable[[Any, torch.Tensor], torch.Tensor]:
    import torch

    from workbench.numerics.objectives import loss_function, output_of

    assert place.probe is not None
    loss = place.probe.loss
    if measure == "error":
        if loss != "cross_entropy":
            raise ViewError(
                f"{place.name} has the loss {loss}, without classes to be wrong about: use measure='loss'."
            )

        def wrong(answer: Any, y: torch.Tensor) -> torch.Tensor:
            z = output_of(answer)
            truth = y.reshape(len(y), -1)
            return (z.reshape(*truth.shape, z.shape[-1]).argmax(-1) != truth).double().mean(1)

        return wrong
    function = loss_function(loss)

    def one(z: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return function(z.unsqueeze(0), y.unsqueeze(0))

    return lambda z, y: torch.func.vmap(one)(output_of(z), y)


@dataclass(frozen=True)
class Ablation:
    """What is done to edges, whoever chooses them.

    Attributes
    ----------
    fractions : shares of the edges that are removed, or kept, in turn.
    mode : ``remove`` or ``keep``. rest : what edges become that aren't held; see `tethers.hold`.
    scope : whether equally many are taken in each layer or in all together.
    """

    place: Place
    fractions: tuple[float, ...]
    mode: str
    rest: Rest
    scope: Scope
    measure: Measure
    random_state: int
    device: str

    def rises(self, tethers: list[Tensors], held: np.ndarray) -> Float[np.ndarray, "k f m"]:
        """Rise of each held-out sample's loss over that of the whole network, by tether and fraction."""
        variants = [self.place.weights]
        for t in tethers:
            for fraction in self.fractions:
                best = top(t, fraction, scope=self.scope, random_state=self.random_state)
                kept = best if self.mode == "keep" else {n: ~m for n, m in best.items()}
                changed = hold(self.place.weights, kept, self.rest, random_state=self.random_state)
                variants.append(changed)
        losses = sample_losses(self.place, variants, held, measure=self.measure, device=self.device)
        if not np.isfinite(losses).all():
            raise DataError(
                f"{self.place.name}: without some edges the loss isn't finite. Ask about another step."
            )
        return (losses[1:] - losses[0]).reshape(len(tethers), len(self.fractions), len(held))


def sign_flips(differences: Float[np.ndarray, " n"], n: int, random_state: int) -> Float[np.ndarray, " d"]:
    """Means of paired differences with every sign drawn anew: what they would be, did the two not differ.

    References
    ----------
    Fisher 1935, The design of experiments, section 21.
    """
    rng = np.random.default_rng([random_state, 0x666C6970])
    signs = rng.integers(0, 2, (n, len(differences))) * 2 - 1
    return (signs @ differences) / len(differences)


def differing_choices(
    differences: Float[np.ndarray, " n"],
    random: Float[np.ndarray, " m"],
    n: int,
    random_state: int,
) -> Float[np.ndarray, " d"]:
    """Mean differences of two choices of edges that are as good: by the samples, or by which edges they took.

    Any two choices of equally many edges differ for good, so that with enough samples any of them differ surely. So the
    draws are those that contradict the mean least: of `sign_flips`, or differences of two random choices.

    Parameters
    ----------
    differences : of each sample's loss. random : mean rises of random choices.
    """
    from workbench.core.evidence import monte_carlo_p

    if len(random) < 2:
        return np.empty(0)
    rng = np.random.default_rng([random_state, 0x73657473])
    first = rng.integers(0, len(random), n)
    second = (first + rng.integers(1, len(random), n)) % len(random)
    members = (sign_flips(differences, n, random_state), random[first] - random[second])
    mean = float(differences.mean())
    return max(members, key=lambda draws: monte_carlo_p(mean, draws.tolist(), "two-sided"))
