"""The callbacks inside the libraries' own loops, where those are installed."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import workbench as wb
from workbench.recording import LightningRecorder, TrainerRecorder

Make = Callable[..., Any]


class Rows(torch.utils.data.Dataset):  # type: ignore[type-arg]
    def __init__(self) -> None:
        generator = torch.Generator().manual_seed(0)
        self.x = torch.randn(32, 6, generator=generator)

    def __len__(self) -> int:
        return len(self.x)

    def __getitem__(self, i: int) -> dict[str, torch.Tensor]:
        return {"x": self.x[i], "labels": (self.x[i, 0] > 0).long()}


class Classifier(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.out = torch.nn.Linear(6, 2)

    def forward(self, x: torch.Tensor, labels: torch.Tensor | None = None) -> dict[str, torch.Tensor]:
        logits = self.out(x)
        found = {"logits": logits}
        return (
            found if labels is None else {"loss": torch.nn.functional.cross_entropy(logits, labels), **found}
        )


def require_bookmarks(trajectory: wb.Trajectory, weight: str, fraction: float) -> None:
    """The largest weights at every step, as they can be told from the weights that were kept."""
    marks = trajectory.bookmarks["magnitude"]
    assert marks.steps.tolist() == trajectory.weight_steps.tolist()
    for step, edges in zip(marks.steps, marks.edges, strict=True):
        sizes = np.abs(trajectory.weights(int(step))[weight]).ravel()
        assert set(edges) == set(np.argsort(-sizes)[: round(fraction * sizes.size)])


@pytest.mark.filterwarnings("ignore")  # of the libraries, about machines without accelerators
def test_inside_transformers_trainer(tmp_path: Path) -> None:
    pytest.importorskip("accelerate", reason="transformers' Trainer needs accelerate")
    from transformers import Trainer, TrainingArguments

    told: list[Any] = []
    marking = {
        "source": "magnitude",
        "fraction": 0.25,
        "every": 1,
        "false_alarms": 1,
        "on_change": told.append,
    }
    recorder = TrainerRecorder(to=tmp_path / "run", weights_at=1, bookmark=marking)
    arguments = TrainingArguments(
        output_dir=str(tmp_path / "out"), max_steps=6, per_device_train_batch_size=8, logging_steps=1, save_steps=2,
        report_to=[], use_cpu=True, disable_tqdm=True, learning_rate=0.1, save_strategy="steps",
    )  # fmt: skip
    model = Classifier()
    Trainer(model=model, args=arguments, train_dataset=Rows(), callbacks=[recorder]).train()
    trajectory = wb.open(tmp_path / "run")
    assert trajectory.steps.tolist() == list(range(6)) and trajectory.outcome == ""
    np.testing.assert_array_equal(trajectory.weights(6)["out.weight"], model.out.weight.detach().numpy())
    assert np.isfinite(trajectory.table["loss"]).all()
    assert (np.diff(trajectory.table["lr"]) < 0).all()  # its schedule
    require_bookmarks(trajectory, "out.weight", 0.25)
    assert told == recorder.marks.changes

    saved = wb.open(tmp_path / "out", kind="trajectory")  # and the checkpoints that it saved
    assert saved.weight_steps.tolist() == [2, 4, 6]
    for step in saved.weight_steps:
        np.testing.assert_array_equal(
            saved.weights(step)["out.weight"], trajectory.weights(step)["out.weight"]
        )
    assert np.isfinite(saved.table["loss"]).all() and {"lr", "grad_norm"} <= set(saved.table.columns)


@pytest.mark.filterwarnings("ignore")
def test_inside_lightning(tmp_path: Path) -> None:
    lightning = pytest.importorskip(
        "lightning.pytorch", reason="Lightning is an extra that only this test needs"
    )

    class Module(lightning.LightningModule):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.model = Classifier()
            self.losses: list[float] = []

        def training_step(self, batch: dict[str, torch.Tensor]) -> torch.Tensor:
            loss = self.model(**batch)["loss"]
            self.losses.append(loss.item())
            return loss

        def configure_optimizers(self) -> torch.optim.Optimizer:
            return torch.optim.SGD(self.parameters(), lr=0.1)

    recorder = LightningRecorder(to=tmp_path / "run", weights_at=1, bookmark={"fraction": 0.25, "every": 1})
    module = Module()
    trainer = lightning.Trainer(
        max_steps=5, callbacks=[recorder], logger=False, enable_checkpointing=False, enable_progress_bar=False,
        enable_model_summary=False, accelerator="cpu", default_root_dir=tmp_path,
    )  # fmt: skip
    trainer.fit(module, torch.utils.data.DataLoader(Rows(), batch_size=8))
    trajectory = recorder.run.trajectory
    assert trajectory.steps.tolist() == [0, 1, 2, 3, 4]
    require_bookmarks(trajectory, "model.out.weight", 0.25)
    np.testing.assert_allclose(trajectory.table["loss"], module.losses, rtol=1e-6)
    np.testing.assert_array_equal(
        trajectory.weights(len(trajectory))["model.out.weight"], module.model.out.weight.detach().numpy()
    )


def test_a_library_that_is_missing_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    for name in ("lightning", "lightning.pytorch", "pytorch_lightning"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(wb.WorkbenchError, match="pip install lightning"):
        LightningRecorder()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(wb.WorkbenchError, match="pip install transformers"):
        TrainerRecorder()


def hooks_of_lightning(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lightning's place in imports, with nothing but its class of callbacks, which is all that the recorder takes from it."""
    import sys
    from types import ModuleType

    module = ModuleType("lightning.pytorch")
    module.Callback = type("Callback", (), {})  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "lightning", ModuleType("lightning"))
    monkeypatch.setitem(sys.modules, "lightning.pytorch", module)


@pytest.mark.parametrize("fails", [False, True])
def test_lightnings_hooks_record_and_bookmark(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, fails: bool
) -> None:
    """Called in the order of Lightning's documentation; inside Lightning itself where it is installed, above."""
    from types import SimpleNamespace

    hooks_of_lightning(monkeypatch)
    data, model = Rows(), Classifier()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
    recorder = LightningRecorder(to=tmp_path / "run", weights_at=1, bookmark={"fraction": 0.25, "every": 1})
    trainer = SimpleNamespace(optimizers=[optimizer], global_step=0)
    recorder.on_train_start(trainer, model)
    for i in range(4):
        batch = {k: torch.stack([data[j][k] for j in range(8 * i, 8 * i + 8)]) for k in ("x", "labels")}
        optimizer.zero_grad()
        found = model(**batch)
        found["loss"].backward()
        optimizer.step()
        recorder.on_train_batch_end(trainer, model, found, batch, i)
    if fails:
        recorder.on_exception(trainer, model, KeyError("mine"))
    recorder.on_train_end(trainer, model)
    trajectory = wb.open(tmp_path / "run")
    assert trajectory.steps.tolist() == [0, 1, 2, 3] and np.isfinite(trajectory.table["loss"]).all()
    assert trajectory.outcome == ("ended at step 4 by KeyError" if fails else "")
    assert not optimizer._optimizer_step_pre_hooks
    if not fails:
        require_bookmarks(trajectory, "out.weight", 0.25)


def test_illegal_bookmarks_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    hooks_of_lightning(monkeypatch)
    with pytest.raises(wb.WorkbenchError, match=r"bookmark=True is not legal. It takes a source"):
        LightningRecorder(bookmark=True)
    from types import SimpleNamespace

    model = Classifier()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
    with pytest.raises(wb.WorkbenchError, match="fraction=0 is not legal"):
        LightningRecorder(bookmark={"fraction": 0}).on_train_start(
            SimpleNamespace(optimizers=[optimizer], global_step=0), model
        )
    assert not optimizer._optimizer_step_pre_hooks  # what had begun is ended
