"""Tether ablation: whether the edges that a source holds on to are those that are missed, more than magnitude's are."""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np
from annotated_types import Interval
from typing_extensions import Doc

from workbench.analyses.tethers._asking import Sources, Step, Within, chosen
from workbench.core.errors import DataError, ParameterError
from workbench.core.evidence import Evidence, monte_carlo_p
from workbench.core.parameters import BootstrapDraws, NullDraws, OnDevice, Seed
from workbench.core.registry import analysis
from workbench.numerics.ablation import Ablation, Measure, differing_choices
from workbench.numerics.resampling import percentile_interval
from workbench.numerics.tethers import Place, Rest, Tensors, tether
from workbench.results.curve import Curve
from workbench.subjects.descents.places import at_step
from workbench.subjects.descents.trajectory import Descent

LEAST = 8  # samples in either half
AT_ONCE = 16  # random choices that are held at once


@analysis
def tether_ablation(
    descent: Descent,
    *,
    step: Step = None,
    sources: Sources = (),
    fractions: Annotated[
        tuple[Annotated[float, Interval(gt=0, lt=1)], ...],
        Doc("Shares of the edges that are removed, or kept, in turn."),
    ] = (0.01, 0.02, 0.05, 0.1, 0.2, 0.4),
    mode: Annotated[
        Literal["remove", "keep"], Doc("Remove the edges with the largest tethers, or keep only those.")
    ] = "remove",
    rest: Annotated[
        Rest,
        Doc(
            "What becomes of a removed edge: zero, the others' mean size with its own sign, or a place among them at random."
        ),
    ] = "zero",
    scope: Within = "layer",
    measure: Annotated[
        Measure, Doc("The probe's loss, or the share of samples put into a wrong class.")
    ] = "loss",
    n_null: NullDraws = 99,
    n_boot: BootstrapDraws = 500,
    random_state: Seed = 0,
    device: OnDevice = "auto",
) -> Curve:
    """Take away the edges that each source holds on to, and measure the loss on samples that the source hasn't seen.

    The probe is split in two at random; tethers of one half choose the edges, the other half is evaluated, then the
    other way around, so that every sample is held out once. All sources remove equally many edges, in each layer or
    in all. The statistic is the rise of the loss over that of the whole network, averaged over samples and over
    ``fractions``. It is compared with random choices of equally many edges (the null of "more than any edges"), and,
    sample by sample, with the choice of magnitude (beside two choices that are as good: any two differ, by the samples and
    by which edges they happen to be; the interval draws samples with replacement, for these two choices of edges). In mode
    ``remove`` a good source is missed more, in mode ``keep`` less.

    Movement, Adam's moment and magnitude were made on the training data and don't look at the probe.

    Returns
    -------
    Curve
        ``y`` (fractions, sources) rise of the loss; its interval over samples; the band of random edges.

    Raises
    ------
    ViewError, MissingError
        No network, probe or weights; or a source that was named can't be had.
    DataError
        The probe has fewer than 16 samples.
    ParameterError
        A source is unknown, or no fraction is given.

    References
    ----------
    Mozer and Smolensky 1988, Skeletonization, NeurIPS 1; Han, Pool, Tran and Dally 2015, Learning both weights and
    connections, NeurIPS; Blalock, Gonzalez Ortiz, Frankle and Guttag 2020, What is the state of neural network
    pruning?, MLSys.
    """
    descent.require(weights=1, network=True, probe=True)
    n = len(descent.probe)
    if n < 2 * LEAST:
        raise DataError(
            f"The probe of {descent.name} has {n} samples; choosing edges on one half and evaluating the other takes "
            f"{2 * LEAST}. Give more with .with_probe(x, y, loss)."
        )
    if not fractions:
        raise ParameterError("tether_ablation: fractions=() removes nothing; give at least one, such as 0.1.")
    place = at_step(descent, step)
    names, lacking = chosen("tether_ablation", place, sources)
    ablation = Ablation(place, tuple(fractions), mode, rest, scope, measure, random_state, device)
    split = np.random.default_rng([random_state, 0x73706C74]).permutation(n) % 2
    parts = [(np.flatnonzero(split == i), np.flatnonzero(split != i)) for i in (0, 1)]
    asked = list(dict.fromkeys([*names, "magnitude"]))
    rises = np.zeros((len(asked), len(fractions), n))
    null = np.zeros((n_null, len(fractions), n))
    for seen, held in parts:
        tethers = [tether(place, s, samples=seen, random_state=random_state, device=device) for s in asked]
        rises[:, :, held] = ablation.rises(tethers, held)
        for start in range(0, n_null, AT_ONCE):
            some = np.arange(start, min(start + AT_ONCE, n_null))
            random = [_noise(place, random_state, int(i)) for i in some]
            null[np.ix_(some, np.arange(len(fractions)), held)] = ablation.rises(random, held)
    return _answer(names, asked, fractions, rises, null, mode, measure, n_boot, random_state, lacking)


def _noise(place: Place, random_state: int, draw: int) -> Tensors:
    rng = np.random.default_rng([random_state, 0x6E756C6C, draw])
    return {n: rng.random(w.shape) for n, w in place.weights.items()}


def _answer(
    names: list[str],
    asked: list[str],
    fractions: tuple[float, ...],
    rises: np.ndarray,
    null: np.ndarray,
    mode: str,
    measure: str,
    n_boot: int,
    random_state: int,
    lacking: str,
) -> Curve:
    n = rises.shape[2]
    better = 1.0 if mode == "remove" else -1.0
    draws = _bootstrap(n, n_boot, random_state)
    own = rises.mean(1)  # (sources, samples), averaged over fractions
    random = null.mean(axis=(1, 2))
    what = "loss" if measure == "loss" else "error"
    deed = "removed" if mode == "remove" else "kept alone"
    evidence = []
    for s in names:
        value = own[asked.index(s)]
        evidence.append(
            Evidence(
                question=f"Are edges tethered by {s} missed {'more' if better > 0 else 'less'} than random ones?",
                id="rise",
                of=s,
                label=f"rise of the {what}, {s} {deed}",
                value=value.mean(),
                n=n,
                unit="samples",
                interval=_interval(value, draws),
                interval_method="samples drawn with replacement",
                null="equally many random edges" if len(null) else "",
                hypothesis="tethered edges matter no more than others",
                null_values=tuple(random),
                alternative="greater" if better > 0 else "less",
            )
        )
    base = own[asked.index("magnitude")]
    for s in names:
        if s == "magnitude":
            continue
        gain = better * (own[asked.index(s)] - base)
        evidence.append(
            Evidence(
                question=f"Do edges tethered by {s} matter otherwise than the largest weights do?",
                id="advantage_over_magnitude",
                of=s,
                label=f"advantage of {s} over magnitude in the rise of the {what}",
                value=gain.mean(),
                n=n,
                unit="samples",
                interval=_interval(gain, draws),
                interval_method="samples drawn with replacement",
                null="two choices of edges that are as good" if len(null) > 1 else "",
                null_details="as two random ones differ, or by the samples, whichever is nearer",
                hypothesis="these edges matter as the largest weights do, but for which they happen to be",
                null_values=tuple(differing_choices(gain, random, len(null), random_state)),
                alternative="two-sided",
            )
        )
    at = [asked.index(s) for s in names]
    y = rises[at].mean(2).T
    bounds = [[_interval(rises[j, f], draws) or (np.nan, np.nan) for j in at] for f in range(len(fractions))]
    low, high = np.moveaxis(np.array(bounds), 2, 0) if len(draws) else (np.empty((0, 0)),) * 2
    band = np.full((2, *y.shape), np.nan) if len(null) else np.empty((2, 0, 0))
    if len(null):  # the same for every source, and drawn once
        band[:, :, 0] = np.quantile(null.mean(2), [0.025, 0.975], axis=0)
    return Curve(
        x=np.array(fractions),
        y=y,
        names=tuple(names),
        low=low,
        high=high,
        null_low=band[0],
        null_high=band[1],
        x_title=f"share of the edges {deed}",
        y_title=f"rise of the {what} on held-out samples",
        evidence=tuple(evidence),
        caveat=" ".join(filter(None, [_corrected(evidence), lacking])),
    )


def _corrected(evidence: list[Evidence]) -> str:
    """Which advantages hold when all of them are asked at once."""
    from scipy.stats import false_discovery_control

    asked = [e for e in evidence if e.id == "advantage_over_magnitude" and e.null_values]
    if not asked:
        return ""
    q = false_discovery_control([monte_carlo_p(e.value, e.null_values, e.alternative) for e in asked])
    found = [
        f"{e.of} {'better' if e.value > 0 else 'worse'}" for e, v in zip(asked, q, strict=True) if v <= 0.05
    ]
    return f"Corrected for {len(asked)} comparisons with magnitude (Benjamini and Hochberg, 5 %): {', '.join(found) or 'none differs'}."


def _bootstrap(n: int, draws: int, random_state: int) -> np.ndarray:
    """Weights of the samples in each resample, (draws, n)."""
    rng = np.random.default_rng([random_state, 0x626F6F74])
    return rng.multinomial(n, np.full(n, 1 / n), size=draws) / n


def _interval(values: np.ndarray, draws: np.ndarray) -> tuple[float, float] | None:
    return percentile_interval(draws @ values) if len(draws) else None
