"""`weight_stack`: the matrices of one role, one a layer, as one thing to ask about."""

from __future__ import annotations

import re
from collections import defaultdict

from workbench.core.digest import digest
from workbench.core.errors import MissingError
from workbench.core.lineage import step
from workbench.core.patterns import matching
from workbench.subjects.checkpoint import Checkpoint, weights_of
from workbench.subjects.stack import WeightStack

SHOWN = 8  # patterns that a refusal lists


@step
def weight_stack(checkpoint: Checkpoint, at: str | None = None) -> WeightStack:
    """Stack the matrices of one role over the layers: (layers, rows, columns). Nothing is read yet.

    Parameters
    ----------
    at : pattern of tensor names, in which * stays within one dotted part: "encoder.layer.*.attention.self.query.weight";
        None where the checkpoint has the matrices of one role only.

    Returns
    -------
    WeightStack
        Its layers in the order of the numbers in their names.

    Raises
    ------
    MissingError
        No tensor of that name, or none was said and several roles could be meant; those that there are are named.
    DataError
        It matches fewer than two, or matrices of different shapes.
    """
    checkpoint = weights_of(checkpoint)
    stackable = patterns(checkpoint)
    listed = ", ".join(repr(p) for p in stackable[:SHOWN]) + (" ..." if len(stackable) > SHOWN else "")
    known = (
        f"It has: {listed}."
        if stackable
        else "No two of its matrices differ in a number of their names alone."
    )
    if at is None:
        if len(stackable) != 1:
            raise MissingError(
                f"{checkpoint.name} has {len(stackable)} stacks of matrices; say which with at=. {known}"
            )
        at = stackable[0]
    names = sorted(matching(checkpoint.tensors, at), key=_numbers)
    if not names:
        raise MissingError(f"{checkpoint.name} has no tensor that {at!r} matches. {known}")
    return WeightStack(
        {n: checkpoint.lazy(n) for n in names},
        name=f"{checkpoint.name} · {at}",
        content=digest("stack", checkpoint.digest, names),
    )


def patterns(checkpoint: Checkpoint) -> list[str]:
    """Patterns that each match matrices of one shape in two layers or more."""
    found: dict[tuple[str, tuple[int, ...]], int] = defaultdict(int)
    for name, info in checkpoint.tensors.items():
        starred = re.sub(r"(^|\.)\d+(?=\.|$)", r"\1*", name)
        if len(info.shape) == 2 and info.floating and not info.packed and starred != name:
            found[starred, info.shape] += 1
    return [starred for (starred, _), many in found.items() if many > 1]


def _numbers(name: str) -> tuple[int, ...]:
    return tuple(int(n) for n in re.findall(r"(?:^|\.)(\d+)(?=\.|$)", name))
