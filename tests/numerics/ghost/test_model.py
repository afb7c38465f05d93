"""Ghost: causal, the same in a stream, the same as transformers' Mamba-2, whatever its switches."""

from __future__ import annotations

from typing import Any

import psutil
import pytest
import torch

from workbench.numerics.ghost.config import GhostConfig
from workbench.numerics.ghost.mixer import Mixer
from workbench.numerics.ghost.model import Ghost, GhostState
from workbench.numerics.ghost.s6 import S6Mixer
from workbench.subjects.byte_reading import read_on

SWITCHES: list[dict[str, Any]] = [
    {},
    {"tokenizer": "learned"},
    {"tokenizer": "fourth"},
    {"tokenizer": "spaces"},
    {"places": "content"},
    {"tokenizer": "learned", "places": "content"},
    {"step": "trapezoid"},
    {"rotating": True},
    {"step": "trapezoid", "rotating": True, "tokenizer": "learned"},
    {"substeps": 3},
    {"attend_every": 0},
    {"convolution": 1},
    {"mixing": "s6", "states": 8},
    {"slots": 12},
    {"slots": 12, "slot_query": "mean"},
    {"slots": 12, "slot_query": "mean", "tokenizer": "learned"},
]
TEXT = (
    b"The moon turns around the earth, and both of them turn around the sun. What turns around the moon? " * 3
)


def small(seed: int = 0, **switches: Any) -> Ghost:
    torch.manual_seed(seed)
    sizes = {
        "width": 32,
        "blocks": 5,
        "head": 16,
        "heads": 2,
        "window": 16,
        "stride": 4,
        "far": 8,
        "outer": 1,
    }
    return Ghost(GhostConfig.of({**sizes, "attend_every": 2, **switches})).eval()


def text(data: bytes = TEXT) -> torch.Tensor:
    return torch.tensor([list(data)])


@pytest.mark.parametrize("switches", SWITCHES, ids=str)
def test_later_bytes_reach_nothing_before_them(switches: dict[str, Any]) -> None:
    ghost, seen = small(**switches), []
    ghost.backbone.embeddings.register_forward_hook(lambda m, given, gave: seen.append(gave) or gave)
    logits = ghost(text())
    (slope,) = torch.autograd.grad(logits[0, :200].square().sum(), seen[-1])
    assert slope[0, :200].abs().sum(-1).all()
    assert not slope[0, 200:].any()
    changed = text()
    changed[0, 200:] = torch.flip(changed[0, 200:], [0])
    with torch.no_grad():
        before, after = (ghost.read(t) for t in (text(), changed))
    # units of another number are multiplied in other pieces, which rounds otherwise
    torch.testing.assert_close(before.logits[0, :200], after.logits[0, :200], rtol=1e-5, atol=1e-6)
    if before.boundaries is not None and after.boundaries is not None:
        assert torch.equal(before.boundaries.begins[0, :200], after.boundaries.begins[0, :200])
    if switches.get("tokenizer", "none") in ("none", "fourth"):
        assert torch.equal(before.logits[0, :200], after.logits[0, :200])
    assert not torch.equal(before.logits[0, 200:], after.logits[0, 200:])


@pytest.mark.parametrize("switches", SWITCHES, ids=str)
@torch.no_grad()
def test_a_stream_equals_the_full_pass_and_goes_on_where_it_was_saved(switches: dict[str, Any]) -> None:
    ghost = small(**switches)
    whole = ghost(text())
    state, read, at = GhostState(), [], 0
    for count in (1, 1, 1, 30, 2, 100, 1):
        read.append(ghost(text()[:, at : at + count], state))
        at += count
    state = GhostState.of({name: held.clone() for name, held in state.flat().items()})
    read.append(ghost(text()[:, at:], state))
    assert (torch.cat(read, 1) - whole).abs().max() <= 1e-5 * whole.abs().max()


@torch.no_grad()
def test_a_stream_remembers_no_more_however_long_it_is() -> None:
    ghost, state, sizes = small(tokenizer="learned"), GhostState(), []
    for _ in range(12):
        ghost(text(), state)
        sizes.append(sum(held.nbytes for held in state.flat().values()))
    assert sizes[-1] == sizes[-4] < 200_000


@torch.no_grad()
def test_sequences_of_a_batch_are_read_as_they_are_alone() -> None:
    for switches in SWITCHES:
        ghost = small(**switches)
        both = torch.cat([text(), text(TEXT[::-1])])
        alone = torch.cat([ghost(both[:1]), ghost(both[1:])])
        torch.testing.assert_close(ghost(both), alone, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("length", [1, 2, 65])
@torch.no_grad()
def test_the_mixer_is_transformers_mamba_2(length: int) -> None:
    from transformers import Mamba2Config
    from transformers.models.mamba2.modeling_mamba2 import Mamba2Mixer

    config = Mamba2Config(
        hidden_size=32, state_size=8, num_heads=4, head_dim=16, expand=2, n_groups=1, num_hidden_layers=1
    )
    torch.manual_seed(1)
    ours = Mixer(32, states=8, head=16)
    peer = Mamba2Mixer(config, 0)
    peer.load_state_dict(ours.state_dict())  # the names are the same
    x = torch.randn(2, length, 32)
    expected = peer.eval()(x)
    assert (ours(x) - expected).abs().max() <= 1e-5 * expected.abs().max()


@torch.no_grad()
def test_the_s6_mixer_is_transformers_mamba() -> None:
    from transformers import MambaConfig
    from transformers.models.mamba.modeling_mamba import MambaMixer

    torch.manual_seed(1)
    ours = S6Mixer(32, states=8)
    peer = MambaMixer(MambaConfig(hidden_size=32, state_size=8, expand=2, num_hidden_layers=1), 0)
    peer.load_state_dict(ours.state_dict())
    x = torch.randn(2, 41, 32)
    expected = peer.eval()(x)
    assert (ours(x) - expected).abs().max() <= 1e-5 * expected.abs().max()


def test_every_switch_changes_what_is_answered() -> None:
    with torch.no_grad():
        plain = small()(text())
        for switches in SWITCHES[1:]:
            assert not torch.allclose(small(**switches)(text()), plain, atol=1e-4), switches


@pytest.mark.parametrize("switches", SWITCHES, ids=str)
def test_everything_learns(switches: dict[str, Any]) -> None:
    ghost = small(**switches)
    read = ghost.read(text())
    loss = torch.nn.functional.cross_entropy(read.logits[0, :-1], text()[0, 1:])
    if switches.get("tokenizer") == "learned" and read.boundaries is not None:
        loss = loss + read.boundaries.ratio_loss(4.0)
    loss.backward()
    without = [name for name, p in ghost.named_parameters() if p.grad is None or not p.grad.any()]
    assert without == []


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"head": 24}, "must divide the inner width"),
        ({"heads": 3}, "heads of an even width"),
        ({"states": 7, "rotating": True}, "must be even"),
        ({"mixing": "s6", "rotating": True}, "those are of 'mamba2'"),
        ({"tokenizer": "learned", "outer": 3}, "leaves none to read units"),
        ({"width": 10**9}, "from 8 to 8,192"),
        ({"step": "verlet"}, "euler"),
        ({"colour": "red"}, "colour"),
    ],
)
def test_sizes_that_do_not_fit_are_refused(wrong: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        small(**wrong)


@pytest.mark.slow
@pytest.mark.parametrize("switches", [{}, {"tokenizer": "learned", "rotating": True}], ids=str)
@torch.no_grad()
def test_a_stream_of_64_kilobytes_equals_the_full_pass(switches: dict[str, Any]) -> None:
    """Read byte by byte at the end, in pieces of changing size before it, whose edges fall within chunks and windows."""
    ghost = small(**switches)
    gen = torch.Generator().manual_seed(0)
    x = torch.randint(0, 256, (1, 1 << 16), generator=gen)
    whole = ghost(x)
    state, read, at, k = GhostState(), [], 0, 0
    while at < x.shape[1]:
        count = 1 if at > x.shape[1] - 1500 else (1, 7, 64, 333, 1024)[k % 5]
        read.append(ghost(x[:, at : at + count], state))
        at, k = at + count, k + 1
    assert (torch.cat(read, 1) - whole).abs().max() <= 1e-5 * whole.abs().max()


@pytest.mark.slow
@torch.inference_mode()
def test_a_megabyte_is_read_in_flat_memory() -> None:
    """In pieces, as asking does. One layer's numbers of each byte, kept, would take 64 MiB, and a text read at once more."""
    ghost, state, process = small(width=16, blocks=2, stride=64, window=128), GhostState(), psutil.Process()
    text = bytes(32 + (i * i) % 90 for i in range(1 << 20))
    held, taken = [], []
    for part in (text[: 1 << 16], text):
        logits = read_on(ghost, part, state).logits
        held.append(sum(part.nbytes for part in state.flat().values()))
        taken.append(process.memory_info().rss)
    assert torch.isfinite(logits).all()
    assert held[0] == held[1] < 50_000
    assert taken[1] - taken[0] < 40 << 20
