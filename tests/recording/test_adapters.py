"""The callbacks inside the libraries' own loops, where those are installed."""

from __future__ import annotations

import signal
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
        output_dir=str(tmp_path / "out"),
        max_steps=6,
        per_device_train_batch_size=8,
        logging_steps=1,
        save_steps=2,
        report_to=[],
        use_cpu=True,
        disable_tqdm=True,
        learning_rate=0.1,
        save_strategy="steps",
    )
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
@pytest.mark.parametrize("added_later", [False, True])
@pytest.mark.parametrize("where", ["compute_loss", "data", "step"])
def test_a_trainer_that_is_interrupted_keeps_what_came_before(
    tmp_path: Path, added_later: bool, where: str
) -> None:
    pytest.importorskip("accelerate", reason="transformers' Trainer needs accelerate")
    from transformers import Trainer, TrainingArguments

    taken: list[int] = []

    class Interrupted(Rows):
        def __getitem__(self, i: int) -> dict[str, torch.Tensor]:
            taken.append(i)
            if where == "data" and len(taken) == 25:  # of the fourth batch
                raise KeyError("mine")
            return super().__getitem__(i)

    class Stopped(Trainer):
        losses = 0

        def compute_loss(self, *args: Any, **kwargs: Any) -> Any:
            self.losses += 1
            if where == "compute_loss" and self.losses == 4:
                raise KeyboardInterrupt
            return super().compute_loss(*args, **kwargs)

    arguments = TrainingArguments(
        output_dir=str(tmp_path / "out"),
        max_steps=9,
        per_device_train_batch_size=8,
        save_strategy="no",
        report_to=[],
        use_cpu=True,
        disable_tqdm=True,
        dataloader_num_workers=0,
    )
    recorder = TrainerRecorder(to=tmp_path / "run", weights_at=1, bookmark={"every": 1})
    model = Classifier()
    trainer = Stopped(
        model, arguments, train_dataset=Interrupted(), callbacks=[] if added_later else [recorder]
    )
    if added_later:
        trainer.add_callback(recorder)
    if where == "step":
        trainer.create_optimizer()
        steps: list[int] = []

        def interrupt(*_: Any) -> None:
            steps.append(1)
            if len(steps) == 4:
                raise KeyboardInterrupt

        trainer.optimizer.register_step_pre_hook(interrupt)
    with pytest.raises((KeyboardInterrupt, KeyError)):
        trainer.train()
    optimizer = getattr(trainer.optimizer, "optimizer", trainer.optimizer)
    assert len(optimizer._optimizer_step_pre_hooks) == (where == "step")
    assert not optimizer._optimizer_step_post_hooks and not model._forward_pre_hooks
    trajectory = wb.open(tmp_path / "run")
    n = 4 if where != "data" else len(trajectory) + 1  # batches are taken ahead of their steps
    assert trajectory.steps.tolist() == list(range(n - 1)) and len(trajectory) >= 2
    assert "Error" in trajectory.outcome or "Interrupt" in trajectory.outcome
    np.testing.assert_array_equal(trajectory.weights(n - 1)["out.weight"], model.out.weight.detach().numpy())
    assert recorder.run.trajectory.steps.tolist() == trajectory.steps.tolist()


def in_lightning(recorder: Any, folder: Path, fails_at: int | None = None, error: type = KeyError) -> Any:
    """Five steps of a small module in Lightning's own loop; the module, which kept its losses."""
    lightning = pytest.importorskip("lightning.pytorch")

    class Module(lightning.LightningModule):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.model = Classifier()
            self.losses: list[float] = []

        def training_step(self, batch: dict[str, torch.Tensor]) -> torch.Tensor:
            if len(self.losses) == fails_at:
                raise error("mine")
            loss = self.model(**batch)["loss"]
            self.losses.append(loss.item())
            return loss

        def configure_optimizers(self) -> torch.optim.Optimizer:
            self.used = torch.optim.SGD(self.parameters(), lr=0.1)
            return self.used

    module = Module()
    trainer = lightning.Trainer(
        max_steps=5,
        callbacks=[recorder],
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        accelerator="cpu",
        default_root_dir=folder,
    )
    module.raised = None
    try:
        trainer.fit(module, torch.utils.data.DataLoader(Rows(), batch_size=8))
    except (Exception, SystemExit) as e:
        module.raised = e
    return module


@pytest.mark.filterwarnings("ignore")
def test_inside_lightning(tmp_path: Path) -> None:
    recorder = LightningRecorder(to=tmp_path / "run", weights_at=1, bookmark={"fraction": 0.25, "every": 1})
    module = in_lightning(recorder, tmp_path)
    assert module.raised is None
    trajectory = recorder.run.trajectory
    assert trajectory.steps.tolist() == [0, 1, 2, 3, 4] and trajectory.outcome == ""
    require_bookmarks(trajectory, "model.out.weight", 0.25)
    np.testing.assert_allclose(trajectory.table["loss"], module.losses, rtol=1e-6)
    np.testing.assert_array_equal(
        trajectory.weights(len(trajectory))["model.out.weight"], module.model.out.weight.detach().numpy()
    )
    assert not module.used._optimizer_step_pre_hooks


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("error", [KeyError, KeyboardInterrupt])
def test_a_failure_inside_lightning_keeps_what_came_before_and_is_said(tmp_path: Path, error: type) -> None:
    interrupts = signal.getsignal(signal.SIGINT)
    try:
        module = in_lightning(LightningRecorder(to=tmp_path / "run", weights_at=1), tmp_path, 3, error)
    finally:
        signal.signal(signal.SIGINT, interrupts)  # which Lightning leaves ignored
    assert isinstance(module.raised, KeyError if error is KeyError else SystemExit)
    trajectory = wb.open(tmp_path / "run")
    assert (
        trajectory.steps.tolist() == [0, 1, 2]
        and trajectory.outcome == f"ended at step 3 by {error.__name__}"
    )
    assert trajectory.weight_steps.tolist() == [0, 1, 2, 3]
    np.testing.assert_allclose(trajectory.table["loss"], module.losses, rtol=1e-6)
    assert not module.used._optimizer_step_pre_hooks


@pytest.mark.filterwarnings("ignore")
def test_illegal_bookmarks_are_refused(tmp_path: Path) -> None:
    pytest.importorskip("lightning.pytorch")
    with pytest.raises(wb.WorkbenchError, match=r"bookmark=True is not legal. It takes a source"):
        LightningRecorder(bookmark=True)
    module = in_lightning(LightningRecorder(bookmark={"fraction": 0}), tmp_path)
    assert isinstance(module.raised, wb.WorkbenchError) and "fraction=0 is not legal" in str(module.raised)
    assert not module.used._optimizer_step_pre_hooks and not module.losses  # what had begun is ended


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
