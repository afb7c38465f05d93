"""Activation rank: in how many directions the samples spread in each layer, over the steps of a descent."""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np
from typing_extensions import Doc

from workbench.analyses.descent._activations import activations, layer_names
from workbench.analyses.descent._over_steps import (
    Layers,
    MaxSamples,
    MaxSteps,
    Wording,
    chosen_layers,
    chosen_steps,
    curve,
    network_at,
    null_at,
    over_samples,
    some_samples,
)
from workbench.core.device import resolve
from workbench.core.parameters import BootstrapDraws, NullDraws, OnDevice, Seed
from workbench.core.progress import track
from workbench.core.registry import analysis
from workbench.numerics.resampling import shuffle_columns
from workbench.numerics.spectra import fewer_columns, row_rank
from workbench.results.curve import Curve
from workbench.subjects.descents.trajectory import Descent


@analysis
def activation_rank(
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
    max_samples: MaxSamples = 256,
    n_null: NullDraws = 99,
    n_boot: BootstrapDraws = 40,
    random_state: Seed = 0,
    device: OnDevice = "auto",
) -> Curve:
    """Follow the rank of what each layer gives for the probe over the steps.

    One row a sample, flattened, less the mean of the samples. A layer is a module without parts of its own (a linear map
    and the ReLU after it are two). The null permutes the values of every unit between the samples, which keeps what each
    unit does and takes away what units do together. The size of the samples is such a thing: where some are larger in all
    units than others, the rank is lower than the null's for that alone.

    Returns
    -------
    Curve
        One column a layer. At most the number of samples, and of units.

    Raises
    ------
    ViewError
        Weights, network or probe are missing, or no layer gives a row a sample.
    DataError
        The descent has diverged, or too few samples.
    ParameterError
        ``layers`` matches none.

    References
    ----------
    Roy and Vetterli 2007, The effective rank: a measure of effective dimensionality, EUSIPCO; Gao et al. 2017, A theory
    of multineuronal dimensionality, dynamics and measurement, bioRxiv 214262 (participation ratio); Huh et al. 2023, The
    low-rank simplicity bias in deep networks, TMLR.
    """
    descent.require(weights=1, network=True, probe=True)
    place = resolve(device)
    probe = some_samples(descent.probe, max_samples, random_state)
    steps = chosen_steps(descent, max_steps)
    names, said = chosen_layers(layer_names(network_at(descent, int(steps[0])).to(place), probe), layers)
    held, draws = [], []
    for step in track(steps, "activation_rank"):
        rows = activations(network_at(descent, int(step)).to(place), probe, names)
        held.append([fewer_columns(a) for a in rows])

        def draw(rng: np.random.Generator, rows: list[np.ndarray] = rows) -> np.ndarray:
            return np.array([row_rank(shuffle_columns(a, rng), measure) for a in rows])

        draws.append(null_at(draw, step, steps, n_null, random_state, "activation_rank"))
    measured = over_samples(
        lambda at: np.array([[row_rank(a[at], measure) for a in rows] for rows in held]),
        len(probe),
        n_boot,
        random_state,
        draws,
        least=0,
    )
    words = measure.replace("_", " ")
    return curve(
        descent,
        steps,
        names,
        measured,
        len(probe),
        Wording(
            "rank",
            f"{words} of activations",
            "Do samples spread in fewer directions in {name} than its units alone would let them?",
            "each unit's values permuted between samples",
            "each unit varies by itself",
            "less",
        ),
        y_title=f"{words} of {len(probe)} samples",
        caveat=said,
    )
