"""Output entropy: how undecided the network's answers are, over the steps of a descent."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from workbench.analyses.descent._over_steps import (
    MaxSamples,
    MaxSteps,
    Wording,
    chosen_steps,
    curve,
    network_at,
    null_at,
    over_samples,
    shuffled_weights,
    some_samples,
    trained_parameters,
)
from workbench.core.device import resolve
from workbench.core.errors import ViewError
from workbench.core.parameters import BootstrapDraws, NullDraws, OnDevice, Seed
from workbench.core.progress import track
from workbench.core.registry import analysis
from workbench.numerics.objectives import Probe
from workbench.results.curve import Curve
from workbench.subjects.descents.trajectory import Descent

if TYPE_CHECKING:
    import torch
    from jaxtyping import Float

NAMES = ("of one answer", "of the mean answer")


@analysis
def output_entropy(
    descent: Descent,
    *,
    max_steps: MaxSteps = 8,
    max_samples: MaxSamples = 256,
    n_null: NullDraws = 99,
    n_boot: BootstrapDraws = 200,
    random_state: Seed = 0,
    device: OnDevice = "auto",
) -> Curve:
    """Follow the entropy of what the network answers: of a single answer, and of the mean of all answers.

    The first falls as answers become decided; the second falls only where all samples get the same answers. What lies
    between them is how much an answer says about its sample. Of two outcomes each, for binary targets. The null permutes
    the entries of each weight tensor of that step, which keeps the sizes of the weights and takes away what training
    wrote into their order.

    Returns
    -------
    Curve
        Two columns, in nats (log of the number of equally likely answers). Tokens are averaged in each text.

    Raises
    ------
    ViewError
        Weights, network or probe are missing, or the loss gives answers no probabilities.
    DataError
        The descent has diverged, or too few samples.

    References
    ----------
    Pereyra et al. 2017, Regularizing neural networks by penalizing confident output distributions, arXiv:1701.06548;
    Bridle, Heading and MacKay 1991, Unsupervised classifiers, mutual information and phantom targets, NIPS.
    """
    descent.require(weights=1, network=True, probe=True)
    place = resolve(device)
    probe = some_samples(descent.probe, max_samples, random_state)
    steps, names = chosen_steps(descent, max_steps), trained_parameters(descent)
    held, draws = [], []
    for step in track(steps, "output_entropy"):
        network = network_at(descent, int(step)).to(place)
        held.append(_answers(network, probe))

        def draw(rng: np.random.Generator, network: Any = network) -> np.ndarray:
            shuffled_weights(network, names, rng)
            return _entropies(*_answers(network, probe))

        draws.append(null_at(draw, step, steps, n_null, random_state, "output_entropy"))
    measured = over_samples(
        lambda at: np.array([_entropies(own[at], mean[at]) for own, mean in held]),
        len(probe),
        n_boot,
        random_state,
        draws,
        least=0,
    )
    return curve(
        descent,
        steps,
        NAMES,
        measured,
        len(probe),
        Wording(
            "entropy",
            "entropy",
            "Is the entropy {name} another than with the same weights in no order?",
            "weights permuted within each tensor",
            "the order of the weights says nothing",
            "two-sided",
        ),
        y_title="entropy (nats)",
    )


def _answers(
    network: torch.nn.Module, probe: Probe
) -> tuple[Float[np.ndarray, " n"], Float[np.ndarray, "n ..."]]:
    """Entropy of each sample's answer, and the answer's probabilities, averaged over its tokens."""
    import torch

    from workbench.numerics.per_sample import answers

    if probe.loss not in ("cross_entropy", "next_token", "binary_cross_entropy"):
        raise ViewError(
            f"Answers under the loss {probe.loss} are numbers without probabilities, which have no entropy. Ask "
            f"activation_rank or sameness, or give a probe of classes with trajectory.with_probe(x, y, 'cross_entropy')."
        )
    with torch.no_grad():
        given = answers(network, probe)
        z = given.double().reshape(len(probe), -1, *given.shape[given.ndim - 1 :])
        if probe.loss == "binary_cross_entropy":
            z = torch.stack([z, torch.zeros_like(z)], dim=-1)  # (n, tokens, outputs, 2)
        log_p = z.log_softmax(dim=-1)
        own = -(log_p.exp() * log_p).sum(dim=-1).reshape(len(probe), -1).mean(dim=1)
        return own.cpu().numpy(), log_p.exp().mean(dim=1).cpu().numpy()


def _entropies(own: Float[np.ndarray, " n"], answers: Float[np.ndarray, "n ..."]) -> Float[np.ndarray, " 2"]:
    p = answers.mean(axis=0)
    return np.array([own.mean(), -(p * np.log(np.maximum(p, np.finfo(float).tiny))).sum(axis=-1).mean()])
