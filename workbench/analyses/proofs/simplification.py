"""Simplification: what can be left out of a network without changing its function, and by what that is known."""

from __future__ import annotations

import itertools
from typing import Annotated

import numpy as np
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
from workbench.numerics.exact.reading import Program, program_of
from workbench.numerics.exact.sampling import (
    domain,
    domain_words,
    drawn,
    drawn_words,
    in_double,
    require_domain,
    run,
)
from workbench.numerics.exact.simplifying import Change, module_of, multiply_adds, same_function, simplify
from workbench.results.simplification import Simplification
from workbench.subjects.network import Network


@analysis
def simplification(
    network: Network,
    *,
    low: Low = None,
    high: High = None,
    rounding: Annotated[
        bool, Doc("Whether steps are taken that are exact but for the rounding of new weights to float32.")
    ] = True,
    tolerance: Tolerance = 1e-6,
    n_samples: Annotated[Samples, Few(500)] = 10_000,
    random_state: Seed = 0,
) -> Simplification:
    """Leave out of a network what its function doesn't need: each step proven, or rounded with its effect measured.

    Units that are constant on the domain (by interval bounds without rounding, or because nothing comes in) leave, their
    constants folded into the next bias; units that are multiples of one another become one; rectifiers without effect leave.
    Where the new weights are floats, that is proven: both networks, written over their distinct units in exact arithmetic,
    have the same coefficients. Else, and where norms are folded into a linear layer, two linear layers become one, or a
    matrix of low rank two thin ones, new weights are rounded to float32, and the largest move of an output is measured.
    ``network.simplified(...)`` with the same parameters is the smaller network.

    Raises
    ------
    DataError
        The network has a step that can't be read, joins two paths, or has too many weights.
    ParameterError
        ``low`` isn't under ``high``.

    References
    ----------
    Serra, Kumar and Ramalingam 2020, Lossless compression of deep neural networks, CPAIOR; Jacob et al. 2018, Quantization
    and training of neural networks for efficient integer-arithmetic-only inference (batch norms folded), CVPR.
    """
    require_domain(low, high, "simplification")
    program = program_of(network.module, network.name)
    changes = simplify(program, **domain(low, high), rounding=rounding, owner=network.name)
    programs = [program, *(c.program for c in changes)]
    _require_proofs(programs, changes, low, high)
    modules = [in_double(network.module), *(in_double(module_of(p)) for p in programs[1:])]
    width = program[0].width
    effect = [
        float(apart_at(pair, width, low, high, n_samples, random_state)[0].max())
        for pair in itertools.pairwise(modules)
    ]
    apart, _ = apart_at([modules[0], modules[-1]], width, low, high, n_samples, random_state)
    size = np.array([multiply_adds(p) for p in programs])
    left = Evidence(
        id="size_left",
        question="Which share of the multiplications is left?",
        label="share of multiplications that is left",
        value=size[-1] / size[0],
        n=int(size[0]),
        unit="multiplications",
    )
    x = next(drawn(n_samples, width, low, high, random_state))
    noise = Evidence(
        id="rounding",
        question="How far does rounding take an output of the network as it was from real arithmetic?",
        label="largest effect of rounding on an output of the network as it was",
        value=float(np.abs(in_own_precision(network, x) - run(modules[0], x)).max()),
        n=len(x),
        unit="inputs",
    )
    return Simplification(
        where=tuple(c.where for c in changes),
        what=tuple(c.what for c in changes),
        proof=tuple(c.proof for c in changes),
        units=np.array([c.units for c in changes], np.int64),
        effect=np.array(effect, np.float64),
        size=size,
        domain=domain_words(low, high),
        evidence=(left, *sampled(apart, tolerance, drawn_words(low, high)), noise),
        caveat=_caveat(changes, domain_words(low, high), rounding),
    )


def _require_proofs(
    programs: list[Program], changes: tuple[Change, ...], low: float | None, high: float | None
) -> None:
    """Check every step that is called proven anew, from its two networks alone."""
    for before, change in zip(programs, changes, strict=False):
        if change.proof == "proven" and not same_function(before, change.program, **domain(low, high)):
            raise DataError(
                f"{change.where}: {change.what} was to keep the function and its check failed. This is a mistake of the "
                "workbench's own: please report it with the network."
            )


def _caveat(changes: tuple[Change, ...], where: str, rounding: bool) -> str:
    others = "" if rounding else " Steps that round weren't looked for (rounding=False)."
    if not changes:
        return (
            "Nothing was found that can be left out; what else there is would change the function." + others
        )
    proven = sum(c.proof == "proven" for c in changes)
    said = f"{proven} of {len(changes)} steps keep the function of real arithmetic on {where}, proven"
    if proven < len(changes):
        said += (
            "; the others are exact but for the rounding of new weights, and what they moved was measured at inputs that were "
            "drawn"
        )
    return said + "." + others
