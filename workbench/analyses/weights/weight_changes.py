"""Weight changes: what became of each tensor between two checkpoints, and what could have done it."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Annotated

import numpy as np
from annotated_types import Interval
from typing_extensions import Doc

from workbench.core.errors import DataError
from workbench.core.evidence import Evidence
from workbench.core.parameters import NullDraws, Seed
from workbench.core.progress import track
from workbench.core.registry import analysis
from workbench.numerics.controls import draw_until_clear
from workbench.numerics.noise_spectra import largest_of_noise
from workbench.numerics.stored_rounding import grain, rounded_as
from workbench.numerics.threads import in_order
from workbench.numerics.unit_order import order_of, reordered
from workbench.numerics.weight_changes import Change, change_of, told_as
from workbench.results.weight_changes import VERDICTS, WeightChanges
from workbench.subjects.checkpoint import Checkpoint

SAMPLED = 16  # rows by which a rounding is recognized before all are looked at
HELD = (
    1 << 25
)  # numbers of a tensor up to which it is held, before and after; a larger one is read more than once
BLOCK = 1 << 22
_SAID = {
    "low-rank": "few factors describe",
    "sparse": "few entries describe",
    "requantized": "rounding to fewer numbers explains",
    "permuted": "another order of rows and columns explains",
    "permuted and trained on": "another order of rows and columns, and a change of what lies in it, explains",
    "trained on": "a change in many directions, of weights that stay alike, is",
    "unrelated": "nothing in common is seen in",
}


@dataclass(frozen=True)
class _Told:
    name: str
    shape: tuple[int, ...]
    verdict: str
    why: str
    change: Change | None = None


@analysis
def weight_changes(
    before: Checkpoint,
    after: Checkpoint,
    *,
    n_components: Annotated[
        int, Interval(ge=1, le=256), Doc("Singular values and directions kept of each change.")
    ] = 16,
    related: Annotated[
        float,
        Interval(ge=0.001, le=0.99),
        Doc("Cosine between a tensor before and after from which it counts as the same one, trained on."),
    ] = 0.2,
    n_null: NullDraws = 99,
    random_state: Seed = 0,
) -> WeightChanges:
    """Say what became of each tensor between two checkpoints, and what could have done it.

    Tensors that are equal to the last bit are told first and cost one reading. Of each other one the change is measured (norm,
    entries, singular values, smallest principal angles to the tensor's own leading directions) and set beside noise of
    equal norm: how far its largest singular value or largest entry lies above what such noise stays under 95 times in 100
    orders them. A tensor is *requantized* where the one is a rounding of the other, *permuted* where rows and columns of
    the one in another order are the other, *low-rank* or *sparse* where factors or changed entries describe the change
    with a quarter of its numbers (singular values that rounding to the stored format gives don't count, nor entries that
    moved by rounding alone), else *trained on* or *unrelated* by the cosine. What has nothing in common in place is *permuted
    and trained on* where it has in an order of rows and columns that was found, more than unrelated tensors have in any of
    all orders (a bound, for entries of random signs); vectors and small matrices fit in some order whatever they hold. The
    verdict on the whole is that of most changed numbers. Noise is drawn exactly in law, as bidiagonal matrices.

    Tensors of more than two dimensions count as matrices of the first by all the others, and vectors as columns.

    Raises
    ------
    DataError
        No tensor has the same name and shape in both, or one holds NaN or infinite numbers.

    References
    ----------
    Hu et al. 2022, LoRA, ICLR; Dumitriu and Edelman 2002, Matrix models for beta ensembles, J. Math. Phys. 43; Johnstone
    2001, Ann. Statist. 29; Halko, Martinsson and Tropp 2011, Finding structure with randomness, SIAM Review 53; Ainsworth et al.
    2023, Git Re-Basin, ICLR.
    """
    before, after = before.experts_apart(), after.experts_apart()
    shared = [n for n in before.tensors if n in after.tensors]
    reshaped = tuple(n for n in shared if before.tensors[n].shape != after.tensors[n].shape)
    names = [n for n in shared if n not in reshaped]
    if not names:
        raise DataError(
            f"{before.name} and {after.name} have no tensor of one name and shape ({len(before.tensors):,} and "
            f"{len(after.tensors):,} tensors): give two checkpoints of one architecture."
        )
    work = in_order(lambda n: _told(before, after, n, n_components, related, random_state), names)
    told = list(track(work, "comparing tensors", len(names)))
    moved = [t for t in told if t.change is not None]
    order = sorted(moved, key=lambda t: -_surprise(t)) + [t for t in told if t.change is None]
    verdict, reasons = _verdict(told)
    if sketched := sum(not t.change.exact for t in moved if t.change):
        reasons += (
            f"Of {sketched:,} tensors the largest singular values alone were computed, randomised, so that their rank is at most "
            f"what was kept; the share of the squared norm that they hold is told.",
        )
    return WeightChanges(
        title=f"What became of {before.name} in {after.name}: {verdict}",
        verdict=verdict,
        reasons=reasons,
        names=tuple(t.name for t in order),
        shapes=tuple(" x ".join(map(str, t.shape)) or "one number" for t in order),
        verdicts=tuple(t.verdict for t in order),
        changed=np.array([t.change.changed if t.change else 0 for t in order], np.int64),
        sizes=np.array([math.prod(t.shape) for t in order], np.int64),
        norms=_column(order, lambda c: c.norm),
        relative=_column(order, lambda c: c.norm / c.base_norm if c.base_norm else 0.0),
        ranks=np.array([t.change.rank if t.change else 0 for t in order], np.int64),
        surprise=np.array([_surprise(t) for t in order]),
        cosines=np.array([t.change.cosine if t.change else 1.0 for t in order]),
        shares=_column(order, lambda c: c.share),
        spectra=_padded([t.change.values if t.change else np.empty(0) for t in order], n_components),
        angles=np.array([t.change.angles if t.change else (90.0, 90.0) for t in order]).reshape(
            len(order), 2
        ),
        missing=tuple(n for n in before.tensors if n not in after.tensors),
        extra=tuple(n for n in after.tensors if n not in before.tensors),
        reshaped=reshaped,
        evidence=_evidence(moved, len(names), n_null, random_state),
        caveat=" ".join(reasons),
    )


def _column(order: list[_Told], of: Callable[[Change], float]) -> np.ndarray:
    return np.array([of(t.change) if t.change else 0.0 for t in order])


def _surprise(told: _Told) -> float:
    return max(told.change.direction, told.change.entry) if told.change else 0.0


def _padded(rows: list[np.ndarray], width: int) -> np.ndarray:
    out = np.zeros((len(rows), max(1, min(width, max(map(len, rows), default=1)))))
    for i, row in enumerate(rows):
        out[i, : len(row)] = row[: out.shape[1]]
    return out


def _verdict(told: list[_Told]) -> tuple[str, tuple[str, ...]]:
    """What most changed numbers say (of matrices, where a matrix changed), and why in words."""
    moved = [t for t in told if t.verdict != "identical"]
    same = len(told) - len(moved)
    reasons = [f"{same:,} of {len(told):,} tensors are the same to the last bit."] if same else []
    if not moved:
        return "identical", tuple(reasons)
    voting = [t for t in moved if min((t.shape or (1,))[0], math.prod(t.shape[1:])) > 1] or moved
    votes = {v: sum(math.prod(t.shape) for t in voting if t.verdict == v) for v in VERDICTS}
    for v in VERDICTS[1:]:
        if of := [t for t in moved if t.verdict == v]:
            whys = dict.fromkeys(t.why for t in sorted(of, key=lambda t: -math.prod(t.shape)) if t.why)
            reasons.append(
                f"{v}: {_SAID[v]} {len(of):,} of {len(moved):,} changed tensors ({'; '.join(list(whys)[:3])})."
            )
    return max(votes, key=lambda v: votes[v]), tuple(reasons)


def _evidence(moved: list[_Told], n: int, n_null: int, random_state: int) -> tuple[Evidence, ...]:
    """Is the most surprising change more so than that of noise, of as many tensors of these shapes."""
    changes = [(t.change, _matrix(t.shape)) for t in moved if t.change and t.change.norm > 0]
    shapes = Counter(shape for _, shape in changes)
    values = np.array([max((getattr(c, q) for c, _ in changes), default=0.0) for q in ("direction", "entry")])

    def draw(rng: np.random.Generator) -> np.ndarray:
        drawn = [largest_of_noise(shape, rng, many) for shape, many in shapes.items()]
        return np.concatenate(drawn).max(axis=0)

    drawn = (
        draw_until_clear(draw, values, ["greater", "greater"], n_null, random_state, "noise of equal norm")
        if changes and n_null
        else [np.empty(0), np.empty(0)]
    )
    said = {"direction": "largest singular value", "entry": "largest entry"}
    whole = Evidence(
        id="changed_tensors",
        question="How many tensors changed?",
        label="changed tensors",
        value=len(moved),
        n=n,
        unit="tensors",
    )
    return whole, *(
        Evidence(
            id=f"{q}_over_noise",
            question=f"Is a change's {words} larger than that of noise of equal norm?",
            label=f"{words} of a change over the edge of noise, at most",
            value=v,
            n=len(changes),
            unit="changed tensors",
            null="independent normal entries of equal norm",
            hypothesis="the changes are noise",
            null_values=tuple(d),
            untested="" if len(d) else "nothing changed" if not changes else "no null was drawn",
        )
        for (q, words), v, d in zip(said.items(), values, drawn, strict=True)
    )


# -- one tensor -------------------------------------------------------------------------------------


def _matrix(shape: tuple[int, ...]) -> tuple[int, int]:
    return (shape[0], math.prod(shape[1:])) if shape else (1, 1)


def _told(before: Checkpoint, after: Checkpoint, name: str, keep: int, related: float, seed: int) -> _Told:
    info, other = before.tensors[name], after.tensors[name]
    shape = _matrix(info.shape)
    if same_bits(before, after, name):
        return _Told(name, info.shape, "identical", "")
    if not (info.floating and other.floating):
        return _Told(
            name, info.shape, "trained on", "integers or booleans, of which only the bits are compared"
        )
    pairs = list(_each(before, after, name, shape)) if math.prod(shape) <= HELD else None

    def blocks() -> Iterator[tuple[np.ndarray, np.ndarray]]:
        return iter(pairs) if pairs is not None else _each(before, after, name, shape)

    first = next(blocks())
    stored = grain(np.concatenate([x[:SAMPLED].ravel() for x in first]), other.dtype)
    rng = np.random.default_rng([seed, *name.encode()])
    change = change_of(blocks, shape, stored, keep=keep, rng=rng)
    if not change.changed:
        return _Told(name, info.shape, "requantized", f"{info.dtype} to {other.dtype} without loss", change)
    how = rounded_as(*(x[:SAMPLED] for x in first))
    if how and all(rounded_as(b, a) in (how, "") for b, a in blocks()):
        return _Told(name, info.shape, "requantized", f"in {how}", change)
    alike = abs(change.after_norm - change.base_norm) <= 1e-4 * change.base_norm
    if (
        pairs is not None
        and alike
        and _same_numbers(pairs)
        and reordered(*map(np.concatenate, zip(*pairs, strict=True)))
    ):
        return _Told(name, info.shape, "permuted", "the same rows and columns, to the last bit", change)
    verdict = told_as(change, shape, related)
    if verdict == "unrelated" and pairs is not None:
        found = order_of(*map(np.concatenate, zip(*pairs, strict=True)))
        if found is not None and found.cosine >= related:
            why = f"cosine {found.cosine:.3g} in that order, where unrelated ones stay under {found.limit:.2g} in any"
            return _Told(name, info.shape, "permuted and trained on", why, change)
    return _Told(name, info.shape, verdict, _why(verdict, change), change)


def _why(verdict: str, change: Change) -> str:
    if verdict == "low-rank":
        return f"rank {change.rank}"
    if verdict == "sparse":
        return f"{change.changed:,} entries"
    return f"cosine {change.cosine:.3g}"


def _same_numbers(pairs: list[tuple[np.ndarray, np.ndarray]]) -> bool:
    """Whether the largest is the same, and the squares add up to the same, as in any order."""
    if len({max(float(p[i].max(initial=-np.inf)) for p in pairs) for i in (0, 1)}) > 1:
        return False  # tells nearly all that was trained, before anything is widened
    b, a = (sum(float(np.square(p[i], dtype=np.float64).sum()) for p in pairs) for i in (0, 1))
    return abs(a - b) <= 1e-9 * b


def same_bits(before: Checkpoint, after: Checkpoint, name: str) -> bool:
    """Whether a tensor is the same to the last bit, read a block at a time up to the first that differs."""
    if before.tensors[name].dtype != after.tensors[name].dtype:
        return False
    one, other = before.stored(name), after.stored(name)
    if one is None or other is None:
        one, other = before.lazy(name), after.lazy(name)
    for start, block in one.blocks():
        rows = other.read(start, start + len(block) if block.ndim else 1)
        pair = [np.ascontiguousarray(x).reshape(-1).view(np.uint8) for x in (block, rows)]
        for part in (slice(1 << 12), slice(1 << 12, None)):  # the first part differs where all was trained
            if not _same_bytes(*(x[part] for x in pair)):
                return False
    return True


def _same_bytes(one: np.ndarray, other: np.ndarray) -> bool:
    """Whether bytes (k,) are the same, eight at a time: a copy of each would take thrice as long."""
    whole = len(one) // 8 * 8
    if len(one) != len(other) or not np.array_equal(one[whole:], other[whole:]):
        return False
    return bool(np.array_equal(one[:whole].view(np.uint64), other[:whole].view(np.uint64)))


def _each(
    before: Checkpoint, after: Checkpoint, name: str, shape: tuple[int, int]
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    one, other = before.lazy(name), after.lazy(name)
    for start, block in one.blocks():
        rows = other.read(start, start + len(block) if one.shape else 1)
        pair = [np.asarray(x, np.float32).reshape(-1, shape[1]) for x in (block, rows)]
        for checkpoint, x in zip((before, after), pair, strict=True):
            if not np.isfinite(x).all():
                row, column = np.argwhere(~np.isfinite(x))[0]
                raise DataError(
                    f"{name} of {checkpoint.name} holds {x[row, column]} at row {start + row:,}, column {column:,}: a change "
                    f"has no norm there. Leave the tensor out with .at(pattern), or take a step before it diverged."
                )
        yield pair[0], pair[1]
