"""Networks trained at once end where they end one by one, whatever their parts and optimizer."""

from __future__ import annotations

import copy
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import workbench as wb
from workbench.core.errors import ParameterError
from workbench.numerics.objectives import Probe, loss_function
from workbench.numerics.optimizers import ELEMENTWISE, optimizer_like, optimizer_of
from workbench.numerics.renormalizing import act
from workbench.numerics.stacked_training import Group, Stack, batches, gathered, operations, structure

SEEDS, STEPS, BATCH = 3, 6, 8


def data() -> Probe:
    rng = np.random.default_rng(0)
    return Probe(rng.standard_normal((40, 5)), rng.integers(0, 3, 40), "cross_entropy")


def network(seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(5, 6), nn.Tanh(), nn.Linear(6, 3)).double()


def orders() -> torch.Tensor:
    return torch.stack([batches(40, BATCH, STEPS, (1, s)) for s in range(SEEDS)], 1)


def one_by_one(
    net: nn.Module, seed: int, make: Callable[[Any, float], torch.optim.Optimizer], rates: Any = None
) -> nn.Module:
    """Plain torch, as anybody would write it."""
    net = copy.deepcopy(net).train()
    optimizer = make(net.parameters(), 0.05)
    x, y = data().tensors(net)
    for step in range(STEPS):
        for group in optimizer.param_groups:
            group["lr"] = 0.05 * (rates(step) if rates else 1)
        at = orders()[step, seed]
        optimizer.zero_grad()
        nn.functional.cross_entropy(net(x[at]), y[at]).backward()
        optimizer.step()
    return net.eval()


def trained(stack: Stack) -> Stack:
    take = gathered(data(), stack.template)
    for step in range(STEPS):
        stack.step(*take(orders()[step]))
    return stack


def assert_same(a: nn.Module, b: nn.Module) -> None:
    for (name, p), (_, q) in zip(a.state_dict().items(), b.state_dict().items(), strict=True):
        torch.testing.assert_close(p, q, rtol=1e-7, atol=1e-8, msg=lambda m, name=name: f"{name}: {m}")


@pytest.mark.parametrize("name", ["sgd", "momentum", "adam", "adamw"])
def test_peer_plain_torch_ends_at_the_same_weights(name: str) -> None:
    nets = [network(s) for s in range(SEEDS)]
    stack = trained(Stack([Group(nets)], "cross_entropy", partial(optimizer_of, name), 0.05))
    assert not stack.one_by_one
    for s, net in enumerate(nets):
        assert_same(stack.network(0, s), one_by_one(net, s, partial(optimizer_of, name)))
        losses = stack.evaluate(*data().tensors(net))
        assert float(losses[0, s]) == pytest.approx(data().evaluate(stack.network(0, s)).item())


@pytest.mark.parametrize("name", ["whitening", "flattening", "weight_norm", "batch_norm", "widening"])
def test_peer_renormalized_networks_too(name: str) -> None:
    nets = [act(name, network(s), data(), random_state=s).network for s in range(SEEDS)]
    stack = trained(Stack([Group(nets)], "cross_entropy", partial(optimizer_of, "adam"), 0.05))
    assert not stack.one_by_one
    for s, net in enumerate(nets):
        assert_same(stack.network(0, s), one_by_one(net, s, partial(optimizer_of, "adam")))


def test_peer_groups_have_rates_of_their_own() -> None:
    rates = [None, lambda step: 1.0 + step]
    nets = [network(s) for s in range(SEEDS)]
    stack = Stack([Group(nets, rates=r) for r in rates], "cross_entropy", partial(optimizer_of, "adam"), 0.05)
    trained(stack)
    for g, rate in enumerate(rates):
        for s, net in enumerate(nets):
            assert_same(stack.network(g, s), one_by_one(net, s, partial(optimizer_of, "adam"), rate))


class Looks(nn.Module):
    """Looks at its numbers, which vmap can't."""

    def __init__(self, inner: nn.Module):
        super().__init__()
        self.inner = inner

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.inner(x) if x.sum().item() > -1e9 else x


def test_what_cannot_be_batched_is_trained_one_by_one_to_the_same_weights() -> None:
    nets = [Looks(network(s)) for s in range(SEEDS)]
    stack = trained(Stack([Group(nets)], "cross_entropy", partial(optimizer_of, "adam"), 0.05))
    assert stack.one_by_one
    for s, net in enumerate(nets):
        assert_same(stack.network(0, s), one_by_one(net, s, partial(optimizer_of, "adam")))


@pytest.mark.parametrize("optimizer", ["momentum", "adam"])
def test_known_answer_a_fork_with_the_optimizer_s_state_goes_where_the_descent_went(optimizer: str) -> None:
    descent = wb.quadratic_descent(
        dimensions=6, condition=10, steps=40, learning_rate=0.05, optimizer=optimizer
    )
    about = descent.record.about
    start, end = 12, 40
    start = int(descent.weight_steps[descent.weight_steps <= start][-1])
    make = partial(optimizer_like, about["optimizer"], about["settings"])
    group = Group([descent.network(start)] * 2, state=descent.optimizer_state(start))
    stack = Stack([group], "half_squared_error", make, 0.05)
    x, y = descent.training.tensors(stack.template)
    for _ in range(start, end):
        stack.step(x.expand(2, *x.shape), y.expand(2, *y.shape))
    for s in range(2):
        found = stack.network(0, s).weight.detach().numpy()
        np.testing.assert_allclose(found, descent.weights(end)["weight"], rtol=1e-9)
    forgetful = Stack([Group([descent.network(start)])], "half_squared_error", make, 0.05)
    for _ in range(start, end):
        forgetful.step(x[None], y[None])
    assert not np.allclose(
        forgetful.network(0, 0).weight.detach().numpy(), descent.weights(end)["weight"], rtol=1e-6
    )


@pytest.mark.parametrize("name", ELEMENTWISE)
def test_every_optimizer_that_is_called_elementwise_is(name: str) -> None:
    make = partial(optimizer_like, name, {})
    nets = [network(s) for s in range(SEEDS)]
    stack = trained(Stack([Group(nets)], "cross_entropy", make, 0.05))
    for s, net in enumerate(nets):
        assert_same(stack.network(0, s), one_by_one(net, s, make))


def test_an_optimizer_that_mixes_entries_is_refused() -> None:
    with pytest.raises(ParameterError, match=r"LBFGS.*optimizer='adam'"):
        optimizer_like("LBFGS", {}, [], 0.1)


def test_settings_come_from_the_recording() -> None:
    model = nn.Linear(3, 1)
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.1, betas=(0.5, 0.6), weight_decay=0.3)
    with wb.record(model, optimizer) as run:
        model(torch.ones(2, 3)).sum().backward()
        optimizer.step()
    about = run.trajectory.record.about
    made = optimizer_like(about["optimizer"], about["settings"], model.parameters(), 0.2)
    assert made.defaults["betas"] == (0.5, 0.6) and made.defaults["weight_decay"] == 0.3
    assert made.defaults["lr"] == 0.2


def test_known_answer_operations_of_a_linear_layer() -> None:
    net = nn.Linear(5, 3, bias=False)
    x, y = torch.ones(7, 5), torch.zeros(7, 3)
    # two a multiply-add; forwards and the weight's gradient, the inputs needing none
    assert operations(net, "mse", x, y) == 2 * (2 * 7 * 5 * 3)


def test_structure_tells_apart_what_cannot_be_stacked() -> None:
    assert structure(network(0)) == structure(network(1))
    assert structure(network()) != structure(act("weight_norm", network(), data()).network)
    assert structure(network()) != structure(network().float())


def test_batches_are_the_seed_s() -> None:
    assert torch.equal(batches(9, 4, 5, (1, 2)), batches(9, 4, 5, (1, 2)))
    assert not torch.equal(batches(9, 4, 5, (1, 2)), batches(9, 4, 5, (1, 3)))
    assert loss_function("cross_entropy")  # the name that the tests above train by
