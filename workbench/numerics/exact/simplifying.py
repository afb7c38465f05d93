"""Smaller networks of the same function: each step proven, or rounded with its effect measured.

A chain of affine maps with what acts number by number between them. Steps that are proven: units that are constant on
the domain leave (their constants go into the next bias), units that are multiples of one another become one, an
activation that does nothing on the domain leaves; where a new weight isn't a float, the step isn't taken. Steps that
round: those same where the new weights aren't floats, normalizations folded into a neighbour, affine maps that follow
one another made one, and matrices of low rank as two thin ones.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import TYPE_CHECKING, Literal

import numpy as np

from workbench.core.errors import DataError
from workbench.numerics.exact.dyadic import Dyadic, product
from workbench.numerics.exact.expansion import ONE, Basis, Rows, difference, expand, primitive
from workbench.numerics.exact.reading import Program, Step

if TYPE_CHECKING:
    from workbench.numerics.chain import Chain, ChainLayer

GRID = 2.0**12  # multiples of its inverse are tried for the factor of a matrix of low rank
ELEMENTWISE = ("unit", "scale", "batch_norm")
Proof = Literal["proven", "rounded"]


@dataclass(frozen=True)
class Change:
    """One step: ``where`` (the layer), ``what`` was done, to how many ``units``, and whether its weights are exact.

    ``program`` is the network after it.
    """

    where: str
    what: str
    units: int
    proof: Proof
    program: Program


def simplify(
    program: Program,
    *,
    low: Fraction | None = None,
    high: Fraction | None = None,
    rounding: bool = True,
    owner: str = "The network",
) -> tuple[Change, ...]:
    """Return the steps that make a chain smaller, in order; the last one's program is the smallest.

    Parameters
    ----------
    low, high : between what every input lies; None for no bound.
    rounding : whether steps are taken whose new weights aren't float32's own numbers and are rounded.

    Raises
    ------
    DataError
        It isn't a chain, holds weights that float32 doesn't, or is too large to be written out.
    """
    require_chain(program, owner)
    for step in program:
        for values in (step.weight, step.bias):
            if values is not None and (_single(values) != values).any():
                raise DataError(
                    f"{owner}: {step.name} holds weights in double precision, and a smaller network is built in float32. Call "
                    ".float() on the module first, which rounds them."
                )
    changes: list[Change] = []
    _without_units(program, Basis(program[0].width, low, high), rounding, owner, changes)
    if rounding:
        for pass_ in (_fold_norms, _join_affine, _thin):
            pass_(changes[-1].program if changes else program, changes)
    return tuple(changes)


def require_chain(program: Program, owner: str) -> None:
    """Refuse a program whose steps don't lie one after another.

    Raises
    ------
    DataError
        It joins paths.
    """
    for i, step in enumerate(program):
        if step.op != "input" and step.args != (i - 1,):
            raise DataError(
                f"{owner}: {step.name} joins two paths, and units of a chain alone are taken out: one after another, without "
                "residual connections. Its equality to another network can be asked nevertheless (equivalence)."
            )


def same_function(a: Program, b: Program, low: Fraction | None, high: Fraction | None) -> bool:
    """Whether two programs have the same coefficients over their distinct units, which proves them equal on a domain."""
    basis = Basis(a[0].width, low, high)
    return not any(difference(expand(a, basis)[-1], expand(b, basis)[-1]).rows)


def multiply_adds(program: Program) -> int:
    """How many multiplications of weights an input takes."""
    return sum(s.weight.size for s in program if s.weight is not None)


# -- units ------------------------------------------------------------------------------------------


def _without_units(program: Program, basis: Basis, rounding: bool, owner: str, changes: list[Change]) -> None:
    """Take units out of every hidden layer, the last one first, so that the places of earlier steps stay."""
    values = expand(program, basis, owner)
    affine = [i for i, s in enumerate(program) if s.op == "affine"]
    current = program
    for i, j in reversed(list(itertools.pairwise(affine))):
        between = program[i + 1 : j]
        if not between or any(s.op not in ELEMENTWISE for s in between):
            continue
        rows = values[j - 1]
        for what, plan in (
            ("constant units folded", _constants),
            ("units merged with their multiples", _multiples),
        ):
            moves = plan(rows)
            proofs: tuple[Proof, ...] = ("proven", "rounded") if rounding else ("proven",)
            for proof in proofs:
                current, rows, moves = _taken(current, i, j, rows, moves, what, proof, changes)
        if between[-1].op == "unit" and _changes_nothing(program, j - 1, values):
            current = chained([*current[: j - 1], *current[j:]])
            changes.append(
                Change(
                    between[-1].name, "activation without effect left out", len(rows.rows), "proven", current
                )
            )


@dataclass(frozen=True)
class _Move:
    """A unit that is ``factor`` times another one (``to``), or times 1 (None)."""

    unit: int
    to: int | None
    factor: Fraction


def _constants(rows: Rows) -> list[_Move]:
    one = Fraction(2) ** rows.power
    return [_Move(u, None, row.get(ONE, 0) * one) for u, row in enumerate(rows.rows) if not set(row) - {ONE}]


def _multiples(rows: Rows) -> list[_Move]:
    first: dict[object, tuple[int, int]] = {}
    moves = []
    for u, row in enumerate(rows.rows):
        if set(row) - {ONE}:
            direction, factor = primitive(row)
            to, own = first.setdefault(direction, (u, factor))
            if to != u:
                moves.append(_Move(u, to, Fraction(factor, own)))
    return moves


def _taken(
    program: Program,
    i: int,
    j: int,
    rows: Rows,
    moves: list[_Move],
    what: str,
    proof: Proof,
    changes: list[Change],
) -> tuple[Program, Rows, list[_Move]]:
    """Take those units out for which the next layer's new weights are floats, or any where they may be rounded.

    Returns the program, the rows of the units that stay, and those of the moves that are left, in the new numbering.
    """
    after = program[j]
    assert after.weight is not None
    weight = after.weight.copy()
    bias = np.zeros(after.width) if after.bias is None else after.bias.copy()
    gone: list[int] = []
    for move in moves:
        if len(gone) == len(rows.rows) - 1:
            break  # one unit stays, though it be constant
        target = bias if move.to is None else weight[:, move.to]
        new = [
            Fraction(float(t)) + move.factor * Fraction(float(v))
            for t, v in zip(target, weight[:, move.unit], strict=True)
        ]
        floats = np.array([float(v) for v in new]).astype(np.float32).astype(np.float64)
        if proof == "rounded" or all(Fraction(float(f)) == v for f, v in zip(floats, new, strict=True)):
            target[:] = floats
            gone.append(move.unit)
    if not gone:
        return program, rows, moves
    stay = np.setdiff1d(np.arange(len(rows.rows)), gone)
    place = {int(u): k for k, u in enumerate(stay)}
    keeps_none = after.bias is None and not bias.any()
    steps = [*program[:i], *(narrowed(s, stay) for s in program[i:j])]
    steps.append(replace(after, weight=weight[:, stay], bias=None if keeps_none else bias))
    made = chained([*steps, *program[j + 1 :]])
    changes.append(Change(program[i].name, what, len(gone), proof, made))
    left = [
        _Move(place[m.unit], None if m.to is None else place[m.to], m.factor)
        for m in moves
        if m.unit not in gone
    ]
    return made, Rows(tuple(rows.rows[u] for u in stay), rows.power), left


def narrowed(step: Step, stay: np.ndarray) -> Step:
    """A step that acts number by number, or the affine map before it, for some of its numbers."""
    weight = None if step.weight is None else step.weight[stay]
    return replace(step, width=len(stay), weight=weight, bias=None if step.bias is None else step.bias[stay])


def _changes_nothing(program: Program, at: int, values: Sequence[Rows]) -> bool:
    return not any(difference(values[at], values[program[at].args[0]]).rows)


def chained(steps: Sequence[Step]) -> Program:
    """Steps one after another."""
    return tuple(s if s.op == "input" else replace(s, args=(i - 1,)) for i, s in enumerate(steps))


# -- steps that round -------------------------------------------------------------------------------


def _single(x: np.ndarray) -> np.ndarray:
    return x.astype(np.float32).astype(np.float64)


def _fold_norms(program: Program, changes: list[Change]) -> None:
    """Batch norms, and the scales of all norms, into the affine map before or after them."""
    current = list(program)
    at = 1
    while at < len(current):
        step = current[at]
        if step.op not in ("scale", "batch_norm"):
            at += 1
            continue
        factor, shift, end = *_as_scale(step), at + 1
        if step.op == "batch_norm" and end < len(current) and current[end].op == "scale":
            more, moved = _as_scale(current[end])
            factor, shift, end = factor * more, shift * more + moved, end + 1
        before, after = current[at - 1], current[end] if end < len(current) else None
        if before.op == "affine" and before.weight is not None:
            bias = np.zeros(before.width) if before.bias is None else before.bias
            weight = _single(before.weight * factor[:, None])
            current[at - 1 : end] = [replace(before, weight=weight, bias=_single(bias * factor + shift))]
        elif after is not None and after.op == "affine" and after.weight is not None:
            bias = np.zeros(after.width) if after.bias is None else after.bias
            weight = _single(after.weight * factor)
            current[at : end + 1] = [replace(after, weight=weight, bias=_single(bias + after.weight @ shift))]
        else:
            at = end
            continue
        changes.append(
            Change(
                step.name, "normalization folded into a neighbour", step.width, "rounded", chained(current)
            )
        )


def _as_scale(step: Step) -> tuple[np.ndarray, np.ndarray]:
    assert step.weight is not None
    bias = np.zeros(step.width) if step.bias is None else step.bias
    if step.op == "scale":
        return step.weight, bias
    factor = 1 / np.sqrt(
        bias + step.number
    )  # of a batch norm, whose weight is the mean and bias the variance
    return factor, -step.weight * factor


def _join_affine(program: Program, changes: list[Change]) -> None:
    """Affine maps that follow one another, where one takes fewer multiplications than two."""
    current = list(program)
    at = 1
    while at + 1 < len(current):
        one, other = current[at], current[at + 1]
        if one.weight is None or other.weight is None or (one.op, other.op) != ("affine", "affine"):
            at += 1
            continue
        if one.weight.shape[1] * other.width > one.weight.size + other.weight.size:
            at += 1
            continue
        weight = other.weight @ one.weight
        bias = np.zeros(other.width) if other.bias is None else other.bias
        bias = bias if one.bias is None else bias + other.weight @ one.bias
        current[at : at + 2] = [replace(other, weight=_single(weight), bias=_single(bias))]
        exact = _is_product(other.weight, one.weight, _single(weight)) and _is_product(
            other.weight,
            (np.zeros(one.width) if one.bias is None else one.bias)[:, None],
            _single(bias)[:, None],
            other.bias,
        )
        changes.append(
            Change(
                one.name,
                "linear layers made one",
                one.width,
                "proven" if exact else "rounded",
                chained(current),
            )
        )


def _thin(program: Program, changes: list[Change]) -> None:
    """Matrices of low rank, but for what rounding put into their entries, as two thin ones."""
    current = list(program)
    at = 1
    while at < len(current):
        step = current[at]
        w = step.weight
        if step.op != "affine" or w is None:
            at += 1
            continue
        factors = thin_factors(w)
        if factors is not None:
            left, right = factors
            down = replace(step, name=f"{step.name}.down", width=len(right), weight=right, bias=None)
            current[at : at + 1] = [down, replace(step, weight=left)]
            proof: Proof = "proven" if _is_product(left, right, w) else "rounded"
            changes.append(
                Change(step.name, f"matrix of rank {len(right)} in two", len(right), proof, chained(current))
            )
            at += 1
        at += 1


def thin_factors(w: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
    """Return (m, r) and (r, n) factors in float32's numbers where they take fewer multiplications than the matrix; else None.

    The right factor is r of the matrix's own rows (by QR with pivoting), so that it is exact; the left one is exact where
    the other rows are float multiples of these. The rank is what lies above what rounding to float32 leaves of a matrix
    of random entries.
    """
    from scipy.linalg import qr

    m, n = w.shape
    s = np.linalg.svd(w, compute_uv=False)
    noise = 4 * 2.0**-24 * float(np.abs(w).max(initial=0)) * (m**0.5 + n**0.5)
    rank = int((s > noise).sum())
    if not rank or rank * (m + n) >= m * n:
        return None
    rows = np.sort(qr(w.T, mode="r", pivoting=True)[1][:rank])
    right = w[rows]
    left = np.linalg.lstsq(right.T, w.T, rcond=None)[0].T
    left[rows] = np.eye(rank)
    snapped = np.round(left * GRID) / GRID
    return (snapped if _is_product(snapped, right, w) else _single(left)), right


def _is_product(a: np.ndarray, b: np.ndarray, made: np.ndarray, plus: np.ndarray | None = None) -> bool:
    """Whether a product of matrices (with a column added) is a third one, without rounding."""
    x, y, z = Dyadic.of(a), Dyadic.of(b), Dyadic.of(made)
    if plus is not None:
        x, y = Dyadic.of(np.hstack([a, plus[:, None]])), Dyadic.of(np.vstack([b, np.ones((1, b.shape[1]))]))
    total, power = product(x.whole, y.whole), x.power + y.power
    low = min(power, z.power)
    return not (total * (1 << (power - low)) - z.whole * (1 << (z.power - low))).any()


# -- torch ------------------------------------------------------------------------------------------


def module_of(program: Program) -> Chain:
    """Build a chain in float32 and evaluation mode."""
    import torch

    from workbench.numerics.chain import Chain, ChainConfig, put

    placed: list[tuple[Step, Step | None]] = []
    at = 1
    while at < len(program):
        step, follows = program[at], program[at + 1] if at + 1 < len(program) else None
        normed = step.op in ("layer_norm", "batch_norm")
        scale = follows if normed and follows is not None and follows.op == "scale" else None
        placed.append((step, scale))
        at += 2 if scale is not None else 1
    with torch.random.fork_rng(devices=[]):
        made = Chain(ChainConfig(layers=tuple(_layer(*pair) for pair in placed)))
    for module, (step, scale) in zip(made, placed, strict=True):
        if step.op == "affine":
            put(module, weight=step.weight, bias=step.bias)
        if step.op == "batch_norm":
            put(module, running_mean=step.weight, running_var=step.bias)
        if scale is not None:
            put(
                module,
                weight=scale.weight,
                bias=scale.bias if scale.bias is not None else np.zeros(step.width),
            )
    return made


def _layer(step: Step, scale: Step | None) -> ChainLayer:
    from workbench.numerics.chain import ChainLayer

    if step.op == "affine":
        assert step.weight is not None
        inputs, scaled = step.weight.shape[1], step.bias is not None
        return ChainLayer(kind="linear", width=step.width, inputs=inputs, scaled=scaled)
    if step.op == "unit":
        return ChainLayer.model_validate({"kind": step.kind, "number": step.number})
    if step.op == "softmax":
        return ChainLayer(kind="softmax")
    if step.op in ("layer_norm", "batch_norm"):
        return ChainLayer.model_validate(
            {"kind": step.op, "width": step.width, "scaled": scale is not None, "number": step.number}
        )
    raise DataError(
        f"{step.name} scales its numbers apart from a norm or a linear layer, which no torch module does."
    )
