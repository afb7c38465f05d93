"""Episodes that teach a Ghost to read its memory: facts of random bytes, which no weight can hold."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from workbench.core.progress import track

if TYPE_CHECKING:
    import torch

    from workbench.numerics.ghost.model import Ghost

LETTERS = np.array([b for b in range(32, 256) if b != 127], np.uint8)
ASCII = LETTERS[LETTERS < 127]
FACTS = (4, 16, 64)  # of an episode
ASKED = 16
LENGTHS = (3, 20)  # of a question and of an answer, from and to
ALIKE = (2, 8)  # bytes that questions end with, and answers begin with, alike
LARGEST_STEP = 1.0  # the gradients' norm beyond which they are scaled down


def random_facts(rng: np.random.Generator, count: int, lengths: tuple[int, int] = LENGTHS) -> list[bytes]:
    """Questions and answers of random bytes, a line each; those of half the facts are ASCII.

    A third of the questions end alike and a third of the answers begin alike, as "the" begins many: a key that only knows the
    last few bytes doesn't tell these apart.
    """

    def word(letters: np.ndarray, low: int, high: int) -> bytes:
        return bytes(rng.choice(letters, rng.integers(low, high, endpoint=True)))

    alphabets = [LETTERS if high else ASCII for high in rng.random(count) < 0.5]
    end, begin = word(ASCII, *ALIKE), word(ASCII, *ALIKE)
    alike = rng.random((count, 2)) < 1 / 3
    return [
        word(letters, *lengths) + end * ends + b"\n" + begin * begins + word(letters, *lengths) + b"\n"
        for letters, (ends, begins) in zip(alphabets, alike.tolist(), strict=True)
    ]


def teach_reading(ghost: Ghost, steps: int, learning_rate: float, random_state: int) -> list[float]:
    """Train a Ghost, memory and all, to answer from rows that are new in every step; gives the losses."""
    import torch
    from torch.nn import functional as F

    rng = np.random.default_rng([random_state, 0x66616374])
    optimizer = torch.optim.AdamW(ghost.parameters(), lr=learning_rate)
    device = ghost.lm_head.weight.device
    losses = []
    for _ in track(range(steps), "teaching ghost to read its memory"):
        facts = random_facts(rng, int(rng.choice(FACTS)))
        x, of_answer, real = (part.to(device) for part in padded(facts))
        asked = torch.from_numpy(rng.choice(len(facts), ASKED)).to(device)
        logits = ghost.read(x[asked], None, ghost.rows_of(x, real)).logits
        of_answer = of_answer[asked, 1:]
        loss = F.cross_entropy(logits[:, :-1][of_answer], x[asked, 1:][of_answer])
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(ghost.parameters(), LARGEST_STEP)
        optimizer.step()
        losses.append(float(loss.detach()))
    return losses


def padded(lines: list[bytes]) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Lines ``question, newline, answer, newline``: (n, t) bytes, which are of an answer or its end, and which are real."""
    import torch

    x = np.zeros((len(lines), max(map(len, lines))), np.int64)
    of_answer, real = np.zeros(x.shape, bool), np.zeros(x.shape, bool)
    for i, line in enumerate(lines):
        x[i, : len(line)] = np.frombuffer(line, np.uint8)
        of_answer[i, line.index(b"\n") + 1 : len(line)] = True
        real[i, : len(line)] = True
    return torch.from_numpy(x), torch.from_numpy(of_answer), torch.from_numpy(real)
