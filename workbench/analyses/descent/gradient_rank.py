"""Gradient rank: in how many directions the samples of a batch pull, over the steps of a descent."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

import numpy as np
from typing_extensions import Doc

from workbench.analyses.descent._over_steps import (
    Layers,
    MaxSamples,
    MaxSteps,
    Wording,
    chosen_layers,
    chosen_steps,
    curve,
    layers_of,
    network_at,
    null_at,
    over_samples,
    some_samples,
    trained_parameters,
)
from workbench.core.device import resolve
from workbench.core.parameters import BootstrapDraws, NullDraws, OnDevice, Seed
from workbench.core.progress import track
from workbench.core.registry import analysis
from workbench.numerics.spectra import gram_rank
from workbench.results.curve import Curve
from workbench.subjects.descents.trajectory import Descent

if TYPE_CHECKING:
    from jaxtyping import Float
    from torch import Tensor


@analysis
def gradient_rank(
    descent: Descent,
    *,
    measure: Annotated[
        Literal["effective_rank", "participation_ratio"],
        Doc(
            "Exponential of the singular values' entropy, which weak directions raise too; or how many equally strong directions."
        ),
    ] = "effective_rank",
    layers: Layers = "*",
    max_steps: MaxSteps = 8,
    max_samples: MaxSamples = 128,
    n_null: NullDraws = 99,
    n_boot: BootstrapDraws = 40,
    random_state: Seed = 0,
    device: OnDevice = "auto",
) -> Curve:
    """Follow the rank of the gradients of single samples, layer by layer, over the steps.

    One row a sample of the probe, one column an entry of the layer's weights, not centred. The null flips the sign of
    every entry of every gradient at random: all magnitudes stay (samples with large gradients, units that are off) and
    what samples have in common goes. Samples are taken at once by vmap; where it can't follow the network, one by one,
    which the caveat says. Memory: samples times entries, three times, refused beyond what is free (2 GiB on a CPU).

    Returns
    -------
    Curve
        One column a layer, and all layers together where there are several. At most the number of samples.

    Raises
    ------
    ViewError
        Weights, network or probe are missing.
    DataError
        The descent has diverged, too few samples, or their gradients don't fit in memory.
    ParameterError
        ``layers`` matches none.

    References
    ----------
    Roy and Vetterli 2007, The effective rank: a measure of effective dimensionality, EUSIPCO; Gur-Ari, Roberts and Dyer
    2018, Gradient descent happens in a tiny subspace, arXiv:1812.04754; Gao et al. 2017, A theory of multineuronal
    dimensionality, dynamics and measurement, bioRxiv 214262 (participation ratio).
    """
    descent.require(weights=1, network=True, probe=True)
    place = resolve(device)
    owned = layers_of(trained_parameters(descent))
    names, said = chosen_layers(list(owned), layers)
    probe = some_samples(descent.probe, max_samples, random_state)
    steps = chosen_steps(descent, max_steps)

    from workbench.numerics.per_sample import sample_gradients

    grams, draws, slow = [], [], ""
    for step in track(steps, "gradient_rank"):
        network = network_at(descent, int(step)).to(place)
        found = sample_gradients(network, probe, [p for n in names for p in owned[n]])
        slow = slow or found.one_by_one
        by_layer = [[found.by_name[p] for p in owned[n]] for n in names]
        grams.append(_grams([[g.double() for g in parts] for parts in by_layer]))

        def draw(rng: np.random.Generator, by_layer: list[list[Tensor]] = by_layer) -> np.ndarray:
            return gram_rank(_grams([[_flipped(g, rng) for g in parts] for parts in by_layer]), measure)

        draws.append(null_at(draw, step, steps, n_null, random_state, "gradient_rank"))
    whole = np.array(grams)
    measured = over_samples(
        lambda at: gram_rank(whole[:, :, at[:, None], at], measure),
        len(probe),
        n_boot,
        random_state,
        draws,
        least=0,
    )
    if slow:
        said = f"Samples were taken one by one, since vmap can't follow the network ({slow}). {said}".strip()
    words = measure.replace("_", " ")
    return curve(
        descent,
        steps,
        [*(["all layers"] if len(names) > 1 else []), *names],
        measured,
        len(probe),
        Wording(
            "rank",
            f"{words} of gradients",
            "Do the gradients of samples have fewer directions in {name} than their sizes alone would?",
            "signs of all entries flipped at random",
            "entries of a gradient have sizes and no directions",
            "less",
        ),
        y_title=f"{words} of {len(probe)} samples' gradients",
        caveat=said,
    )


def _grams(by_layer: list[list[Tensor]]) -> Float[np.ndarray, "m n n"]:
    """Inner products between samples in each layer, before them those in all together where there are several."""
    grams = np.array([sum((g @ g.T).double() for g in parts).cpu().numpy() for parts in by_layer])  # type: ignore[union-attr]
    return np.concatenate([grams.sum(axis=0, keepdims=True), grams]) if len(grams) > 1 else grams


def _flipped(gradients: Tensor, rng: np.random.Generator) -> Tensor:
    import torch

    signs = torch.from_numpy(rng.integers(0, 2, tuple(gradients.shape), dtype=np.int8) * 2 - 1)
    return gradients * signs.to(gradients.device)
