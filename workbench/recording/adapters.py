"""Recording inside somebody else's loop: a callback for transformers' Trainer, and one for Lightning.

Neither library is imported before one of these is called, and each gives an object of that library's own class.
"""

from __future__ import annotations

import importlib
from typing import Any

from workbench.core.errors import MissingError
from workbench.recording.record import record
from workbench.recording.recorder import Recording


def TrainerRecorder(**how: Any) -> Any:
    """Return a transformers ``TrainerCallback`` that records; ``how`` is what `record` takes.

    ``Trainer(..., callbacks=[wb.recording.TrainerRecorder(to="run")])``; afterwards ``callback.run.trajectory``. The
    Trainer tells no callback the loss of a single step, so each row's loss is the Trainer's own log, an average
    over ``logging_steps``; log every step for one that is exact. Going on from a checkpoint goes on from its step.
    """
    try:
        from transformers import TrainerCallback
    except ImportError:
        raise MissingError(
            "TrainerRecorder needs the package transformers: pip install transformers"
        ) from None

    class Recorder(TrainerCallback):
        run: Recording

        def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            given = {"step": state.global_step, **how} if how.get("resume") else how
            self.run = record(kwargs["model"], kwargs["optimizer"], **given).__enter__()

        def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **kwargs: Any) -> None:
            if logs and "loss" in logs:
                self.run.log(loss=logs["loss"])

        def on_train_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            self.run.__exit__(None, None, None)

    return Recorder()


def LightningRecorder(**how: Any) -> Any:
    """Return a Lightning ``Callback`` that records; ``how`` is what `record` takes.

    ``Trainer(callbacks=[wb.recording.LightningRecorder(to="run")])``; afterwards ``callback.run.trajectory``. The
    loss is what ``training_step`` returned. One optimizer is recorded, the first.
    """
    callback = _lightning()

    class Recorder(callback):  # type: ignore[valid-type, misc]
        run: Recording

        def on_train_start(self, trainer: Any, module: Any) -> None:
            given = {"step": trainer.global_step, **how} if how.get("resume") else how
            self.run = record(module, trainer.optimizers[0], **given).__enter__()

        def on_train_batch_end(self, trainer: Any, module: Any, outputs: Any, *rest: Any) -> None:
            loss = outputs.get("loss") if isinstance(outputs, dict) else outputs
            if loss is not None:
                self.run.log(loss=loss)

        def on_train_end(self, trainer: Any, module: Any) -> None:
            self.run.__exit__(None, None, None)

        def on_exception(self, trainer: Any, module: Any, exception: BaseException) -> None:
            self.run.__exit__(type(exception), exception, None)

    return Recorder()


def _lightning() -> Any:
    for package in ("lightning.pytorch", "pytorch_lightning"):
        try:
            return importlib.import_module(package).Callback
        except ImportError:
            continue
    raise MissingError("LightningRecorder needs the package lightning: pip install lightning")
