"""Steps of stochastic differential equations, Itô's, of a known strong order.

States are (n, worlds) and increments (steps, m, worlds). A scheme says what it can't do: a noise whose sources don't commute
has no Milstein step without the areas that they enclose (Lévy), and a scheme of order 1.5 reads integrals of the noise.
"""

from __future__ import annotations

import typing
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import torch

from workbench.core.errors import DataError, ParameterError
from workbench.numerics.medusa.names import Outcome, Scheme

if TYPE_CHECKING:
    from jaxtyping import Float

Kind = Literal["additive", "diagonal", "general"]
SCHEMES: tuple[str, ...] = typing.get_args(Scheme)
LARGEST = 1e8  # a state beyond it counts as diverged
COMMUTING = 1e-8  # what the sources may fail to commute by, beside the size of what is compared


@dataclass(frozen=True)
class Equation:
    """dx = drift(t, x) dt + diffusion(t, x) dB.

    Attributes
    ----------
    drift : of a time and a state (n, worlds), (n, worlds).
    diffusion : the same shape where the noise is ``additive`` (the same for every state) or ``diagonal`` (each node's own source,
        scaled by that node's own state alone), and (n, m, worlds) where it is ``general``.
    """

    drift: Callable[[float, torch.Tensor], torch.Tensor]
    diffusion: Callable[[float, torch.Tensor], torch.Tensor]
    noise: Kind = "diagonal"


@dataclass(frozen=True, eq=False)
class Path:
    """Where an integration went.

    Attributes
    ----------
    states : (kept, n, worlds), the start and every ``every``-th step after it; what comes after a divergence isn't there.
    outcome, step : whether it ``finished`` or ``diverged``, and the last step that was taken.
    """

    states: Float[torch.Tensor, "kept n worlds"]
    outcome: Outcome
    step: int


def integrate(
    equation: Equation,
    start: Float[torch.Tensor, "n worlds"],
    h: float,
    dw: Float[torch.Tensor, "steps m worlds"],
    dz: Float[torch.Tensor, "steps m worlds"] | None = None,
    *,
    scheme: Scheme = "euler",
    every: int = 1,
    martingale: bool = True,
) -> Path:
    """Follow an equation along a path of its noise; a path that diverges ends, and says at which step.

    Parameters
    ----------
    h : length of a step. dw, dz : see `workbench.numerics.medusa.noise.Increments`.
    scheme : ``euler`` (Euler-Maruyama, strong order ½), ``milstein`` (1; derivatives by automatic differentiation),
        ``derivative_free_milstein`` (1) or ``srk`` (Rößler's SRI1W1, 1.5).
    martingale : False for a noise such as fractional Brownian motion, which may only be added.

    Raises
    ------
    ParameterError
        A step that isn't above 0, a scheme that there isn't, ``srk`` without ``dz`` or of a general noise.
    DataError
        A noise that isn't of the declared kind, one that doesn't commute with ``milstein``, or one that may only be added.

    References
    ----------
    Kloeden and Platen 1992, Numerical solution of stochastic differential equations, equations 10.3.1, 10.3.16 and 11.1.3.
    Rößler 2010, Runge-Kutta methods for the strong approximation of solutions of stochastic differential equations, SIAM J.
    Numer. Anal. 48, table 5.1.
    """
    if not h > 0:
        raise ParameterError(f"h={h!r} is not legal: the length of a step is a number above 0.")
    if scheme not in SCHEMES:
        raise ParameterError(f"scheme={scheme!r} is not legal. It takes one of {', '.join(SCHEMES)}.")
    _fits(equation, start, scheme, dz, martingale)
    step = STEPS[scheme]
    x, kept = start, [start]
    for i in range(len(dw)):
        x = step(equation, i * h, x, h, dw[i], None if dz is None else dz[i])
        if not bool((x.abs() <= LARGEST).all()):  # NaN fails it too
            return Path(torch.stack(kept), "diverged", i + 1)
        if (i + 1) % every == 0:
            kept.append(x)
    return Path(torch.stack(kept), "finished", len(dw))


def euler(
    equation: Equation, t: float, x: torch.Tensor, h: float, dw: torch.Tensor, dz: torch.Tensor | None = None
) -> torch.Tensor:
    """Euler-Maruyama."""
    b = equation.diffusion(t, x)
    moved = torch.einsum("nmw,mw->nw", b, dw) if equation.noise == "general" else b * dw
    return x + h * equation.drift(t, x) + moved


def milstein(
    equation: Equation, t: float, x: torch.Tensor, h: float, dw: torch.Tensor, dz: torch.Tensor | None = None
) -> torch.Tensor:
    """Milstein, of a diagonal noise or of one whose sources commute."""
    plain = euler(equation, t, x, h, dw)
    if equation.noise == "additive":
        return plain
    if equation.noise == "diagonal":
        pulled = torch.func.vjp(lambda y: equation.diffusion(t, y), x)
        b, slope = pulled[0], pulled[1](torch.ones_like(x))[0]
        return plain + b * slope / 2 * (dw * dw - h)
    both = dw[:, None] * dw[None] - h * torch.eye(len(dw), dtype=x.dtype, device=x.device)[..., None]
    return plain + torch.einsum("nijw,ijw->nw", along_sources(equation, t, x), both) / 2


def derivative_free_milstein(
    equation: Equation, t: float, x: torch.Tensor, h: float, dw: torch.Tensor, dz: torch.Tensor | None = None
) -> torch.Tensor:
    """Milstein of a diagonal noise, its derivative taken as a difference over a step of √h."""
    plain = euler(equation, t, x, h, dw)
    if equation.noise == "additive":
        return plain
    b, root = equation.diffusion(t, x), h**0.5
    ahead = x + h * equation.drift(t, x) + root * b
    return plain + (equation.diffusion(t, ahead) - b) / (2 * root) * (dw * dw - h)


def srk(
    equation: Equation, t: float, x: torch.Tensor, h: float, dw: torch.Tensor, dz: torch.Tensor | None = None
) -> torch.Tensor:
    """Rößler's SRI1W1, strong order 1.5 for diagonal and additive noise."""
    assert dz is not None
    f, g, root = equation.drift, equation.diffusion, h**0.5
    shift = dz / h
    twice, thrice = (dw * dw - h) / (2 * root), (dw**3 - 3 * h * dw) / (6 * h)
    f1, g1 = f(t, x), g(t, x)
    f2 = f(t + 0.75 * h, x + 0.75 * h * f1 + 1.5 * shift * g1)
    g2 = g(t + 0.25 * h, x + 0.25 * h * f1 + 0.5 * root * g1)
    g3 = g(t + h, x + h * f1 - root * g1)
    # the drift's third stage is the state at the start, so that f3 = f1
    g4 = g(t + 0.25 * h, x + 0.25 * h * f1 + root * (-5 * g1 + 3 * g2 + 0.5 * g3))
    return (
        x
        + h * (f1 + 2 * f2) / 3
        + dw * (-g1 + (4 * g2 + 2 * g3) / 3)
        + twice * (-g1 + (4 * g2 - g3) / 3)
        + shift * (2 * g1 - (4 * g2 + 2 * g3) / 3)
        + thrice * (-2 * g1 + (5 * g2 - 2 * g3) / 3 + g4)
    )


STEPS = {
    "euler": euler,
    "milstein": milstein,
    "derivative_free_milstein": derivative_free_milstein,
    "srk": srk,
}


def along_sources(
    equation: Equation, t: float, x: Float[torch.Tensor, "n worlds"]
) -> Float[torch.Tensor, "n m m worlds"]:
    """How source j's strength changes along source i, L^i b^j = Σ_l b^{l,i} ∂b^{·,j} / ∂x_l, as [node, i, j, world]."""

    def of_one(y: torch.Tensor) -> torch.Tensor:
        slopes = torch.func.jacrev(lambda z: equation.diffusion(t, z[:, None])[..., 0])(y)
        return torch.einsum("li,kjl->kij", equation.diffusion(t, y[:, None])[..., 0], slopes)

    return torch.func.vmap(of_one, in_dims=1, out_dims=3)(x)


def _fits(
    equation: Equation, start: torch.Tensor, scheme: str, dz: torch.Tensor | None, martingale: bool
) -> None:
    """Refuse what the scheme can't do; what the noise is, is looked at where the path starts."""
    if not martingale and equation.noise != "additive":
        raise DataError(
            "A fractional noise is no semimartingale: it may be added to a state and not be scaled by it. Declare an additive "
            "noise, or take a Wiener one."
        )
    if scheme == "srk" and (dz is None or equation.noise == "general"):
        raise ParameterError(
            "scheme='srk' reads the noise's integrals (dz) and takes an additive or a diagonal noise; "
            f"this one is {equation.noise} and has {'no' if dz is None else 'its'} integrals. Take scheme='euler'."
        )
    if scheme == "derivative_free_milstein" and equation.noise == "general":
        raise ParameterError(
            "scheme='derivative_free_milstein' takes an additive or a diagonal noise. Take 'milstein' where the sources commute, "
            "or 'euler'."
        )
    if equation.noise != "general":
        _is_of_its_kind(equation, start)
    elif scheme == "milstein":
        _commutes(equation, start)


def _is_of_its_kind(equation: Equation, start: torch.Tensor) -> None:
    turn = torch.cos(torch.arange(start.numel(), dtype=start.dtype, device=start.device)).reshape(start.shape)
    pull = torch.func.vjp(lambda y: equation.diffusion(0.0, y), start)[1]
    slope, turned = pull(torch.ones_like(start))[0], pull(turn)[0]
    size = float(slope.abs().max()) + 1e-300
    if equation.noise == "additive" and (slope.abs().max() > 0 or turned.abs().max() > 0):
        raise DataError("The noise was declared additive, and its strength changes with the state.")
    if float((turned - slope * turn).abs().max()) > 1e-8 * size:
        raise DataError(
            "The noise was declared diagonal, and a node's strength depends on another node's state. Declare it general, as (n, m, "
            "worlds), and take scheme='euler'."
        )


def _commutes(equation: Equation, start: torch.Tensor) -> None:
    along = along_sources(equation, 0.0, start)
    apart = (along - along.transpose(1, 2)).abs().amax(dim=(0, 3))
    if float(apart.max()) > COMMUTING * (1 + float(along.abs().max())):
        i, j = divmod(int(apart.argmax()), apart.shape[1])
        raise DataError(
            f"Sources {i} and {j} of the noise don't commute at the start: what one does to the other's strength differs by "
            f"{float(apart.max()):.3g} with their order, and Milstein's step would need the area that they enclose (Lévy), which "
            "isn't drawn. Take scheme='euler', or a diagonal noise."
        )
