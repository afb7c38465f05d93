"""The system: Hopfield rates and a wave on one graph, edges that the state lets conduct, and heads that only look.

    dr = (-r + tanh(W_a r + I + C q + B u)) dt + σ dB,   σ fixed, or σ √(1 + r²) of each node's own rate
    dq = p dt,   dp = (-c² (L_a + μ) q - γ p + D r) dt + σ_p dB_p
    m_h ← (1 - λ) m_h + λ tanh(R_h [r, q]),   u = Σ_h U_h m_h   (R_h of one aspect of [r, q], where heads have aspects)

W_a and L_a are the weights and the Laplacian with every edge times a = 2^tanh(κ r_i r_j), which is symmetric and within [½, 2].
Without μ nothing holds the wave as a whole: where rates settle on one side, D r pushes all displacements off without end.
A step takes u as it was when the step began: first the rates by the scheme, q and u held, then the wave by leapfrog, then the
heads look. So a head acts on the world through u alone, and on no other head.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from scipy import sparse

from workbench.core.errors import DataError, ParameterError
from workbench.numerics.medusa.aspects import BEYOND, filtered, leak
from workbench.numerics.medusa.integrators import LARGEST, STEPS, Equation
from workbench.numerics.medusa.names import ASPECTS, Aspect, Outcome, Scheme
from workbench.numerics.medusa.noise import Coloured, Correlated, Drawing, Fractional, NoiseKind, Wiener
from workbench.numerics.medusa.waves import laplacian, require_stable
from workbench.numerics.medusa.wiring import Wiring

if TYPE_CHECKING:
    from jaxtyping import Float, Int

LOOKS = 8  # nodes that a head's number looks at, and those that it writes to
CHUNK = 64  # steps of noise that are drawn at once
CHUNK_NUMBERS = (
    2**17
)  # numbers of noise that are drawn at once, where one step has fewer: they stay near the processor
LN_2 = 0.6931471805599453
STIFFEST = 2.0  # an edge conducts at most so many times what it does at rest


@dataclass(frozen=True, eq=False)
class State:
    """Of some worlds: rates, displacements, velocities (n, worlds) each, and heads (heads * width, worlds)."""

    r: Float[torch.Tensor, "n worlds"]
    q: Float[torch.Tensor, "n worlds"]
    p: Float[torch.Tensor, "n worlds"]
    m: Float[torch.Tensor, "k worlds"]


@dataclass(frozen=True)
class Settings:
    """Numbers of a system; each is checked where the system is made.

    Attributes
    ----------
    h : length of a step. speed : c. damping : γ. holding : μ. rate_noise, wave_noise : σ and σ_p. adapting : κ; 0 leaves edges as they are.
    heads, width : how many, and numbers of each. forgetting : λ. reaching : size of what heads write; 0 writes nothing.
    from_wave, to_wave : C and D.
    growing : whether the noise of a node grows with its rate, σ √(1 + r²); Itô's.
    aspects : what each head sees of where it looks, one a head; see `aspects`. Without any, all see the state itself.
    """

    h: float = 0.05
    speed: float = 1.0
    damping: float = 0.1
    holding: float = 0.0
    rate_noise: float = 0.1
    wave_noise: float = 0.0
    adapting: float = 0.0
    heads: int = 0
    width: int = 4
    forgetting: float = 0.1
    reaching: float = 0.3
    from_wave: float = 0.3
    to_wave: float = 0.3
    scheme: Scheme = "euler"
    growing: bool = False
    aspects: tuple[Aspect, ...] = ()

    def __post_init__(self) -> None:
        if self.aspects and (len(self.aspects) != self.heads or not set(self.aspects) <= set(ASPECTS)):
            raise ParameterError(
                f"aspects={self.aspects!r} of heads={self.heads} is not legal: one a head, of {', '.join(ASPECTS)}; or none."
            )
        for name in ("damping", "holding", "rate_noise", "wave_noise", "speed"):
            value = getattr(self, name)
            if not (np.isfinite(value) and value >= 0):
                raise ParameterError(f"{name}={value!r} is not legal: a number of at least 0.")
        if not 0 < self.forgetting <= 1:
            raise ParameterError(
                f"forgetting={self.forgetting!r} is not legal: a number above 0 and at most 1."
            )
        if not 0 < self.h <= 1:
            raise ParameterError(f"h={self.h!r} is not legal: a step of the rates is above 0 and at most 1.")


@dataclass(frozen=True, eq=False)
class Run:
    """What some worlds did.

    Attributes
    ----------
    r, q, p, m : (kept, n or k, worlds), the start and every ``every``-th step. u : (steps, n, worlds), what the heads wrote.
    outcome, step : ``finished``, or ``diverged`` and at which step the first of the worlds did. last : the state at the end.
    """

    r: Float[torch.Tensor, "kept n worlds"]
    q: Float[torch.Tensor, "kept n worlds"]
    p: Float[torch.Tensor, "kept n worlds"]
    m: Float[torch.Tensor, "kept k worlds"]
    u: Float[torch.Tensor, "steps n worlds"]
    outcome: Outcome
    step: int
    last: State


class System:
    """A system on a graph.

    Parameters
    ----------
    edges : (m, 2), undirected. weights : (m,) of the rates, any sign. conductances : (m,) of the wave, at least 0.
    given : (n,), the constant input I.
    seed : of what the heads look at and where they write.
    watched : nodes that each head looks at, its rates and displacements; all without it.
    beyond : (2n,), above 0: where each rate and displacement counts as extreme; ½ without it.

    Raises
    ------
    ParameterError
        A setting out of its range, or a step at or over the wave's largest.
    DataError
        Weights that aren't as many as edges, aren't finite, or conductances below 0.
    """

    def __init__(
        self,
        edges: Int[np.ndarray, "m 2"],
        weights: Float[np.ndarray, " m"],
        conductances: Float[np.ndarray, " m"],
        n: int,
        settings: Settings,
        *,
        given: Float[np.ndarray, " n"] | None = None,
        seed: int = 0,
        watched: Sequence[Int[np.ndarray, " some"]] | None = None,
        beyond: Float[np.ndarray, " 2n"] | None = None,
    ):
        if len(weights) != len(edges) or len(conductances) != len(edges):
            raise DataError(
                f"{len(edges):,} edges take as many weights and conductances; there are {len(weights):,} and "
                f"{len(conductances):,}."
            )
        if not np.isfinite(weights).all():
            raise DataError("Weights of a system are finite numbers, and some aren't.")
        stiffened = STIFFEST if settings.adapting else 1.0
        held = settings.holding / stiffened * sparse.eye_array(n, format="csr")
        pull = (laplacian(edges, conductances, n) + held).tocsr()
        require_stable(settings.h, pull, settings.speed, stiffened=stiffened)
        self.n, self.settings = n, settings
        kept = edges[:, 0] != edges[:, 1]
        i, j = edges[kept].T
        to, of = np.concatenate([i, j]), np.concatenate([j, i])
        both, carried = (np.concatenate([v[kept], v[kept]]) for v in (weights, conductances))
        self.rates = Wiring(to, of, both, n, n)
        self.wave = Wiring(to, of, carried, n, n)
        self._constant = np.zeros(n) if given is None else np.array(given, dtype=np.float64)
        self.given = torch.from_numpy(np.zeros(n) if given is None else np.asarray(given, np.float64))[
            :, None
        ]
        k, rng = settings.heads * settings.width, np.random.default_rng([seed, 0x68656164])
        fields = [np.arange(n)] * settings.heads if watched is None else watched
        seen = [np.concatenate([nodes, n + nodes]) for nodes in fields for _ in range(settings.width)]
        at = [rng.choice(nodes, min(LOOKS, len(nodes)), replace=False) for nodes in seen]
        size = [rng.standard_normal(len(a)) / np.sqrt(len(a)) for a in at]
        head = np.repeat(np.arange(k), [len(a) for a in at])
        none = np.zeros(0, dtype=np.int64)
        self.looks = Wiring(head, np.concatenate([none, *at]), np.concatenate([none, *size]), k, 2 * n)
        reached = min(LOOKS, n)
        to = np.array([rng.choice(n, reached, replace=False) for _ in range(k)]).reshape(-1).astype(np.int64)
        written = settings.reaching * rng.standard_normal(k * reached)
        self.writes = Wiring(to, np.repeat(np.arange(k), reached), written, n, k)
        self._beyond = np.full(2 * n, BEYOND) if beyond is None else np.array(beyond, np.float64)
        self.beyond = torch.from_numpy(self._beyond)[:, None]
        each = [a for a in settings.aspects for _ in range(settings.width)]
        self._aspects = np.array([ASPECTS.index(a) for a in each] or [0] * k, np.int64)
        leaks = [leak(a, settings.forgetting) for a in each] or [settings.forgetting] * k
        self._leaks = torch.tensor(leaks, dtype=torch.float64)[:, None]

    def rest(self, worlds: int) -> State:
        """Everything at 0."""
        k = self.settings.heads * self.settings.width
        zero = torch.zeros(self.n, worlds, dtype=torch.float64)
        return State(zero, zero, zero, torch.zeros(k, worlds, dtype=torch.float64))

    def written(self, m: Float[torch.Tensor, "k worlds"]) -> Float[torch.Tensor, "n worlds"]:
        """u, what the heads write."""
        return self.writes(m)

    def look(
        self,
        m: Float[torch.Tensor, "k worlds"],
        r: Float[torch.Tensor, "n worlds"],
        q: Float[torch.Tensor, "n worlds"],
        before: State | None = None,
    ) -> Float[torch.Tensor, "k worlds"]:
        """The heads after they looked.

        Parameters
        ----------
        before : the state that the step began with, by which a head sees change; without it nothing has changed.
        """
        x, seen = torch.cat([r, q]), torch.empty_like(m)
        was = x if before is None else torch.cat([before.r, before.q])
        for aspect in dict.fromkeys(self._aspects.tolist()):
            rows = torch.from_numpy(np.flatnonzero(self._aspects == aspect))
            of = x if aspect == 0 else filtered(ASPECTS[aspect], x, was, self.settings.h, self.beyond)
            seen[rows] = self.looks(of)[rows]
        return (1 - self._leaks) * m + self._leaks * torch.tanh(seen)

    def advance(
        self,
        r: torch.Tensor,
        q: torch.Tensor,
        p: torch.Tensor,
        u: torch.Tensor,
        dw: torch.Tensor,
        dv: torch.Tensor,
        dz: torch.Tensor | None = None,
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """One step of the world; the heads come in by u and by nothing else.

        Parameters
        ----------
        dw, dv : (n, worlds), increments of the noise of rates and wave. dz : integrals of the former, for ``srk``.
        """
        s = self.settings
        flow = (self.conducts, r) if s.adapting else None
        push = self.given + s.from_wave * q + u

        def drift(t: float, x: torch.Tensor) -> torch.Tensor:
            return torch.tanh(self.rates(x, (self.conducts, x) if s.adapting else None) + push) - x

        def grown(t: float, x: torch.Tensor) -> torch.Tensor:
            return s.rate_noise * torch.sqrt(1 + x * x)

        fixed = Equation(drift, lambda t, x: torch.full_like(x, s.rate_noise), "additive")
        equation = Equation(drift, grown, "diagonal") if s.growing else fixed
        after = STEPS[s.scheme](equation, 0.0, r, s.h, dw, dz)
        pulled = self.wave(q, flow) - self.wave(torch.ones_like(q), flow) * q  # -L_a q
        pulled = pulled - s.holding * q if s.holding else pulled
        held = s.damping * s.h / 2
        force = s.h * (s.speed**2 * pulled + s.to_wave * r) + s.wave_noise * dv
        p = ((1 - held) * p + force) / (1 + held)
        return after, q + s.h * p, p

    def conducts(self, here: torch.Tensor, there: torch.Tensor) -> torch.Tensor:
        """How much edges let through: symmetric in their ends, within [½, 2]."""
        fit = torch.tanh(self.settings.adapting * (here * there))
        return torch.exp(LN_2 * fit).clamp(
            1 / STIFFEST, STIFFEST
        )  # exp2 rounds by where in an array a number lies

    def run(
        self,
        start: State,
        steps: int,
        *,
        seed: int = 0,
        worlds: range | None = None,
        noise: NoiseKind | None = None,
        every: int = 1,
        replayed: Float[torch.Tensor, "steps n worlds"] | None = None,
        watch: Callable[[int], None] | None = None,
    ) -> Run:
        """Let some worlds live; they end together where the first of them diverges.

        Parameters
        ----------
        worlds : their numbers, which with the seed decide their noise; 0 and so on without them.
        noise : of the rates; Wiener's without one. The wave's is Wiener's.
        replayed : what is taken for u instead of what the heads write.
        watch : called with the number of each step.

        Raises
        ------
        ParameterError
            A scheme that this noise doesn't have; see `require_scheme`.
        """
        s, count = self.settings, start.r.shape[1]
        require_scheme(s, noise or Wiener())
        numbers = range(count) if worlds is None else worlds
        of_rates: Drawing = (noise or Wiener()).start(seed, numbers, self.n, s.h)
        of_wave = Wiener().start(seed, numbers, self.n, s.h, which=1)
        here, still = start, torch.zeros_like(start.r)
        kept, us = [start], []
        chunk = max(1, min(CHUNK, CHUNK_NUMBERS // (self.n * count)))
        taken = [np.empty((3, self.n, count)) for _ in range(2)]  # in turn by states that aren't kept
        for first in range(0, steps, chunk):
            some = min(chunk, steps - first)
            drawn = of_rates.take(some, integrals=s.scheme == "srk")
            carried = of_wave.take(some, integrals=False).dw if s.wave_noise else None
            for i in range(some):
                u = self._told(here.m, still) if replayed is None else replayed[first + i]
                us.append(u)
                dz = None if drawn.dz is None else drawn.dz[i]
                dv = None if carried is None else carried[i]
                stays = (first + i + 1) % every == 0
                here, inside = self._step(
                    here, u, drawn.dw[i], dv, dz, None if stays else taken[(first + i) % 2]
                )
                if watch is not None:
                    watch(first + i + 1)
                if not inside:
                    return _stacked(kept, us, "diverged", first + i + 1, here)
                if stays:
                    kept.append(here)
        return _stacked(kept, us, "finished", steps, here)

    def _told(self, m: torch.Tensor, still: torch.Tensor) -> torch.Tensor:
        """What the heads write; the same zeros each time where there is none."""
        return torch.from_numpy(self.writes.summed(m.numpy())) if len(m) else still

    def _step(
        self,
        here: State,
        u: torch.Tensor,
        dw: np.ndarray,
        dv: np.ndarray | None,
        dz: np.ndarray | None,
        after: np.ndarray | None,
    ) -> tuple[State, bool]:
        """What follows, and whether it is within `LARGEST`: Euler's scheme compiled, the others by `advance`."""
        s = self.settings
        if s.scheme != "euler":
            noise = torch.from_numpy(dw)
            of_wave = torch.zeros_like(noise) if dv is None else torch.from_numpy(dv)
            r, q, p = self.advance(
                here.r, here.q, here.p, u, noise, of_wave, None if dz is None else torch.from_numpy(dz)
            )
            inside = bool((r.abs() <= LARGEST).all() and (q.abs() <= LARGEST).all())
            return State(r, q, p, self.look(here.m, r, q, here)), inside
        return self.follows(here, u.numpy(), dw, dv, after)

    def follows(
        self,
        here: State,
        u: Float[np.ndarray, "n worlds"],
        dw: Float[np.ndarray, "n worlds"],
        dv: Float[np.ndarray, "n worlds"] | None = None,
        after: Float[np.ndarray, "3 n worlds"] | None = None,
    ) -> tuple[State, bool]:
        """The state after Euler's step, compiled, and after the heads looked; see `stepped`."""
        from workbench.numerics.medusa.compiled import looked

        moved, inside = self.stepped(here, u, dw, dv, after)
        r, q, p = (torch.from_numpy(part) for part in moved)
        if not len(here.m):
            return State(r, q, p, here.m), inside
        seen = np.empty(here.m.shape)
        looked(
            self.looks.starts,
            self.looks.of,
            self.looks.weights,
            self._aspects,
            moved[:2].reshape(2 * self.n, -1),
            np.concatenate([here.r.numpy(), here.q.numpy()]),
            self.settings.h,
            self._beyond,
            seen,
        )
        m = (1 - self._leaks) * here.m + self._leaks * torch.tanh(torch.from_numpy(seen))
        return State(r, q, p, m), inside

    def stepped(
        self,
        here: State,
        u: Float[np.ndarray, "n worlds"],
        dw: Float[np.ndarray, "n worlds"],
        dv: Float[np.ndarray, "n worlds"] | None = None,
        after: Float[np.ndarray, "3 n worlds"] | None = None,
    ) -> tuple[Float[np.ndarray, "3 n worlds"], bool]:
        """Euler's step as `advance` takes it, compiled: r, q and p after it, and whether r and q are within `LARGEST`.

        Parameters
        ----------
        after : where r, q and p go; a new array without it. Getting memory takes longer than the step.
        """
        from workbench.numerics.medusa.compiled import advance

        s, none = self.settings, np.empty((0, 0))
        numbers = (
            s.h,
            s.speed**2,
            s.damping * s.h / 2,
            s.holding * s.speed**2,
            s.rate_noise,
            0.0 if dv is None else s.wave_noise,
            s.adapting,
            s.from_wave,
            s.to_wave,
        )
        after = np.empty((3, *here.r.shape)) if after is None else after
        whole = (np.ascontiguousarray(part.numpy()) for part in (here.r, here.q, here.p))
        inside = advance(
            self.rates.starts,
            self.rates.of,
            self.rates.weights,
            self.wave.weights,
            self._constant,
            numbers,
            s.growing,
            *whole,
            np.ascontiguousarray(u),
            np.ascontiguousarray(dw),
            none if dv is None else np.ascontiguousarray(dv),
            after,
            LARGEST,
        )
        return after, bool(inside)


def _stacked(kept: list[State], us: list[torch.Tensor], outcome: Outcome, step: int, last: State) -> Run:
    r, q, p, m = (torch.stack([getattr(state, name) for state in kept]) for name in ("r", "q", "p", "m"))
    written = us[0].expand(len(us), *us[0].shape) if us and all(u is us[0] for u in us) else torch.stack(us)
    return Run(r, q, p, m, written, outcome, step, last)


def require_scheme(settings: Settings, noise: NoiseKind) -> None:
    """Refuse a scheme, or a noise that grows with the state, where the noise doesn't allow it.

    Raises
    ------
    ParameterError
        ``srk`` with a noise that has no integrals, ``srk`` or Milstein with sources that aren't each node's own or aren't
        Wiener's and grow with the state, or a fractional noise that does.
    """
    scheme, called = settings.scheme, type(noise).__name__.lower()
    if settings.growing and isinstance(noise, Fractional):
        raise ParameterError(
            "growing=True with noise='fractional' is not legal: a fractional noise is no semimartingale, so that it may be added to "
            "a state and not be scaled by it. Take growing=False, or noise='wiener'."
        )
    if scheme == "srk" and isinstance(noise, Coloured | Fractional):
        raise ParameterError(
            f"scheme='srk' with noise={called!r} is not legal: it reads integrals of the noise, and this one has none. "
            "Take scheme='euler', or noise='wiener'."
        )
    if scheme != "euler" and settings.growing and isinstance(noise, Coloured | Correlated):
        why = (
            "sources that several nodes share don't commute where they grow with the state, and the areas that they enclose (Lévy) "
            "aren't drawn"
            if isinstance(noise, Correlated)
            else "its correction is that of Wiener's increments, whose squares are a step long on average, and a coloured noise's aren't"
        )
        raise ParameterError(
            f"scheme={scheme!r} with noise={called!r} and growing=True is not legal: {why}. Take scheme='euler', noise='wiener' or "
            "growing=False."
        )
