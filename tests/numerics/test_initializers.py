"""Every initializer draws the same two moments; the usual one draws what it always drew."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from workbench.numerics.attention import NAMES as KINDS
from workbench.numerics.automata import evolved
from workbench.numerics.geometry.config import GeometryConfig
from workbench.numerics.geometry.gpt import GPT, cost_of
from workbench.numerics.initializers import NAMES, initializer_of
from workbench.numerics.initializers.cellular_automaton import LEGAL

SMALL: dict[str, Any] = {"width": 16, "layers": 2, "heads": 2, "vocabulary": 16}


def drawn(name: str, rows: int, columns: int, std: float, seed: int = 0, **options: int) -> torch.Tensor:
    torch.manual_seed(seed)
    weight = torch.full((rows, columns), torch.nan)
    initializer_of(name).fill(weight, std, **options)
    return weight


@pytest.mark.parametrize("shape", [(64, 16), (16, 64), (48, 48)])
@pytest.mark.parametrize("name", NAMES)
def test_mean_and_deviation_are_those_asked_for(name: str, shape: tuple[int, int]) -> None:
    weight = drawn(name, *shape, 0.3).double()
    assert abs(weight.mean()) < 5 * 0.3 / weight.numel() ** 0.5
    assert weight.square().mean().sqrt() == pytest.approx(0.3, rel=5 / (2 * weight.numel()) ** 0.5)
    assert torch.equal(weight, drawn(name, *shape, 0.3).double())
    assert not torch.equal(weight, drawn(name, *shape, 0.3, seed=1).double())


def test_normal_is_what_was_always_drawn() -> None:
    gpt = GPT(GeometryConfig(**SMALL))
    torch.manual_seed(5)
    gpt.reset_parameters()
    torch.manual_seed(5)
    expected = [nn.init.normal_(torch.empty(16, 16)), nn.init.normal_(torch.empty(16, 16), std=0.1 / 4)]
    for name, module in gpt.layers.named_modules():
        if not isinstance(module, nn.Linear):
            continue
        std = (0.5 if name.endswith(("o_proj", "down")) else 1.0) * module.in_features**-0.5
        expected.append(nn.init.normal_(torch.empty_like(module.weight), std=std))
    found = [gpt.embedding.weight, gpt.lm_head.weight]
    found += [m.weight for m in gpt.layers.modules() if isinstance(m, nn.Linear)]
    assert all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))


@pytest.mark.parametrize("shape", [(24, 8), (8, 24)])
def test_all_singular_values_of_orthogonal_are_equal(shape: tuple[int, int]) -> None:
    s = torch.linalg.svdvals(drawn("orthogonal", *shape, 0.1).double())
    assert torch.allclose(s, torch.full((8,), 0.1 * 24**0.5, dtype=s.dtype), rtol=1e-5)


@pytest.mark.parametrize("rule", LEGAL)
def test_the_automaton_s_moments_are_exact_and_its_rows_follow_the_rule(rule: int) -> None:
    weight = drawn("cellular_automaton", 12, 40, 0.25, rule=rule).double()
    assert abs(weight.mean()) < 1e-7 and abs(weight.std(correction=0) - 0.25) < 1e-7
    cells = (weight > 0).numpy().astype(np.uint8)
    for before, after in pairwise(cells):
        assert (evolved(rule, before, 2)[1] == after[1:-1]).all()


def test_rules_and_options_that_are_not_legal_are_refused() -> None:
    assert len(LEGAL) == 28
    for given, why in (
        ({"initializer": "moon"}, "initializer: there is no 'moon'.*cellular_automaton"),
        ({"initializer": "cellular_automaton", "initializer_options": {"rule": 110}}, "15, 30, 45.*not 110"),
        ({"initializer": "cellular_automaton", "initializer_options": {"rule": True}}, "not True"),
        (
            {"initializer": "cellular_automaton", "initializer_options": {"cells": 3}},
            "no 'cells'; it has rule",
        ),
        ({"initializer_options": {"rule": 30}}, "normal has no 'rule'"),
        ({"initializer_options": [30]}, "whole numbers by name"),
    ):
        with pytest.raises(ValueError, match=why):
            GeometryConfig(**given)


@pytest.mark.parametrize(
    ("kind", "name"), [*((kind, "cellular_automaton") for kind in KINDS), ("surreal", "orthogonal")]
)
def test_each_kind_is_drawn_by_each_and_costs_the_same(kind: str, name: str) -> None:
    usual = GeometryConfig(**{**SMALL, "layers": 1}, mechanism=kind)
    config = GeometryConfig.of({**usual.as_json(), "initializer": name})
    assert cost_of(config, 24, training=True) == cost_of(usual, 24, training=True)
    with torch.no_grad():
        assert torch.isfinite(GPT(config)(torch.arange(12)[None])).all()


@pytest.mark.parametrize("name", NAMES)
def test_nothing_is_drawn_of_a_network_that_is_only_described(name: str) -> None:
    """An automaton of this size would run over 17 GB of cells."""
    with torch.device("meta"):
        gpt = GPT(GeometryConfig(width=8192, layers=1, heads=64, vocabulary=65536, initializer=name))
    assert all(p.is_meta for p in gpt.parameters())
