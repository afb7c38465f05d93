"""What is said of one weight matrix where it is pointed at, and what a page shows of one that is clicked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

Facts = Mapping[str, Any]


def lines_of(facts: Facts) -> list[str]:
    """A matrix's numbers in plain text, what belongs together on a line; nothing where a number isn't there."""

    def said(key: str) -> str:
        value = facts.get(key)
        if value is None or value == "":
            return ""
        return f"{value:.3g}" if isinstance(value, float) else str(value)

    def line(words: str, *keys: str) -> str:
        return words.format(*map(said, keys)) if all(map(said, keys)) else ""

    wrong = facts.get("first_non_finite")
    lines = (
        line("{}, sure to {}", "role", "confidence")
        + (f"; layer {facts['layer']}" if facts["layer"] >= 0 else ""),
        line("{} x {}, stored as {}", "rows", "columns", "stored"),
        line("rounded to {}: {} of the rms", "grid", "grid_noise"),
        line("rms {}, largest {}, zeros {}", "norm", "largest_entry", "sparsity"),
        line("largest σ {} ({})", "largest", "tier"),
        line("there is a σ within {} of it", "largest_bound") if facts.get("largest_bound") else "",
        line("stable rank {}, effective {}", "stable_rank", "effective_rank"),
        line("Schmidt entropy {}, {} below random", "schmidt_entropy", "entropy_below_random"),
        line("noise {}; {} σ outside it, {} of the squares", "noise", "outside", "outside_share"),
        line("tail: α {} ± {}, {} values, {}", "alpha", "alpha_error", "tail_values", "tail"),
        line("largest row {}, column {} of the median", "row_outlier", "column_outlier"),
        line("{} entries aren't finite", "non_finite") if facts.get("non_finite") else "",
        f"the first at row {wrong[0]}, column {wrong[1]}" if wrong else "",
        f"also {', '.join(facts['also'])}" if facts.get("also") else "",
    )
    return [text for text in lines if text]


def cards_of(matrices: Sequence[Facts], tested: Mapping[str, str]) -> dict[str, Any]:
    """What a page shows of each mark that is clicked, in the marks' order; what stands out most in front.

    Parameters
    ----------
    tested : by a matrix's name, what its control says in a sentence.
    """
    cards = []
    for m in matrices:
        card: dict[str, Any] = {"title": m["name"], "lines": lines_of(m)}
        if m["name"] in tested:
            card["lines"].append(tested[m["name"]])
        if spectrum := m.get("spectrum"):
            card["spectrum"] = spectrum
            card["what"] = _what(m)
        cards.append(card)
    over = [m.get("largest_over_noise") or 0.0 for m in matrices]
    return {"what": "Matrix", "first": over.index(max(over)) if over else 0, "cells": cards}


def _what(facts: Facts) -> str:
    spectrum = facts["spectrum"]
    words = "singular values by rank, both scales logarithmic"
    if spectrum.get("low"):
        words += "; grey: noise of the level of the median, 95 %"
    if facts.get("tier") == "sketch":
        words += f"; from rank {spectrum['known'] + 1:,} on as a sketch has their distribution"
    return words
