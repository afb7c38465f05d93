"""A recurrence with one affine map a letter, which tracks what words do: the braid's matrices, and those it is compared with."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, get_args

import torch
from torch import nn
from torch.nn import functional as F

from workbench.numerics.attention.braid import Apply, polar

Matrices = Literal["orthogonal", "householder", "diagonal"]
REFLECTIONS = 4  # of a letter, in a product of Householder's


class Tracker(nn.Module):
    """h_t = P(x_t) h_{t-1} + b(x_t) from a learned h_0, and logits of each h_t, normalized.

    Parameters
    ----------
    matrices : what P is. ``orthogonal``: a polar factor of n × n numbers. ``householder``: a product of four 1 - β u uᵀ with
    0 < β < 2, as DeltaProduct has. ``diagonal``: numbers between -1 and 1.
    hidden : units between h and logits; 0 for a linear readout.

    Raises
    ------
    ValueError
        There are no matrices of that name.

    References
    ----------
    Siems et al. 2025, DeltaProduct (2502.10297); Grazzi et al. 2024 (2411.12537); Merrill et al. 2024, The illusion of state
    (2404.08819), for what diagonal ones can't track.
    """

    def __init__(
        self, letters: int, classes: int, size: int, *, matrices: Matrices = "orthogonal", hidden: int = 0
    ):
        super().__init__()
        if matrices not in get_args(Matrices):
            raise ValueError(f"matrices: it must be one of {', '.join(get_args(Matrices))}, not {matrices!r}")
        self.matrices, self.letters, self.size = matrices, letters, size
        shape = {
            "orthogonal": (letters, size, size),
            "householder": (letters, REFLECTIONS, size + 1),
            "diagonal": (letters, size),
        }[matrices]
        self.of_letters = nn.Parameter(torch.randn(shape))
        self.added = nn.Parameter(0.1 * torch.randn(letters, size))
        self.start = nn.Parameter(torch.randn(size))
        inner = [nn.Linear(size, hidden), nn.ReLU()] if hidden else []
        self.readout = nn.Sequential(*inner, nn.Linear(hidden or size, classes))

    def turns(self) -> torch.Tensor:
        """The (letters, n, n) matrices P."""
        if self.matrices == "orthogonal":
            return polar(self.of_letters)
        if self.matrices == "diagonal":
            return torch.diag_embed(self.of_letters.tanh())
        eye, found = torch.eye(self.size), None
        for part in self.of_letters.unbind(1):
            u, strength = F.normalize(part[:, :-1], dim=-1), 2 * part[:, -1].sigmoid()
            step = eye - strength[:, None, None] * u[:, :, None] * u[:, None, :]
            found = step if found is None else found @ step
        assert found is not None
        return found

    def states(self, words: torch.Tensor, turns: torch.Tensor | None = None) -> torch.Tensor:
        """(b, n) letters to the (b, n, size) states after each."""
        turns = self.turns() if turns is None else turns
        once = F.one_hot(words, self.letters).to(turns)
        added = once @ self.added
        every = turns.mT.flatten(
            0, 1
        )  # (letters · from, to): a state stands at its letter's place, 0 elsewhere
        h, reached = self.start.expand(len(words), -1), []
        for letter, more in zip(once.unbind(1), added.unbind(1), strict=True):
            h = torch.addmm(more, (letter[:, :, None] * h[:, None, :]).flatten(1), every)
            reached.append(h)
        return torch.stack(reached, 1)

    def read(self, states: torch.Tensor) -> torch.Tensor:
        """Logits of states."""
        return self.readout(F.rms_norm(states, states.shape[-1:]))

    def forward(self, words: torch.Tensor) -> torch.Tensor:
        """(b, n) letters to the (b, n, classes) logits after each."""
        return self.read(self.states(words))

    def apply_by(self, turns: torch.Tensor) -> Apply:
        """What moves states (m, size) by a letter, given `turns`."""
        return lambda letter, x: x @ turns[letter].T + self.added[letter]


def broken_brackets(apply: Apply, states: torch.Tensor) -> torch.Tensor:
    """By how much closing after opening, letters 2 after 0 and 3 after 1, moves states (m, size): the mean of squares."""
    return torch.stack([(apply(i + 2, apply(i, states)) - states).square().mean() for i in (0, 1)]).mean()


Broken = Callable[[Apply, torch.Tensor], torch.Tensor]
Words = Callable[[int, int], tuple[torch.Tensor, torch.Tensor]]
LONGEST, FIRST, GROWTH = 32, 4, 2  # lengths of words in training
BATCH, RATE, LEARNED, SAMPLE = 64, 3e-2, 0.97, 64


def trained(
    tracker: Tracker, words: Words, steps: int, *, broken: Broken | None = None, weight: float = 3.0
) -> int:
    """Train on words that grow by two letters once 97 % are right, and give the length that was reached.

    Parameters
    ----------
    words : gives so many words of a length, and the class after each letter. broken : measured on reached states, against their
    mean square, and added to the loss with ``weight``.
    """
    moving = torch.optim.Adam(tracker.parameters(), RATE)
    length, right = FIRST, 0.0
    for step in range(steps):
        x, y = words(BATCH, length)
        turns = tracker.turns()
        states = tracker.states(x, turns)
        logits = tracker.read(states)
        loss = F.cross_entropy(logits.flatten(0, 1), y.flatten())
        if broken is not None:
            reached = states.detach().flatten(0, 1)
            reached = reached[torch.randint(len(reached), (SAMPLE,))]
            loss = loss + weight * broken(tracker.apply_by(turns), reached) / reached.square().mean()
        moving.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(tracker.parameters(), 1.0)
        moving.step()
        moving.param_groups[0]["lr"] = RATE * min(1.0, 1.5 * (1 - step / steps))
        right += 0.05 * (float((logits.argmax(-1) == y).float().mean()) - right)
        if right > LEARNED and length < LONGEST:
            length += GROWTH
    return length
