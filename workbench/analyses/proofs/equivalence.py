"""Equivalence: whether two networks compute the same function, proven, refuted or untold."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Literal

import numpy as np
from annotated_types import Interval
from typing_extensions import Doc

from workbench.analyses.proofs._sampled import (
    High,
    Low,
    Samples,
    Tolerance,
    apart_at,
    in_own_precision,
    sampled,
)
from workbench.core.errors import DataError
from workbench.core.evidence import Evidence
from workbench.core.parameters import Few, Seed
from workbench.core.registry import analysis
from workbench.numerics.exact.blocks import feed_forward, in_order_of, same_network
from workbench.numerics.exact.equality import Decision, decide
from workbench.numerics.exact.reading import Program, program_of
from workbench.numerics.exact.sampling import (
    domain,
    domain_words,
    drawn,
    drawn_words,
    in_double,
    require_domain,
    rounding_bound,
    run,
)
from workbench.results.verdict import Verdict
from workbench.subjects.network import Network

if TYPE_CHECKING:
    from torch import nn

FIRST = 1000  # inputs that are run before a proof is looked for; all that are run where there is one
ROUNDED = 256  # inputs at which rounding is bounded


@analysis
def equivalence(
    first: Network,
    second: Network,
    *,
    low: Low = None,
    high: High = None,
    tolerance: Tolerance = 1e-6,
    n_samples: Annotated[Samples, Few(2000)] = 100_000,
    effort: Annotated[
        int,
        Interval(ge=0, le=100_000),
        Few(1),
        Doc(
            "Seconds, roughly, that a solver may take; it counts its own steps, so that the answer is the same anywhere. 0: no proof."
        ),
    ] = 20,
    random_state: Seed = 0,
) -> Verdict:
    """Say whether two networks are one function of real numbers: proven, refuted by an input, or untold.

    The claim is of real arithmetic on the weights as they are stored, each of which is a whole number times a power of two;
    how far float32 may be from that is a number of its own. Both networks are written over one basis of distinct units in
    exact arithmetic, in which permuted, repeated, split and dead units vanish, and rectifiers that are rescaled or turned
    round (relu(-z) = relu(z) - z). Equal coefficients prove them equal. With one hidden layer of rectifiers other
    coefficients prove them unequal (distinct hyperplanes have distinct kinks), and an input beside such a kink shows it; with
    several, z3 is asked (extra ``expressions``). For smooth activations (GELU, SiLU, Tanh, Sigmoid, Softmax, norms) units are
    matched up to order and sign; what can't be matched is untold where no input shows a difference. A counterexample is
    always computed without rounding: in rational arithmetic, or in balls that contain the answer.

    Transformers aren't read step by step. Of two it is proven that they are the same code and weights but for the order of
    feed-forward units (BERT's and Llama's); else it is untold, and those of other tensors are refused.

    Raises
    ------
    DataError
        A network has a step that can't be read, or the two take or give other numbers of numbers.
    ParameterError
        ``low`` isn't under ``high``.

    References
    ----------
    Sussmann 1992, Uniqueness of the weights for minimal feedforward nets with a given input-output map, Neural Networks 5;
    Phuong and Lampert 2020, Functional vs. parametric equivalence of ReLU networks, ICLR; Katz et al. 2017, Reluplex, CAV.
    """
    require_domain(low, high, "equivalence")
    try:
        programs = [program_of(n.module, n.name) for n in (first, second)]
    except DataError as unread:
        return _whole(first, second, unread)
    a, b = programs
    if a[0].width != b[0].width or a[-1].width != b[-1].width:
        raise DataError(
            f"{first.name} takes {a[0].width} numbers and gives {a[-1].width}; {second.name} takes {b[0].width} and gives "
            f"{b[-1].width}. Functions of other things aren't compared."
        )
    modules = [in_double(n.module) for n in (first, second)]
    told, apart = _told(a, b, modules, low, high, n_samples, effort, random_state)
    at = [run(m, told.point[None])[0] for m in modules] if len(told.point) else [np.empty(0)] * 2
    within = (
        f" On {len(apart):,} inputs that were drawn they are within {apart.max():.2g}."
        if told.verdict == "untold"
        else ""
    )
    return Verdict(
        claim=f"{first.name} and {second.name} compute the same function",
        verdict=told.verdict,
        how=told.how + within,
        domain=domain_words(low, high),
        counterexample=told.point,
        first=at[0],
        second=at[1],
        output=told.output,
        apart=told.apart,
        evidence=(
            *sampled(apart, tolerance, drawn_words(low, high)),
            _rounding([first, second], programs, low, high, random_state),
            *_shared(told),
        ),
        caveat=_caveat(told, domain_words(low, high)),
    )


def _told(
    a: Program,
    b: Program,
    modules: list[nn.Module],
    low: float | None,
    high: float | None,
    n_samples: int,
    effort: int,
    random_state: int,
) -> tuple[Decision, np.ndarray]:
    """What is decided, some inputs having been run before it, and all where that was no proof; and how far outputs are apart."""
    apart, suspects = apart_at(modules, a[0].width, low, high, min(n_samples, FIRST), random_state)
    told = decide(
        a,
        b,
        **domain(low, high),
        suspects=suspects,
        work=effort,
        random_state=random_state,
    )
    if told.verdict == "untold" and n_samples > FIRST:
        apart, suspects = apart_at(modules, a[0].width, low, high, n_samples, random_state)
        again = decide(a, b, suspects=suspects, work=0)
        if again.verdict == "refuted":
            told = replace(again, units=told.units, shared=told.shared)
    return told, apart


def _whole(first: Network, second: Network, unread: DataError) -> Verdict:
    """What can be said of networks that can't be read step by step: that they are the same but for the order of units, or not."""
    theirs = second.module.state_dict()
    ours = {n: p for n, p in first.module.state_dict().items() if p.is_floating_point()}
    fits = all(n in theirs and theirs[n].shape == p.shape for n, p in ours.items())
    if not (fits and feed_forward(first.module) and feed_forward(second.module)):
        raise DataError(
            f"{unread} Nor are the two of one shape, with feed-forward layers of BERT's or Llama's kind, so that they could be the "
            "same but for the order of units."
        )
    moved = same_network(first.module, second.module)
    alike = sum(bool((p == theirs[n]).all()) for n, p in ours.items())
    how = f"They are the same code with the same weights; {moved or 0:,} hidden units lie in another order."
    if moved is None:
        ordered = in_order_of(first.module, second.module)[0].state_dict()
        other = [n for n, p in ours.items() if not bool((p == ordered[n]).all())]
        how = (
            f"The two can't be read step by step, and {len(other):,} of {len(ours):,} tensors differ by more than the order of hidden "
            f"units, {other[0] if other else 'or their code does'} first; that alone doesn't make another function of them."
        )
    told: Literal["proven", "untold"] = "untold" if moved is None else "proven"
    return Verdict(
        claim=f"{first.name} and {second.name} compute the same function",
        verdict=told,
        how=how,
        domain="all inputs",
        evidence=(
            Evidence(
                id="tensors_alike",
                question="Which share of the weights' tensors is the same without moving a unit?",
                label="share of tensors that are the same bit for bit",
                value=alike / max(1, len(ours)),
                n=len(ours),
                unit="tensors",
            ),
        ),
        caveat=_caveat(Decision("proven", "", np.empty(0)), "all inputs")
        if moved is not None
        else f"No input was run: {unread}",
    )


def _shared(told: Decision) -> list[Evidence]:
    if not told.units or told.shared is None:
        return []
    return [
        Evidence(
            id="shared_units",
            question="How many of the distinct units do both networks have, up to order, sign and scale?",
            label="share of distinct units that both networks have",
            value=told.shared / told.units,
            n=told.units,
            unit="units",
        )
    ]


def _rounding(
    networks: list[Network], programs: list[Program], low: float | None, high: float | None, random_state: int
) -> Evidence:
    """How far the networks as they are run, in their own precision, are from real arithmetic."""
    x = next(drawn(ROUNDED, programs[0][0].width, low, high, random_state))
    of_both = [np.abs(in_own_precision(n, x) - run(in_double(n.module), x)).max() for n in networks]
    bounds = [
        rounding_bound(p, x) if _is_single(n) else None for n, p in zip(networks, programs, strict=True)
    ]
    bounded = [float(b.max()) for b in bounds if b is not None]
    return Evidence(
        id="rounding",
        question="How far does rounding take an output from real arithmetic?",
        label="largest effect of rounding on an output",
        value=max(of_both),
        n=len(x),
        unit="inputs",
        interval=(0.0, max(bounded)) if len(bounded) == len(networks) else None,
        interval_method="proven bound at these inputs (Higham)" if len(bounded) == len(networks) else "",
        conservative=len(bounded) == len(networks),
    )


def _is_single(network: Network) -> bool:
    return all(str(p.dtype) == "torch.float32" for p in network.module.parameters())


def _caveat(told: Decision, domain: str) -> str:
    if told.verdict == "proven":
        return f"Proven for {domain}: the two are one function of real numbers; as run, outputs differ by what rounding does."
    if told.verdict == "refuted":
        return (
            f"Refuted for {domain}: at the input that is given, output {told.output} differs by {told.apart}."
        )
    return f"Untold for {domain}: neither proven nor refuted. {told.how} What was drawn says nothing of inputs that weren't."
