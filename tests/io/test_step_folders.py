"""Folders of checkpoints, one for each of several steps, open as trajectories."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import save_file

import workbench as wb
from workbench.core.errors import DataError, FormatError, MissingError
from workbench.io.step_folders import holds_steps


def weights(step: int, dtype: type = np.float32) -> dict[str, np.ndarray]:
    return {"a.weight": np.full((2, 3), step, dtype), "a.bias": np.arange(3, dtype=dtype) * step}


def folders(root: Path, steps: tuple[int, ...] = (100, 20, 3)) -> Path:
    for step in steps:
        (root / f"checkpoint-{step}").mkdir(parents=True)
        save_file(weights(step), root / f"checkpoint-{step}" / "model.safetensors")
    return root


@pytest.mark.parametrize(
    "pattern",
    ["step_{}.safetensors", "model-step={:06d}.safetensors", "ckpt-{}.safetensors", "epoch{}.safetensors"],
)
def test_files_by_step(tmp_path: Path, pattern: str) -> None:
    for step in (5, 10, 200):
        save_file(weights(step), tmp_path / pattern.format(step))
    found = wb.open(tmp_path)
    assert isinstance(found, wb.Trajectory)
    assert found.steps.tolist() == found.weight_steps.tolist() == [5, 10, 200]
    np.testing.assert_array_equal(found.weights(10)["a.weight"], weights(10)["a.weight"])
    assert found.at(200).digest == wb.open(tmp_path / pattern.format(200)).digest


def test_torch_files_and_attached_network(tmp_path: Path) -> None:
    network = torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.BatchNorm1d(2))
    for step in (1, 2):
        with torch.no_grad():
            network[0].weight.fill_(step)
        torch.save(network.state_dict(), tmp_path / f"step{step}.pt")
    found = wb.open(tmp_path)
    assert found.parameter_names == ("0.weight", "0.bias", "1.weight", "1.bias")
    assert set(found.tensors) > {"1.running_mean", "1.num_batches_tracked"}
    assert (found.with_model(network).network(1)[0].weight == 1).all()


def test_a_trainers_folder_brings_its_log(tmp_path: Path) -> None:
    folders(tmp_path)
    log = [{"step": s, "loss": 1 / s, "learning_rate": 0.1, "grad_norm": 2.0} for s in (1, 20, 100)] + [
        {"step": 100, "eval_loss": 3}
    ]
    (tmp_path / "checkpoint-100" / "trainer_state.json").write_text(json.dumps({"log_history": log}))
    found = wb.open(tmp_path)
    assert found.steps.tolist() == [1, 3, 20, 100] and found.weight_steps.tolist() == [3, 20, 100]
    np.testing.assert_allclose(found.table["loss"], [1, np.nan, 1 / 20, 1 / 100])
    assert found.table["lr"].notna().sum() == 3


def test_weights_beside_the_steps_are_the_checkpoint_unless_asked(tmp_path: Path) -> None:
    folders(tmp_path)
    save_file(weights(100), tmp_path / "model.safetensors")
    assert isinstance(wb.open(tmp_path), wb.Checkpoint)
    assert isinstance(wb.open(tmp_path, kind="trajectory"), wb.Trajectory)


def test_one_checkpoint_is_no_trajectory(tmp_path: Path) -> None:
    save_file(weights(1), tmp_path / "step_1.safetensors")
    assert isinstance(wb.open(tmp_path), wb.Checkpoint)
    assert not holds_steps(tmp_path)
    (tmp_path / "empty").mkdir()
    with pytest.raises(FormatError, match="no checkpoints that are called by their step"):
        wb.open(tmp_path / "empty", kind="trajectory")


def test_a_changed_shape_is_refused_by_name(tmp_path: Path) -> None:
    folders(tmp_path)
    save_file(
        {**weights(20), "a.bias": np.zeros(4, np.float32)}, tmp_path / "checkpoint-20" / "model.safetensors"
    )
    with pytest.raises(DataError, match=r"a.bias has the shape \(3,\) at step 3 and \(4,\) at step 20"):
        wb.open(tmp_path)


def test_mixed_dtypes_are_refused_by_name(tmp_path: Path) -> None:
    folders(tmp_path)
    save_file(weights(100, np.float16), tmp_path / "checkpoint-100" / "model.safetensors")
    with pytest.raises(DataError, match=r"a\.\w+ is stored as F32 at step 3 and as F16 at step 100"):
        wb.open(tmp_path)


def test_a_missing_tensor_is_refused_by_name(tmp_path: Path) -> None:
    folders(tmp_path)
    save_file({"a.bias": weights(20)["a.bias"]}, tmp_path / "checkpoint-20" / "model.safetensors")
    with pytest.raises(DataError, match=r"a.weight is there at step 3 and not at step 20"):
        wb.open(tmp_path)


def test_a_missing_step_is_refused_by_name(tmp_path: Path) -> None:
    folders(tmp_path)
    (tmp_path / "checkpoint-20" / "model.safetensors").unlink()
    with pytest.raises(MissingError, match="checkpoint-20 holds no weights"):
        wb.open(tmp_path)


def test_two_of_one_step_are_refused(tmp_path: Path) -> None:
    folders(tmp_path)
    save_file(weights(20), tmp_path / "step_20.safetensors")
    with pytest.raises(FormatError, match=r"holds 'checkpoint-20', 'step_20.safetensors' for step 20"):
        wb.open(tmp_path, kind="trajectory")


LAYOUTS = {
    "Lightning": "epoch={0}-step={1}.ckpt",
    "Lightning, what it watched": "epoch={0}-step={1}-val_loss=0.3{0}.ckpt",
    "Lightning, another try": "run-step={1}-v1.ckpt",
    "an archive by its name": "checkpoint_{1:04d}.pth.tar",
    "capitals": "STEP_{1}.PT",
}


@pytest.mark.parametrize("how", LAYOUTS)
def test_checkpoints_of_other_layouts_are_a_descent(how: str, tmp_path: Path) -> None:
    for i in range(3):
        state = {"w": torch.full((2, 3), float(i))}
        torch.save({"state_dict": state, "epoch": i}, tmp_path / LAYOUTS[how].format(i, 100 * (i + 1)))
    ending = LAYOUTS[how][LAYOUTS[how].rindex("}") + 1 :].removeprefix("-v1")
    torch.save({"state_dict": state}, tmp_path / f"last{ending}")
    trajectory = wb.open(tmp_path)
    assert list(trajectory.weight_steps) == [100, 200, 300]
    assert [trajectory.record.weights.read(s, "w")[0, 0] for s in (100, 200, 300)] == [0, 1, 2]
