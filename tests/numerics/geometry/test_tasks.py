"""Answers of the tasks against brute force, and a recurrence that is exact where it is set by hand."""

from __future__ import annotations

from functools import partial
from itertools import combinations, permutations

import numpy as np
import pytest
import torch

from workbench.numerics.attention.braid import broken_relations
from workbench.numerics.geometry import tasks
from workbench.numerics.geometry.tracking import Tracker, broken_brackets, trained

RNG = np.random.default_rng


def test_s5_is_exchanging_neighbours() -> None:
    names = list(permutations(range(5)))
    for word, states in zip(*tasks.s5(4, 50, RNG(0)), strict=True):
        lie = list(range(5))
        for letter, state in zip(word, states, strict=True):
            if letter != tasks.PAUSE:
                lie[letter], lie[letter + 1] = lie[letter + 1], lie[letter]
            assert names[state] == tuple(lie)


def test_dyck2_is_a_stack_that_never_overflows() -> None:
    words, answers = tasks.dyck2(20, 300, RNG(0))
    deepest = 0
    for word, answer in zip(words, answers, strict=True):
        stack: list[int] = []
        for letter, kind in zip(word, answer, strict=True):
            if letter < 2:
                stack.append(letter)
            else:
                assert stack.pop() == letter - 2
            deepest = max(deepest, len(stack))
            assert kind == (stack[-1] + 1 if stack else 0)
    assert deepest == tasks.DEPTH


def test_match3_is_what_trying_all_pairs_finds() -> None:
    numbers, answers = tasks.match3(30, 12, RNG(0), modulus=16)
    for x, y in zip(numbers, answers, strict=True):
        for i in range(12):
            found = any((x[i] + x[j] + x[k]) % 16 == 0 for j, k in combinations(range(i), 2))
            assert y[i] == found
    assert 0.2 < answers.mean() < 0.8


def by_hand(wrong: bool = False) -> Tracker:
    """Five numbers that are exchanged as the things are, and a readout that knows all 120 arrangements."""
    tracker, eye = Tracker(tasks.S5_LETTERS, tasks.S5_STATES, 5).double(), torch.eye(5, dtype=torch.float64)
    turns = eye.repeat(5, 1, 1)
    for i in range(tasks.PAUSE):
        turns[i, [i, i + 1]] = turns[i, [i + 1, i]]
    if wrong:
        turns[1] = turns[1] @ turns[2]
    start = torch.arange(5, dtype=torch.float64) - 2
    with torch.no_grad():
        tracker.of_letters.copy_(turns)
        tracker.added.zero_()
        tracker.start.copy_(start)
        tracker.readout[-1].weight.copy_(start[torch.tensor(list(permutations(range(5))))])  # type: ignore[arg-type]
        tracker.readout[-1].bias.zero_()  # type: ignore[operator]
    return tracker


@torch.no_grad()
@pytest.mark.parametrize("wrong", [False, True])
def test_set_by_hand_it_is_right_at_2048_and_keeps_the_relations(wrong: bool) -> None:
    tracker = by_hand(wrong)
    x, y = (torch.from_numpy(part) for part in tasks.s5(4, 2048, RNG(0)))
    right = (tracker(x).argmax(-1) == y).double().mean()
    reached = tracker.states(x[:, :64]).flatten(0, 1)
    broken = broken_relations(tracker.apply_by(tracker.turns()), reached, tasks.PAUSE)
    assert (right < 0.1 and broken > 0.1) if wrong else (right == 1 and broken < 1e-18)


@torch.no_grad()
def test_brackets_that_undo_each_other_are_not_broken_and_others_are() -> None:
    tracker, reached = Tracker(4, 3, 6).double(), torch.randn(20, 6, dtype=torch.float64)
    assert broken_brackets(tracker.apply_by(tracker.turns()), reached) > 0.1
    turns = tracker.turns()
    turns[2:] = turns[:2].mT
    tracker.added[2:] = -(turns[2:] @ tracker.added[:2, :, None])[..., 0]
    assert broken_brackets(tracker.apply_by(turns), reached) < 1e-10


@torch.no_grad()
@pytest.mark.parametrize("matrices", ["orthogonal", "householder", "diagonal"])
def test_states_are_the_recurrence(matrices) -> None:
    torch.manual_seed(0)
    tracker = Tracker(3, 4, 5, matrices=matrices)
    word, turns, h = torch.tensor([[2, 0, 1, 1, 2]]), tracker.turns(), tracker.start
    for t, letter in enumerate(word[0].tolist()):
        h = turns[letter] @ h + tracker.added[letter]
        torch.testing.assert_close(tracker.states(word)[0, t], h)
    assert torch.linalg.svdvals(turns).max() <= 1 + 1e-5


def test_other_matrices_are_refused() -> None:
    with pytest.raises(
        ValueError, match="matrices: it must be one of orthogonal, householder, diagonal, not 'dense'"
    ):
        Tracker(3, 4, 5, matrices="dense")  # type: ignore[arg-type]


def test_training_lowers_the_loss_and_what_is_broken() -> None:
    torch.manual_seed(0)
    tracker, rng = Tracker(tasks.S5_LETTERS, tasks.S5_STATES, 16), RNG(0)

    def words(count: int, length: int) -> tuple[torch.Tensor, torch.Tensor]:
        x, y = tasks.s5(count, length, rng)
        return torch.from_numpy(x), torch.from_numpy(y)

    x, y = words(32, 4)

    @torch.no_grad()
    def measured() -> tuple[float, float]:
        reached = tracker.states(x).flatten(0, 1)
        broken = broken_relations(tracker.apply_by(tracker.turns()), reached, 4) / reached.square().mean()
        return float((tracker(x).argmax(-1) == y).double().mean()), float(broken)

    before = measured()
    assert trained(tracker, words, 120, broken=partial(broken_relations, letters=4)) >= 4
    after = measured()
    assert after[0] > before[0] + 0.3 and after[1] < before[1] / 2
