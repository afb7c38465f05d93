"""What a memory answers, and which fact answered."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch

import workbench as wb
from workbench.core.errors import DataError, FormatError, MissingError, ViewError
from workbench.numerics.ghost.questions import questions
from workbench.subjects.memory import Memory

pytestmark = pytest.mark.slow  # a network is taught to read its memory: half a minute


def test_known_answer_ten_facts_are_answered_that_were_never_trained_and_only_with_their_rows(
    memory: Any,
) -> None:
    asked = wb.recall(memory)
    exact, without = asked.evidence
    assert exact.value == 1 and exact.interval[0] > 0.7 and exact.p_value <= 0.02
    assert without.value == 0 and without.p_value == 1
    assert asked.per_row.shape == (10, 2)


def test_few_facts_that_are_fetched_answer_as_well_and_their_row_is_needed(memory: Any) -> None:
    asked = wb.recall(memory, fetched=2, n_null=19)
    exact, without = asked.evidence
    assert exact.value == 1 and without.value == 0
    rows = memory.fetched("What do bees make?\n", 1)
    assert bytes(rows.following.tolist()).endswith(b"What do bees make?\nHoney\n"[1:])
    left = memory.fetched("What do bees make?\n", 10**6, memory.without(5))
    assert torch.equal(left.keys, memory.remove(5).rows.keys)


def test_a_question_reads_only_what_is_fetched_for_it(memory: Any) -> None:
    left = memory.remove(0, 3)
    traced = left.trace("What do bees make?\n", fetched=1)
    assert "".join(traced["text"]) == "Honey" and set(traced["fact"]) == {5}
    assert (traced["weight"] > 1 - 1e-5).all() and set(traced["second"]) == {-1}
    assert left.answer("What do bees make?\n", fetched=10**6) == left.answer("What do bees make?\n")
    assert left.remove(5).answer("What do bees make?\n", fetched=1) != "Honey"
    assert isinstance(left.remove(*left.ids.tolist()).answer("What do bees make?\n", fetched=1), str), (
        "of none"
    )


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
    assert more.answer("Wer singt nachts?\n") == "Die Grille zirpt — süß"
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
    with pytest.raises(DataError, match="fact is empty"):
        memory.add(" ")
    with pytest.raises(DataError, match="a row holds 4,096"):
        memory.add("x" * 5000)
    with pytest.raises(DataError, match="question is empty"):
        memory.trace("")
    with pytest.raises(ViewError, match="no memory to write facts to"):
        Memory(wb.ghost_descent(steps=1, width=32, blocks=4).at(1), memory.table)
    with pytest.raises(DataError, match="this takes 4"):
        wb.recall(memory.select([0, 1, 2]))


def test_peer_is_a_table_that_is_looked_up(memory: Any) -> None:
    """Every fact that the memory answers, a dictionary answers alike, and neither answers one that was removed."""
    left = memory.remove(4)
    table = dict(zip(left.questions, left.answers, strict=True))
    assert [left.answer(q) for q in table] == list(table.values())
    gone = memory.questions[4]
    assert gone not in table and left.answer(gone) != memory.answers[4]


@torch.no_grad()
def test_a_question_of_any_length_is_read_in_pieces(memory: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from workbench.subjects import byte_reading

    question = "x" * 300 + "\n" + memory.questions[5]
    whole = memory.answer(question)
    monkeypatch.setattr(byte_reading, "PIECE", 7)
    assert memory.answer(question) == whole
