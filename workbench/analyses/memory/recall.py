"""Recall: how many of a memory's facts are answered exactly, with their rows and without."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import numpy as np
from annotated_types import Interval
from typing_extensions import Doc

from workbench.core.errors import DataError
from workbench.core.evidence import Evidence
from workbench.core.parameters import Few, NullDraws, Seed
from workbench.core.progress import track
from workbench.core.registry import analysis
from workbench.numerics.resampling import null_draws
from workbench.results.estimate import Estimate
from workbench.subjects.byte_reading import answers_of
from workbench.subjects.memory import Facts

FEWEST = 4  # facts of which an order says anything


@analysis
def recall(
    facts: Facts,
    *,
    max_facts: Annotated[
        int, Interval(ge=FEWEST, le=10_000), Doc("Facts that are asked, drawn at random.")
    ] = 100,
    fetched: Annotated[
        int,
        Interval(ge=0, le=10_000),
        Few(2),
        Doc(
            "Facts nearest to a question by their keys, which alone are read then; 0 reads all, as asking a memory does."
        ),
    ] = 0,
    n_null: NullDraws = 99,
    random_state: Seed = 0,
) -> Estimate:
    """Ask a memory's facts by their first line, and count the answers that are right to the last byte.

    Each is asked twice: of the whole memory, and of the memory without the fact's own row. What is answered then wasn't read:
    it was foretold from other facts or held by the weights. The null exchanges the answers of the facts that were asked, which
    keeps what answers look like.

    It asks as ``memory.answer(question)`` does, which reads all rows; ``fetched`` is to `recall` what it is to ``answer``. Where
    few facts are fetched less is computed, and the others crowd nothing out; a fact that isn't among them can't answer. A question that
    is asked as it was written has its own row among them, one fetched row being enough; of one in other words it mostly hasn't
    (``benchmarks/LOG_ghost.md``).

    Returns
    -------
    Estimate
        Two shares, ``exact`` and ``without``; one row a fact with both.

    Raises
    ------
    DataError
        Fewer than four facts have a question and an answer.

    References
    ----------
    Graves, Wayne and Danihelka 2014, Neural Turing machines (1410.5401); Khandelwal, Levy, Jurafsky, Zettlemoyer and Lewis
    2020, Generalization through memorization: nearest neighbor language models, ICLR (1911.00172).
    """
    memory = facts.memory
    answered = [i for i, answer in enumerate(memory.answers) if answer]
    if len(answered) < FEWEST:
        raise DataError(
            f"{facts.name} has {len(answered)} facts with a question and an answer, which stand in two lines; this takes {FEWEST}."
        )
    rng = np.random.default_rng([random_state, 0x72656361])
    at = np.sort(rng.permutation(answered)[:max_facts])
    questions, answers = memory.questions, memory.answers
    expected = [answers[i] for i in at]
    longest = max(len(answer.encode()) for answer in expected) + 1
    written: tuple[list[str], list[str]] = ([], [])
    for i in track(at.tolist(), "recall"):
        for k, rows in enumerate((memory.rows, memory.rows.without(i))):
            rows = memory.fetched(questions[i], fetched, rows if k else None) if fetched else rows
            written[k].extend(answers_of(memory.module, [questions[i]], longest, rows))
    evidence = tuple(
        _asked(kind, question, label, found, expected, n_null, random_state)
        for kind, question, label, found in (
            ("exact", "Are facts answered as they were written?", "facts answered exactly", written[0]),
            (
                "without",
                "Are facts answered whose row isn't there?",
                "facts answered without their row",
                written[1],
            ),
        )
    )
    right = np.array([[a == b for a, b in zip(found, expected, strict=True)] for found in written], float).T
    return Estimate(per_row=right, ids=facts.ids[at], names=("exact", "without"), evidence=evidence)


def _asked(
    kind: str,
    question: str,
    label: str,
    found: Sequence[str],
    expected: Sequence[str],
    n_null: int,
    random_state: int,
) -> Evidence:
    from scipy.stats import binomtest

    n = len(expected)
    right = sum(a == b for a, b in zip(found, expected, strict=True))
    between = binomtest(right, n).proportion_ci(method="wilson")

    def draw(rng: np.random.Generator) -> float:
        return sum(a == expected[i] for a, i in zip(found, rng.permutation(n), strict=True)) / n

    return Evidence(
        id=kind,
        question=question,
        label=label,
        value=right / n,
        n=n,
        unit="facts",
        interval=(between.low, between.high),
        interval_method="Wilson's, over facts",
        null="answers exchanged among the facts" if n_null else "",
        null_values=tuple(null_draws(draw, n_null, random_state, f"recall: null of {kind}")),
        hypothesis="what is written has nothing to do with which fact was asked",
    )
