"""Forgetting: whether a fact that is removed from a memory is gone, from its rows and from the weights."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import numpy as np
from annotated_types import Interval
from typing_extensions import Doc

from workbench.core.errors import DataError
from workbench.core.evidence import Evidence
from workbench.core.parameters import Few, NullDraws, Seed
from workbench.core.progress import track
from workbench.core.registry import analysis
from workbench.numerics.ghost.consolidating import relearned
from workbench.results.verdict import Verdict
from workbench.subjects.memory import Facts, Memory

if TYPE_CHECKING:
    import torch

    from workbench.numerics.ghost.memory import Rows
    from workbench.numerics.ghost.model import Ghost

FEWEST_ORDERS = 19  # of a question's bytes, which a p-value of 0.05 takes
MOST_RELEARNED = 39  # orders whose answers are learned, each by a copy of the network


@analysis
def forgetting(
    facts: Facts,
    *,
    fact: Annotated[int, Interval(ge=0), Doc("Id of the fact that is removed.")] = 0,
    updates: Annotated[
        int,
        Interval(ge=0, le=100),
        Few(1),
        Doc("Updates after which a fact that is learned again is scored; 0 doesn't ask."),
    ] = 3,
    n_null: NullDraws = 99,
    random_state: Seed = 0,
) -> Verdict:
    """Remove a fact, and say whether anything of it is left.

    What a network answers is a function of its weights, of the keys and bytes that it reads of its memory, and of what it is
    asked. So if what is read after the removal equals, bit for bit, what is read of a memory that was written anew without the
    fact, so does every answer: that is a proof, for this memory. What the whole memory holds of the other facts is compared
    too, since it was made while the fact was there. It says nothing of the weights, which may hold the fact
    apart from its row. So the answer is scored after its question, without a memory, since what is read of other facts speaks
    over the weights, beside the same answer after the question's bytes in other orders: where it scores highest, the weights
    know what the question asks for. What they hold too weakly to answer they learn again sooner than what they never held: the
    same is asked of copies that were trained on it for a few ``updates``.

    Returns
    -------
    Verdict
        ``proven``; or ``refuted``, with how many numbers differ. Its evidence is about the weights.

    Raises
    ------
    DataError
        The fact is the only one, or has no answer in a second line.
    MissingError
        There is no fact of that id.

    References
    ----------
    Bourtoule et al. 2021, Machine unlearning, IEEE S&P (1912.03817), for what it takes to be gone: the same as what never had
    it; Carlini et al. 2019, The secret sharer, USENIX Security (1802.08232), for scoring what was remembered beside what might
    as well have been.
    """
    memory = facts.memory
    if len(memory) < 2:
        raise DataError(f"{facts.name} has one fact: a memory without any is not asked.")
    left = memory.remove(fact)
    anew = Memory(memory.checkpoint, left.table, name=left.name, space=left.space)
    at = int(np.flatnonzero(memory.ids == fact)[0])
    question, answer = memory.questions[at], memory.answers[at]
    if not answer:
        raise DataError(f"Fact {fact} of {facts.name} has no answer, which would stand in its second line.")
    text = question + answer
    different = _different(memory.without(fact), left, anew, text)
    same = (
        f"All {anew.rows.keys.numel():,} numbers of the keys, {len(anew.rows.following):,} bytes that follow them and "
        f"{256 * len(text.encode()):,} logits of its question and answer are the same bits."
    )
    return Verdict(
        claim=f"without fact {fact} ({question.strip()!r}), the memory answers everything as one that never had it",
        verdict="refuted" if different else "proven",
        how=f"{different:,} numbers of its keys, bytes and logits differ." if different else same,
        domain="all texts, of this memory and its network",
        evidence=_in_the_weights(memory.module, question, answer, updates, n_null, random_state),
    )


def _different(others: Rows, left: Memory, anew: Memory, text: str) -> int:
    """How many numbers differ from those of a memory that was written anew, and in what is answered to a text.

    Parameters
    ----------
    others : the other facts' rows as the whole memory has them. left : the memory after the removal.
    """
    pairs = [(left.logits(text), anew.logits(text))]
    for rows in (others, left.rows):
        pairs += [(getattr(rows, n), getattr(anew.rows, n)) for n in ("keys", "following", "row")]
    return sum(_unequal(a, b) for a, b in pairs)


def _unequal(a: torch.Tensor, b: torch.Tensor) -> int:
    if a.shape != b.shape:
        return max(a.numel(), b.numel())
    return int((a != b).sum())


def _in_the_weights(
    ghost: Ghost, question: str, answer: str, updates: int, n_null: int, random_state: int
) -> tuple[Evidence, ...]:
    """Whether the answer is likelier after its question than after the question's bytes in other orders, without a memory."""
    rng = np.random.default_rng([random_state, 0x6F726465])
    asked, raw = question.encode()[:-1], answer.encode()
    orders = {bytes(rng.permutation(list(asked)).tolist()) for _ in range(20 * n_null)} - {asked}
    others = [sorted(orders)[i] for i in rng.permutation(len(orders))[:n_null]]
    known = _beside(
        [_score(ghost, q + b"\n", raw) for q in (asked, *others)],
        n_null,
        id="answer_score",
        question="Do the weights still know the answer, without a memory?",
        label="mean log-probability of the answer's bytes",
        n=len(raw),
        hypothesis="the answer is no likelier after its question than after another",
    )
    if not updates:
        return (known,)
    few = others[:MOST_RELEARNED]
    learned = [
        relearned(ghost, q + b"\n" + raw + b"\n", updates) for q in track((asked, *few), "learning again")
    ]
    again = _beside(
        learned,
        min(n_null, MOST_RELEARNED),
        id="relearned_score",
        question="Do the weights learn the answer sooner than if they had never held it?",
        label=f"mean log-probability of the answer's bytes after {updates} updates on it",
        n=len(raw),
        hypothesis="the answer is learned no sooner after its question than after another",
    )
    return known, again


def _beside(
    scores: list[float], n_null: int, *, id: str, question: str, label: str, n: int, hypothesis: str
) -> Evidence:
    """The score after the question itself, the first, beside those after its bytes in other orders."""
    value, *drawn = scores
    few = n_null and len(drawn) < min(n_null, FEWEST_ORDERS)
    return Evidence(
        id=id,
        question=question,
        label=label,
        value=value,
        n=n,
        unit="bytes",
        null="" if few or not n_null else "the question's bytes in other orders",
        null_values=() if few else tuple(drawn),
        hypothesis="" if few else hypothesis,
        untested=f"the question's bytes have {len(drawn)} other orders, and {FEWEST_ORDERS} are needed"
        if few
        else "",
    )


def _score(ghost: Ghost, question: bytes, answer: bytes) -> float:
    """Mean log-probability of an answer's bytes after a question, by the weights alone."""
    import torch

    with torch.inference_mode():
        x = torch.tensor([list(question + answer)])
        log_p = ghost(x)[0].log_softmax(-1)
        at = torch.arange(len(question) - 1, x.shape[1] - 1)
        return float(log_p[at, x[0, at + 1]].mean())
