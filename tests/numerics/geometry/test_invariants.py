"""What each kind promises holds of each, and doesn't of a model that breaks it."""

from __future__ import annotations

import math

import pytest
import torch

from workbench.numerics.attention import NAMES
from workbench.numerics.attention.standard import Standard
from workbench.numerics.geometry.config import GeometryConfig
from workbench.numerics.geometry.gpt import GPT
from workbench.numerics.geometry.invariants import OF_KIND, causality, checks, decoding


def gpt_of(name: str) -> GPT:
    torch.manual_seed(0)
    return GPT(GeometryConfig(mechanism=name, width=16, layers=2, heads=2, vocabulary=16))


TOKENS = torch.randint(16, (2, 21), generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("name", NAMES)
def test_each_kind_keeps_what_it_promises_and_the_control_does_not(name: str) -> None:
    gpt = gpt_of(name)
    before = [p.clone() for p in gpt.parameters()]
    found = checks(gpt, TOKENS)
    assert len(found) >= 3
    for check in found:
        assert check.holds, check
        assert math.isnan(check.control) or check.control > 10 * check.bound, check
    assert all(torch.equal(a, b) and b.grad is None for a, b in zip(before, gpt.parameters(), strict=True))


def test_every_kind_has_its_own() -> None:
    assert OF_KIND.keys() == set(NAMES)


def test_a_model_that_reads_ahead_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = Standard.forward
    monkeypatch.setattr(Standard, "forward", lambda self, x, state=None: whole(self, x.flip(1), state))
    gpt = gpt_of("standard")
    assert not causality(gpt, TOKENS).holds and not decoding(gpt, TOKENS).holds
    assert not OF_KIND["standard"](gpt, TOKENS)[0].holds


def test_numbers_that_are_not_finite_keep_no_promise() -> None:
    gpt = gpt_of("tropical")
    with torch.no_grad():
        gpt.get_parameter("layers.1.up.weight")[0, 0] = torch.nan
    assert not causality(gpt, TOKENS).holds and not decoding(gpt, TOKENS).holds
