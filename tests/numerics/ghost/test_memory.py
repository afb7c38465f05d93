"""The written memory: read by rows that the weights can't hold, changed by hand, and gone to the last bit when removed."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from workbench.numerics.ghost.config import GhostConfig
from workbench.numerics.ghost.lessons import random_facts, teach_reading
from workbench.numerics.ghost.memory import Rows
from workbench.numerics.ghost.model import Ghost, GhostState

pytestmark = pytest.mark.slow  # a network is taught to read its memory: half a minute

SIZES = {"width": 96, "blocks": 5, "head": 32, "heads": 2, "attend_every": 0, "memory": 48}


@pytest.fixture(scope="module")
def ghost(memory: Any) -> Ghost:
    made: Ghost = memory.module
    return made


def test_reading_is_learned_from_facts_that_are_new_in_every_step() -> None:
    torch.manual_seed(0)
    made = Ghost(GhostConfig(**{**SIZES, "width": 32, "memory": 16}))
    losses = teach_reading(made, 40, 3e-3, 0)
    assert np.mean(losses[-5:]) < 0.8 * losses[0]


def facts(count: int, seed: int = 7) -> list[bytes]:
    return random_facts(np.random.default_rng(seed), count)


@torch.no_grad()
def answers(ghost: Ghost, asked: list[bytes], rows: Rows | None) -> list[bytes]:
    found = []
    for question in asked:
        state, written, x = GhostState(), bytearray(), torch.tensor([list(question)])
        while len(written) < 30 and (byte := int(ghost(x, state, rows)[0, -1].argmax())) != 10:
            written.append(byte)
            x = torch.tensor([[byte]])
        found.append(bytes(written))
    return found


def asked_and_answered(lines: list[bytes]) -> tuple[list[bytes], list[bytes]]:
    return [line.split(b"\n")[0] + b"\n" for line in lines], [line.split(b"\n")[1] for line in lines]


@pytest.mark.parametrize(("count", "share"), [(4, 1), (64, 0.95), (1024, 0.95)])
def test_facts_that_were_never_trained_are_answered(ghost: Ghost, count: int, share: float) -> None:
    """Of these, a third of the questions end alike and a third of the answers begin alike."""
    lines = facts(count)
    asked, expected = asked_and_answered(lines[:24])
    rows = ghost.written(lines)
    right = sum(a == b for a, b in zip(answers(ghost, asked, rows), expected, strict=True))
    assert right >= share * len(asked)


def test_without_their_rows_they_are_not(ghost: Ghost) -> None:
    asked, expected = asked_and_answered(facts(24))
    others = ghost.written(facts(64, seed=8))
    for rows in (others, None, ghost.written([])):
        assert not [a for a, b in zip(answers(ghost, asked, rows), expected, strict=True) if a == b]


@torch.no_grad()
def test_a_row_that_was_removed_is_gone_to_the_last_bit(ghost: Ghost) -> None:
    lines = facts(20)
    x = torch.tensor([list(lines[3])])
    whole, without = ghost.written(lines), ghost.written(lines[:3] + lines[4:])
    kept = whole.row != 3
    row = whole.row[kept]
    removed = Rows(whole.keys[kept], whole.following[kept], row - (row > 3).long())
    assert torch.equal(ghost(x, None, removed), ghost(x, None, without))
    # the broken twin: a key of the row is left
    kept[torch.nonzero(whole.row == 3)[-2]] = True
    left = Rows(whole.keys[kept], whole.following[kept], whole.row[kept])
    assert not torch.equal(ghost(x, None, left), ghost(x, None, without))


@torch.no_grad()
def test_the_fact_that_answered_is_named(ghost: Ghost) -> None:
    lines = facts(30)
    rows = ghost.written(lines)
    asked = torch.tensor([list(lines[11])])
    read = ghost.read(asked, None, rows).memory
    assert read is not None
    at = lines[11].index(b"\n")
    named = rows.row[read.which[0, at:-1]]
    held = (read.weights[0, at:-1] * (named == 11)).sum(-1)
    assert (held > 0.5).all()
    assert (read.gate[0, at:-1] > 0.5).all()


@torch.no_grad()
def test_a_stream_reads_what_the_full_pass_reads(ghost: Ghost) -> None:
    rows = ghost.written(facts(10))
    x = torch.tensor([list(facts(10)[2])])
    whole, state = ghost(x, None, rows), GhostState()
    streamed = torch.cat([ghost(x[:, i : i + 1], state, rows) for i in range(x.shape[1])], 1)
    assert (streamed - whole).abs().max() <= 1e-5 * whole.abs().max()


@pytest.mark.parametrize(
    ("wrong", "said"),
    [({"memory_at": (3, 1)}, "the earlier first"), ({"tokenizer": "learned", "outer": 1}, "byte by byte")],
)
def test_a_memory_that_can_not_be_is_refused(wrong: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        GhostConfig(**{**SIZES, **wrong})
