"""Bookmark stability: how long the most tethered edges stay the same over a descent."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, cast

import numpy as np
from annotated_types import Interval
from typing_extensions import Doc

from workbench.analyses.tethers._asking import Fraction, Within
from workbench.core.errors import MissingError, ParameterError, WorkbenchError, suggest
from workbench.core.evidence import Evidence
from workbench.core.parameters import BootstrapDraws, NullDraws, OnDevice, Seed
from workbench.core.progress import track
from workbench.core.registry import analysis
from workbench.numerics.changes import alarms
from workbench.numerics.resampling import null_draws, percentile_interval
from workbench.numerics.tethers import Scope, SourceName, Tensors, flat, tether, top
from workbench.results.curve import Curve
from workbench.subjects.descents.bookmarks import Bookmarks, jaccard
from workbench.subjects.descents.places import at_step
from workbench.subjects.descents.trajectory import Descent

if TYPE_CHECKING:
    from jaxtyping import Bool, Float


@analysis
def bookmark_stability(
    descent: Descent,
    *,
    source: Annotated[
        SourceName, Doc("Source of the tethers, computed from the weights of kept steps; see `tethers`.")
    ] = "magnitude",
    recorded: Annotated[
        str | None,
        Doc(
            "Name of bookmarks that were advertised while training (`workbench.bookmark`), instead of a source."
        ),
    ] = None,
    fraction: Fraction = 0.1,
    scope: Within = "layer",
    max_steps: Annotated[
        int, Interval(ge=3, le=10_000), Doc("Kept steps that are looked at, at most, spread over all.")
    ] = 40,
    false_alarms: Annotated[
        float, Interval(gt=0, lt=1), Doc("Share of the bookmarks that may count as changed by chance.")
    ] = 0.05,
    n_null: NullDraws = 39,
    n_boot: BootstrapDraws = 200,
    random_state: Seed = 0,
    device: OnDevice = "auto",
) -> Curve:
    """Follow the most tethered edges from step to step.

    Three similarities (Jaccard index: edges in both over edges in either) are drawn, of each bookmark with the one
    before, the first and the last. Sets of equally many random edges give the band. Asked is whether bookmarks keep their
    edges (null: the same changes of tethers from step to step, dealt to edges of the same layer at random; of
    recorded bookmarks, whose tethers are gone, random edges), whether the first are remembered at the end (null: random
    edges), and at which step half of the first bookmark's edges are gone and half of the last one's are there, counted beyond
    what random sets share (linear between steps; the interval draws edges with replacement). Last, changes are counted:
    steps at which edges changed faster, per update, than at the steps before, by a conformal test with the chosen share of
    false alarms (null: rates that are the sum of what each of two bookmarks in a row has of chance, since a bookmark that
    differs from the rest changes two rates, and alarms then come in pairs).

    Steps at which the source can't be had (movement, at the first) are left out.

    Returns
    -------
    Curve
        ``x`` the steps from the second on; ``y`` (steps, 3) similarities.

    Raises
    ------
    ViewError, MissingError
        No weights, no such recorded bookmarks, or the source can't be had at three steps or more.
    ParameterError
        ``fraction`` leaves no edge of any layer.

    References
    ----------
    Jaccard 1901, Bull. Soc. Vaud. Sci. Nat. 37; Frankle, Dziugaite, Roy and Carbin 2020, Linear mode connectivity and
    the lottery ticket hypothesis, ICML (when masks settle); Vovk, Gammerman and Shafer 2005, Algorithmic learning in a
    random world (conformal p-values).
    """
    marks, tethers = (
        (_recorded(descent, recorded, max_steps), None)
        if recorded is not None
        else _computed(descent, source, fraction, scope, max_steps, random_state, device)
    )
    if not len(marks.edges[0]):
        raise ParameterError(
            f"bookmark_stability: fraction={fraction} leaves no edge of any layer; raise it."
        )
    members = marks.members()
    groups = _groups(marks)
    one = _similarity(members[1:], members[:-1])
    values = np.stack([one, _similarity(members[1:], members[:1]), _similarity(members[1:], members[-1:])], 1)
    random = null_draws(lambda rng: _by_chance(groups, rng), n_null, random_state, "random edges")
    evidence = [
        _keeps(one, marks, tethers, random, n_null, random_state),
        Evidence(
            question="Does the last bookmark remember the first?",
            id="last_with_first",
            label="Jaccard index of the last with the first",
            value=values[-1, 1],
            n=len(marks.edges[0]),
            unit="edges",
            null="random edges" if n_null else "",
            null_values=tuple(random),
            hypothesis="the last bookmark knows nothing of the first",
        ),
        *_halves(marks, members, groups, n_boot, random_state),
    ]
    evidence.append(_changes(one, np.diff(marks.steps), false_alarms, n_null, random_state))
    band = np.full((2, *values.shape), np.nan) if n_null else np.empty((2, 0, 0))
    if n_null:  # the same for all three, and drawn once
        band[:, :, 0] = np.quantile(random, [0.025, 0.975])[:, None]
    return Curve(
        x=marks.steps[1:].astype(np.float64),
        y=values,
        names=("with the one before", "with the first", "with the last"),
        null_low=band[0],
        null_high=band[1],
        x_title="step",
        y_title="Jaccard index of the bookmarks",
        evidence=tuple(evidence),
        title=f"Bookmarks by {marks.name} of {descent.name}",
    )


def _recorded(descent: Descent, name: str, max_steps: int) -> Bookmarks:
    held = descent.trajectory.bookmarks
    if name not in held:
        raise MissingError(
            f"{descent.name} has no recorded={name!r} bookmarks. {suggest(name, held)} They are advertised while training: "
            f"workbench.bookmark(run, source)."
        )
    marks = held[name]
    if len(marks.steps) < 3:
        raise MissingError(
            f"The bookmarks {name!r} of {descent.name} are of {len(marks.steps)} steps; this takes 3."
        )
    at = _spread(len(marks.steps), max_steps)
    return replace(marks, steps=marks.steps[at], edges=[marks.edges[i] for i in at])


def _computed(
    descent: Descent,
    source: SourceName,
    fraction: float,
    scope: Scope,
    max_steps: int,
    random_state: int,
    device: str,
) -> tuple[Bookmarks, list[Tensors]]:
    """Bookmarks of kept steps, and the tethers that they are the top of."""
    descent.require(weights=3)
    steps, found, why = [], [], ""
    for step in track(descent.weight_steps[_spread(len(descent.weight_steps), max_steps)], "bookmarks"):
        try:
            place = at_step(descent, int(step))
            found.append(tether(place, source, random_state=int(random_state + step), device=device))
            steps.append(int(step))
        except WorkbenchError as e:
            why = str(e)
    if len(steps) < 3:
        raise MissingError(f"{descent.name} has {source!r} at {len(steps)} kept steps; this takes 3. {why}")
    chosen = [top(t, fraction, scope=scope, random_state=random_state) for t in found]
    edges = [np.flatnonzero(flat(c)) for c in chosen]
    shapes = {n: t.shape for n, t in found[0].items()}
    return Bookmarks(source, source, fraction, scope, shapes, np.array(steps), edges), found


def _spread(n: int, most: int) -> np.ndarray:
    return np.unique(np.linspace(0, n - 1, min(n, most)).round().astype(int))


def _groups(marks: Bookmarks) -> list[tuple[int, int]]:
    """How many edges there are, and how many of them are bookmarked, in each group that is ranked by itself."""
    if marks.scope == "network":
        return [(marks.size, len(marks.edges[0]))]
    held = marks.layers(marks.edges[0])
    return [(int(np.prod(s)), len(held.get(n, ()))) for n, s in marks.shapes.items()]


def _similarity(a: Bool[np.ndarray, "s d"], b: Bool[np.ndarray, "#s d"]) -> Float[np.ndarray, " s"]:
    return (a & b).sum(1) / (a | b).sum(1)


def _by_chance(groups: list[tuple[int, int]], rng: np.random.Generator) -> float:
    """Jaccard index of two random choices."""
    both = sum(int(rng.hypergeometric(k, d - k, k)) for d, k in groups if k)
    return both / (2 * sum(k for _, k in groups) - both)


def _keeps(
    values: np.ndarray,
    marks: Bookmarks,
    tethers: list[Tensors] | None,
    random: np.ndarray,
    n_null: int,
    random_state: int,
) -> Evidence:
    draws, null = random, "random edges"
    if tethers is not None:
        null = "the same changes of tethers dealt to edges at random"
        draws = null_draws(lambda rng: _drifted(marks, tethers, rng), n_null, random_state, "drift: null")
    return Evidence(
        question="Do bookmarks keep their edges from step to step?",
        id="kept_from_step_to_step",
        label="mean Jaccard index with the bookmark before",
        value=values.mean(),
        n=len(values),
        unit="pairs of steps",
        null=null if n_null else "",
        null_values=tuple(draws),
        hypothesis="edges lose and gain tethers without regard to which were tethered",
    )


def _drifted(marks: Bookmarks, tethers: list[Tensors], rng: np.random.Generator) -> float:
    """Mean similarity to the bookmark before, had the changes since gone to other edges of the same layers."""
    found = []
    for before, now, edges in zip(tethers, tethers[1:], marks.edges, strict=False):
        moved = {n: t + rng.permutation((now[n] - t).ravel()).reshape(t.shape) for n, t in before.items()}
        chosen = top(
            moved, marks.fraction, scope=cast("Scope", marks.scope), random_state=int(rng.integers(2**31))
        )
        found.append(jaccard(edges, np.flatnonzero(flat(chosen))))
    return float(np.mean(found))


def _halves(
    marks: Bookmarks,
    members: Bool[np.ndarray, "s d"],
    groups: list[tuple[int, int]],
    n_boot: int,
    random_state: int,
) -> list[Evidence]:
    """When half of the first bookmark is gone, and when half of the last one was there."""
    k = sum(k for _, k in groups)
    chance = sum(k * k / d for d, k in groups) / k
    rng = np.random.default_rng([random_state, 0x626F6F74])
    weights = np.concatenate([np.full((1, k), 1 / k), rng.multinomial(k, np.full(k, 1 / k), n_boot) / k])
    steps = marks.steps.astype(np.float64)
    forth, back = slice(None), slice(None, None, -1)
    asked = (
        (
            "half_of_first_gone",
            "updates until half of the first bookmark's edges are gone",
            "How long do the first last?",
            0,
            forth,
        ),
        (
            "half_of_last_there",
            "step at which half of the last bookmark's edges are there",
            "When are the last settled?",
            -1,
            back,
        ),
    )
    out = []
    for id, name, question, which, order in asked:
        rows = members[which]
        lasting = weights @ members[order][:, rows].T  # (draws, steps) share of the edges that are there
        at = np.array([_half(steps[order], (s - chance) / (1 - chance)) for s in lasting])
        value, reached = at[0, 0], bool(at[0, 1])
        limit = "" if reached else " (not until then: a bound)"
        first = which == 0
        positions = at[:, 0] - steps[0] if first else at[:, 0]
        out.append(
            Evidence(
                id=id,
                question=question,
                label=name + limit,
                value=value - steps[0] if first else value,
                n=k,
                unit="edges",
                interval=percentile_interval(positions[1:]) if n_boot else None,
                interval_method="edges drawn with replacement",
            )
        )
    return out


def _half(steps: np.ndarray, lasting: np.ndarray) -> tuple[float, bool]:
    """Where a curve that begins at 1 first falls to one half, linear between steps; its end where it doesn't."""
    below = np.flatnonzero(lasting <= 0.5)
    if not len(below):
        return float(steps[-1]), False
    i = int(below[0])
    a, b = lasting[i - 1], lasting[i]
    return float(steps[i - 1] + (steps[i] - steps[i - 1]) * (a - 0.5) / (a - b)), True


def _changes(
    values: np.ndarray, updates: np.ndarray, false_alarms: float, n_null: int, random_state: int
) -> Evidence:
    """Steps at which edges changed faster than before; a Jaccard index of J after t updates is a rate of -log J / t."""
    kept = np.log(np.maximum(values, 1e-9)) / updates

    def at_one_rate(rng: np.random.Generator) -> float:
        # alarms look at ranks alone, so that any distribution will do: what is kept is that a bookmark that differs by chance
        # takes from both of its similarities, in equal parts where all else stays
        of_bookmarks = rng.standard_normal(len(kept) + 1)
        return float(alarms(of_bookmarks[1:] + of_bookmarks[:-1], false_alarms).sum())

    null = null_draws(at_one_rate, n_null, random_state, "changes: null")
    return Evidence(
        question="Are there steps at which bookmarks changed faster than before?",
        id="changes",
        label=f"changes told at a share of {false_alarms:g} false alarms",
        value=float(alarms(kept, false_alarms).sum()),
        n=len(values),
        unit="pairs of steps",
        null="bookmarks that differ by chance alone" if n_null else "",
        hypothesis="bookmarks change at one rate, and each differs by chance from those before and after it",
        null_values=tuple(null),
    )
