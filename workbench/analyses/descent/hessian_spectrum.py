"""Hessian spectrum: how strongly the loss curves, over the steps of a descent."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import numpy as np
from annotated_types import Interval
from typing_extensions import Doc

from workbench.analyses.descent._over_steps import (
    MaxSteps,
    Measured,
    Wording,
    chosen_steps,
    curve,
    network_at,
    shuffled_weights,
    trained_parameters,
)
from workbench.core.device import resolve
from workbench.core.errors import ParameterError
from workbench.core.evidence import Outcome
from workbench.core.parameters import Few, NullDraws, OnDevice, Seed
from workbench.core.progress import track
from workbench.core.registry import analysis
from workbench.numerics.objectives import Probe
from workbench.numerics.resampling import NORMAL, null_draws
from workbench.numerics.threads import one_thread
from workbench.results.curve import Curve
from workbench.subjects.descents.trajectory import Descent

if TYPE_CHECKING:
    import torch
    from jaxtyping import Float

EFFECT_DRAWS = 8  # random vectors behind what a sample adds to the trace
TOLERANCE = 1e-3  # residual at which an eigenvalue counts as found, relative to the largest in size


@analysis
def hessian_spectrum(
    descent: Descent,
    *,
    n_eigenvalues: Annotated[
        int, Interval(ge=1, le=50), Doc("Largest eigenvalues that are found; the smallest comes with them.")
    ] = 2,
    lanczos_steps: Annotated[
        int,
        Interval(ge=3, le=500),
        Few(8),
        Doc("Products with the Hessian behind the eigenvalues of a step."),
    ] = 40,
    trace_draws: Annotated[
        int, Interval(ge=2, le=1000), Few(4), Doc("Random vectors behind the trace.")
    ] = 32,
    max_steps: MaxSteps = 8,
    n_null: NullDraws = 39,
    random_state: Seed = 0,
    device: OnDevice = "auto",
) -> Curve:
    """Follow the largest eigenvalues, the smallest and the trace of the Hessian of the probe's loss over the steps.

    Eigenvalues by Lanczos (each within the residual of a true one), the trace by Hutchinson's random signs, all in
    float64 and with exact products. Intervals are over the samples of the probe: by the infinitesimal jackknife an
    eigenvalue varies as the mean of vᵀ Hᵢ v over samples does (v its vector), to which the residual is added; the trace
    has the variance of its random vectors beside that of the samples. The null permutes the entries of each weight
    tensor of the last step, which keeps the sizes of the weights and takes away what training wrote into their order.

    Returns
    -------
    Curve
        Columns: the largest eigenvalues in falling order, the smallest, the trace. Units of loss per squared unit of
        weight.

    Raises
    ------
    ViewError
        Weights, network or probe are missing.
    DataError
        The descent has diverged, or the Lanczos vectors don't fit in memory.
    ParameterError
        More eigenvalues than parameters or ``lanczos_steps``.

    References
    ----------
    Sagun, Bottou and LeCun 2016, Eigenvalues of the Hessian in deep learning, arXiv:1611.07476; Hutchinson 1989, A
    stochastic estimator of the trace, Commun. Stat. Simul. 18; Yao, Gholami, Keutzer and Mahoney 2020, PyHessian, IEEE
    Big Data; Giordano et al. 2019, A Swiss army infinitesimal jackknife, AISTATS.
    """
    descent.require(weights=1, network=True, probe=True)
    names = trained_parameters(descent)
    n = sum(int(np.prod(descent.shapes[name])) for name in names)
    if n_eigenvalues + 1 > min(n, lanczos_steps):
        raise ParameterError(
            f"n_eigenvalues={n_eigenvalues} and the smallest are more than the {n} parameters or lanczos_steps={lanczos_steps} "
            f"allow. Lower n_eigenvalues" + (" or raise lanczos_steps." if n > lanczos_steps else ".")
        )
    steps = chosen_steps(descent, max_steps)
    how = _How(
        descent.probe,
        names,
        n_eigenvalues,
        lanczos_steps,
        trace_draws,
        random_state,
        resolve(device),
    )
    with one_thread():
        found = [how.measure(network_at(descent, s), samples=True) for s in track(steps, "hessian_spectrum")]

    def draw(rng: np.random.Generator) -> np.ndarray:
        network = network_at(descent, int(steps[-1]))
        shuffled_weights(network, names, rng)
        return how.measure(network).values

    m = n_eigenvalues + 2
    draws = np.full((n_null, len(steps), m), np.nan)
    if n_null:
        draws[:, -1] = null_draws(draw, n_null, random_state, "hessian_spectrum: null")
    values = np.array([f.values for f in found])
    half = NORMAL * np.array([f.errors() for f in found]) + np.array([f.residuals for f in found])
    change = NORMAL * found[-1].errors(found[0]) + found[-1].residuals + found[0].residuals
    changes = [(v - h, v + h) for v, h in zip(values[-1] - values[0], change, strict=True)]
    return curve(
        descent,
        steps,
        [*(f"eigenvalue {i + 1}" for i in range(n_eigenvalues)), "smallest eigenvalue", "trace"],
        Measured(values, values - half, values + half, changes, draws),
        len(descent.probe),
        WORDING,
        y_title="curvature (loss / weight²)",
        outcome=_outcome(found, lanczos_steps),
    )


WORDING = Wording(
    "curvature",
    "Hessian",
    "Is the Hessian's {name} another than with the same weights in no order?",
    "weights permuted within each tensor",
    "the order of the weights changes no curvature",
    "two-sided",
    "infinitesimal jackknife over samples",
)


@dataclass(frozen=True)
class _Curvature:
    """What is found at one step.

    Attributes
    ----------
    values, residuals : (m,) the columns, and how far from each eigenvalue a true one lies at most.
    effects : (m, n) what each sample adds; its mean over samples is the value, up to the trace's random vectors.
    draws : (k,) the trace by each random vector.
    """

    values: Float[np.ndarray, " m"]
    residuals: Float[np.ndarray, " m"]
    effects: Float[np.ndarray, "m n"]
    draws: Float[np.ndarray, " k"]

    def errors(self, before: _Curvature | None = None) -> Float[np.ndarray, " m"]:
        """Standard errors of the values, or of their difference from those at another step: same samples, same vectors."""
        effects = self.effects - before.effects if before else self.effects
        draws = self.draws - before.draws if before else self.draws
        errors = effects.std(axis=1, ddof=1) / np.sqrt(effects.shape[1])
        errors[-1] = np.hypot(errors[-1], draws.std(ddof=1) / np.sqrt(len(draws)))
        return errors


@dataclass(frozen=True)
class _How:
    """How a step's network is measured."""

    probe: Probe
    names: tuple[str, ...]
    largest: int
    lanczos_steps: int
    trace_draws: int
    random_state: int
    device: str

    def measure(self, network: torch.nn.Module, samples: bool = False) -> _Curvature:
        """Eigenvalues and trace, with what each sample adds where asked for."""
        from workbench.numerics import hessian

        h = hessian.Hessian(network, self.probe, self.names, self.device)
        found = hessian.extreme_eigenpairs(
            h,
            h.n,
            self.largest,
            1,
            steps=self.lanczos_steps,
            random_state=self.random_state,
            device=self.device,
        )
        vectors = hessian.signs(h.n, self.trace_draws, self.random_state, self.device)
        trace = hessian.hutchinson(h.products, vectors)
        effects = np.empty((0, 0))
        if samples:
            own = [h.along(v).cpu().numpy() for v in found.vectors.T]
            effects = np.array(
                [*own, np.mean([h.along(v).cpu().numpy() for v in vectors[:EFFECT_DRAWS]], axis=0)]
            )
        return _Curvature(
            np.append(found.values, trace.value), np.append(found.residuals, 0.0), effects, trace.draws
        )


def _outcome(found: list[_Curvature], lanczos_steps: int) -> Outcome:
    worst = max(
        float(f.residuals.max() / max(np.abs(f.values[:-1]).max(), np.finfo(float).tiny)) for f in found
    )
    if worst <= TOLERANCE:
        return Outcome()
    return Outcome(
        "stopped",
        f"An eigenvalue is known to {worst:.2g} of the largest only (its interval says so): raise lanczos_steps={lanczos_steps}.",
    )
