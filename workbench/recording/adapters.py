"""Recording inside somebody else's loop: a callback for transformers' Trainer, and one for Lightning.

Neither library is imported before one of these is called, and each gives an object of that library's own class.
"""

from __future__ import annotations

import atexit
import functools
import importlib
import inspect
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from typing import Any

from workbench.core.errors import MissingError, ParameterError
from workbench.recording.bookmarks import Bookmarking, bookmark
from workbench.recording.record import record
from workbench.recording.recorder import Recording


class _Block:
    """What `record` and `bookmark` are given in a loop that one doesn't write oneself, and both under way."""

    def __init__(self, marking: str | Mapping[str, Any] | None, how: Mapping[str, Any]):
        if not (marking is None or isinstance(marking, str | Mapping)):
            raise ParameterError(
                f"bookmark={marking!r} is not legal. It takes a source ('magnitude') or what workbench.bookmark takes "
                f"({{'source': 'adam', 'every': 10, 'on_change': print}})."
            )
        self._marking = {"source": marking} if isinstance(marking, str) else marking
        self._how = dict(how)
        self._stack = ExitStack()

    def enter(self, model: Any, optimizer: Any, step: int) -> tuple[Recording, Bookmarking | None]:
        given = {"step": step, **self._how} if self._how.get("resume") else self._how
        with ExitStack() as stack:
            run = stack.enter_context(record(model, optimizer, **given))
            marks = None if self._marking is None else stack.enter_context(bookmark(run, **self._marking))
            self._stack = stack.pop_all()
        atexit.register(self.exit)  # what ends the process without a word leaves no step unwritten
        return run, marks

    def exit(self, error: BaseException | None = None) -> None:
        """End both; a second call has nothing to end."""
        atexit.unregister(self.exit)
        self._stack.__exit__(type(error) if error is not None else None, error, None)

    def guard(self, owner: Any, names: tuple[str, ...]) -> None:
        """End both where one of an object's methods raises an error, or is interrupted."""
        for name in names:
            method = getattr(owner, name, None)
            if method is not None and self not in getattr(method, "guards", ()):
                setattr(owner, name, self._guarded(method))

    def _guarded(self, method: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(method)
        def call(*args: Any, **kwargs: Any) -> Any:
            try:
                return method(*args, **kwargs)
            except BaseException as e:
                self.exit(e)
                raise

        call.guards = {self, *getattr(method, "guards", ())}  # type: ignore[attr-defined]
        return call


def TrainerRecorder(*, bookmark: str | Mapping[str, Any] | None = None, **how: Any) -> Any:
    """Return a transformers ``TrainerCallback`` that records; ``how`` is what `record` takes.

    ``Trainer(..., callbacks=[wb.recording.TrainerRecorder(to="run")])``; afterwards ``callback.run.trajectory``. The
    Trainer tells no callback the loss of a single step, so each row's loss is the Trainer's own log, an average
    over ``logging_steps``; log every step for one that is exact. Going on from a checkpoint goes on from its step. Training that
    is interrupted, or ends by an error, keeps what was recorded until then.

    Parameters
    ----------
    bookmark : a source of tethers, or what `workbench.bookmark` takes as a dict
        (``{"source": "adam", "every": 10, "on_change": print}``): edges to advertise on the way; ``callback.marks`` has them.
    """
    block = _Block(bookmark, how)
    try:
        from transformers import Trainer, TrainerCallback
    except ImportError:
        raise MissingError(
            "TrainerRecorder needs the package transformers: pip install transformers"
        ) from None

    class Recorder(TrainerCallback):
        run: Recording
        marks: Bookmarking | None = None

        def on_init_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            block.guard(_caller(Trainer), ("train",))

        def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            # One that was added to a Trainer later has its train() on the stack already; these are what it calls.
            block.guard(_caller(Trainer), ("train", "training_step", "get_batch_samples", "_run_epoch"))
            self.run, self.marks = block.enter(kwargs["model"], kwargs["optimizer"], state.global_step)

        def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **kwargs: Any) -> None:
            if logs and "loss" in logs:
                self.run.log(loss=logs["loss"])

        def on_save(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            self.run.flush()

        def on_train_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            block.exit()

    return Recorder()


def _caller(kind: type) -> Any:
    """The object of a class whose method calls this: a Trainer tells its callbacks of no error, nor who it is."""
    frame = inspect.currentframe()
    while frame is not None:
        if isinstance(frame.f_locals.get("self"), kind):
            return frame.f_locals["self"]
        frame = frame.f_back
    return None


def LightningRecorder(*, bookmark: str | Mapping[str, Any] | None = None, **how: Any) -> Any:
    """Return a Lightning ``Callback`` that records; ``how`` is what `record` takes.

    ``Trainer(callbacks=[wb.recording.LightningRecorder(to="run")])``; afterwards ``callback.run.trajectory``. The
    loss is what ``training_step`` returned. One optimizer is recorded, the first.

    Parameters
    ----------
    bookmark : as of `TrainerRecorder`.
    """
    block, callback = _Block(bookmark, how), _lightning()

    class Recorder(callback):  # type: ignore[valid-type, misc]
        run: Recording
        marks: Bookmarking | None = None

        def on_train_start(self, trainer: Any, module: Any) -> None:
            self.run, self.marks = block.enter(module, trainer.optimizers[0], trainer.global_step)

        def on_train_batch_end(self, trainer: Any, module: Any, outputs: Any, *rest: Any) -> None:
            loss = outputs.get("loss") if isinstance(outputs, dict) else outputs
            if loss is not None:
                self.run.log(loss=loss)

        def on_save_checkpoint(self, trainer: Any, module: Any, checkpoint: Any) -> None:
            if hasattr(self, "run"):
                self.run.flush()

        def on_train_end(self, trainer: Any, module: Any) -> None:
            block.exit()

        def on_exception(self, trainer: Any, module: Any, exception: BaseException) -> None:
            block.exit(exception)

    return Recorder()


def _lightning() -> Any:
    for package in ("lightning.pytorch", "pytorch_lightning"):
        try:
            return importlib.import_module(package).Callback
        except ImportError:
            continue
    raise MissingError("LightningRecorder needs the package lightning: pip install lightning")
