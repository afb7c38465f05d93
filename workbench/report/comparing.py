"""Two manifests of one notebook, result by result: identical, equal within a tolerance, or different and why."""

from __future__ import annotations

import dataclasses
import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from workbench.report.facts import ArrayFacts, Asked, ReportFacts, ResultFacts, RunFacts

Whole = Callable[[ResultFacts, ResultFacts, Sequence[str]], Mapping[str, tuple[np.ndarray, np.ndarray]]]
Verdict = Literal["identical", "within tolerance", "different"]

NUMBERS = 1e-6  # of a number's own size: for evidence, which is computed in double precision
# of an array's largest entry, by the width of its type: half the digits that the type holds
ARRAYS = {"f2": 1e-2, "f4": 1e-4, "f8": 1e-8}


@dataclass(frozen=True)
class Difference:
    """By how much two values differ, relative to their size, and by how much they may.

    Attributes
    ----------
    difference : infinite where they can't be compared: one isn't a number, or their shapes differ.
    unseen : they do differ, but not in those numbers that the manifests hold.
    """

    what: str
    difference: float
    tolerance: float
    said: str = ""
    unseen: bool = False

    @property
    def within(self) -> bool:
        """Whether they differ by no more than the tolerance."""
        return self.difference <= self.tolerance


@dataclass(frozen=True)
class Compared:
    """What became of one result.

    Attributes
    ----------
    apart : every value that isn't the same to the last bit, with what it may differ by.
    largest : of these, the one that uses up most of what it may.
    reasons : why the result may be different, where it is.
    looked : how its arrays were compared.
    """

    title: str
    method: str
    verdict: Verdict
    largest: Difference | None
    apart: tuple[Difference, ...]
    reasons: tuple[str, ...]
    looked: str = ""

    def sentence(self) -> str:
        """The verdict in words."""
        if self.verdict == "identical":
            return f"identical ({self.looked})" if self.looked else "identical"
        if self.largest is None:
            return f"different: {'; '.join(self.reasons)}"
        size = "none" if self.largest.unseen else f"{self.largest.difference:.2g}"
        by = f"largest difference {size} of {self.largest.tolerance:.0e} allowed, in {self.largest.what}"
        if self.verdict == "within tolerance":
            return f"equal within tolerance: {by}"
        many = sum(not d.within for d in self.apart)
        more = f" ({many} values differ)" if many > 1 else ""
        return f"different: {self.largest.said or by}{more}; {'; '.join(self.reasons)}"


def compare(
    before: ReportFacts, after: ReportFacts, *, tolerance: float | None = None, whole: Whole | None = None
) -> list[Compared]:
    """Compare every result of one report with the same result of the other.

    Parameters
    ----------
    tolerance : relative, for all numbers; without one `NUMBERS` for evidence and `ARRAYS` for arrays by their type.
    whole : gives those named arrays of two results of which all numbers are there; the others are compared by the
        numbers that the manifests hold of them.
    """
    others = dict(_keyed(after.results))
    found = []
    for key, old in _keyed(before.results):
        new = others.pop(key, None)
        if new is None:
            found.append(_alone(old, "the notebook shows no such result this time"))
        else:
            found.append(_compare(old, new, before, after, tolerance, whole))
    found += [_alone(new, "only this time the notebook shows it") for new in others.values()]
    return found


def _keyed(results: Iterable[ResultFacts]) -> list[tuple[tuple[Any, ...], ResultFacts]]:
    """Results by method, subject's name, and their place among these: parameters and inputs may have changed."""
    seen: Counter[tuple[str, str]] = Counter()
    found = []
    for result in results:
        kind = (result.run.method, result.run.subject)
        seen[kind] += 1
        found.append(((*kind, seen[kind]), result))
    return found


def _alone(result: ResultFacts, why: str) -> Compared:
    return Compared(result.title, result.run.method, "different", None, (), (why,))


def _compare(
    old: ResultFacts,
    new: ResultFacts,
    before: ReportFacts,
    after: ReportFacts,
    tolerance: float | None,
    whole: Whole | None,
) -> Compared:
    every = [*_evidence(old.evidence, new.evidence, tolerance), *_arrays(old, new, tolerance, whole)]
    if old.outcome.status != new.outcome.status:
        said = f"it ended as {new.outcome.status}, and as {old.outcome.status} before"
        every.append(Difference("how it ended", math.inf, 0.0, said))
    apart = tuple(d for d in every if d.difference > 0 or d.unseen)
    largest = max(apart, key=lambda d: d.difference / (d.tolerance or 1e-300), default=None)
    differs = any(not d.within for d in apart)
    verdict: Verdict = "different" if differs else "within tolerance" if apart else "identical"
    reasons = why(old.run, new.run, before, after) if differs else ()
    return Compared(new.title, new.run.method, verdict, largest, apart, reasons, _looked(old, new))


def _looked(old: ResultFacts, new: ResultFacts) -> str:
    if not old.arrays or not new.arrays:
        return "in its numbers; no arrays were kept to compare"
    return f"its {len(old.arrays)} arrays by digest" if len(old.arrays) > 1 else "its array by digest"


def why(old: RunFacts, new: RunFacts, before: ReportFacts, after: ReportFacts) -> tuple[str, ...]:
    """What changed between two runs that may explain another answer; never empty."""
    found = []
    found += _inputs(old, new)
    if changed := _changed(old, new):
        found.append(f"parameters differ ({', '.join(changed[:5])})")
    if old.version != new.version:
        found.append(f"the method's version differs ({new.version}, was {old.version})")
    if old.device != new.device:
        found.append(f"the device differs ({new.device}, was {old.device})")
    if libraries := versions_apart(old.versions, new.versions):
        found.append(f"library versions differ ({', '.join(libraries[:5])})")
    if new.parameters.get("random_state", 0) is None:
        found.append("no seed was set (random_state=None)")
    if before.threads and before.threads != after.threads:
        found.append(
            f"it ran in {after.threads} threads, in {before.threads} before, which add up in another order"
        )
    return tuple(found) or (
        "method, version, input, parameters, seed, device and libraries are the same, so the method itself varies, or "
        "the processor is of another kind",
    )


def _inputs(old: RunFacts, new: RunFacts) -> list[str]:
    """Which inputs differ, each traced back to the first step that gave something else."""
    if len(old.inputs) != len(new.inputs):
        return [f"{new.method} was given {len(new.inputs)} inputs, and {len(old.inputs)} before"]
    found = []
    for a, b in zip(old.inputs, new.inputs, strict=True):
        if a.digest == b.digest:
            continue
        before = _inputs(a.run, b.run) if a.run and b.run else []
        changed = _changed(a.run, b.run) if a.run and b.run and a.run.method == b.run.method else []
        if before:
            found += before
        elif changed:
            found.append(f"the input {b.title} comes from another {b.run.method} ({', '.join(changed[:5])})")  # type: ignore[union-attr]
        else:
            found.append(f"the input {b.title} differs (digest {b.digest[:12]}, was {a.digest[:12]})")
    return found


def _changed(old: RunFacts, new: RunFacts) -> list[str]:
    """Parameters with another value, each in words."""
    return [
        f"{n}={new.parameters.get(n)!r}, was {old.parameters.get(n)!r}"
        for n in sorted(old.parameters.keys() | new.parameters.keys())
        if old.parameters.get(n) != new.parameters.get(n)
    ]


def versions_apart(old: dict[str, str], new: dict[str, str]) -> list[str]:
    """Libraries whose versions differ, each in words."""
    return [
        f"{name} {new.get(name, 'missing')}, was {old.get(name, 'missing')}"
        for name in sorted(old.keys() | new.keys())
        if old.get(name) != new.get(name)
    ]


def _evidence(old: Sequence[Asked], new: Sequence[Asked], tolerance: float | None) -> Iterable[Difference]:
    allowed = NUMBERS if tolerance is None else tolerance
    others = {(e.id, e.of): e for e in new}
    for e in old:
        other = others.get((e.id, e.of))
        if other is None:
            yield Difference(e.label, math.inf, allowed, f"{e.label} wasn't asked this time")
            continue
        yield _numbers(e.label, [e.value], [other.value], allowed)
        yield _numbers(f"the interval of {e.label}", e.interval or (), other.interval or (), allowed)
        yield _numbers(f"the null of {e.label}", e.null_values, other.null_values, allowed)
        if e.n != other.n:
            said = f"{e.label} rests on {other.n:,} {other.unit}, on {e.n:,} before"
            yield Difference(f"n of {e.label}", math.inf, 0.0, said)


def _numbers(
    what: str, old: Sequence[float | None], new: Sequence[float | None], allowed: float
) -> Difference:
    """The largest relative difference between two lists of numbers."""
    if len(old) != len(new):
        said = f"{what} has {len(new)} numbers, and had {len(old)}"
        return Difference(what, math.inf, allowed, said)
    scale = max((abs(v) for v in (*old, *new) if v is not None), default=0.0)
    worst, pair = 0.0, (0.0, 0.0)
    for a, b in zip(old, new, strict=True):
        if a is None or b is None:
            if a is not b:
                return Difference(what, math.inf, allowed, f"{what} is {b}, and was {a}")
        elif abs(a - b) > worst:
            worst, pair = abs(a - b), (a, b)
    relative = worst / scale if scale else 0.0
    said = f"{what} is {pair[1]:.6g}, and was {pair[0]:.6g}"
    return Difference(what, relative, allowed, said if len(old) == 1 else "")


def _arrays(
    old: ResultFacts, new: ResultFacts, tolerance: float | None, whole: Whole | None
) -> Iterable[Difference]:
    """Arrays by their digests; where these differ, by all their entries or those that the manifests hold of them."""
    if not old.arrays or not new.arrays:  # nothing was kept of them
        return
    differ = [n for n in old.arrays if n in new.arrays and old.arrays[n].digest != new.arrays[n].digest]
    both = whole(old, new, differ) if whole and differ else {}
    for name in sorted(old.arrays.keys() | new.arrays.keys()):
        a, b = old.arrays.get(name), new.arrays.get(name)
        if a is None or b is None:
            said = f"the array {name} is there {'only this time' if a is None else 'no more'}"
            yield Difference(name, math.inf, 0.0, said)
        elif a.digest != b.digest:
            yield _array(name, a, b, tolerance, both.get(name))


def _array(
    name: str,
    a: ArrayFacts,
    b: ArrayFacts,
    tolerance: float | None,
    both: tuple[np.ndarray, np.ndarray] | None,
) -> Difference:
    if (a.dtype, a.shape) != (b.dtype, b.shape) or not a.sample or not b.sample:
        said = f"the array {name} is {b.dtype} {list(b.shape)}, and was {a.dtype} {list(a.shape)}"
        return Difference(name, math.inf, 0.0, said)
    allowed = ARRAYS.get(a.dtype[1:], 0.0)  # whole numbers are labels, indices or counts: equal or not
    if tolerance is not None and allowed:
        allowed = tolerance
    if both is not None:
        return _every(name, *both, allowed)
    what = f"{name} ({len(a.sample):,} of its {math.prod(a.shape):,} numbers compared)"
    found = _numbers(what, (*a.sample, a.largest), (*b.sample, b.largest), allowed)
    return dataclasses.replace(found, unseen=found.difference == 0)


def _every(name: str, old: np.ndarray, new: np.ndarray, allowed: float) -> Difference:
    """The largest difference between all numbers of two arrays of one shape, relative to the largest of them."""
    what = f"{name} (all of its {old.size:,} numbers compared)"
    a, b = old.astype(np.float64), new.astype(np.float64)
    finite = np.isfinite(a) & np.isfinite(b)
    odd = int((~finite & ~((a == b) | (np.isnan(a) & np.isnan(b)))).sum())
    if odd:
        return Difference(
            what, math.inf, allowed, f"{odd:,} of {old.size:,} numbers of {name} are finite only once"
        )
    apart = np.abs(a - b, where=finite, out=np.zeros_like(a))
    scale = float(np.abs(np.concatenate([a[finite], b[finite]])).max(initial=0.0))
    worst = float(apart.max(initial=0.0))
    many = int((apart > 0).sum())
    said = "" if allowed else f"{many:,} of the {old.size:,} numbers of {name} are others"
    # the digests differ where the numbers don't: a zero with another sign
    return Difference(what, worst / scale if scale else 0.0, allowed, said, unseen=worst == 0)
