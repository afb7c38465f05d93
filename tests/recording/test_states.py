"""A step's network gives that step's loss to the last bit, whoever changed it: the loop's own look at each step is the reference."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional as F

import workbench as wb
from workbench.numerics.identity.walking import network_digest

GENERATOR = torch.Generator().manual_seed(3)
X = torch.randn(48, 6, generator=GENERATOR)
Y = (X[:, 0] * X[:, 1] > 0).long()


def network(seed: int = 0, *, out: int = 2) -> torch.nn.Sequential:
    """Weights, and buffers that every pass changes."""
    torch.manual_seed(seed)
    return torch.nn.Sequential(
        torch.nn.Linear(6, 8), torch.nn.BatchNorm1d(8), torch.nn.Tanh(), torch.nn.Linear(8, out)
    )


class Seen:
    """What a careful reader would have kept of each step: the state, and the loss in evaluation mode."""

    def __init__(self, model: torch.nn.Module, loss: Callable[[torch.nn.Module], torch.Tensor]):
        self.model, self.loss = model, loss
        self.states: dict[int, dict[str, torch.Tensor]] = {}
        self.losses: dict[int, float] = {}

    def look(self, step: int) -> None:
        self.states[step] = {n: t.detach().clone() for n, t in self.model.state_dict().items()}
        self.losses[step] = self.evaluated(self.model)

    def evaluated(self, model: torch.nn.Module) -> float:
        with torch.no_grad():
            return self.loss(copy.deepcopy(model).eval()).item()

    def require(self, trajectory: wb.Trajectory, steps: list[int] | None = None) -> None:
        assert trajectory.weight_steps.tolist() == (sorted(self.states) if steps is None else steps)
        for step in trajectory.weight_steps:
            held = trajectory.state(int(step))
            for name, tensor in self.states[int(step)].items():
                np.testing.assert_array_equal(held[name], tensor.numpy(), err_msg=f"{name} at {step}")
            assert self.evaluated(trajectory.network(int(step))) == self.losses[int(step)]
        assert len(set(self.losses.values())) > 1


def cross_entropy(model: torch.nn.Module) -> torch.Tensor:
    return F.cross_entropy(model(X), Y)


def turn(model: torch.nn.Module, optimizer: torch.optim.Optimizer) -> torch.Tensor:
    optimizer.zero_grad()
    loss = cross_entropy(model)
    loss.backward()
    optimizer.step()
    return loss


@pytest.mark.filterwarnings("ignore:.torch.jit:DeprecationWarning")
@pytest.mark.parametrize(
    "how", ["whole", "parts", "compiled", "scripted", "closure", "accumulated", "validated"]
)
def test_buffers_are_those_before_the_pass(how: str) -> None:
    model = torch.jit.script(network()) if how == "scripted" else network()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.2)
    seen = Seen(model, cross_entropy)
    called = torch.compile(model, backend="eager") if how == "compiled" else model

    def loss() -> torch.Tensor:
        optimizer.zero_grad()
        outputs = X
        for part in model if how == "parts" else [called]:
            outputs = part(outputs)
        value = F.cross_entropy(outputs, Y)
        value.backward()
        return value

    with wb.record(model, optimizer, weights_at=1) as run:
        for step in range(6):
            seen.look(step)
            if how == "validated":
                model.eval()
                model(X)
                model.train()
            if how == "closure":
                optimizer.step(loss)
            else:
                for _ in range(3 if how == "accumulated" else 1):
                    value = loss()
                optimizer.step()
                run.log(value)
        seen.look(6)
    seen.require(run.trajectory)
    assert not any(m._forward_pre_hooks for m in model.modules())


@pytest.mark.parametrize("data", [False, True])
@pytest.mark.parametrize("teacher_first", [False, True])
def test_an_averaged_teacher_is_recorded(data: bool, teacher_first: bool) -> None:
    pair = torch.nn.ModuleDict({"student": network(), "teacher": network()})
    pair["teacher"].requires_grad_(False)
    optimizer = torch.optim.Adam(pair["student"].parameters(), lr=0.05)

    def loss(both: Any) -> torch.Tensor:
        with torch.no_grad():
            target = both["teacher"](X)
        return F.mse_loss(both["student"](X), target) + F.cross_entropy(both["student"](X), Y)

    seen = Seen(pair, loss)
    with wb.record(pair, optimizer, weights_at=1) as run:
        for step in range(5):
            seen.look(step)
            optimizer.zero_grad()
            if not teacher_first:
                pair["student"](X)
            loss(pair).backward()
            optimizer.step()
            with torch.no_grad():
                for a, b in zip(pair["teacher"].parameters(), pair["student"].parameters(), strict=True):
                    (a.data if data else a).mul_(0.9).add_(b, alpha=0.1)
        seen.look(5)
    seen.require(run.trajectory)
    assert "teacher.0.weight" not in run.trajectory.parameter_names
    first, last = (run.trajectory.state(s)["teacher.0.weight"] for s in (0, 5))
    assert not np.array_equal(first, last)


def test_a_target_that_is_set_between_acting_and_learning_is_recorded() -> None:
    agent = torch.nn.ModuleDict({"policy": network(), "target": network(1)})
    optimizer = torch.optim.Adam(agent["policy"].parameters(), lr=0.05)

    def loss(both: Any) -> torch.Tensor:
        with torch.no_grad():
            target = both["target"](X)
        return F.mse_loss(both["policy"](X), target.softmax(1))

    seen = Seen(agent, loss)
    with wb.record(agent, optimizer, weights_at=1) as run:
        for step in range(6):
            buffers = {n: b.clone() for n, b in agent.named_buffers()}
            with torch.no_grad():
                agent["policy"](X)
            if step % 2:
                for a, b in zip(agent["target"].parameters(), agent["policy"].parameters(), strict=True):
                    a.data.copy_(b.data)
            changed = {n: b.clone() for n, b in agent.named_buffers()}
            agent.load_state_dict({**agent.state_dict(), **buffers})
            seen.look(step)
            agent.load_state_dict({**agent.state_dict(), **changed})
            optimizer.zero_grad()
            loss(agent).backward()
            optimizer.step()
        seen.look(6)
    seen.require(run.trajectory)


@pytest.mark.parametrize("simultaneous", [False, True])
def test_two_optimizers_train_one_model(simultaneous: bool) -> None:
    class Gan(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.generator, self.critic = network(1, out=6), network(2, out=1)

        def losses(self) -> torch.Tensor:
            return F.softplus(-self.critic(self.generator(X))).mean()

    gan = Gan()
    seen = Seen(gan, Gan.losses)
    makes, judges = (torch.optim.Adam(part.parameters(), 0.05) for part in (gan.generator, gan.critic))
    with wb.record(gan, makes, weights_at=1) as run:
        for step in range(5):
            judges.zero_grad()
            if simultaneous:
                seen.look(step)
            critic_loss = (
                F.softplus(gan.critic(gan.generator(X).detach())) + F.softplus(-gan.critic(X))
            ).mean()
            critic_loss.backward()
            if not simultaneous:
                judges.step()
                seen.look(step)  # as the generator's loss finds it
            makes.zero_grad()
            loss = gan.losses()
            loss.backward(inputs=list(gan.generator.parameters()))
            if simultaneous:
                judges.step()
            makes.step()
            run.log(loss)
        seen.look(5)
    seen.require(run.trajectory)


@pytest.mark.parametrize("added", [False, True])
def test_weights_that_are_unfrozen_on_the_way_are_followed(added: bool, tmp_path: Path) -> None:
    model = network()
    model[0].requires_grad_(False)
    first = model[3].parameters() if added else model.parameters()
    optimizer = torch.optim.SGD(first, lr=0.2)
    seen, gradients = Seen(model, cross_entropy), []
    with wb.record(model, optimizer, to=tmp_path / "run", weights_at=1) as run:
        for step in range(8):
            if step == 3:
                model[0].requires_grad_(True)
                if added:
                    optimizer.add_param_group({"params": model[0].parameters(), "lr": 0.05})
            seen.look(step)
            run.log(turn(model, optimizer))
            gradients.append(0.0 if step < 3 else model[0].weight.grad.norm().item())  # type: ignore[union-attr]
        seen.look(8)
    trajectory = wb.open(tmp_path / "run").with_model(model)
    seen.require(trajectory)
    assert trajectory.outcome == "" and trajectory.steps.tolist() == list(range(8))
    np.testing.assert_allclose(trajectory.gradient_norms["0.weight"], gradients, rtol=1e-5)
    moved = [(seen.states[s + 1]["0.weight"] - seen.states[s]["0.weight"]).norm().item() for s in range(8)]
    np.testing.assert_allclose(trajectory.update_norms["0.weight"], moved, rtol=1e-4)
    assert "0.weight" in trajectory.parameter_names
    if added:
        np.testing.assert_array_equal(trajectory.table["lr_1"], [np.nan] * 3 + [0.05] * 5)
    model[0].requires_grad_(False)
    with wb.record(
        model,
        torch.optim.SGD(model[3].parameters(), lr=0.2),
        to=tmp_path / "run",
        weights_at=1,
        resume=True,
    ) as run:
        assert run.restore() == 8  # and another choice of what is trained is no other recording
        turn(model, run.optimizer)
    assert len(run.trajectory) == 9


def test_what_the_model_never_had_ends_the_recording_and_is_said() -> None:
    model = network()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.2)
    run = wb.record(model, optimizer).__enter__()
    turn(model, optimizer)
    model.add_module("more", torch.nn.Linear(2, 2))
    optimizer.add_param_group({"params": model.more.parameters()})
    turn(model[:4], optimizer)
    with pytest.warns(RuntimeWarning, match=r"more.bias was added to the model; record anew"):
        run.__exit__(None, None, None)
    assert len(run.trajectory) == 1


@pytest.mark.parametrize("early", [False, True])
@pytest.mark.parametrize("fused", [False, True])
@pytest.mark.parametrize("clipped", [False, True])
def test_a_gradient_scaler_leaves_no_trace(early: bool, fused: bool, clipped: bool) -> None:
    """Gradients without its factor; a step that it skips is none, also where it skips the first."""
    model = network()
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.01, fused=fused)
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**16)
    seen, losses, norms, skips = Seen(model, cross_entropy), [], [], 0
    with wb.record(model, optimizer, weights_at=1, stop_on_nan=True) as run:
        for i in range(9):
            seen.look(run.step)
            optimizer.zero_grad()
            loss = cross_entropy(model)
            true = torch.cat(
                [g.flatten() for g in torch.autograd.grad(loss, model.parameters(), retain_graph=True)]
            )
            scaler.scale(loss).backward()
            if i in (0, 5):
                model[0].bias.grad[0] = torch.inf  # type: ignore[index]
            if clipped:
                scaler.unscale_(optimizer)
            if early:
                run.log(loss=loss)
            before = run.step
            scaler.step(optimizer)
            scaler.update()
            if not early:
                run.log(loss=torch.inf if run.step == before else loss)
            if run.step == before:
                skips += 1
            else:
                losses.append(loss.item())
                norms.append(true.norm().item())
        seen.look(run.step)
    trajectory = run.trajectory
    assert skips == 2 and run.diverged is None and trajectory.outcome == "" and len(trajectory) == 7
    np.testing.assert_allclose(trajectory.table["grad_norm"], norms, rtol=1e-4)
    np.testing.assert_array_equal(trajectory.table["loss"], losses)
    assert trajectory.weight_steps.tolist() == list(range(8))
    for step in range(8):
        np.testing.assert_array_equal(
            trajectory.weights(step)["0.weight"], seen.states[step]["0.weight"].numpy()
        )


@pytest.mark.parametrize("at", ["pass", "closure", "update"])
def test_an_interrupted_step_leaves_the_state_before_it(at: str) -> None:
    model = network()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.2)
    seen = Seen(model, cross_entropy)
    with pytest.raises(KeyboardInterrupt), wb.record(model, optimizer, weights_at=[0, 2]) as run:
        for step in range(9):
            seen.look(step)
            if step == 5 and at == "update":
                optimizer.register_step_post_hook(lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
            optimizer.zero_grad()

            def interrupted() -> float:
                cross_entropy(model)
                raise KeyboardInterrupt

            if step == 5 and at == "closure":
                optimizer.step(interrupted)
            cross_entropy(model).backward()
            if step == 5 and at == "pass":
                raise KeyboardInterrupt
            optimizer.step()
    trajectory = run.trajectory
    assert "by KeyboardInterrupt" in trajectory.outcome
    made = 6 if at == "update" else 5
    assert trajectory.steps.tolist() == list(range(made))
    seen.look(6)
    seen.require(trajectory, [0, 2, made])


def test_weights_of_half_an_update_are_those_of_no_step() -> None:
    class Interrupted(torch.optim.SGD):
        def step(self, closure: Any = None) -> None:  # type: ignore[override]
            if run.step == 5:
                with torch.no_grad():
                    model[0].weight.add_(1)
                raise KeyboardInterrupt
            super().step(closure)

    model = network()
    optimizer = Interrupted(model.parameters(), lr=0.2)
    seen = Seen(model, cross_entropy)
    with pytest.raises(KeyboardInterrupt), wb.record(model, optimizer, weights_at=[0, 2]) as run:
        for step in range(9):
            seen.look(step)
            turn(model, optimizer)
    assert run.trajectory.steps.tolist() == [0, 1, 2, 3, 4]
    seen.require(run.trajectory, [0, 2])


def test_a_step_of_a_subclass_that_calls_its_bases_is_one_step() -> None:
    class Mine(torch.optim.SGD):
        def step(self, closure: Any = None) -> None:  # type: ignore[override]
            super().step(closure)
            if model[0].weight.grad is None:
                raise RuntimeError("no gradient")

    model = network()
    torch.optim.SGD(model.parameters())  # from here on torch tells of the base's steps too
    optimizer = Mine(model.parameters(), lr=0.2)
    seen = Seen(model, cross_entropy)
    with wb.record(model, optimizer, weights_at=1) as run:
        for step in range(4):
            seen.look(step)
            turn(model, optimizer)
        optimizer.zero_grad()
        with pytest.raises(RuntimeError, match="no gradient"):
            optimizer.step()
        seen.look(4)
        turn(model, optimizer)
        seen.look(5)
    assert run.trajectory.steps.tolist() == [0, 1, 2, 3, 4]
    seen.require(run.trajectory)


def test_a_model_is_copied_and_stored_inside_the_block_as_ever(tmp_path: Path) -> None:
    model = network()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.2)
    content = network_digest(model)
    with wb.record(model, optimizer, weights_at=1) as run:
        assert network_digest(model) == content
        turn(model, optimizer)
        copied = copy.deepcopy(model)
        torch.save(model, tmp_path / "whole.pt")
        step = run.step
        turn(copied, torch.optim.SGD(copied.parameters(), lr=0.2))
        assert run.step == step
        turn(model, optimizer)
    stored = torch.load(tmp_path / "whole.pt", weights_only=False)
    assert torch.equal(stored.eval()(X), run.trajectory.network(1)(X))
