"""The subject: what it holds, gives and refuses."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

import workbench as wb
from workbench.core.errors import DataError, MissingError, ParameterError, ViewError
from workbench.numerics.objectives import LOSSES, Probe, loss_function
from workbench.subjects.checkpoint import Matrix
from workbench.subjects.descents.trajectory import Descent
from workbench.subjects.points import Points
from workbench.subjects.series import Series


def weights(step: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(step)
    return {
        "weight": rng.standard_normal((2, 3)).astype(np.float32),
        "bias": rng.standard_normal(2).astype(np.float32),
    }


@pytest.fixture
def descent() -> wb.Trajectory:
    table = pd.DataFrame({"loss": [3.0, 2.0, 1.5, 1.2]}, index=[0, 5, 10, 15])
    return wb.Trajectory(table, weights={s: weights(s) for s in (0, 10, 20)}, name="toy")


def test_rows_are_steps_and_selections_keep_their_weights(descent: wb.Trajectory) -> None:
    assert descent.steps.tolist() == [0, 5, 10, 15] == descent.column("step").tolist()
    assert descent.weight_steps.tolist() == [0, 10, 20]  # the last lies after the last row
    assert descent.select("step < 6").weight_steps.tolist() == [0]
    assert descent.select("step > 6").weight_steps.tolist() == [10, 20]
    assert descent.select([15]).weight_steps.tolist() == [20]
    assert descent.select("step > 6").space == descent.space
    assert "weights of 2 tensors at 3 steps (0, 10, 20), no network, no probe" in descent.holds


def test_points_have_the_distances_of_the_weights(descent: wb.Trajectory) -> None:
    points = descent.view(Points)
    flat = np.stack([descent.weights(s).vector() for s in descent.weight_steps]).astype(float)
    assert points.ids.tolist() == [0, 10, 20] and points.values.shape == (3, 2)
    for i in range(3):
        np.testing.assert_allclose(
            np.linalg.norm(points.values - points.values[i], axis=1), np.linalg.norm(flat - flat[i], axis=1)
        )
    with pytest.raises(ViewError, match="weights at two steps or more"):
        descent.select([0]).view(Points)


def test_digest_is_of_the_content(descent: wb.Trajectory) -> None:
    again = wb.Trajectory(descent.table, weights={s: weights(s) for s in (0, 10, 20)}, name="other")
    assert again.digest == descent.digest
    changed = {s: weights(s) for s in (0, 10, 20)}
    changed[10]["bias"] = changed[10]["bias"] + 1
    different = [
        wb.Trajectory(descent.table, weights=changed),
        wb.Trajectory(descent.table * 2, weights={s: weights(s) for s in (0, 10, 20)}),
        descent.with_model(torch.nn.Linear(3, 2)),
        descent.with_probe(np.ones((2, 3)), np.ones(2), "mse"),
        descent.with_probe(np.ones((2, 3)), np.ones(2), "l1"),
        descent.select([0, 5]),
    ]
    assert len({descent.digest, *(d.digest for d in different)}) == 1 + len(different)
    assert different[2].space == descent.space  # the same rows


def test_networks_are_attached_by_names_and_shapes(descent: wb.Trajectory) -> None:
    linear = torch.nn.Linear(3, 2)
    attached = descent.with_model(linear)
    network = attached.network(10)
    np.testing.assert_array_equal(network.weight.detach().numpy(), weights(10)["weight"])
    assert network is not linear and not network.training
    with pytest.raises(DataError, match=r"weight has the shape \(2, 4\) in the module and \(2, 3\) in toy"):
        descent.with_model(torch.nn.Linear(4, 2))
    with pytest.raises(DataError, match="The module has no tensor 'weight'"):
        descent.with_model(torch.nn.Sequential(torch.nn.Linear(3, 2)))
    with pytest.raises(DataError, match=r"has the parameter 'more.weight', which toy has not"):
        linear.more = torch.nn.Linear(1, 1)
        descent.with_model(linear)
    with pytest.raises(ViewError, match=r"attach it with .with_model"):
        descent.network(10)
    with pytest.raises(MissingError, match="no weights at step 7; the nearest are at 0, 10, 20"):
        attached.network(7)


def test_a_step_is_a_checkpoint(descent: wb.Trajectory) -> None:
    checkpoint = descent.with_model(torch.nn.Linear(3, 2)).at(10)
    assert set(checkpoint) == {"weight", "bias"} and checkpoint.name == "toy · step 10"
    assert checkpoint.at("weight").view(Matrix).values.shape == (2, 3)
    again = wb.digits_descent(width=4, depth=1, steps=5)
    acts = wb.capture(again.at(5), again.probe.x[:3], at="0")
    w = again.weights(5)
    np.testing.assert_allclose(acts.array("0"), again.probe.x[:3] @ w["0.weight"].T + w["0.bias"], atol=1e-5)
    assert descent.at(10).digest != descent.at(0).digest


def test_what_is_lacking_is_said_with_what_there_is(descent: wb.Trajectory) -> None:
    view = descent.view(Descent)
    with pytest.raises(
        ViewError,
        match=r"toy is a descent of 4 steps .*needs weights at 5 steps.*its network.*a batch",
    ):
        view.require(weights=5, network=True, probe=True)
    view.require(weights=3)
    with pytest.raises(ViewError, match="its network"):
        view.network(0)
    with pytest.raises(ViewError, match="probe="):
        _ = view.probe
    with pytest.raises(MissingError, match="has no column 'speed'"):
        view.curve("speed")
    with pytest.raises(MissingError, match="no gradient norms"):
        _ = descent.gradient_norms
    with pytest.raises(ViewError, match="a recorded descent"):
        wb.circle().view(Descent)


def test_tables_and_weights_that_are_no_trajectory_are_refused() -> None:
    for index in ([], [1, 1], [2, 1], [0.5, 1.0]):
        with pytest.raises(DataError, match="whole numbers that ascend"):
            wb.Trajectory(pd.DataFrame({"loss": np.ones(len(index))}, index=index))
    table = pd.DataFrame({"loss": [1.0, 2.0]})
    a = np.zeros(3, np.float32)
    with pytest.raises(DataError, match=r"w has the shape \(3,\) at step 0 and \(2,\) at step 1"):
        wb.Trajectory(table, weights={0: {"w": a}, 1: {"w": a[:2]}})
    with pytest.raises(DataError, match="w is stored as F32 at step 0 and as F64 at step 1"):
        wb.Trajectory(table, weights={0: {"w": a}, 1: {"w": a.astype(float)}})
    with pytest.raises(DataError, match="v is there at step 1 and not at step 0"):
        wb.Trajectory(table, weights={0: {"w": a}, 1: {"w": a, "v": a}})


def test_drop_nonfinite_leaves_out_steps() -> None:
    table = pd.DataFrame({"loss": [1.0, np.nan, 2.0], "grad_norm": [1.0, 1.0, np.inf], "extra": np.nan})
    trajectory = wb.Trajectory(table)
    with pytest.raises(DataError, match="drop_nonfinite"):
        trajectory.view(Series)
    assert trajectory.drop_nonfinite().steps.tolist() == [0]
    assert trajectory.drop_nonfinite().view(Series).values.tolist() == [[1.0, 1.0]]


def test_losses_are_torchs_own() -> None:
    z, y = torch.randn(6, 4), torch.randn(6, 4)
    classes = torch.tensor([0, 1, 2, 3, 0, 1])
    F = torch.nn.functional
    assert loss_function("cross_entropy")(z, classes) == F.cross_entropy(z, classes)
    assert loss_function("cross_entropy")((z, None), classes) == F.cross_entropy(z, classes)
    assert loss_function("mse")(z, y) == F.mse_loss(z, y)
    assert loss_function("l1")(z, y) == F.l1_loss(z, y)
    torch.testing.assert_close(loss_function("half_squared_error")(z, y), 2 * F.mse_loss(z, y))
    torch.testing.assert_close(
        loss_function("binary_cross_entropy")(z, y.sigmoid()),
        F.binary_cross_entropy_with_logits(z, y.sigmoid()),
    )
    tokens = torch.tensor([[0, 1, 2], [3, 1, -100]])
    logits = torch.randn(2, 3, 4)
    picked = [-logits.log_softmax(-1)[b, t, tokens[b, t + 1]] for b, t in ((0, 0), (0, 1), (1, 0))]
    torch.testing.assert_close(loss_function("next_token")(logits, tokens), torch.stack(picked).mean())
    assert loss_function("output")(z, y) == z.mean()
    assert set(LOSSES) == {
        "cross_entropy",
        "mse",
        "l1",
        "half_squared_error",
        "binary_cross_entropy",
        "next_token",
        "output",
    }
    with pytest.raises(ParameterError, match="no loss 'hinge'"):
        loss_function("hinge")


def test_probes_of_several_inputs() -> None:
    probe = Probe.of({"a": torch.ones(3, 2), "b": np.zeros((3, 1))}, [0, 1, 1], "cross_entropy")
    again = Probe.from_arrays(probe.arrays(), probe.loss)
    assert again.digest == probe.digest and len(again) == 3
    with pytest.raises(DataError, match="one y a sample"):
        Probe.of(np.ones((3, 2)), np.ones(2), "mse")
    with pytest.raises(DataError, match="holds numbers"):
        Probe.of(np.array(["a"]), np.ones(1), "mse")


def test_a_recording_is_saved_by_copying_it(tmp_path: Path) -> None:
    made = wb.digits_descent(width=4, depth=1, steps=20)
    again = wb.open(made.save(tmp_path / "kept"))
    assert isinstance(again, wb.Trajectory)
    pd.testing.assert_frame_equal(again.table, made.table)
    assert again.with_model(made.model).digest == made.digest
    for other in (made.select("step < 5"), made.with_probe(np.ones((2, 64)), [0, 1], "cross_entropy")):
        with pytest.raises(DataError, match="isn't stored as it is"):
            other.save(tmp_path / "other")
    assert not (tmp_path / "other").exists()


def test_a_learning_rate_that_never_changes_is_no_curve() -> None:
    table = pd.DataFrame({"loss": [3.0, 2.0], "lr": [0.1, 0.1]})
    assert wb.Trajectory(table).view(Series).values.shape == (2, 1)
    table["lr"] = [0.1, 0.05]
    assert wb.Trajectory(table).view(Series).values.shape == (2, 2)
