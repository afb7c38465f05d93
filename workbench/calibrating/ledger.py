"""The ledger: what calibration found of each method, in files that ship with the package, one a method."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from workbench.calibrating.running import DRAWS, LEVEL
from workbench.calibrating.world import World
from workbench.core.method import Method
from workbench.core.storage import writing

FOLDER = Path(__file__).parent / "ledger"
SURE = 3.29  # standard errors: a rate within so many of its bound isn't known to exceed it (1 in 2,000 by chance)
COVERED = (0.93, 0.97)
"""How often intervals of 95 % may cover; those of at least 95 % may more often."""
OFTEN = 0.5  # of the runs: what is asked in fewer hangs on another answer, so that its rate is no level


FIRST = 3
"""Runs whose answers are kept with the rates."""
First = Mapping[str, Sequence[Sequence[float | None]]]


@dataclass(frozen=True)
class Rate:
    """How often something came, of how many.

    Attributes
    ----------
    of : tries. count : how many of them had it.
    """

    count: int
    of: int

    @property
    def value(self) -> float:
        """The share; NaN without tries."""
        return self.count / self.of if self.of else float("nan")

    @property
    def error(self) -> float:
        """Its standard error, of a binomial share with one success and one failure more (Agresti and Coull 1998)."""
        p = (self.count + 1) / (self.of + 2)
        return float(np.sqrt(p * (1 - p) / (self.of + 2)))

    def above(self, bound: float) -> bool:
        """Whether the share surely exceeds a bound."""
        return self.value - SURE * self.error > bound

    def __str__(self) -> str:
        return "-" if not self.of else f"{self.value:.1%} ± {self.error:.1%}"


@dataclass(frozen=True)
class Answer:
    """What one question of a method came to in one world.

    Attributes
    ----------
    holds : whether the answer is yes there: then ``rejected`` counts hits, else false claims.
    rejected : rejected at 5 %, of the runs in which it was tested.
    covered : intervals that held the statistic's mean over all runs, of those that were given. conservative : whether they
        say that they are of at least 95 %.
    untested : why it wasn't tested, where it never was.
    """

    holds: bool
    rejected: Rate
    covered: Rate
    untested: str = ""
    conservative: bool = False

    @property
    def in_bounds(self) -> bool:
        """Whether false claims are no more than 5 % and intervals cover 93 to 97 %, as far as the runs can tell."""
        least, most = COVERED
        alarms = not self.holds and self.rejected.of and self.rejected.above(LEVEL)
        narrow = self.covered.of and self.covered.value + SURE * self.covered.error < least
        wide = self.covered.of and not self.conservative and self.covered.above(most)
        return not (alarms or narrow or wide)


@dataclass(frozen=True)
class Entry:
    """What calibration found of a method in one world.

    Attributes
    ----------
    version : of the method's code that was asked; see `Method.version`. seconds : of one run, the median.
    grouped : whether the world's rows belong together in groups.
    first : the value and the p-value of each question in the first runs, by which later code is known to answer alike.
    """

    method: str
    world: str
    says: str
    version: str
    runs: int
    refused: int
    seconds: float
    grouped: bool
    answers: Mapping[str, Answer]
    first: First = field(default_factory=dict)


def entry_of(asked: Method, world: World, records: Mapping[int, Mapping[str, Any]]) -> Entry:
    """Count what the runs of a method in a world came to."""
    answered = [r for r in records.values() if "answers" in r]
    names = list(dict.fromkeys(n for r in answered for n in r["answers"]))
    seconds = float(np.median([r["seconds"] for r in answered])) if answered else 0.0
    return Entry(
        method=asked.name,
        world=world.name,
        says=world.says,
        version=asked.version,
        runs=len(records),
        refused=len(records) - len(answered),
        seconds=round(seconds, 4),
        grouped=any(a["groups"] for r in answered for a in r["answers"].values()),
        answers={
            n: _answer(world, asked.name, n, [r["answers"].get(n, {}) for r in answered]) for n in names
        },
        first=first_of(records),
    )


def first_of(records: Mapping[int, Mapping[str, Any]]) -> First:
    """What was answered in the first runs; a run that was refused has no answers."""
    runs = [records[seed].get("answers", {}) for seed in range(FIRST) if seed in records]
    names = dict.fromkeys(n for answers in runs for n in answers)
    return {n: [[a.get("value"), a.get("p")] for a in (r.get(n, {}) for r in runs)] for n in names}


def as_before(entry: Entry, records: Mapping[int, Mapping[str, Any]]) -> bool:
    """Whether the first runs, made again, give what the ledger has of them, to one part in 10,000."""
    again = first_of(
        {seed: record for seed, record in records.items() if seed < entry.runs}
    )  # it may be of fewer
    known = bool(entry.first) or 0 < entry.runs == entry.refused
    if not known or again.keys() != entry.first.keys():
        return False
    pairs = [(a, b) for n in again for a, b in zip(again[n], entry.first[n], strict=True)]
    return all(_alike(x, y) for a, b in pairs for x, y in zip(a, b, strict=True))


def _alike(x: float | None, y: float | None) -> bool:
    if x is None or y is None:
        return x is y
    return bool(np.isclose(x, y, rtol=1e-4, atol=1e-6))


def _answer(world: World, method: str, name: str, given: Sequence[Mapping[str, Any]]) -> Answer:
    """Count one question's answers, one a run; empty where it wasn't asked in that run."""
    tested = [a["p"] for a in given if a.get("p") is not None]
    values = [a["value"] for a in given if a.get("value") is not None]
    middle = float(np.mean(values)) if values else float("nan")
    intervals = [a["interval"] for a in given if a.get("interval") and None not in a["interval"]]
    reasons = [a["untested"] for a in given if a.get("untested")]
    few = OFTEN * len(given)
    if 0 < len(tested) < few:
        reasons, tested = [f"asked in {len(tested)} of {len(given)} runs"], []
    intervals = intervals if len(intervals) >= few and method not in world.own else []
    return Answer(
        holds=not {name, name.partition("@")[0]}.isdisjoint(world.holds.get(method, ())),
        rejected=Rate(sum(p <= LEVEL for p in tested), len(tested)),
        covered=Rate(sum(low <= middle <= high for low, high in intervals), len(intervals)),
        untested="" if tested or not reasons else reasons[0],
        conservative=any(a.get("conservative") for a in given),
    )


def path_of(name: str) -> Path:
    """The file of a method."""
    return FOLDER / f"{name}.json"


@cache
def read(name: str) -> dict[str, Entry]:
    """What is known of a method, by world; nothing where it was never calibrated."""
    path = path_of(name)
    if not path.is_file():
        return {}
    found = json.loads(path.read_text("utf-8"))
    return {
        world: Entry(
            **{
                **e,
                "answers": {
                    n: Answer(**{**a, "rejected": Rate(**a["rejected"]), "covered": Rate(**a["covered"])})
                    for n, a in e["answers"].items()
                },
            }
        )
        for world, e in found["worlds"].items()
    }


def write(name: str, entries: Mapping[str, Entry]) -> None:
    """Add entries to a method's file, those of the same worlds in place of what was there."""
    worlds = {w: asdict(e) for w, e in {**read(name), **entries}.items()}
    text = json.dumps({"level": LEVEL, "draws": DRAWS, "worlds": worlds}, indent=1, ensure_ascii=False)
    FOLDER.mkdir(exist_ok=True)
    with writing(path_of(name)) as temporary:
        temporary.write_text(text + "\n", "utf-8")
    read.cache_clear()


def stale(asked: Method) -> list[str]:
    """Worlds in which a method was calibrated as its code was before."""
    return [w for w, e in read(asked.name).items() if e.version != asked.version]


def quoted(method: str, id: str, *, grouped: bool, version: str = "") -> str:
    """Say in a sentence how often a question of a method claimed what wasn't there, or that it wasn't measured.

    Parameters
    ----------
    id : of the question, whatever it is of.
    grouped : whether it was asked of rows that belong together: then the worlds of such rows count, else the others.
    version : of the method's code that answered; "" doesn't ask whether it is the one that was measured.
    """
    known = [
        (a.rejected, e)
        for e in read(method).values()
        for name, a in e.answers.items()
        if name.partition("@")[0] == id and not a.holds and a.rejected.of
    ]
    rates = [r for r in known if r[1].grouped == grouped]
    if not rates:
        rows = "" if not known else " in rows of groups" if grouped else " in rows that stand for themselves"
        return f"How often it claims what isn't there{rows} was never measured."
    worst, where = max(rates, key=lambda r: r[0].value)
    many = len({e.world for _, e in rates})
    kinds = "in data of one kind" if many == 1 else f"in {many} kinds of data"
    earlier = " It was measured with earlier code." if version not in ("", where.version) else ""
    return (
        f"At a level of 5 % it claimed what wasn't there in at most {worst} of the runs, {kinds} without it "
        f"(most often: {where.says}).{earlier}"
    )


def lines(entries: Iterable[Entry]) -> list[str]:
    """What was found of a method as a table of text, a line for each question in each kind of data."""
    rows = [("data", "question", "claims at 5 %", "intervals cover", "runs", "")]
    for e in entries:
        for name, a in e.answers.items():
            claims = f"{a.rejected}{' (there)' if a.holds else ''}" if a.rejected.of else "not tested"
            covered = f"{a.covered}{' (at least 95 %)' if a.conservative else ''}" if a.covered.of else ""
            rows.append(
                (e.world, name, claims, covered, f"{e.runs:,}", "" if a.in_bounds else "out of bounds")
            )
        if e.refused:
            rows.append((e.world, "", f"{e.refused:,} refused", "", f"{e.runs:,}", ""))
    widths = [max(len(r[i]) for r in rows) for i in range(len(rows[0]))]
    return ["  ".join(cell.ljust(w) for cell, w in zip(r, widths, strict=True)).rstrip() for r in rows]
