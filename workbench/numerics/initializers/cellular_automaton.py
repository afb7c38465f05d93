"""Matrices of two values, of which each row is what a cellular automaton makes of the row before it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from workbench.numerics.automata import RULES, evolved, keeps_fair

RULE = 30
STANDS_STILL = (51, 204)  # rows repeat the first one, or its complement
LEGAL = tuple(rule for rule in range(RULES) if keeps_fair(rule) and rule not in STANDS_STILL)


def check(options: Mapping[str, Any]) -> dict[str, int]:
    """Give the ``rule``, 30 where none is named.

    Raises
    ------
    ValueError
        Another option, or a rule from which fair cells don't stay so: some weights then follow from fewer numbers than it seems.
    """
    for option in options.keys() - {"rule"}:
        raise ValueError(f"initializer_options: cellular_automaton has no {option!r}; it has rule")
    rule = options.get("rule", RULE)
    if type(rule) is not int or rule not in LEGAL:
        raise ValueError(
            f"initializer_options: rule must be one that keeps fair cells fair and doesn't stand still, {', '.join(map(str, LEGAL))}; "
            f"not {rule!r}"
        )
    return {"rule": rule}


def fill(weight: torch.Tensor, std: float, rule: int = RULE) -> None:
    """Run the automaton from a line of fair cells, and give ones and zeros the two values of mean 0 and that deviation, exactly.

    Each row is 'in' fair coins, as on an endless line: the first line is longer by 2 (out - 1) cells, so that no edge is seen.
    """
    rows, columns = weight.shape
    ones = 0
    while ones in (0, weight.numel()):  # all equal, as happens of a few cells: there is no deviation then
        first = torch.randint(2, (columns + 2 * (rows - 1),)).numpy()
        cells = evolved(rule, first, rows)
        ones = int(np.count_nonzero(cells))
    odds = ones / (weight.numel() - ones)
    with torch.no_grad():
        weight.copy_(torch.where(torch.from_numpy(cells).bool(), std * odds**-0.5, -std * odds**0.5))
