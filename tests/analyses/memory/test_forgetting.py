"""That a removed fact is gone, from the rows and from the weights."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

import workbench as wb
from workbench.numerics.ghost.consolidating import consolidated
from workbench.numerics.ghost.memory import Rows
from workbench.subjects.byte_reading import answers_of
from workbench.subjects.memory import Memory

pytestmark = pytest.mark.slow  # a network is taught to read its memory: half a minute


def test_known_answer_a_removed_fact_is_proven_gone_and_the_weights_do_not_know_it(memory: Any) -> None:
    asked = [wb.forgetting(memory, fact=fact, n_null=39) for fact in (1, 3, 5, 7)]
    assert all(found.verdict == "proven" for found in asked)
    assert all(again.value > known.value for known, again in (found.evidence for found in asked)), (
        "taught is learned"
    )
    for told in zip(*(found.evidence for found in asked), strict=True):
        assert sum(evidence.p_value <= 0.05 for evidence in told) <= 1, "of one in twenty"


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
    """The network is tuned on the facts without a memory: a row can be removed, what the weights hold can't."""
    from workbench.subjects.own_checkpoints import checkpoint_of

    facts = [text.encode() for text in memory.table["text"]]
    ghost = consolidated(memory.module, facts, steps=50)
    found = wb.forgetting(Memory(checkpoint_of(ghost), memory.table, name="tuned"), fact=3)
    assert found.verdict == "proven", "of the rows"
    assert all(known.p_value <= 0.05 for known in found.evidence), "the weights know it"
    # the memory that was emptied: what was consolidated is answered, and was not before
    asked = [q for q in memory.questions if memory.questions.index(q) != 3]
    before, after = (answers_of(m, asked, 40) for m in (memory.module, ghost))
    expected = [a for i, a in enumerate(memory.answers) if i != 3]
    assert after == expected and not set(before) & set(expected)


def test_peer_is_a_memory_of_another_process(memory: Any, tmp_path: Path) -> None:
    """What is left after a removal answers, bit for bit, as a memory that was written without the fact elsewhere."""
    memory.select([0, 1, 2, 4, 5], reason="all but one of six").save(tmp_path / "never")
    code = (
        "import sys, torch, workbench as wb; torch.set_num_threads(1); "
        "torch.save(wb.open(sys.argv[1]).logits(sys.argv[2]), sys.argv[3])"
    )
    text, out = memory.questions[3] + memory.answers[3], tmp_path / "logits.pt"
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "never"), text, str(out)], check=True)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    left = memory.select([0, 1, 2, 3, 4, 5], reason="six of them").remove(3)
    assert torch.equal(left.logits(text), torch.load(out, weights_only=True))
    torch.set_num_threads(threads)
