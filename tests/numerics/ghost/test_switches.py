"""Switches beside the model: rows that are fetched, texts with a gap, and bytes that are guessed all at once."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch

from workbench.numerics.ghost.config import GhostConfig
from workbench.numerics.ghost.diffusion import MASK, ByteDiffusion
from workbench.numerics.ghost.fetching import Index, Topics, embedded
from workbench.numerics.ghost.infilling import MARKS, asked_between, rearranged, restored
from workbench.numerics.ghost.lessons import random_facts
from workbench.numerics.ghost.mixer import Mixer
from workbench.numerics.ghost.model import Ghost, GhostState

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


@pytest.mark.parametrize("by", ["end", "mean"])
@torch.no_grad()
def test_topics_fetch_what_is_fetched_without_them_and_look_at_less(ghost: Ghost, by: str) -> None:
    rows = ghost.written([*FACTS, FACTS[3]])  # one twice: equally near
    plain, cut = Index.of(rows, by), Index.of(rows, by, topics=8)
    assert cut.topics is not None and len(cut.topics.centres) == 8
    looked = []
    for fact in [*FACTS, *random_facts(np.random.default_rng(4), 40)]:
        asked = ghost.keys(torch.tensor([list(fact[: fact.index(b"\n") + 1])]))[0]
        for count in (1, 5, 41, 10**6):
            near = [
                index.embeddings[index.fetched(asked, count)[1]] @ embedded(asked, by)
                for index in (plain, cut)
            ]
            torch.testing.assert_close(near[0].sort().values, near[1].sort().values, rtol=0, atol=1e-6)
        looked.append(cut.topics.nearest(cut.embeddings, embedded(asked, by), 1)[1])
    assert max(looked) <= len(rows) and np.mean(looked[:40]) < 0.8 * len(rows), (
        "what was written is found at once"
    )
    # the broken twin: topics whose reach is forgotten lose rows
    narrow = Topics(cut.topics.centres, cut.topics.of, torch.full((8,), -2.0).double())
    lost = 0
    for fact in FACTS:
        asked = embedded(ghost.keys(torch.tensor([list(fact[: fact.index(b"\n") + 1])]))[0], by)
        lost += not torch.equal(
            narrow.nearest(cut.embeddings, asked, 5)[0], cut.topics.nearest(cut.embeddings, asked, 5)[0]
        )
    assert lost
    assert Index.of(ghost.written([FACTS[0]] * 3), topics=8).topics.centres.shape[0] == 1
    assert Index.of(ghost.written([]), topics=8).topics is None


GATES: dict[str, dict[str, bool]] = {"every": {"memory_every": True}, "raw": {"memory_raw": True}}
GATES["both"] = GATES["every"] | GATES["raw"]


@pytest.mark.parametrize("switch", GATES.values(), ids=GATES)
def test_a_memory_that_is_let_in_otherwise_is_causal_streams_and_learns(switch: dict[str, bool]) -> None:
    torch.manual_seed(0)
    sizes = {**SIZES, "blocks": 6, "memory": 16}
    plain, made = Ghost(GhostConfig(**sizes)), Ghost(GhostConfig(**sizes, **switch))
    made.load_state_dict(plain.state_dict() | {n: t for n, t in made.state_dict().items() if "gate" in n})
    rows, x = made.written(FACTS), torch.tensor([list(FACTS[5])])
    assert torch.equal(rows.keys, plain.written(FACTS).keys), "how a memory is let in is nothing of its rows"
    with torch.no_grad():
        read, state, later = made.read(x, None, rows), GhostState(), x.clone()
        assert read.memory is not None and read.memory.gates.shape == (
            *x.shape,
            3 if "memory_every" in switch else 1,
        )
        made.backbone.memory.gate.weight.add_(0.5 * torch.randn_like(made.backbone.memory.gate.weight))
        whole = made(x, None, rows)
        assert not torch.equal(whole, plain(x, None, rows))
        streamed = torch.cat([made(x[:, i : i + 1], state, rows) for i in range(x.shape[1])], 1)
        assert (streamed - whole).abs().max() <= 1e-5 * whole.abs().max()
        later[0, 8:] = 65
        assert torch.equal(made(later, None, rows)[:, :8], whole[:, :8])
        assert torch.equal(made(x, None, rows.without(5)), made(x, None, made.written(FACTS[:5] + FACTS[6:])))
    made.read(x, None, made.rows_of(x, torch.ones_like(x, dtype=torch.bool))).logits.logsumexp(
        -1
    ).sum().backward()
    gate = made.backbone.memory.gate
    assert gate.weight.grad is not None and gate.weight.grad.abs().sum(-1).all()
    assert not switch.get("memory_raw") or gate.weight.grad[:, 2:].any(), "the byte is seen"


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


def parity_learned(seed: int, **switch: Any) -> float:
    """How much of the second half of words of 16 bits is right: of each bit, whether those until there are odd."""
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    sizes = {"width": 16, "blocks": 1, "states": 8, "head": 8, "attend_every": 0}
    ghost = Ghost(GhostConfig(**sizes, **switch))
    mixer = ghost.backbone.layers[0].mixer
    assert isinstance(mixer, Mixer)
    with torch.no_grad():  # states begin with hardly any decay, steps of 1, and angles of any size
        mixer.A_log.fill_(-5)
        mixer.dt_bias.fill_(math.log(math.e - 1))
        if mixer.rotating:
            mixer.angle.weight.normal_()

    def words(count: int, length: int) -> tuple[torch.Tensor, torch.Tensor]:
        x = torch.from_numpy(rng.integers(0, 2, (count, length)))
        x[:, 0] = 0
        odd = x.cumsum(1) % 2
        x[:, 0] = 255  # what a word begins with
        return x, odd

    steps = 200
    optimizer = torch.optim.AdamW(ghost.parameters(), lr=2e-2)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 2e-2, total_steps=steps, pct_start=0.1)
    for step in range(steps):
        x, odd = words(32, max(2, round(16 * min(1.0, 2 * step / steps))))  # short words first
        loss = torch.nn.functional.cross_entropy(ghost(x).mT, odd)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(ghost.parameters(), 1.0)
        optimizer.step()
        schedule.step()
    x, odd = words(256, 16)
    with torch.no_grad():
        return float((ghost(x).argmax(-1) == odd)[:, 8:].float().mean())


@pytest.mark.slow
def test_parity_is_learned_by_a_state_that_turns_and_by_no_other() -> None:
    """What grows or shrinks can't count to two for long; half a turn a letter can. One start in five doesn't find it."""
    assert any(parity_learned(seed, rotating=True) > 0.95 for seed in range(3))
    assert parity_learned(0) < 0.65
    assert parity_learned(0, step="trapezoid") < 0.65
