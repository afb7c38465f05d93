"""Neural collapse (NC1 to NC4): whether classes shrink to points as far apart as can be, over the steps of a descent."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from workbench.analyses.descent._over_steps import (
    MaxSamples,
    MaxSteps,
    Wording,
    chosen_steps,
    curve,
    network_at,
    over_samples,
    some_samples,
)
from workbench.core.device import resolve
from workbench.core.errors import DataError, ViewError
from workbench.core.parameters import BootstrapDraws, NullDraws, OnDevice, Seed
from workbench.core.progress import track
from workbench.core.registry import analysis
from workbench.numerics.objectives import Probe
from workbench.numerics.resampling import null_draws
from workbench.results.curve import Curve
from workbench.subjects.descents.trajectory import Descent

if TYPE_CHECKING:
    import torch
    from jaxtyping import Float, Int

NAMES = (
    "NC1 within / between",
    "NC2 unequal norms",
    "NC2 unequal angles",
    "NC3 weights and means",
    "NC4 disagreement",
)


@analysis
def neural_collapse(
    descent: Descent,
    *,
    max_steps: MaxSteps = 8,
    max_samples: MaxSamples = 1000,
    n_null: NullDraws = 39,
    n_boot: BootstrapDraws = 100,
    random_state: Seed = 0,
    device: OnDevice = "auto",
) -> Curve:
    """Follow the four signs of neural collapse on the probe; all are 0 where it is complete.

    Of the features that the last linear layer is given: NC1, the covariance within classes over that between them, tr(Σ_W
    Σ_B⁺) / C; NC2, how unequal the norms of the class means are (standard deviation over mean, the overall mean taken
    away) and how far their cosines lie from -1 / (C - 1) on average; NC3, the squared distance between the layer's
    weights and the class means, both scaled to norm 1; NC4, the share of samples whose answer is another than the
    nearest class mean. The null permutes the classes between the samples. Collapse is defined on what was trained on:
    a probe of other samples, such as `digits_descent` has, can only come near.

    Returns
    -------
    Curve
        Five columns.

    Raises
    ------
    ViewError
        Weights, network or probe are missing, the probe has no classes, or the network doesn't end in a linear layer.
    DataError
        The descent has diverged, or a class has fewer than 4 samples.

    References
    ----------
    Papyan, Han and Donoho 2020, Prevalence of neural collapse during the terminal phase of deep learning training,
    PNAS 117, figures 2 to 7.
    """
    descent.require(weights=1, network=True, probe=True)
    probe = some_samples(_with_classes(descent.probe), max_samples, random_state)
    y = np.unique(probe.y, return_inverse=True)[1].ravel()
    if len(np.unique(y)) < 3 or np.bincount(y).min() < 4:
        raise DataError(
            f"The probe has {len(np.unique(y))} classes, the rarest of {np.bincount(y).min()} samples (of {len(probe)} looked at): "
            f"neural collapse needs three classes or more, of 4 samples or more. Raise max_samples={max_samples}, or give a "
            f"larger probe with trajectory.with_probe(x, y, 'cross_entropy')."
        )
    steps = chosen_steps(descent, max_steps)
    held = []
    for step in track(steps, "neural_collapse"):
        held.append(_last_layer(network_at(descent, int(step)).to(resolve(device)), probe))

    def draw(rng: np.random.Generator) -> np.ndarray:
        order = rng.permutation(len(y))
        return np.array([_signs(h, y[order], slice(None)) for h in held])

    measured = over_samples(
        lambda at: np.array([_signs(h, y[at], at) for h in held]),
        len(probe),
        n_boot,
        random_state,
        null_draws(draw, n_null, random_state, "neural_collapse: null").reshape(
            n_null, len(steps), len(NAMES)
        ),
        least=0,
    )
    return curve(
        descent,
        steps,
        NAMES,
        measured,
        len(probe),
        Wording(
            "distance",
            "neural collapse",
            "Is {name} nearer to collapse than with classes given at random?",
            "classes permuted between samples",
            "which class a sample is of says nothing",
            "less",
        ),
        y_title="distance from collapse",
        log=True,
    )


def _with_classes(probe: Probe) -> Probe:
    if probe.loss != "cross_entropy" or probe.y.ndim != 1:
        raise ViewError(
            f"Neural collapse is about classes: it needs a probe with the loss cross_entropy and one class a sample; this one "
            f"has {probe.loss} and targets of shape {probe.y.shape}. Give one with .with_probe(x, y, 'cross_entropy')."
        )
    return probe


class _LastLayer(NamedTuple):
    """What the last layer is given and answers, and the rows of its weights that belong to the probe's classes."""

    features: Float[np.ndarray, "n d"]
    weights: Float[np.ndarray, "c d"]
    answered: Int[np.ndarray, " n"]


def _last_layer(network: torch.nn.Module, probe: Probe) -> _LastLayer:
    import torch

    from workbench.numerics.per_sample import answers

    seen: list[tuple[torch.nn.Linear, torch.Tensor, torch.Tensor]] = []

    def keep(module: Any, given: Any, out: torch.Tensor) -> None:
        seen.append((module, given[0], out))

    handles = [m.register_forward_hook(keep) for m in network.modules() if isinstance(m, torch.nn.Linear)]
    try:
        with torch.no_grad():
            z = answers(network, probe)
    finally:
        for handle in handles:
            handle.remove()
    last = next(
        ((m, x) for m, x, out in reversed(seen) if out.shape == z.shape and bool((out == z).all())), None
    )
    if last is None or last[1].ndim != 2:
        raise ViewError(
            "The network doesn't end in a linear layer (torch.nn.Linear) that is given one row of features a sample, between "
            "whose weights and the class means neural collapse could be seen. Ask activation_rank instead."
        )
    classes = np.unique(probe.y)
    return _LastLayer(
        last[1].double().cpu().numpy(),
        last[0].weight.detach().double().cpu().numpy()[classes],
        _places(classes, z.argmax(dim=1).cpu().numpy()),
    )


def _places(classes: Int[np.ndarray, " c"], answered: Int[np.ndarray, " n"]) -> Int[np.ndarray, " n"]:
    """Number of each answer's class among the probe's; -1 for a class that the probe doesn't have."""
    at = np.searchsorted(classes, answered).clip(max=len(classes) - 1)
    return np.where(classes[at] == answered, at, -1)


def _signs(layer: _LastLayer, y: Int[np.ndarray, " s"], at: Any) -> Float[np.ndarray, " 5"]:
    """The five numbers on samples ``at`` with classes ``y``; of the classes that occur among them."""
    here = np.unique(y)
    y = np.searchsorted(here, y)
    x, c = layer.features[at], len(here)
    own = np.eye(c)[y]
    means = own.T @ x / own.sum(axis=0)[:, None]
    between = means - means.mean(axis=0)
    within = x - means[y]
    # tr(Σ_W Σ_B⁺) in the span of the class means: singular values of `between` are the roots of C times Σ_B's eigenvalues
    _, s, directions = np.linalg.svd(between, full_matrices=False)
    kept = s > 1e-6 * s[0] if s[0] > 0 else np.zeros(len(s), bool)
    spread = np.square(within @ directions[kept].T).mean(axis=0)
    norms = np.linalg.norm(between, axis=1)
    unit = between / np.maximum(norms, np.finfo(float).tiny)[:, None]
    cosines = (unit @ unit.T)[~np.eye(c, dtype=bool)]
    weights = layer.weights[here]
    apart = _scaled(weights) - _scaled(between)
    nearest = (np.square(means).sum(axis=1) - 2 * x @ means.T).argmin(axis=1)
    return np.array(
        [
            (spread / s[kept] ** 2).sum(),
            norms.std() / max(norms.mean(), np.finfo(float).tiny),
            np.abs(cosines + 1 / (c - 1)).mean(),
            np.square(apart).sum(),
            (here[nearest] != layer.answered[at]).mean(),
        ]
    )


def _scaled(a: np.ndarray) -> np.ndarray:
    return a / max(float(np.linalg.norm(a)), np.finfo(float).tiny)
