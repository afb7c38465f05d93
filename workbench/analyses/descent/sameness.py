"""Sameness: how alike the network makes different samples, over the steps of a descent."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
from typing_extensions import Doc

from workbench.analyses.descent._activations import activations, layer_names
from workbench.analyses.descent._over_steps import (
    MaxSamples,
    MaxSteps,
    Wording,
    chosen_layers,
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
from workbench.core.parameters import BootstrapDraws, NullDraws, OnDevice, Seed
from workbench.core.progress import track
from workbench.core.registry import analysis
from workbench.numerics.objectives import Probe
from workbench.numerics.spectra import fewer_columns
from workbench.results.curve import Curve
from workbench.subjects.descents.trajectory import Descent

if TYPE_CHECKING:
    import torch
    from jaxtyping import Float


@analysis
def sameness(
    descent: Descent,
    *,
    of: Annotated[
        Literal["representations", "answers"],
        Doc("What the layers before the last give, averaged over layers; or the answers."),
    ] = "representations",
    max_steps: MaxSteps = 8,
    max_samples: MaxSamples = 256,
    n_null: NullDraws = 99,
    n_boot: BootstrapDraws = 40,
    random_state: Seed = 0,
    device: OnDevice = "auto",
) -> Curve:
    """Follow as one curve how alike samples are: the cosine between two different samples, averaged over all pairs.

    1 where all samples have become one, 0 where they have nothing in common. Answers are probabilities where the loss
    gives them (1: all samples get one answer; with k classes told apart and equally frequent, 1 / k), else the outputs.
    The null permutes the entries of each weight tensor of that step, which keeps the sizes of the weights (and that ReLU
    makes everything positive and so alike) and takes away what training wrote into their order.

    Returns
    -------
    Curve
        One column, from -1 to 1.

    Raises
    ------
    ViewError
        Weights, network or probe are missing, or no layer gives a row a sample.
    DataError
        The descent has diverged, or too few samples.

    References
    ----------
    Ethayarajh 2019, How contextual are contextualized word representations?, EMNLP, section 3.2 (anisotropy); Dong,
    Cordonnier and Loukas 2021, Attention is not all you need: pure attention loses rank doubly exponentially with depth,
    ICML.
    """
    descent.require(weights=1, network=True, probe=True)
    place = resolve(device)
    probe = some_samples(descent.probe, max_samples, random_state)
    steps, names = chosen_steps(descent, max_steps), trained_parameters(descent)
    layers: list[str] = []
    if of == "representations":
        every = layer_names(network_at(descent, int(steps[0])).to(place), probe)
        layers, _ = chosen_layers(every[:-1] or every, "*")
    held, draws = [], []
    for step in track(steps, "sameness"):
        network = network_at(descent, int(step)).to(place)
        held.append([fewer_columns(a) for a in _rows(network, probe, layers)])

        def draw(rng: np.random.Generator, network: Any = network) -> np.ndarray:
            shuffled_weights(network, names, rng)
            return np.array([_alike(_rows(network, probe, layers))])

        draws.append(null_at(draw, step, steps, n_null, random_state, "sameness"))
    measured = over_samples(
        lambda at: np.array([[_alike([a[at] for a in rows])] for rows in held]),
        len(probe),
        n_boot,
        random_state,
        draws,
        least=-1,
    )
    return curve(
        descent,
        steps,
        [""],
        measured,
        len(probe),
        Wording(
            "sameness",
            f"sameness of {of}",
            "Are samples more alike than the same weights in no order would make them?",
            "weights permuted within each tensor",
            "the order of the weights says nothing",
            "greater",
        ),
        y_title="mean cosine between two samples",
    )


def _alike(layers: list[Float[np.ndarray, "n d"]]) -> float:
    """Mean cosine over pairs of different rows, averaged over layers; rows of zeros have nothing in common with any."""
    found = []
    for rows in layers:
        norms = np.linalg.norm(rows, axis=1, keepdims=True)
        unit = np.divide(rows, norms, out=np.zeros_like(rows), where=norms > 0)
        n = len(rows)
        found.append((np.square(unit.sum(axis=0)).sum() - np.square(unit).sum()) / (n * (n - 1)))
    return float(np.mean(found))


def _rows(network: torch.nn.Module, probe: Probe, layers: list[str]) -> list[Float[np.ndarray, "n d"]]:
    import torch

    from workbench.numerics.per_sample import answers

    if layers:
        return activations(network, probe, layers)
    with torch.no_grad():
        z = answers(network, probe).double()
    z = z.reshape(len(probe), -1, z.shape[-1] if z.ndim > 1 else 1)
    if probe.loss in ("cross_entropy", "next_token"):
        z = z.softmax(dim=-1)
    elif probe.loss == "binary_cross_entropy":
        z = torch.stack([z.sigmoid(), 1 - z.sigmoid()], dim=-1)
    return [z.reshape(len(probe), -1).cpu().numpy()]
