"""Elementary automata against what is known of them by name."""

from __future__ import annotations

from itertools import product
from math import comb

import numpy as np
import pytest

from workbench.numerics.automata import evolved, keeps_fair


def one_cell(generations: int) -> np.ndarray:
    """A single 1, with as many zeros beside it as reach the last generation's edge, and that edge."""
    line = np.zeros(4 * generations - 3, np.uint8)
    line[2 * generations - 2] = 1
    return line


def test_rule_90_is_pascal_s_triangle_modulo_2() -> None:
    found = evolved(90, one_cell(33), 33)
    for t, row in enumerate(found):
        expected = np.zeros(65, np.uint8)
        expected[32 - t : 33 + t : 2] = [comb(t, k) % 2 for k in range(t + 1)]
        assert (row == expected).all()


def test_rule_30_s_middle_column_is_as_published() -> None:
    """Wolfram's Rule 30 prizes: 7 of the first 10 cells are 1, 52 of 100, 481 of 1,000."""
    middle = evolved(30, one_cell(1000), 1000)[:, 999]
    assert [int(middle[:n].sum()) for n in (10, 100, 1000)] == [7, 52, 481]


def test_of_all_first_lines_each_column_of_rule_30_is_equally_frequent() -> None:
    columns = [tuple(evolved(30, np.array(line), 5)[:, 0]) for line in product((0, 1), repeat=9)]
    assert len(set(columns)) == 32 and {columns.count(c) for c in set(columns)} == {16}


def test_the_30_rules_under_which_every_line_has_one_before_it() -> None:
    found = [rule for rule in range(256) if keeps_fair(rule)]
    assert len(found) == 30 and {15, 30, 45, 51, 60, 90, 105, 106, 150, 170, 204} <= set(found)
    for rule in range(256):  # every word of 6 cells has as many before it as any other, if and only if
        of_each = (
            np.bincount(
                [
                    int("".join(map(str, evolved(rule, np.array(w), 2)[1])), 2)
                    for w in product((0, 1), repeat=8)
                ],
                minlength=64,
            )
            if rule % 15 == 0
            else None
        )
        if of_each is not None:
            assert (of_each == 4).all() == keeps_fair(rule)


@pytest.mark.parametrize(
    ("rule", "generations", "why"), [(256, 2, "0 to 255"), (30, 6, "1 to 5"), (30, 0, "1 to 5")]
)
def test_what_cannot_be_run_is_refused(rule: int, generations: int, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        evolved(rule, np.zeros(9, np.uint8), generations)
