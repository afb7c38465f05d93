"""Hessian density: how the curvatures of all directions are spread, at one step of a descent."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import numpy as np
from annotated_types import Interval
from typing_extensions import Doc

from workbench.analyses.descent._over_steps import network_at, shuffled_weights, trained_parameters
from workbench.core.device import resolve
from workbench.core.errors import ParameterError
from workbench.core.evidence import Evidence
from workbench.core.parameters import Few, NullDraws, OnDevice, Seed
from workbench.core.registry import analysis
from workbench.numerics.resampling import NORMAL, null_draws, percentile_interval
from workbench.numerics.threads import one_thread
from workbench.results.curve import Curve
from workbench.subjects.descents.trajectory import Descent

if TYPE_CHECKING:
    import torch

    from workbench.numerics.hessian import Quadrature

GRID = 401
FAINTEST = (
    0.01  # of one direction, smoothed: what is drawn at least, so that the logarithmic scale has an end
)


@analysis
def hessian_density(
    descent: Descent,
    *,
    step: Annotated[int | None, Interval(ge=0), Doc("A step with weights; None is the last.")] = None,
    flat: Annotated[
        float,
        Interval(gt=0, lt=1),
        Doc("A direction is flat where its curvature is within this share of the largest, either way."),
    ] = 0.01,
    width: Annotated[
        float,
        Interval(ge=0.001, le=0.2),
        Doc("Smoothing of the drawn density, as a share of the spectrum's range."),
    ] = 0.01,
    starts: Annotated[
        int, Interval(ge=2, le=50), Few(2), Doc("Random vectors that Lanczos starts from.")
    ] = 4,
    lanczos_steps: Annotated[
        int, Interval(ge=3, le=200), Few(8), Doc("Products with the Hessian from each start.")
    ] = 40,
    n_null: NullDraws = 39,
    random_state: Seed = 0,
    device: OnDevice = "auto",
) -> Curve:
    """Show the density of the Hessian's eigenvalues, and say which share of the directions is flat or curves down.

    By stochastic Lanczos quadrature, in float64, for the loss on the whole probe. Intervals are over the random starts, not over
    samples. The null permutes the entries of each weight tensor, which keeps the sizes of the
    weights and takes away what training wrote into their order; flat is then by its own largest curvature.

    Returns
    -------
    Curve
        Share of the eigenvalues per unit of curvature (loss per squared weight), on a logarithmic scale; nowhere less than a
        hundredth of one direction.

    Raises
    ------
    ViewError
        Weights, network or probe are missing.
    ParameterError
        The step has no weights.
    DataError
        The descent has diverged by that step, or the Lanczos vectors don't fit in memory.

    References
    ----------
    Ghorbani, Krishnan and Xiao 2019, An investigation into neural net optimization via Hessian eigenvalue density, ICML;
    Sagun et al. 2017, Empirical analysis of the Hessian of over-parametrized neural networks, arXiv:1706.04454.
    """
    descent.require(weights=1, network=True, probe=True)
    kept, names = descent.weight_steps, trained_parameters(descent)
    if step is not None and step not in kept:
        near = kept[np.argsort(np.abs(kept - step), kind="stable")[:4]]
        raise ParameterError(
            f"step={step} has no weights in {descent.name}; the nearest are at {', '.join(map(str, sorted(near)))}."
        )
    at = int(kept[-1]) if step is None else step
    place = resolve(device)

    from workbench.numerics.hessian import Hessian, lanczos_quadrature

    def spectrum(network: torch.nn.Module) -> Quadrature:
        h = Hessian(network, descent.probe, names, place)
        return lanczos_quadrature(
            h, h.n, starts=starts, steps=lanczos_steps, random_state=random_state, device=place
        )

    with one_thread():
        found = spectrum(network_at(descent, at))
    low, high = float(found.nodes.min()), float(found.nodes.max())
    span = max(high - low, 1e-12 * max(abs(high), abs(low)), np.finfo(float).tiny)
    grid = np.linspace(low - 5 * width * span, high + 5 * width * span, GRID)

    def draw(rng: np.random.Generator) -> np.ndarray:
        network = network_at(descent, at)
        shuffled_weights(network, names, rng)
        null = spectrum(network)
        return np.concatenate(
            [_shares(null, flat).mean(axis=1), null.density(grid, width * span).mean(axis=0)]
        )

    draws = null_draws(draw, n_null, random_state, "hessian_density: null").reshape(n_null, 2 + GRID)
    density = found.density(grid, width * span)
    half = _half(density)
    n = sum(int(np.prod(descent.shapes[name])) for name in names)
    shares = _shares(found, flat)
    evidence = tuple(
        Evidence(
            id=id,
            question=f"Are another share of directions {what} than with the same weights in no order?",
            label=f"share of directions that {verb} at step {at}",
            value=own.mean(),
            n=n,
            unit="directions",
            interval=_interval(own, n),
            interval_method="over random starts",
            null="weights permuted within each tensor" if n_null else "",
            hypothesis="the order of the weights changes no curvature",
            null_values=tuple(draws[:, j]),
            alternative="two-sided",
        )
        for j, (id, what, verb, own) in enumerate(
            [
                ("share_flat", "flat", f"are flat (within {flat:g} of the largest curvature)", shares[0]),
                ("share_curved_down", "curved down", "curve down", shares[1]),
            ]
        )
    )
    bands = np.array([percentile_interval(d) for d in draws[:, 2:].T]).T if n_null else ()
    mean = density.mean(axis=0)
    floor = FAINTEST / (n * width * span)
    y, low_y, high_y, *null = (
        np.maximum(v, floor)[:, None] for v in (mean, mean - half, mean + half, *bands)
    )
    null_low, null_high = null or (np.empty((0, 0)), np.empty((0, 0)))
    return Curve(
        x=grid,
        y=y,
        names=(f"step {at}",),
        low=low_y,
        high=high_y,
        null_low=null_low,
        null_high=null_high,
        log=True,
        x_title="curvature (loss / weight²)",
        y_title="share of directions per unit of curvature",
        evidence=evidence,
    )


def _shares(found: Quadrature, flat: float) -> np.ndarray:
    """Shares of directions that are flat, and that curve down beyond that, by each start: (2, starts)."""
    largest = float(np.abs(found.nodes).max())
    return np.array([found.share(-flat * largest, flat * largest), found.share(-np.inf, -flat * largest)])


def _interval(shares: np.ndarray, n: int) -> tuple[float, float]:
    """95 % interval of a share p of n directions from its value at each start.

    A normal vector has Beta(p n / 2, (1 - p) n / 2) of its square in them, so that the mean varies as a share of so many
    independent draws would, for which Wilson's interval is taken; where the quadrature adds to it, Student's t.
    """
    p, draws, half = shares.mean(), len(shares) * (n / 2 + 1), _half(shares)
    centre = (p + NORMAL**2 / (2 * draws)) / (1 + NORMAL**2 / draws)
    wide = NORMAL / (1 + NORMAL**2 / draws) * np.sqrt(p * (1 - p) / draws + NORMAL**2 / (4 * draws**2))
    return max(min(centre - wide, p - half), 0.0), min(max(centre + wide, p + half), 1.0)


def _half(values: np.ndarray) -> np.ndarray:
    """Half the width of the mean's 95 % interval, over the first axis."""
    from scipy.stats import t

    return t.ppf(0.975, len(values) - 1) * values.std(axis=0, ddof=1) / np.sqrt(len(values))
