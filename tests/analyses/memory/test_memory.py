"""What a memory answers, which fact answered, and that a removed one is gone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch

import workbench as wb
from workbench.core.errors import DataError, FormatError, MissingError, ViewError
from workbench.models.ghost_descent import questions
from workbench.numerics.ghost.memory import Rows
from workbench.subjects.memory import Memory


@pytest.fixture(scope="module")
def memory() -> Any:
    return wb.ghost_memory(steps=60, width=96, blocks=5, keys=48)


def test_ten_facts_are_answered_that_were_never_trained_and_only_with_their_rows(memory: Any) -> None:
    asked = wb.recall(memory)
    exact, without = asked.evidence
    assert exact.value == 1 and exact.interval[0] > 0.7 and exact.p_value <= 0.02
    assert without.value == 0 and without.p_value == 1
    assert asked.per_row.shape == (10, 2)


def test_the_fact_that_answered_is_named_by_byte(memory: Any) -> None:
    traced = memory.trace("What do bees make?\n")
    assert "".join(traced["text"]) == "Honey"
    assert set(traced["fact"]) == {5}
    assert (traced["weight"] > 0.5).all() and (traced["gate"] > 0.5).all()


def test_facts_are_added_changed_and_removed_and_the_others_stay(memory: Any) -> None:
    more = memory.add(
        "Which bird sings in the dark?\nThe nightingale", "Wer singt nachts?\nDie Grille zirpt — süß"
    )
    assert more.answer("Which bird sings in the dark?\n") == "The nightingale"
    assert more.answer("What do bees make?\n") == "Honey"
    other = more.change(10, "Which bird sings in the dark?\nThe robin")
    assert other.answer("Which bird sings in the dark?\n") == "The robin"
    gone = other.remove(10, 5)
    assert gone.ids.tolist() == [0, 1, 2, 3, 4, 6, 7, 8, 9, 11]
    assert gone.answer("Which bird sings in the dark?\n") != "The robin"
    assert gone.answer("What is the capital of France?\n") == "Paris"
    assert len(memory) == 10, "the first memory is as it was"
    with pytest.raises(MissingError, match="no row 10"):
        gone.remove(10)


def test_a_contradiction_is_told_and_neither_is_lost(memory: Any) -> None:
    both = memory.add("What do bees make?\nWax")
    assert both.contradictions == [5, 10]
    assert "2 of them questions that another fact answers otherwise" in both.holds
    first = both.trace("What do bees make?\n").iloc[0]
    assert {first["fact"], first["second"]} == {5, 10}
    assert both.remove(5).answer("What do bees make?\n") == "Wax"


def test_a_removed_fact_is_proven_gone_and_the_weights_do_not_know_it(memory: Any) -> None:
    found = wb.forgetting(memory, fact=3)
    assert found.verdict == "proven"
    (known,) = found.evidence
    assert known.p_value > 0.05


def test_a_row_that_stays_behind_is_caught(memory: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The broken twin: the removed memory reads one key of the fact still."""
    remove = Memory.remove

    def leaving_one(self: Memory, *facts: int) -> Memory:
        made = remove(self, *facts)
        rows, whole = made.rows, self.rows
        last = torch.nonzero(whole.row == 3)[-3]
        made.__dict__["rows"] = Rows(
            torch.cat([rows.keys, whole.keys[last]]),
            torch.cat([rows.following, whole.following[last]]),
            torch.cat([rows.row, rows.row[-1:]]),
        )
        return made

    monkeypatch.setattr(Memory, "remove", leaving_one)
    found = (
        wb.forgetting.__wrapped__(memory.as_facts(), fact=3)
        if hasattr(wb.forgetting, "__wrapped__")
        else None
    )
    found = found or wb.forgetting(memory, fact=3, random_state=1)
    assert found.verdict == "refuted"
    assert "differ" in found.how


def test_a_fact_that_was_trained_into_the_weights_is_not_said_to_be_gone(memory: Any) -> None:
    """The network is tuned on one fact without a memory: its row can be removed, what the weights hold can't."""
    from workbench.models.ghost_memory import _checkpoint
    from workbench.numerics.ghost.model import Ghost

    ghost = Ghost(memory.module.config)
    ghost.load_state_dict(memory.module.state_dict())
    fact = memory.table["text"][3]
    x = torch.tensor([list(fact.encode())])
    optimizer = torch.optim.AdamW(ghost.parameters(), lr=2e-3)
    for _ in range(12):
        logits = ghost(x)
        loss = torch.nn.functional.cross_entropy(logits[0, :-1], x[0, 1:])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    tuned = Memory(_checkpoint(ghost.eval()), memory.table, name="tuned")
    found = wb.forgetting(tuned, fact=3)
    assert found.verdict == "proven", "of the rows"
    assert found.evidence[0].p_value <= 0.02, "the weights know it"
    assert wb.forgetting(tuned, fact=0).evidence[0].p_value > 0.02


def test_a_memory_is_saved_and_opened(memory: Any, tmp_path: Path) -> None:
    memory.remove(2).save(tmp_path / "memory")
    opened = wb.open(tmp_path / "memory")
    assert opened.ids.tolist() == [0, 1, 3, 4, 5, 6, 7, 8, 9]
    assert [opened.answer(q) for q in opened.questions] == [
        q.answer for i, q in enumerate(questions()) if i != 2
    ]
    assert torch.equal(opened.rows.keys, memory.remove(2).rows.keys)
    table = pd.read_parquet(tmp_path / "memory" / "facts.parquet")
    table.assign(id=0).to_parquet(tmp_path / "memory" / "facts.parquet")
    with pytest.raises(FormatError, match="unique whole numbers"):
        wb.open(tmp_path / "memory")


def test_what_can_not_be_written_is_refused(memory: Any) -> None:
    with pytest.raises(DataError, match="isn't empty"):
        memory.add(" ")
    with pytest.raises(DataError, match="a row holds 4,096"):
        memory.add("x" * 5000)
    with pytest.raises(DataError, match="question is empty"):
        memory.trace("")
    with pytest.raises(ViewError, match="no memory to write facts to"):
        Memory(wb.ghost_descent(steps=1, width=32, blocks=4).at(1), memory.table)
    with pytest.raises(DataError, match="this takes 4"):
        wb.recall(memory.select([0, 1, 2]))
