"""What is recorded is what happened, and nothing of it reaches the loop."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional as F

import workbench as wb
from workbench.core.errors import DataError, MissingError, ParameterError, StorageError, ViewError
from workbench.recording.measuring import FusedMeter, TorchMeter
from workbench.subjects.descents.trajectory import Descent
from workbench.subjects.series import Series

Make = Callable[..., Any]


def test_rows_are_what_a_careful_reader_noted(problem: Make) -> None:
    p = problem()
    trajectory = p.record(30)
    table = trajectory.table
    assert table["step"].tolist() == list(range(30)) == trajectory.ids.tolist()
    np.testing.assert_array_equal(table["loss"], [r["loss"] for r in p.rows])
    names = [n for n, _ in p.model.named_parameters()]
    for kind, frame in (("g", trajectory.gradient_norms), ("u", trajectory.update_norms)):
        assert list(frame.columns) == names
        expected = np.array([[r[f"{kind} {n}"] for n in names] for r in p.rows])
        np.testing.assert_allclose(frame.to_numpy(), expected, rtol=2e-6, atol=1e-9)
    whole = np.sqrt(np.square(trajectory.gradient_norms.to_numpy(float)).sum(1))
    np.testing.assert_allclose(table["grad_norm"], whole)
    assert (table["lr"] == 0.01).all()


@pytest.mark.parametrize("compress", ["delta", "none"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_weights_come_back_to_the_last_bit(problem: Make, compress: str, dtype: torch.dtype) -> None:
    p = problem("SGD", 0.05, dtype)
    trajectory = p.record(40, weights_at=1, compress=compress)
    assert trajectory.weight_steps.tolist() == list(range(41))
    for step in np.random.default_rng(0).permutation(41):
        for name, array in trajectory.weights(step).items():
            held = p.seen[int(step)][name]
            expected = held.float() if dtype == torch.bfloat16 else held
            np.testing.assert_array_equal(array, expected.numpy())
            assert trajectory.weight_error(step)[name] == 0.0


def test_small_tensors_are_stored_as_they_are(problem: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    from workbench.recording import writing

    monkeypatch.setattr(writing, "SMALL", 40)
    p = problem()
    trajectory = p.record(10, weights_at=1)
    for step in (10, 3, 0):
        for name, array in trajectory.weights(step).items():
            np.testing.assert_array_equal(array, p.seen[step][name].numpy())


def test_the_fused_pass_equals_the_plain_reference() -> None:
    torch.manual_seed(0)
    sizes = [(3, 5), (1,), (70, 100), (4097,), (0, 3)]
    own = {str(i): torch.nn.Parameter(torch.randn(s)) for i, s in enumerate(sizes)}
    meters = [FusedMeter(own, 3), TorchMeter(own, 3)]
    for row in range(3):
        for i, p in enumerate(own.values()):
            p.grad = None if (row, i) == (1, 2) else torch.randn_like(p) * 10.0 ** (row - 1)
            if row == 2 and p.ndim == 2:
                p.grad = torch.randn(*p.shape[::-1]).T  # another order in memory
        for m in meters:
            m.before(row)
        with torch.no_grad():
            for p in own.values():
                p.add_(torch.randn_like(p), alpha=0.1)
        for m in meters:
            m.update(row)
    for fused, plain in zip(*(m.take(3) for m in meters), strict=True):
        np.testing.assert_allclose(fused, plain, rtol=3e-6)
        assert fused.any()
    for m in meters:  # infinities and NaN stay what they are
        first, second, *_ = own.values()
        first.grad, second.grad = torch.full((3, 5), torch.inf), torch.full((1,), torch.nan)
        m.before(0)
        assert not m.finite(0)
        found, _ = m.take(1)
        assert found[0, 0] == np.inf and np.isnan(found[0, 1])


def test_low_rank_differences_say_their_error(problem: Make) -> None:
    p = problem("SGD", 0.5, momentum=0.9)
    trajectory = p.record(20, weights_at=1, compress="low-rank", rank=1)
    told = []
    for step in range(1, 16):
        base = p.seen[0]
        for name, array in trajectory.weights(step).items():
            moved = (p.seen[step][name] - base[name]).double().numpy()
            error = np.linalg.norm(array - p.seen[step][name].numpy()) / np.linalg.norm(moved)
            assert error == pytest.approx(trajectory.weight_error(step)[name], abs=2e-6)
            told.append(error)
    assert max(told) > 0.01  # it did cost something
    np.testing.assert_array_equal(
        trajectory.weights(16)["0.weight"], p.seen[16]["0.weight"].numpy()
    )  # a whole one again


def test_low_rank_is_exact_where_the_update_has_that_rank() -> None:
    linear = torch.nn.Linear(30, 20, bias=False)
    optimizer = torch.optim.SGD(linear.parameters(), lr=0.1)
    x, y = torch.randn(1, 30), torch.randn(1, 20)  # one sample: gradients of rank one
    with wb.record(linear, optimizer, weights_at=1, compress="low-rank", rank=1) as run:
        for _ in range(5):
            optimizer.zero_grad()
            F.mse_loss(linear(x), y).backward()
            optimizer.step()
    assert run.trajectory.weight_error(5)["weight"] < 1e-4
    np.testing.assert_allclose(run.trajectory.weights(5)["weight"], linear.weight.detach().numpy(), atol=1e-6)


def test_the_loop_is_left_alone(problem: Make) -> None:
    plain, recorded = problem(), problem()
    for _ in range(25):
        plain.step()
    state = torch.random.get_rng_state()
    recorded.record(25, weights_at=3, optimizer_state=True)
    for a, b in zip(plain.model.parameters(), recorded.model.parameters(), strict=True):
        assert torch.equal(a, b)
    assert (
        not recorded.optimizer._optimizer_step_pre_hooks and not recorded.optimizer._optimizer_step_post_hooks
    )
    assert state is not None


@pytest.mark.parametrize("early", [False, True])
def test_a_loss_belongs_to_its_step_wherever_it_is_logged(problem: Make, early: bool) -> None:
    p = problem()
    losses = []
    with wb.record(p.model, p.optimizer) as run:
        for i in range(7):
            p.optimizer.zero_grad()
            loss = p.loss()
            loss.backward()
            if early:
                run.log(loss, accuracy=i)
            p.optimizer.step()
            if not early:
                run.log(loss, accuracy=i)
            losses.append(loss.item())
    np.testing.assert_array_equal(run.trajectory.table["loss"], losses)
    assert run.trajectory.table["accuracy"].tolist() == list(range(7))


def test_a_loss_that_isnt_given_is_not_guessed(problem: Make) -> None:
    p = problem()
    with wb.record(p.model, p.optimizer) as run:
        for _ in range(4):
            p.step(run, log=False)
    trajectory = run.trajectory
    assert trajectory.table["loss"].isna().all()
    assert "loss" not in trajectory.holds
    with pytest.raises(ViewError, match=r"needs its loss \(run.log\(loss=...\)"):
        trajectory.view(Descent).curve("loss")
    assert trajectory.view(Series).values.shape == (4, 2)


def test_accumulated_losses_are_averaged(problem: Make) -> None:
    p = problem()
    with wb.record(p.model, p.optimizer) as run:
        for _ in range(2):
            p.step(run, log=False)
            run.log(1.0)
            run.log(3.0)
    assert run.trajectory.table["loss"].tolist() == [2.0, 2.0]


def test_a_closure_tells_its_loss(problem: Make) -> None:
    p = problem("LBFGS", 0.1, max_iter=3)
    first = []

    def closure() -> torch.Tensor:
        p.optimizer.zero_grad()
        loss = p.loss()
        loss.backward()
        first.append(loss.item())
        return loss

    with wb.record(p.model, p.optimizer) as run:
        starts = []
        for _ in range(3):
            starts.append(len(first))
            p.optimizer.step(closure)
    np.testing.assert_array_equal(run.trajectory.table["loss"], [first[i] for i in starts])
    assert (run.trajectory.table["grad_norm"] > 0).all()


def test_every_and_chosen_steps(problem: Make) -> None:
    trajectory = problem().record(10, every=3, weights_at=[0, 4])
    assert trajectory.steps.tolist() == [0, 3, 6, 9]
    assert trajectory.weight_steps.tolist() == [0, 4, 10]  # and the last
    assert problem().record(3, weights_at=None).weight_steps.tolist() == []


def test_optimizer_state_is_kept_and_summed_up(problem: Make) -> None:
    p = problem()
    trajectory = p.record(101, weights_at=[50], optimizer_state=True)
    state = trajectory.optimizer_state(101)
    held = p.optimizer.state[p.model[0].weight]
    np.testing.assert_array_equal(state["0.weight"]["exp_avg_sq"], held["exp_avg_sq"].numpy())
    assert trajectory.optimizer_table.index.tolist() == [100]
    assert {"exp_avg_mean", "exp_avg_max", "exp_avg_sq_mean", "exp_avg_sq_max"} == set(
        trajectory.optimizer_table
    )
    with pytest.raises(MissingError, match="optimizer_state=True"):
        problem().record(2).optimizer_state(0)


def test_frozen_weights_are_kept_and_not_trained(problem: Make) -> None:
    p = problem()
    p.model[0].requires_grad_(False)
    p.optimizer = torch.optim.SGD([q for q in p.model.parameters() if q.requires_grad], lr=0.1)
    with wb.record(p.model, p.optimizer, weights_at=1) as run:
        for _ in range(3):
            p.optimizer.zero_grad()
            p.loss().backward()
            p.optimizer.step()
    trajectory = run.trajectory
    assert "0.weight" not in trajectory.parameter_names
    np.testing.assert_array_equal(trajectory.state(2)["0.weight"], p.model[0].weight.numpy())
    network = trajectory.network(3)
    with torch.no_grad():
        torch.testing.assert_close(network(p.x), p.model.eval()(p.x), rtol=0, atol=0)


def test_groups_have_their_learning_rates(problem: Make) -> None:
    p = problem()
    p.optimizer = torch.optim.SGD(
        [
            {"params": p.model[0].parameters(), "lr": 0.1},
            {"params": p.model[3].parameters()},
            {"params": p.model[1].parameters()},
        ],
        lr=0.01,
    )
    scheduler = torch.optim.lr_scheduler.ExponentialLR(p.optimizer, 0.5)
    with wb.record(p.model, p.optimizer) as run:
        for _ in range(3):
            p.step(run)
            scheduler.step()
    np.testing.assert_allclose(run.trajectory.table["lr"], [0.1, 0.05, 0.025])
    np.testing.assert_allclose(run.trajectory.table["lr_1"], [0.01, 0.005, 0.0025])


# -- what goes wrong --------------------------------------------------------------------------------


def test_a_diverging_loop_runs_on_and_where_is_said(problem: Make, tmp_path: Path) -> None:
    p = problem("SGD", 0.1)
    with wb.record(p.model, p.optimizer, to=tmp_path / "run", weights_at=1) as run:
        for i in range(12):
            p.optimizer.zero_grad()
            loss = p.loss()
            loss.backward()
            if i == 5:
                p.model[3].weight.grad[0, 0] = torch.nan  # type: ignore[index]
            p.optimizer.step()
            run.log(loss=loss)
    assert i == 11
    assert run.diverged == 5
    assert run.outcome == "diverged at step 5: the gradient of 3.weight was not finite"
    trajectory = wb.open(tmp_path / "run")
    assert (
        trajectory.diverged == 5
        and trajectory.outcome == run.outcome
        and "diverged at step 5" in trajectory.holds
    )
    assert np.isfinite(trajectory.table["loss"][:6]).all() and np.isnan(trajectory.table["loss"][6:]).all()
    assert trajectory.weight_steps.tolist() == [0, 1, 2, 3, 4, 5]  # what isn't finite is no longer kept
    with pytest.raises(DataError, match=r"diverged at step 5.*select\('step < 5'\)"):
        trajectory.view(Descent).curve("loss")
    steps, losses = trajectory.select("step < 5").view(Descent).curve("loss")
    assert steps.tolist() == [0, 1, 2, 3, 4] and np.isfinite(losses).all()


def test_a_loss_that_is_nan_is_a_divergence(problem: Make) -> None:
    p = problem()
    with wb.record(p.model, p.optimizer) as run:
        for i in range(4):
            p.step(run, log=False)
            run.log(loss=float("nan") if i == 2 else 1.0)
    assert run.outcome == "diverged at step 2: the loss was nan"


def test_stop_on_nan_ends_the_block_before_the_update(problem: Make) -> None:
    p = problem("SGD", 0.1)
    with wb.record(p.model, p.optimizer, stop_on_nan=True) as run:
        for i in range(12):
            p.optimizer.zero_grad()
            p.loss().backward()
            if i == 5:
                p.model[0].bias.grad[:] = torch.inf  # type: ignore[index]
            p.optimizer.step()
    assert i == 5 and run.step == 5 and run.diverged == 5
    assert "the gradient of 0.bias was not finite; stopped there" in run.outcome
    assert all(torch.isfinite(q).all() for q in p.model.parameters())
    assert run.trajectory.weight_steps[-1] == 5


def test_an_error_of_the_loop_passes_and_is_recorded(problem: Make) -> None:
    p = problem()
    with pytest.raises(KeyError, match="mine"), wb.record(p.model, p.optimizer) as run:
        for _ in range(3):
            p.step(run)
        raise KeyError("mine")
    assert run.trajectory.outcome == "ended at step 3 by KeyError"
    assert len(run.trajectory) == 3


def test_a_parameter_that_changes_its_shape_ends_the_recording_only(problem: Make) -> None:
    p = problem("SGD", 0.1)
    said = r"stopped at step 3: 0.weight changed its shape from \(16, 6\) to \(16, 5\)"
    run = wb.record(p.model, p.optimizer).__enter__()
    for i in range(6):
        if i == 3:
            p.model[0].weight.data = p.model[0].weight.data[:, :5].clone()
            p.x = p.x[:, :5]
        p.step(run)
    with pytest.warns(RuntimeWarning, match=said):
        run.__exit__(None, None, None)
    assert len(run.trajectory) == 3 and "changed its shape" in run.trajectory.outcome


def test_a_full_disk_ends_the_recording_only(
    problem: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from workbench.recording import writing

    p = problem()
    real = writing.Writer._save_rows

    def full(self: Any, name: str, *rest: Any) -> None:
        if name.startswith("steps"):
            raise OSError(28, "No space left on device")
        real(self, name, *rest)

    monkeypatch.setattr(writing.Writer, "_save_rows", full)
    run = wb.record(p.model, p.optimizer, to=tmp_path / "run").__enter__()
    for _ in range(5):
        p.step(run)
    with pytest.warns(RuntimeWarning, match=r"No space left.*The training was left alone"):
        run.__exit__(None, None, None)
    assert len(p.rows) == 5


def test_sizes_are_bounded_and_that_is_said(problem: Make) -> None:
    trajectory = problem().record(30, weights_at=1, max_bytes=5000)
    assert 0 < len(trajectory.weight_steps) < 30 and len(trajectory) == 30
    assert (
        f"weights from step {len(trajectory.weight_steps)} on weren't kept (max_bytes)" in trajectory.outcome
    )


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ({"every": 0}, "every=0 is not legal"),
        ({"weights_at": "often"}, "weights_at='often' is not legal"),
        ({"weights_at": [-1]}, "weights_at"),
        ({"weights_at": True}, "weights_at=True"),
        ({"compress": "zip"}, "compress='zip' is not legal. It takes one of 'delta'"),
        ({"rank": 0}, "rank=0"),
        ({"probe": (np.zeros((2, 6)), np.zeros(2))}, "probe=.x, y. and loss= belong together"),
        ({"probe": (np.zeros((2, 6)), np.zeros(2)), "loss": "hinge"}, "no loss 'hinge'"),
        ({"resume": True}, "give it as to="),
        ({"max_bytes": -1}, "max_bytes=-1"),
    ],
)
def test_illegal_settings_are_refused(problem: Make, how: dict[str, Any], said: str) -> None:
    p = problem()
    with pytest.raises(ParameterError, match=said):
        wb.record(p.model, p.optimizer, **how)


def test_what_isnt_a_model_and_its_optimizer_is_refused(problem: Make) -> None:
    p, other = problem(), problem()
    with pytest.raises(ViewError, match="watches a torch module; it was given a list"):
        wb.record([p.model], p.optimizer)
    with pytest.raises(ViewError, match=r"hooks the step.. of one torch optimizer; it was given a list"):
        wb.record(p.model, [p.optimizer])
    with pytest.raises(DataError, match="trains none of the 6 parameters"):
        wb.record(p.model, other.optimizer)
    with pytest.raises(DataError, match="trains 4 tensors that Linear doesn't have"):
        wb.record(p.model[0], p.optimizer)
    run = wb.record(p.model, p.optimizer)
    with pytest.raises(DataError, match=r"loss is a Tensor of the shape \(2,\); log one number"):
        run.log(loss=torch.zeros(2))
    with pytest.raises(DataError, match="log: accuracy is a str"):
        run.log(accuracy="high")


def test_a_block_without_a_step_holds_no_trajectory(problem: Make) -> None:
    p = problem()
    with wb.record(p.model, p.optimizer) as run:
        pass
    with pytest.raises(MissingError, match="no step"):
        _ = run.trajectory


def test_a_folder_that_holds_something_is_left_alone(problem: Make, tmp_path: Path) -> None:
    p = problem()
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(StorageError, match=r"is no recording .it holds 'notes.txt'."):
        wb.record(p.model, p.optimizer, to=tmp_path)
    p.record(2, to=tmp_path / "run")
    with pytest.raises(StorageError, match=r"holds a recording already. Go on with it .resume=True."):
        wb.record(p.model, p.optimizer, to=tmp_path / "run")
    with pytest.raises(StorageError, match="every is 1 there and 2 here"):
        wb.record(p.model, p.optimizer, to=tmp_path / "run", resume=True, every=2)
    with (
        wb.record(p.model, p.optimizer, to=tmp_path / "other"),
        pytest.raises(StorageError, match="Another recording"),
    ):
        wb.record(p.model, p.optimizer, to=tmp_path / "other")


@pytest.mark.parametrize("begun", [False, True])
def test_what_a_kill_left_of_a_file_doesnt_stop_a_recording(
    problem: Make, tmp_path: Path, begun: bool
) -> None:
    p = problem()
    if begun:
        p.record(2, to=tmp_path)
    (tmp_path / "lock").touch()
    half = tmp_path / ".tmp0Od10g"  # as safetensors names what it hasn't renamed yet
    half.write_bytes(b"half")
    with wb.record(p.model, p.optimizer, to=tmp_path, resume=True) as run:
        p.step(run)
    assert len(run.trajectory) == (3 if begun else 1)
    assert not half.exists()


def test_what_was_recorded_so_far_can_be_asked_inside_the_block(problem: Make) -> None:
    p = problem()
    with wb.record(p.model, p.optimizer) as run:
        for _ in range(5):
            p.step(run)
        assert len(run.trajectory) == 5 and "unfinished" in run.trajectory.outcome
        for _ in range(3):
            p.step(run)
    assert len(run.trajectory) == 8 and run.trajectory.outcome == ""


def test_a_temporary_recording_goes_with_its_trajectory(problem: Make) -> None:
    import gc

    p = problem()
    trajectory = p.record(3)
    gc.collect()
    network = trajectory.network(3)
    folder = trajectory.record.keep.path
    assert os.path.isdir(folder)
    del trajectory
    gc.collect()
    assert not os.path.exists(folder)
    assert network is not None


def test_wrapped_models_and_optimizers_are_recorded_by_their_own_names(problem: Make) -> None:
    p = problem()

    class Wrapper:
        optimizer = p.optimizer

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        wrapped = torch.nn.DataParallel(p.model)
    with wb.record(wrapped, Wrapper()) as run:
        p.step(run)
    assert run.trajectory.parameter_names[0] == "0.weight"
