"""Hooks: what they catch, and that nothing of them stays."""

from __future__ import annotations

import pytest
import torch

from workbench.capturing import hooked
from workbench.core.errors import DataError, MissingError


def hooks(module: torch.nn.Module) -> int:
    return sum(len(m._forward_hooks) + len(m._forward_pre_hooks) for m in module.modules())


def test_known_answer_of_a_linear_map() -> None:
    module = torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.Tanh())
    x = torch.randn(5, 3)
    with hooked(module, ["0", "1"]) as caught:
        out = module(x)
    assert list(caught) == ["0", "1"]
    torch.testing.assert_close(caught["0"], x @ module[0].weight.T + module[0].bias)
    torch.testing.assert_close(caught["1"], out)
    assert not caught["0"].requires_grad


def test_what_is_caught_survives_being_overwritten(convolutions) -> None:
    x = torch.randn(2, 3, 8, 8)
    with hooked(convolutions, ["first"]) as caught:
        convolutions(x)
    torch.testing.assert_close(caught["first"], convolutions.first(x))
    assert (caught["first"] < 0).any()  # the ReLU behind it works in place


def test_hooks_are_gone_afterwards_also_when_the_forward_pass_raises(encoder) -> None:
    ids = torch.ones(2, 4, dtype=torch.int64)
    with hooked(encoder, ["embed", "blocks.0", "head"]) as caught:
        assert hooks(encoder) == 3
        encoder(ids)
    assert hooks(encoder) == 0
    encoder(ids)
    assert set(caught) == {"embed", "blocks.0", "head"}
    with pytest.raises(IndexError), hooked(encoder, ["embed", "head"]):
        encoder(ids + 1000)
    assert hooks(encoder) == 0
    with pytest.raises(KeyboardInterrupt), hooked(encoder, ["embed"]):
        raise KeyboardInterrupt
    assert hooks(encoder) == 0


def test_no_hook_stays_when_one_of_the_names_is_unknown(encoder) -> None:
    with pytest.raises(MissingError, match="Did you mean 'head'"), hooked(encoder, ["embed", "heads"]):
        pass
    assert hooks(encoder) == 0


def test_a_module_that_runs_twice_is_refused_by_name(encoder) -> None:
    shared = torch.nn.Sequential(torch.nn.Tanh())
    shared.append(shared[0])
    with pytest.raises(DataError, match="0 ran twice"), hooked(shared, ["0"]):
        shared(torch.ones(2))
    ids = torch.ones(2, 4, dtype=torch.int64)
    with hooked(encoder, ["embed"]) as caught:
        encoder(ids)
        caught.clear()
        encoder(ids)
    assert len(caught) == 1


def test_a_site_without_a_tensor_is_refused_by_name() -> None:
    class Nothing(torch.nn.Module):
        def forward(self, x):
            return {"a": None, "b": ["text"]}

    module = torch.nn.Sequential(Nothing())
    with pytest.raises(DataError, match=r"0: .* puts out no tensor"), hooked(module, ["0"]):
        module(torch.ones(1))
    linear = torch.nn.Sequential(torch.nn.Linear(1, 1))
    with pytest.raises(DataError, match="no attention map"), hooked(linear, ["0#attention"]):
        linear(torch.ones(1, 1))


def test_the_first_tensor_is_found_in_nested_outputs() -> None:
    class Nested(torch.nn.Module):
        def forward(self, x):
            return {"skip": None, "hidden": (None, [x + 1, x + 2])}

    module = torch.nn.Sequential(Nested())
    with hooked(module, ["0"], take=lambda site, tensor: (site, tensor.sum().item())) as caught:
        module(torch.zeros(3))
    assert caught == {"0": ("0", 3.0)}
