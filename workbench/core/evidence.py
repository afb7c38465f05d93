"""What stands behind an answer: how the run ended, an interval, a null, and n."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, Protocol

import numpy as np

from workbench.core.errors import ParameterError
from workbench.core.markup import card

Alternative = Literal["greater", "less", "two-sided"]
ID = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")
LONGEST_ID = 60
AT_LEAST = "interval of at least 95 %,"
"""How an interval is called that is wider than 95 % takes."""


@dataclass(frozen=True)
class Outcome:
    """How a run ended.

    Attributes
    ----------
    status : ``converged``; ``stopped`` at a limit, the answer usable but not final; or ``refused``, the
        question has no answer here.
    advice : what to do about it, naming the parameter to change; empty when there is nothing to do.
    """

    status: Literal["converged", "stopped", "refused"] = "converged"
    advice: str = ""


@dataclass(frozen=True, kw_only=True, repr=False)
class Evidence:
    """One question asked of the data, its answer, and its control.

    Everything that puts answers together (findings, the page, sweeps, `reproduce`) does so by the run's key, ``id`` and
    ``of``. ``label`` and ``question`` are for people and may be reworded at any time.

    Attributes
    ----------
    id : which of the method's questions this is, in snake_case: chosen once by the method's author, the same whatever the
        data and parameters are.
    of : what it is of, where one result asks the same of several things (a layer, a step, an arm): as the data name it,
        "" for the whole. No two answers of a result have both in common.
    question : in words, answerable by yes or no when there is a null.
    label : name of the number for people; ``value`` is the number.
    interval : 95 % interval of ``value``, or None; ``interval_method`` says what was drawn anew for it.
    conservative : whether the interval is known to be wider than 95 % takes, as a page then says.
    null : what was destroyed to make the null draws, in a few words; ``null_details`` is what else is to be known of them,
        which sentences leave out; ``null_values`` are the draws.
    null_name : which of the named hypotheses the null is (a file of `workbench.evidence.nulls`), "" for one of its own.
    hypothesis : what is true where the null is, in words.
    groups : which rows were taken as one, in the null or the interval, in words: "120 texts (text_id)"; "" for none.
    effective : how many independent rows say as much as these, where rows of one group resemble each other; None where
        that wasn't asked.
    alternative : in which direction the value would contradict the null.
    untested : why there is no null, where there could be one.
    n : how many rows (or whatever ``unit`` says) the answer rests on.

    Raises
    ------
    ParameterError
        ``id`` isn't in snake_case or too long, or ``of`` is no text.
    """

    id: str
    of: str = ""
    question: str
    label: str
    value: float
    n: int
    unit: str = "rows"
    interval: tuple[float, float] | None = None
    interval_method: str = ""
    conservative: bool = False
    null: str = ""
    null_details: str = ""
    null_values: tuple[float, ...] = ()
    null_name: str = ""
    hypothesis: str = ""
    groups: str = ""
    effective: float | None = None
    alternative: Alternative = "greater"
    untested: str = ""

    def __post_init__(self) -> None:
        if not isinstance(self.id, str) or not ID.fullmatch(self.id) or len(self.id) > LONGEST_ID:
            raise ParameterError(
                f"Evidence(id={self.id!r}) is not legal. An id is at most {LONGEST_ID} lower-case letters, digits and single "
                "underscores, begins with a letter and is the same for all data, such as 'explained_variance'; what varies "
                "(a layer, a step) is given as of=, and words for people as label=."
            )
        if not isinstance(self.of, str):
            raise ParameterError(
                f"Evidence(id={self.id!r}, of={self.of!r}) is not legal: of is a text, such as {str(self.of)!r}; '' is the whole."
            )
        object.__setattr__(self, "value", float(self.value))
        object.__setattr__(self, "null_values", tuple(float(v) for v in self.null_values))
        if self.interval is not None:
            object.__setattr__(self, "interval", (float(self.interval[0]), float(self.interval[1])))

    def __repr__(self) -> str:
        return f"<Evidence {self.name}: {self.sentence()}>"

    def _repr_html_(self) -> str:
        told = f"Not tested: {self.untested}." if self.untested else ""
        return card(self.name, self.question, self.sentence(), told)

    @property
    def name(self) -> str:
        """``id@of``, or ``id`` where it is of the whole: what to call it by where texts are typed."""
        return named(self.id, self.of)

    @property
    def p_value(self) -> float | None:
        """Monte-Carlo p-value, (1 + draws at least as extreme) / (1 + draws); None without a null.

        Counting the observation among the draws keeps the test's size at or under its level for any
        number of draws (Phipson and Smyth 2010, *Stat. Appl. Genet. Mol. Biol.* 9:39).
        """
        if not self.null_values:
            return None
        return monte_carlo_p(self.value, self.null_values, self.alternative)

    def without_test(self, why: str) -> Evidence:
        """The same number without its null, where there is or could be one, and why it isn't tested."""
        if not (self.null_values or self.hypothesis or self.untested):
            return self
        return replace(self, null="", null_details="", null_name="", null_values=(), untested=why)

    def quote(self, q_value: float | None = None) -> str:
        """The number with its interval, its null and its p-value (or ``q_value``, corrected): ``0.54 (...)``."""
        said = self._interval_said()
        p = self.p_value
        if p is not None:
            low, high = np.quantile(self.null_values, [0.025, 0.975])
            said.append(f"{_short(low)} to {_short(high)} with {self.null}")
            said.append(f"p = {p:.2g}" if q_value is None else f"q = {q_value:.2g}")
        return _short(self.value) + (f" ({'; '.join(said)})" if said else "")

    def quote_interval(self) -> str:
        """The number with its interval alone, as where another null is told of it."""
        said = self._interval_said()
        return _short(self.value) + (f" ({said[0]})" if said else "")

    def _interval_said(self) -> list[str]:
        if self.interval is None:
            return []
        share = AT_LEAST if self.conservative else "95 % interval"
        return [f"{share} {_short(self.interval[0])} to {_short(self.interval[1])}"]

    def sentence(self) -> str:
        """The answer in one plain sentence: what it is, `quote`, and n."""
        groups = f" in {self.groups}" if self.groups else ""
        return (
            f"{self.label[:1].upper()}{self.label[1:]}: {self.quote()}, n = {self.n:,} {self.unit}{groups}."
        )

    def to_json(self) -> dict[str, Any]:
        """Plain dictionary for `from_json`; JSON has no NaN or infinity, so they are None in it."""
        numbers = {n: finite(getattr(self, n)) for n in ("value", "interval", "null_values")}
        return {**vars(self), **numbers}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Evidence:
        """Read what `to_json` gave."""

        def number(value: float | None) -> float:
            return float("nan") if value is None else value

        interval = data.get("interval")
        return cls(
            **{
                **data,
                "value": number(data["value"]),
                "null_values": tuple(map(number, data.get("null_values", ()))),
                "interval": None if interval is None else (number(interval[0]), number(interval[1])),
            }
        )


class Labelled(Protocol):
    """What `shared_label` takes: evidence, or what a manifest says of it."""

    @property
    def id(self) -> str: ...
    @property
    def of(self) -> str: ...
    @property
    def label(self) -> str: ...


def named(id: str, of: str) -> str:
    """``id@of``, or ``id`` where it is of the whole."""
    return f"{id}@{of}" if of else id


def words(id: str) -> str:
    """An id as people write it."""
    return id.replace("_", " ")


def shared_label(answers: Iterable[Labelled]) -> str:
    """The label of answers to one question: theirs where all have the same, else the id in words, and what they are of."""
    held = list(answers)
    if len({a.label for a in held}) == 1:
        return held[0].label
    return ", ".join(filter(None, (words(held[0].id), held[0].of)))


def finite(value: Any) -> Any:
    """A number, or each of several, as JSON can hold it: None where it isn't finite."""
    if value is None:
        return None
    if isinstance(value, tuple | list):
        return [finite(v) for v in value]
    return float(value) if np.isfinite(value) else None


def monte_carlo_p(value: float, draws: Sequence[float], alternative: Alternative) -> float:
    """P-value of ``value`` among ``draws`` of the null; see `Evidence.p_value`."""
    if np.isnan(value):
        return 1.0  # no number, no finding
    null = np.asarray(draws, dtype=np.float64)
    above, below = (
        int((~(null < value)).sum()),
        int((~(null > value)).sum()),
    )  # a NaN draw speaks for the null
    m = len(null)
    if alternative == "greater":
        return (1 + above) / (1 + m)
    if alternative == "less":
        return (1 + below) / (1 + m)
    return min(1.0, 2 * (1 + min(above, below)) / (1 + m))


def _short(value: float) -> str:
    return f"{value:,.0f}" if 1000 <= abs(value) < 1e6 else f"{value:.3g}"
