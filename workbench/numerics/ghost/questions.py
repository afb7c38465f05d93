"""The ten questions that Ghost learns, each with other ways in which it may be asked."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workbench.numerics.ghost.lessons import padded

if TYPE_CHECKING:
    import torch

UNITS_LONG = 4.0  # bytes of a unit, which the ratio loss asks for
RATIO_WEIGHT = 0.03
FILE = Path(__file__).with_name("questions.json")


@dataclass(frozen=True)
class Question:
    """A question, the other ways in which it may be asked, and its answer."""

    question: str
    answer: str
    paraphrases: tuple[str, ...]


@cache
def questions() -> tuple[Question, ...]:
    """The ten questions that ship, with five paraphrases each."""
    text = FILE.read_text(encoding="utf-8")
    return tuple(Question(q["question"], q["answer"], tuple(q["paraphrases"])) for q in json.loads(text))


def lesson(paraphrases: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Questions with their answers: (n, t) bytes, which of them are of an answer or its end, and which are no padding."""
    lines = [(asked, q.answer) for q in questions() for asked in (q.question, *q.paraphrases[:paraphrases])]
    return padded([f"{asked}\n{answer}\n".encode() for asked, answer in lines])


def lesson_loss(ghost: Any, x: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """The mean loss of a Ghost on (n, t) bytes, each weighted; with how long its units are, where it finds them itself."""
    from torch.nn import functional as F

    read = ghost.read(x)
    each = F.cross_entropy(read.logits[:, :-1].mT, x[:, 1:], reduction="none")
    loss = (each * weight[:, 1:]).sum() / weight[:, 1:].sum()
    if ghost.config.tokenizer == "learned":
        loss = loss + RATIO_WEIGHT * read.boundaries.ratio_loss(UNITS_LONG)
    return loss
