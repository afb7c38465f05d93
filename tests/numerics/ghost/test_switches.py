"""Switches beside the model: rows that are fetched, texts with a gap, and bytes that are guessed all at once."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from workbench.numerics.ghost.config import GhostConfig
from workbench.numerics.ghost.diffusion import MASK, ByteDiffusion
from workbench.numerics.ghost.fetching import Index
from workbench.numerics.ghost.infilling import MARKS, asked_between, rearranged, restored
from workbench.numerics.ghost.lessons import random_facts
from workbench.numerics.ghost.model import Ghost

SIZES = {"width": 32, "blocks": 5, "head": 16, "heads": 1, "attend_every": 0}
FACTS = random_facts(np.random.default_rng(3), 40)


@pytest.fixture(scope="module")
def ghost() -> Ghost:
    torch.manual_seed(0)
    return Ghost(GhostConfig(**SIZES, memory=16)).eval()


@pytest.mark.parametrize("by", ["end", "mean"])
@torch.no_grad()
def test_a_question_fetches_its_own_row_first(ghost: Ghost, by: str) -> None:
    index = Index.of(ghost.written(FACTS), by)
    for i, fact in enumerate(FACTS):
        asked = ghost.keys(torch.tensor([list(fact[: fact.index(b"\n") + 1])]))[0]
        assert index.fetched(asked, 1)[1].tolist() == [i]


@torch.no_grad()
def test_what_is_fetched_is_read_as_a_memory_that_has_no_others(ghost: Ghost) -> None:
    asked = torch.tensor([list(FACTS[5])])
    rows, which = Index.of(ghost.written(FACTS)).fetched(ghost.keys(asked)[0], 7)
    anew = ghost.written([FACTS[i] for i in which.tolist()])
    assert torch.equal(rows.row, anew.row) and len(rows) == 7
    assert torch.equal(ghost(asked, None, rows), ghost(asked, None, anew))
    everything, _ = Index.of(ghost.written(FACTS)).fetched(ghost.keys(asked)[0], 10**6)
    assert torch.equal(everything.keys, ghost.written(FACTS).keys)


def test_a_text_is_cut_and_put_together_again() -> None:
    rng = np.random.default_rng(0)
    for text in (b"", b"a", "Zoë sings in the dark\n".encode()):
        lines = {rearranged(text, rng) for _ in range(50)}
        assert {restored(line) for line in lines} == {text}
        assert all(len(line) == len(text) + 4 for line in lines)
        assert text in (b"", b"a") or len(lines) > 20
    with pytest.raises(ValueError, match="holds the byte 2"):
        asked_between(b"a\x02", b"")
    assert len(set(MARKS)) == 4


@torch.no_grad()
def test_a_network_that_knows_nothing_is_bounded_by_eight_bits_a_byte() -> None:
    """Where all bytes are equally likely the bound's mean is 8: 1/τ makes up for how many are masked."""
    made = ByteDiffusion(GhostConfig(**SIZES)).eval()
    made.lm_head.weight.zero_()
    x = torch.randint(0, 256, (4000, 20), generator=torch.Generator().manual_seed(0))
    bounds = made.bound(x, torch.Generator().manual_seed(1), least=0.05)
    error = float(bounds.std()) / math.sqrt(len(bounds))
    assert abs(float(bounds.mean()) - 8) < 4 * error < 0.5


@torch.no_grad()
def test_the_guess_of_a_masked_byte_sees_both_sides_and_not_the_byte() -> None:
    torch.manual_seed(0)
    made = ByteDiffusion(GhostConfig(**SIZES)).eval()
    x = torch.randint(0, 256, (1, 30), generator=torch.Generator().manual_seed(0))
    x[0, 10] = MASK
    for other in (2, 25):
        changed = x.clone()
        changed[0, other] = (changed[0, other] + 1) % 256
        assert not torch.equal(made(x)[0, 10], made(changed)[0, 10])


def test_diffusion_learns_what_a_gap_holds() -> None:
    torch.manual_seed(0)
    made = ByteDiffusion(GhostConfig(**SIZES))
    gen = torch.Generator().manual_seed(0)
    x = torch.tensor([list(b"abcdefghijklmnop"), list(b"ponmlkjihgfedcba")]).repeat(8, 1)
    optimizer = torch.optim.AdamW(made.parameters(), lr=1e-2)
    for _ in range(60):
        loss = made.bound(x, gen).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    gap = x[:2].clone()
    gap[:, 4:12] = MASK
    assert torch.equal(made(gap).argmax(-1)[:, 4:12], x[:2, 4:12])
    with pytest.raises(ValueError, match="attend_every=0"):
        ByteDiffusion(GhostConfig())
