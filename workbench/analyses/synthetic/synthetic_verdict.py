"""Synthetic verdict: a data set like a series that is given, and how useful, how close to it and how easily told it is."""

from __future__ import annotations

from typing import Annotated, Any

import numpy as np
from typing_extensions import Doc

from workbench.analyses.synthetic._parts import HeldOut
from workbench.analyses.synthetic.copying import copying
from workbench.analyses.synthetic.discriminator import discriminator
from workbench.analyses.synthetic.likeness import likeness
from workbench.analyses.synthetic.usefulness import usefulness
from workbench.core.evidence import Evidence
from workbench.core.inputs import Unpaired
from workbench.core.method import Method
from workbench.core.parameters import BootstrapDraws, NullDraws, Seed
from workbench.core.registry import analysis
from workbench.numerics.medusa.reservoir import require_learnable
from workbench.numerics.synthesis.makers import MakerName, make
from workbench.numerics.threads import one_thread
from workbench.results.panels import Panels
from workbench.subjects.series import Series, TimeSeries

LEVEL = 0.05
MOST_REFITS = 39  # of forecasters, for the null of usefulness


@analysis
def synthetic_verdict(
    real: Series,
    synthetic: Annotated[
        Series | None, Unpaired, Doc("A series that was made already; without one it is made here.")
    ] = None,
    *,
    maker: Annotated[
        MakerName, Doc("Who makes it, where none is given; see synthetic_series.")
    ] = "reservoir",
    held_out: HeldOut = 1 / 3,
    n_null: NullDraws = 99,
    n_boot: BootstrapDraws = 20,
    random_state: Seed = 0,
) -> Panels:
    """Make a series like one that is given, and say whether it is of use, is told from real steps, copies, and is alike.

    The series is learnt from up to what is held out, another of as many steps as all of it is made, and `usefulness`, `copying`,
    `discriminator` and `likeness` compare it with what is held out. ``y`` has the real series and the made one, channel by channel:
    the data set. A series of your own, or anybody's, can be judged in its place: it should be made from what isn't held out.

    Returns
    -------
    Panels
        Both series, a panel a channel, with the answers of the four methods as evidence.

    Raises
    ------
    DataError
        Too few steps, another number of channels, a constant channel, or numbers that aren't finite.
    MissingExtra
        ``maker='var'`` without statsmodels.

    References
    ----------
    Jordon et al. 2022, Synthetic data: what, why and how?, arXiv:2205.03257; Stenger, Leppich, Foster, Kounev and Bauer 2024,
    Evaluation is key: a survey on evaluation measures for synthetic time series, J. Big Data 11.
    """
    made = synthetic if synthetic is not None else _made(real, maker, held_out, random_state)
    shared: dict[str, Any] = {"held_out": held_out, "random_state": random_state}
    drawn = {"n_null": min(n_null, MOST_REFITS), "n_boot": n_boot}
    answers = [usefulness.function(real, made, **_usual(usefulness), **shared, **drawn)]
    for one in (copying, discriminator, likeness):
        answers.append(one.function(real, made, **_usual(one), **shared, n_null=n_null))
    evidence = tuple(e for answer in answers for e in answer.evidence)
    n = min(len(real.values), len(made.values))
    both = np.concatenate([real.values[:n], made.values[:n]], axis=1)
    return Panels(
        x=real.interval * np.arange(n),
        y=both,
        names=tuple(f"{c}, {side}" for side in ("real", "synthetic") for c in real.channels),
        alike=("real",) * len(real.channels) + ("synthetic",) * len(real.channels),
        panels=real.channels * 2,
        x_title="time",
        evidence=evidence,
        caveat=_said(evidence),
    )


def _made(real: Series, maker: MakerName, held_out: float, random_state: int) -> Series:
    """A series of as many steps as the real one, from what isn't held out of it."""
    known = real.values[: len(real.values) - round(held_out * len(real.values))].astype(np.float64)
    require_learnable(known, f"{real.name} before what is held out")
    with one_thread():
        made = make(known, maker, len(real.values), random_state, {})
    return TimeSeries(
        made.astype(np.float32),
        name=f"{real.name} · made by {maker}",
        channels=real.channels,
        interval=real.interval,
    ).as_series()


def _usual(method: Method) -> dict[str, Any]:
    """The defaults of what isn't asked here."""
    asked = ("held_out", "random_state", "n_null", "n_boot")
    return {p.name: p.default for p in method.parameters.values() if p.name not in asked}


def _said(evidence: tuple[Evidence, ...]) -> str:
    """The verdict in words; what a correction for all that was asked makes of it stands with the findings."""
    by = {e.name: e for e in evidence}
    ratios = [e.value for e in evidence if e.id in ("boosted", "linear")]
    told, copied, near = (by[name] for name in ("told_apart", "copied", "distance_to_closest"))
    said = [
        f"Forecasters that learnt from it err {min(ratios):.2f} to {max(ratios):.2f} times as much as those that learnt from real steps.",
        f"A classifier ranks it beside held-out steps with an area of {told.value:.2f}, {_chance(told)}.",
        f"{copied.value:.0%} of its windows are copies of what it was made from, and their distance to it is {near.value:.2f} times that "
        "of held-out ones.",
    ]
    parts = by.get("real_parts_told_apart")
    if parts is not None and parts.p_value is not None and parts.p_value <= LEVEL:
        said.append(
            "The real series changes: its own first part is told from what is held out, so being told says little."
        )
    return " ".join(said)


def _chance(told: Evidence) -> str:
    if told.p_value is None:
        return "which isn't tested"
    return f"which {'is more than' if told.p_value <= LEVEL else 'may be'} chance (p = {told.p_value:.2g})"
