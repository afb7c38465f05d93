"""What stands behind an answer: how the run ended, an interval, a null, and n."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np

Alternative = Literal["greater", "less", "two-sided"]


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


@dataclass(frozen=True)
class Evidence:
    """One question asked of the data, its answer, and its control.

    Attributes
    ----------
    question : in words, answerable by yes or no when there is a null.
    statistic : name of the number; ``value`` is the number.
    interval : 95 % interval of ``value``, or None; ``interval_method`` says how it was made.
    null : what was destroyed to make the null draws, in words, details in brackets (which sentences leave out);
        ``null_values`` are the draws.
    alternative : in which direction the value would contradict the null.
    untested : why there is no null, where there could be one.
    n : how many rows (or whatever ``unit`` says) the answer rests on.
    """

    question: str
    statistic: str
    value: float
    n: int
    unit: str = "rows"
    interval: tuple[float, float] | None = None
    interval_method: str = ""
    null: str = ""
    null_values: tuple[float, ...] = ()
    alternative: Alternative = "greater"
    untested: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "value", float(self.value))
        object.__setattr__(self, "null_values", tuple(float(v) for v in self.null_values))
        if self.interval is not None:
            object.__setattr__(self, "interval", (float(self.interval[0]), float(self.interval[1])))

    @property
    def p_value(self) -> float | None:
        """Monte-Carlo p-value, (1 + draws at least as extreme) / (1 + draws); None without a null.

        Counting the observation among the draws keeps the test's size at or under its level for any
        number of draws (Phipson and Smyth 2010, *Stat. Appl. Genet. Mol. Biol.* 9:39).
        """
        if not self.null_values:
            return None
        return monte_carlo_p(self.value, self.null_values, self.alternative)

    def quote(self, q_value: float | None = None) -> str:
        """The number with its interval, its null and its p-value (or ``q_value``, corrected): ``0.54 (...)``."""
        said = []
        if self.interval is not None:
            said.append(f"95 % interval {_short(self.interval[0])} to {_short(self.interval[1])}")
        p = self.p_value
        if p is not None:
            low, high = np.quantile(self.null_values, [0.025, 0.975])
            said.append(f"{_short(low)} to {_short(high)} with {self.null.split(' (')[0]}")
            said.append(f"p = {p:.2g}" if q_value is None else f"q = {q_value:.2g}")
        return _short(self.value) + (f" ({'; '.join(said)})" if said else "")

    def sentence(self) -> str:
        """The answer in one plain sentence: what it is, `quote`, and n."""
        return (
            f"{self.statistic[:1].upper()}{self.statistic[1:]}: {self.quote()}, n = {self.n:,} {self.unit}."
        )

    def to_json(self) -> dict[str, Any]:
        """Plain dictionary for `from_json`; JSON has no NaN or infinity, so they are None in it."""
        numbers = {n: finite(getattr(self, n)) for n in ("value", "interval", "null_values")}
        return {**asdict(self), **numbers}

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
