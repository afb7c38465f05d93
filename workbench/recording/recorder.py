"""The recorder: what a hook on an optimizer's step looks at, and what happens when the block ends."""

from __future__ import annotations

import math
import sys
import time
import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from workbench.core.errors import DataError, ParameterError
from workbench.core.lineage import InMemory, Origin
from workbench.recording.reading import open_recording
from workbench.recording.rows import Chunk, as_number
from workbench.recording.writing import SECONDS, TOGETHER, Snapshot, Writer
from workbench.subjects.descents.trajectory import Trajectory

if TYPE_CHECKING:
    from types import FrameType

    import torch

    from workbench.recording.measuring import Meter

ROWS = 1024  # of a chunk, if SECONDS don't pass before
SOON = 0.1  # seconds after which a recording that lasts is first stored; then at twice that, up to SECONDS
CALM = 32  # steps, at most, that are only measured
SUMMARIES = 100  # the optimizer's state is summed up every so many rows


class Diverged(DataError):
    """Loss or gradient are no longer finite, and ``stop_on_nan`` asked to end there."""


class Recording:
    """A recording under way; made by `record`.

    Attributes
    ----------
    step : updates so far. outcome : how it ended, in words. diverged : at which step it did, or None.
    parameters : the trained ones, by name. skipping : whether a scaler skips the optimizer's step that is under way.
    """

    def __init__(
        self,
        model: torch.nn.Module,
        optimizer: torch.optim.Optimizer,
        writer: Writer,
        due: Callable[[int], bool] | None,
        *,
        stop_on_nan: bool,
        optimizer_state: bool,
        start: int | None,
        keep: Any,
        entry: torch.nn.Module,
    ):
        self.model, self.optimizer = model, optimizer
        self.folder = writer.folder
        self.outcome = ""
        self.diverged: int | None = None
        self.skipping = False
        self._writer, self._due, self._keep = writer, due, keep
        self._stop_on_nan, self._keep_state = stop_on_nan, optimizer_state
        self._layout = writer.layout
        self._every = writer.layout.every
        self._failure = ""
        self._began = self._over = False
        self._inside = False  # the optimizer's step
        self._scaled = False  # the gradients of the step under way, by a gradient scaler
        self._row = -1  # of the chunk, while a step is made that has one
        self._row_is_open = False  # the chunk's last row may still be logged to
        self._closure = False
        self._rates: list[Any] = []  # of the groups
        self._meter: Meter
        self._chunk = Chunk(self._every)
        self._handed = 0.0
        self._pause = 0.0 if writer.lasts else SECONDS  # until rows are handed over again; short at first
        self._busy_at = 0  # the next step at which there is more to do than to measure
        from workbench.recording.moments import Buffers, Moments

        self._moments = Moments(model, entry, optimizer, self._state_begins)
        self._copies: dict[str, Any] = {}  # the last, of what isn't trained
        self._buffers = Buffers(model, [t.name for t in writer.layout.tensors if t.role == "buffer"])
        self._state: Snapshot | None = None  # where it is to be kept, all of it as the pass found it
        self._foreign = 0  # tensors that came to be trained and aren't the model's
        self._kept: int | None = None
        self._snapshots: list[Snapshot] = []  # weights that aren't handed over yet
        self._nbytes = 0
        self._hooks: list[Any] = []
        self._stepping: FrameType | None = None  # what called the hook before a step that isn't over yet
        self._early: set[str] = set()  # keys that are logged before the step that they belong to
        self._seen: set[str] = set()
        self._undecided: set[str] = set()  # keys of which that isn't known yet
        self._pending: list[tuple[str, Any]] = []
        last = self._last_row()
        self.step = (0 if last is None else last + self._every) if start is None else start
        self._check_start(last)
        self._look_at_trained()

    # -- the block ----------------------------------------------------------------------------------

    def __enter__(self) -> Recording:
        self._hooks = [
            self.optimizer.register_step_pre_hook(self._before_step),
            self.optimizer.register_step_post_hook(self._after_step),
        ]
        self._moments.listen()
        self._buffers.keep()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: object) -> bool:
        for hook in self._hooks:
            hook.remove()
        self._stepping = None
        self._moments.stop()
        self._over = True
        ended = kind is not None and issubclass(kind, Diverged)
        try:
            if self._began:
                self._writer.settle()
                halfway = self._inside and not ended and self._was_updated()
                if self._row >= 0 and not ended:
                    self._chunk.drop_last()
                if self._due is not None and self._kept != self.step and not (self._failure or halfway):
                    self._keep_weights(self._last_state())
                self._hand_over()
                self._hand_over_weights()
            self._say(error, ended)
        except Exception as e:
            self._fail(e)
        self._writer.finish()
        if self._writer.failure is not None:
            self._fail(self._writer.failure)
        if self._failure:
            warnings.warn(f"{self._failure}. The training was left alone.", RuntimeWarning, stacklevel=2)
        return ended

    def log(self, *loss: Any, **values: Any) -> None:
        """Say what only the loop knows: ``run.log(loss)``, ``run.log(loss=..., accuracy=...)``.

        Call it in the same place of every turn. What is first logged before the first step belongs to the step
        that follows, anything else to the step just made; several values for one step are averaged.
        """
        if len(loss) > 1 or (loss and "loss" in values):
            raise ParameterError(
                "log takes one loss and further values by name: run.log(loss, accuracy=0.9)."
            )
        if loss:
            values["loss"] = loss[0]
        for key, value in values.items():
            self._seen.add(key)
            if self._is_early(key):
                self._pending.append((key, as_number(key, value)))
            elif self._row_is_open:
                self._chunk.log(self._chunk.n - 1, key, as_number(key, value))

    def _is_early(self, key: str) -> bool:
        """Whether a value belongs to the step that follows."""
        if not self._began:
            self._undecided.add(key)
            return True
        if key in self._undecided:  # before the first step, or after one that a scaler skipped?
            self._undecided.discard(key)
            if self._moments.passed or not self._moments.ever:
                self._early.add(key)
        if key in self._early:
            return True
        again = self._row_is_open and self._moments.passed and self._chunk.has(self._chunk.n - 1, key)
        if again and not self._inside:  # a turn that made no step
            self._moments.again()
            return True
        return False

    def restore(self) -> int:
        """Put the last recorded weights (and the optimizer's state, if kept) into the model; return their step.

        Recording goes on from there, and what was recorded after that step no longer counts. A recording that was killed before
        it held anything begins at 0, with the model as it is.

        Raises
        ------
        DataError
            The folder holds no weights yet, or steps were made already.
        """
        if self._began:
            raise DataError("restore comes before the first step.")
        from workbench.recording.restoring import restore

        self.step = restore(self.folder, self.model, self.optimizer, self.parameters)
        self._buffers.keep()
        return self.step

    def flush(self) -> None:
        """Store what was recorded so far, and return when it is: beside a checkpoint of your own, to go on from it after a kill.

        What is logged afterwards belongs to later steps.
        """
        if not self._over and self._began and not self._failure:
            self._hand_over()
            self._hand_over_weights()
            self._writer.wait()

    @property
    def trajectory(self) -> Trajectory:
        """What was recorded so far, with the network attached.

        Raises
        ------
        MissingError
            Not one step was recorded.
        """
        self.flush()
        recorded = open_recording(self.folder, keep=self._keep)
        recorded.made_by(Origin("record", {"model": InMemory.of(self.model)}, {}, verb="loop"))
        try:
            return recorded.with_model(self.model)
        except DataError:  # the model has changed since, which ended the recording and is said there
            return recorded

    # -- a step -------------------------------------------------------------------------------------

    def _before_step(self, optimizer: torch.optim.Optimizer, args: Any, kwargs: Any) -> Any:
        # Of a subclass's step that calls its base's torch tells of both, each from a frame of its own; the outer counts.
        frame = sys._getframe(1)
        if self._failure or (self._stepping is not None and _calls(self._stepping, frame)):
            return None
        self._stepping = frame
        try:
            skips = getattr(optimizer, "found_inf", None)  # a gradient scaler's, for a fused optimizer
            self._scaled = skips is not None
            self.skipping = skips is not None and bool(float(skips))
            if self.skipping:
                return None
            closure = args[1] if len(args) > 1 else kwargs.get("closure")  # the first is the optimizer itself
            if not self._moments.passed and (closure is not None or not self._is_silent()):
                self._state_begins()
            self._moments.updating()
            self._inside = True
            unfrozen = self._idle and any(p.requires_grad for p in self._idle)
            if unfrozen or len(optimizer.param_groups) != self._groups:
                self._follow_trained()
            if self.step >= self._busy_at or self._row >= 0 or time.monotonic() - self._handed > self._pause:
                self._look_around(closure)
            if self._row_is_open:
                return self._measure(closure, args, kwargs)
        except Diverged:
            raise
        except Exception as e:
            self._fail(e)
        return None

    def _after_step(self, optimizer: torch.optim.Optimizer, args: Any, kwargs: Any) -> None:
        if self._failure or sys._getframe(1) is not self._stepping:
            return
        self._stepping = None
        if self.skipping:
            self.skipping = False
            self._moments.again()
            return
        try:
            if self._row >= 0:
                if self._closure:
                    self._meter.gradient(self._row)
                    self._closure = False
                self._meter.update(self._row)
                self._row = -1
            self.step += 1
            self._inside, self._state = False, None
            if self._is_silent():
                self._buffers.keep()
            self._moments.updated()
        except Exception as e:
            self._fail(e)

    def _look_around(self, closure: Any) -> None:
        """Whatever isn't done at every step."""
        if not self._began:
            self._begin()
        if self._writer.failure is not None:
            raise self._writer.failure
        if self._row >= 0:  # the step before was never finished: the optimizer raised an error
            self._chunk.drop_last()
            self._row = -1
        if self._due is not None and self._due(self.step) and self._kept != self.step:
            silent = not self._moments.passed and closure is None and self._is_silent()
            self._keep_weights(self._state or self._snapshot(self._buffers.kept if silent else None))
        if time.monotonic() - self._handed > self._pause:
            self._hand_over()
            self._hand_over_weights()
            self._handed = time.monotonic()
            self._pause = min(max(2 * self._pause, SOON), SECONDS)
        elif self._chunk.n == ROWS:
            self._hand_over()
        self._row_is_open = self.step % self._every == 0
        if self._row_is_open:
            if (self.step // self._every) % SUMMARIES == 0:
                self._summarize()
        else:
            self._pending.clear()
        self._busy_at = self.step + 1
        if self._every == 1:
            last = self.step + min(CALM, ROWS - self._chunk.n - 1)
            while (
                self._busy_at <= last
                and self._busy_at % SUMMARIES
                and not (self._due and self._due(self._busy_at))
            ):
                self._busy_at += 1

    def _measure(self, closure: Any, args: Any, kwargs: Any) -> Any:
        """Begin a row. In a quick loop each call from here costs three times what it does when it is timed alone."""
        for group, lr in zip(self.optimizer.param_groups, self._rates, strict=False):
            if group.get("lr") is not lr:
                self._rates = self._learning_rates(self.optimizer, len(self._rates))
                break
        self._row = row = self._chunk.open(self.step, self._rates)
        if self._pending:
            for key, value in self._pending:
                self._chunk.log(row, key, value)
            self._pending.clear()
        if closure is not None:
            self._closure = True
            self._meter.before(None)
            return self._watched(closure, row, args, kwargs)
        self._meter.before(row)
        scale = getattr(self.optimizer, "grad_scale", None) if self._scaled else None
        if scale is not None:  # of the loss, which a fused optimizer takes out itself
            self._meter.divide(row, scale)
        if self._stop_on_nan:
            self._require_finite(row)
        return None

    def _begin(self) -> None:
        if [p.device for p in self.parameters.values()] != self._places:  # moved to another device since
            self._look_at_trained()
        self._writer.begin(self.step)
        self._began = True
        self._handed = time.monotonic()

    def _watched(self, closure: Callable[[], Any], row: int, args: Any, kwargs: Any) -> Any:
        """An optimizer that evaluates the loss itself tells it on its first evaluation."""

        def evaluate() -> Any:
            loss = closure()
            if loss is not None and "loss" not in self._seen and not self._chunk.logged(row, "loss"):
                self._chunk.log(row, "loss", as_number("loss", loss))
            return loss

        if len(args) > 1:
            return (args[0], evaluate, *args[2:]), kwargs
        return args, {**kwargs, "closure": evaluate}

    def _require_finite(self, row: int) -> None:
        losses = self._chunk.logged(row, "loss") if "loss" in self._early else []
        if self._meter.finite(row) and all(abs(float(v)) < math.inf for v in losses[-1:]):
            return
        raise Diverged(f"stopped before step {self.step}: loss or gradient are not finite (stop_on_nan)")

    def _summarize(self) -> None:
        from workbench.recording.measuring import summaries

        summary = summaries(self.optimizer, list(self.parameters.values()))
        if summary:
            self._chunk.sums.append((self.step, summary))

    # -- what is trained, and the state of a step -----------------------------------------------------

    def _look_at_trained(self) -> None:
        from workbench.recording.measuring import idle_in, learning_rates, meter

        own = dict(self.model.named_parameters())
        self.parameters = {n: own[n] for n in self._layout.parameters}
        self._learning_rates = learning_rates
        self._groups = len(self.optimizer.param_groups)
        self._rates = [None] * self._groups
        known = {id(p) for p in own.values()}
        self._idle = [p for p in idle_in(self.optimizer) if id(p) in known]
        self._places = [p.device for p in self.parameters.values()]
        self._meter = meter(self.parameters, ROWS)

    def _follow_trained(self) -> None:
        """Weights were unfrozen, or groups added: their rows have further columns from here on."""
        from workbench.recording.measuring import trained_by

        names = {id(p): n for n, p in self.model.named_parameters()}
        trained = trained_by(self.optimizer)
        self._foreign = sum(id(p) not in names for p in trained)
        added = {names[id(p)] for p in trained if id(p) in names} - set(self._layout.parameters)
        unknown = sorted(added - set(self._layout.names))
        if unknown:
            raise DataError(f"{unknown[0]} was added to the model; record anew from there on")
        if self._row >= 0:
            self._chunk.drop_last()
            self._row = -1
        self._hand_over()
        if added:
            self._layout = self._layout.with_trained(added)
            self._writer.relayout(self._layout)
        self._look_at_trained()

    def _state_begins(self, *, again: bool = False) -> None:
        """A forward pass is about to begin, the first since the last update: what the network is now is the step's.

        Parameters
        ----------
        again : not quite the first; buffers are those before that.
        """
        if self._failure or self._due is None:
            return
        try:
            if not again:
                self._buffers.keep()
            if self._due(self.step):
                self._state = self._snapshot(self._buffers.kept)
        except Exception as e:
            self._fail(e)

    def _is_silent(self) -> bool:
        """Whether the model is trained and none of its passes can be seen, as in a compiled or scripted one."""
        return self.model.training and not self._moments.ever

    def _last_state(self) -> Snapshot:
        """That of a step that wasn't made: where its forward pass had begun, the one before that."""
        if self._inside or self._moments.with_gradient:
            return self._state or self._snapshot(self._buffers.kept)
        return self._snapshot()

    def _was_updated(self) -> bool:
        """Whether the step that was under way when the block ended has changed any weights."""
        if self._row < 0:
            return True  # nothing tells
        self._meter.update(self._row)
        return self._meter.moved(self._row)

    def _snapshot(self, buffers: Any = None) -> Snapshot:
        from workbench.recording.measuring import state_arrays
        from workbench.recording.restoring import copied

        tensors = copied(self.model, self._layout, self._copies, buffers or {})
        self._copies = {n: a for n, a in tensors.items() if n not in self.parameters}
        state = state_arrays(self.optimizer, self.parameters) if self._keep_state else {}
        return self.step, tensors, {k: v.numpy() for k, v in state.items()}

    def _keep_weights(self, snapshot: Snapshot) -> None:
        self._snapshots.append(snapshot)
        self._nbytes += sum(a.nbytes for part in snapshot[1:] for a in part.values())
        self._kept = self.step
        if self._nbytes > TOGETHER:
            self._hand_over_weights()

    # -- chunks -------------------------------------------------------------------------------------

    def _hand_over(self) -> None:
        """Give the rows so far to the writer, and look whether they are finite."""
        if not self._chunk.n:
            return
        columns = self._chunk.columns(*self._meter.take(self._chunk.n))
        if self.diverged is None:
            divergence = self._chunk.divergence(columns, list(self.parameters))
            if divergence is not None:
                self.diverged, self.outcome = divergence
                self._writer.outcome({"diverged": self.diverged, "message": self.outcome})
        self._writer.rows(columns, list(self.parameters))
        self._chunk, self._row_is_open, self._busy_at = Chunk(self._every), False, self.step

    def _hand_over_weights(self) -> None:
        """Many at a time: waking the writer's thread for each costs a quick loop more than all that is done with it."""
        if self._snapshots:
            self._writer.weights(self._snapshots)
            self._snapshots, self._nbytes = [], 0

    # -- the end ------------------------------------------------------------------------------------

    def _say(self, error: BaseException | None, stopped: bool) -> None:
        if not self._began:
            return
        remarks = [self.outcome] if self.outcome else []
        bad = self._writer.nonfinite_at
        if bad is not None and self.diverged is None:
            self.diverged = bad[0]
            remarks.append(f"diverged at step {bad[0]}: {bad[1]} was not finite")
        if stopped:
            remarks.append("stopped there, before the update (stop_on_nan)")
        elif error is not None:
            remarks.append(f"ended at step {self.step} by {type(error).__name__}")
        if self._writer.full_at is not None:
            remarks.append(f"weights from step {self._writer.full_at} on weren't kept (max_bytes)")
        if self._foreign:
            remarks.append(f"the optimizer also trained {self._foreign} tensors that the model doesn't have")
        if self._failure:
            remarks.append(self._failure)
        self.outcome = "; ".join(remarks)
        self._writer.outcome({"ended": True, "diverged": self.diverged, "message": self.outcome})

    def _fail(self, error: Exception) -> None:
        """Stop recording, keep what there is, and leave the loop alone."""
        if not self._failure:
            if self._row >= 0:  # a step that was seen in part
                self._chunk.drop_last()
                self._row = -1
            self._failure = f"The recording stopped at step {self.step}: {error}"

    def _last_row(self) -> int | None:
        if not self._writer.files():
            return None
        return int(open_recording(self.folder).steps[-1])

    def _check_start(self, last: int | None) -> None:
        first_free = 0 if last is None else last + self._every
        if type(self.step) is not int or not 0 <= self.step <= first_free:
            self._writer.close()
            raise DataError(
                f"record: step={self.step!r} would leave steps out: the recording in {self.folder} goes to "
                f"{'no step yet' if last is None else f'step {last}'}, so that it can go on from any step up to {first_free}."
            )


def _calls(caller: FrameType, frame: FrameType) -> bool:
    """Whether a frame is one of those that a frame was called from."""
    above = frame.f_back
    while above is not None and above is not caller:
        above = above.f_back
    return above is not None
