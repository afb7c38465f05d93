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


@pytest.mark.filterwarnings("ignore")  # of the libraries, about machines without accelerators
def test_inside_transformers_trainer(tmp_path: Path) -> None:
    pytest.importorskip("accelerate", reason="transformers' Trainer needs accelerate")
    from transformers import Trainer, TrainingArguments

    recorder = TrainerRecorder(to=tmp_path / "run", weights_at=1)
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

    recorder = LightningRecorder(to=tmp_path / "run", weights_at=1)
    module = Module()
    trainer = lightning.Trainer(
        max_steps=5, callbacks=[recorder], logger=False, enable_checkpointing=False, enable_progress_bar=False,
        enable_model_summary=False, accelerator="cpu", default_root_dir=tmp_path,
    )  # fmt: skip
    trainer.fit(module, torch.utils.data.DataLoader(Rows(), batch_size=8))
    trajectory = recorder.run.trajectory
    assert trajectory.steps.tolist() == [0, 1, 2, 3, 4]
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
