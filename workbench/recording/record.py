"""`record`: watch an optimizer take its steps, and keep what happened."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
import warnings
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from workbench.core.errors import DataError, ParameterError, ViewError
from workbench.core.objectives import LOSSES, Probe
from workbench.core.parameters import require_integer
from workbench.core.trajectories import Trajectory
from workbench.recording.codecs import Compress
from workbench.recording.layout import DTYPES, Layout, Tensor
from workbench.recording.reading import open_recording
from workbench.recording.schedule import schedule
from workbench.recording.writing import Writer

if TYPE_CHECKING:
    import torch

ROWS = 256  # of a chunk: what a kill costs at most, if it is quicker than SECONDS
SECONDS = 5.0
SUMMARIES = 20  # the optimizer's state is summed up every so many rows


class Diverged(DataError):
    """Loss or gradient are no longer finite, and ``stop_on_nan`` asked to end there."""


def record(
    model: torch.nn.Module, optimizer: Any, *, to: str | os.PathLike[str] | None = None, every: int = 1,
    weights_at: Any = "auto", compress: Compress = "delta", rank: int = 8, optimizer_state: bool = False,
    probe: tuple[Any, Any] | None = None, loss: str | None = None, name: str | None = None, resume: bool = False,
    step: int | None = None, stop_on_nan: bool = False, max_bytes: int = 4 << 30,
) -> Recording:  # fmt: skip
    """Record a descent: a context manager around any loop that calls ``optimizer.step()``.

    ::

        with wb.record(model, optimizer) as run:
            for x, y in batches:
                optimizer.zero_grad()
                loss = F.cross_entropy(model(x), y)
                loss.backward()
                optimizer.step()
                run.log(loss=loss)  # what the loop alone knows
        run.trajectory

    Row *t* is the state after *t* updates: the loss and the gradient there (as the optimizer is given it,
    after any clipping), the learning rates, and the update that led on. Nothing that goes wrong here reaches
    the loop; a warning says it when the block ends.

    Parameters
    ----------
    model : whose parameters are recorded, under their own names. Parameters that the optimizer doesn't train
        are kept once.
    optimizer : a torch optimizer, or a wrapper that has one (Accelerate's, Lightning's).
    to : the folder; None for one that is removed with the trajectory.
    every : a row every so many steps.
    weights_at : when weights are kept: ``"auto"`` (steps that grow further apart by a tenth), a number (every so
        many steps), a list of steps, or None. The first and the last weights are always kept, except with None.
    compress : ``"delta"``, differences without loss; ``"low-rank"``, differences of matrices to the last whole
        weights by ``rank`` factors, with the error recorded; ``"none"``.
    optimizer_state : keep the optimizer's tensors beside the weights, for `Recording.restore` and second moments.
    probe : a batch ``(x, y)`` and with ``loss`` the name of its loss (see `objectives.LOSSES`), for instruments
        that evaluate the network along the way.
    resume : go on with the recording in ``to``, after a kill for example; see `Recording.restore` and ``step``.
    step : how many updates the model has seen; what was recorded from there on no longer counts. By default,
        going on after the last row.
    stop_on_nan : end the block before an update with a gradient (or loss) that isn't finite is made. Costs a look
        at every step.
    max_bytes : weights beyond so many bytes aren't kept, and that is said.

    Raises
    ------
    ParameterError, DataError, ViewError
        A parameter is not legal, or the optimizer doesn't train this model.
    StorageError
        The folder can't be written or holds something else.
    """
    every = require_integer(every, "every", "record", low=1)
    rank = require_integer(rank, "rank", "record", low=1)
    max_bytes = require_integer(max_bytes, "max_bytes", "record", low=0)
    if compress not in get_args(Compress):
        legal = ", ".join(map(repr, get_args(Compress)))
        raise ParameterError(f"record: compress={compress!r} is not legal. It takes one of {legal}.")
    if (probe is None) != (loss is None):
        raise ParameterError(
            f"record: probe=(x, y) and loss= belong together. The loss is one of: {', '.join(LOSSES)}."
        )
    if resume and to is None:
        raise ParameterError("record: resume=True goes on with a folder; give it as to=.")
    due = schedule(weights_at)
    model, optimizer = _unwrapped(model), _torch_optimizer(optimizer)
    layout = _layout(model, optimizer, name or type(model).__name__, every, compress, loss)
    batch = Probe.of(*probe, loss) if probe is not None and loss is not None else None
    folder = Path(to).expanduser().absolute() if to is not None else None
    keep = None
    if folder is None:
        keep = _Temporary()
        folder = keep.path / "recording"
    writer = Writer(folder, layout, batch, resume=resume, rank=rank, max_bytes=max_bytes)
    return Recording(
        model,
        optimizer,
        writer,
        due,
        stop_on_nan=stop_on_nan,
        optimizer_state=optimizer_state,
        start=step,
        keep=keep,
    )


class Recording:
    """A recording under way; made by `record`.

    Attributes
    ----------
    step : updates so far. outcome : how it ended, in words. diverged : at which step it did, or None.
    """

    def __init__(
        self, model: torch.nn.Module, optimizer: torch.optim.Optimizer, writer: Writer, due: Callable[[int], bool] | None,
        *, stop_on_nan: bool, optimizer_state: bool, start: int | None, keep: Any,
    ):  # fmt: skip
        self.model, self.optimizer = model, optimizer
        self.folder = writer.folder
        self.outcome = ""
        self.diverged: int | None = None
        self._writer, self._due, self._keep = writer, due, keep
        self._stop_on_nan, self._keep_state = stop_on_nan, optimizer_state
        self._every = writer.layout.every
        self._parameters = {n: p for n, p in model.named_parameters() if n in set(writer.layout.parameters)}
        self._failure = ""
        self._began = self._over = False
        self._row = -1  # of the chunk; -1 where this step has none
        self._count = 0
        self._open = False  # the chunk's last row may still be logged to
        self._frozen: dict[str, Any] = {}
        self._kept: int | None = None
        self._hooks: list[Any] = []
        self._early: set[str] = set()  # keys that are logged before the step that they belong to
        self._seen: set[str] = set()
        self._pending: dict[str, list[Any]] = {}
        last = self._last_row()
        self.step = (0 if last is None else last + self._every) if start is None else start
        self._check_start(last)
        self._clear()

    # -- the block ----------------------------------------------------------------------------------

    def __enter__(self) -> Recording:
        self._hooks = [
            self.optimizer.register_step_pre_hook(self._before_step),
            self.optimizer.register_step_post_hook(self._after_step),
        ]
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: object) -> bool:
        for hook in self._hooks:
            hook.remove()
        self._over = True
        ended = kind is not None and issubclass(kind, Diverged)
        try:
            if self._began and not self._failure:
                if self._due is not None and self._kept != self.step:
                    self._keep_weights()
                self._hand_over()
                self._writer.wait()
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
        for key, value in [*(("loss", v) for v in loss), *values.items()]:
            if key not in self._seen:
                self._seen.add(key)
                if not self._began:
                    self._early.add(key)
            number = _scalar(key, value)
            if key in self._early:
                self._pending.setdefault(key, []).append(number)
            elif self._open:
                self._logs.setdefault(key, {}).setdefault(self._count - 1, []).append(number)

    def restore(self) -> int:
        """Put the last recorded weights (and the optimizer's state, if kept) into the model; return their step.

        Recording goes on from there, and what was recorded after that step no longer counts.

        Raises
        ------
        DataError
            The folder holds no weights yet, or steps were made already.
        """
        if self._began:
            raise DataError("restore comes before the first step.")
        from workbench.recording.restoring import restore

        self.step = restore(self.folder, self.model, self.optimizer, self._parameters)
        return self.step

    @property
    def trajectory(self) -> Trajectory:
        """What was recorded so far, with the network attached.

        Raises
        ------
        MissingError
            Not one step was recorded.
        """
        if not self._over and self._began and not self._failure:
            self._hand_over()
            self._writer.wait()
        found = open_recording(self.folder, keep=self._keep)
        return found.with_model(self.model)

    # -- a step -------------------------------------------------------------------------------------

    def _before_step(self, optimizer: torch.optim.Optimizer, args: Any, kwargs: Any) -> Any:
        if self._failure:
            return None
        try:
            return self._look_before(args, kwargs)
        except Diverged:
            raise
        except Exception as e:
            self._fail(e)
            return None

    def _after_step(self, optimizer: torch.optim.Optimizer, args: Any, kwargs: Any) -> None:
        if self._failure:
            return
        try:
            import torch

            with torch.no_grad():
                if self._row >= 0:
                    if self._closure:
                        self._meter.gradient(self._row)
                    self._meter.update(self._row)
                    self._row = -1
            self.step += 1
        except Exception as e:
            self._fail(e)

    def _look_before(self, args: Any, kwargs: Any) -> Any:
        import torch

        if not self._began:
            self._begin()
        if self._writer.failure is not None:
            raise self._writer.failure
        if self._count and (self._count == ROWS or time.monotonic() - self._handed > SECONDS):
            self._hand_over()
        self._open = self.step % self._every == 0
        closure = args[1] if len(args) > 1 else kwargs.get("closure")  # the first is the optimizer itself
        self._closure = closure is not None
        with torch.no_grad():
            if self._due is not None and self._due(self.step) and self._kept != self.step:
                self._keep_weights()
            if not self._open:
                self._pending.clear()
                return None
            row = self._row = self._count
            self._count += 1
            self._steps.append(self.step)
            self._rates.append(self._learning_rates(self.optimizer))
            for key, values in self._pending.items():
                self._logs.setdefault(key, {})[row] = values
            self._pending = {}
            self._meter.before()
            if not self._closure:
                norms = self._meter.gradient(row)
                if self._stop_on_nan:
                    self._require_finite(norms, row)
            if (self.step // self._every) % SUMMARIES == 0:
                self._summarize()
        return self._watched(closure, row, args, kwargs) if self._closure else None

    def _begin(self) -> None:
        from workbench.recording.measuring import Meter, learning_rates

        self._learning_rates = learning_rates
        self._meter = Meter(self._parameters, ROWS)
        self._writer.begin(self.step)
        self._began = True
        self._handed = time.monotonic()

    def _watched(self, closure: Callable[[], Any], row: int, args: Any, kwargs: Any) -> Any:
        """An optimizer that evaluates the loss itself tells it on its first evaluation."""

        def evaluate() -> Any:
            found = closure()
            if found is not None and "loss" not in self._seen and row not in self._logs.get("loss", {}):
                self._logs.setdefault("loss", {})[row] = [_scalar("loss", found)]
            return found

        if len(args) > 1:
            return (args[0], evaluate, *args[2:]), kwargs
        return args, {**kwargs, "closure": evaluate}

    def _require_finite(self, norms: torch.Tensor, row: int) -> None:
        loss = self._logs.get("loss", {}).get(row)
        if bool(norms.isfinite().all()) and (loss is None or all(_finite(v) for v in loss)):
            return
        self._meter.updates[row] = 0.0  # it isn't made
        raise Diverged(f"stopped before step {self.step}: loss or gradient are not finite (stop_on_nan)")

    def _summarize(self) -> None:
        from workbench.recording.measuring import summaries

        found = summaries(self.optimizer, list(self._parameters.values()))
        if found:
            self._sums.append((self.step, found))

    def _keep_weights(self) -> None:
        from workbench.recording.measuring import state_arrays
        from workbench.recording.restoring import copied

        tensors = copied(self.model, self._writer.layout, self._frozen)
        state = state_arrays(self.optimizer, self._parameters) if self._keep_state else {}
        self._writer.weights(self.step, tensors, {k: v.numpy() for k, v in state.items()})
        self._kept = self.step

    # -- chunks -------------------------------------------------------------------------------------

    def _clear(self) -> None:
        self._steps: list[int] = []
        self._rates: list[list[Any]] = []
        self._logs: dict[str, dict[int, list[Any]]] = {}
        self._sums: list[tuple[int, dict[str, Any]]] = []
        self._count, self._open = 0, False
        self._handed = time.monotonic()

    def _hand_over(self) -> None:
        """Give the rows so far to the writer, and look whether they are finite."""
        n = self._count
        if not n:
            return
        import numpy as np

        gradients = self._meter.gradients[:n].cpu().numpy()
        updates = self._meter.updates[:n].cpu().numpy()
        logs = {key: _column(found, n) for key, found in self._logs.items()}
        loss = logs.pop("loss", np.full(n, np.nan))
        columns: dict[str, Any] = {
            "step": np.array(self._steps, np.int64), "loss": loss, "grad": gradients, "update": updates,
            "lr": np.array([[float(lr) for lr in rates] for rates in self._rates], np.float64),
        }  # fmt: skip
        columns.update({f"log.{k}": v for k, v in logs.items()})
        if self._sums:
            keys = dict.fromkeys(k for _, found in self._sums for k in found)
            columns["state.step"] = np.array([s for s, _ in self._sums], np.int64)
            for k in keys:
                columns[f"state.{k}"] = np.array([float(f.get(k, float("nan"))) for _, f in self._sums])
        if self.diverged is None:
            logged = self._logs.get("loss", {})
            self._look_for_divergence(columns, np.array([i in logged for i in range(n)]))
        self._writer.rows(columns)
        self._meter.clear()
        self._clear()

    def _look_for_divergence(self, columns: dict[str, Any], logged: Any) -> None:
        import numpy as np

        bad = {
            "loss": logged & ~np.isfinite(columns["loss"]),
            "gradient": ~np.isfinite(columns["grad"]),
            "update": ~np.isfinite(columns["update"]),
        }
        any_bad = bad["loss"] | bad["gradient"].any(1) | bad["update"].any(1)
        if not any_bad.any():
            return
        row = int(any_bad.argmax())
        self.diverged = int(columns["step"][row])
        said = [f"the loss was {columns['loss'][row]}"] if bad["loss"][row] else []
        for what in ("gradient", "update"):
            names = [n for n, b in zip(self._parameters, bad[what][row], strict=True) if b]
            if names and (what == "gradient" or not bad["gradient"][row].any()):
                more = f" and {len(names) - 1} more" if len(names) > 1 else ""
                said.append(f"the {what} of {names[0]}{more} was not finite")
        self.outcome = f"diverged at step {self.diverged}: {', '.join(said)}"
        self._writer.outcome({"diverged": self.diverged, "message": self.outcome, "parameters": names[:64]})

    # -- the end ------------------------------------------------------------------------------------

    def _say(self, error: BaseException | None, stopped: bool) -> None:
        if not self._began:
            return
        said = [self.outcome] if self.outcome else []
        bad = self._writer.nonfinite_at
        if bad is not None and self.diverged is None:
            self.diverged = bad[0]
            said.append(f"diverged at step {bad[0]}: {bad[1]} was not finite")
        if stopped:
            said.append("stopped there, before the update (stop_on_nan)")
        elif error is not None:
            said.append(f"ended at step {self.step} by {type(error).__name__}")
        if self._writer.full_at is not None:
            said.append(f"weights from step {self._writer.full_at} on weren't kept (max_bytes)")
        if self._failure:
            said.append(self._failure)
        self.outcome = "; ".join(said)
        self._writer.outcome({"ended": True, "diverged": self.diverged, "message": self.outcome})

    def _fail(self, error: Exception) -> None:
        """Stop recording, keep what there is, and leave the loop alone."""
        if not self._failure:
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


class _Temporary:
    """A folder that goes with whoever holds this."""

    def __init__(self) -> None:
        self.path = Path(tempfile.mkdtemp(prefix="workbench-recording-"))
        weakref.finalize(self, shutil.rmtree, self.path, True)


def _unwrapped(model: Any) -> torch.nn.Module:
    import torch

    if not isinstance(model, torch.nn.Module):
        raise ViewError(f"record watches a torch module; it was given a {type(model).__name__}.")
    while True:
        if hasattr(model, "_orig_mod"):  # torch.compile
            model = model._orig_mod
        elif isinstance(model, torch.nn.parallel.DistributedDataParallel | torch.nn.DataParallel):
            model = model.module
        else:
            return model


def _torch_optimizer(optimizer: Any) -> torch.optim.Optimizer:
    import torch

    found = optimizer
    for _ in range(4):
        if isinstance(found, torch.optim.Optimizer) and not hasattr(found, "optimizer"):
            return found
        found = getattr(found, "optimizer", found)
    raise ViewError(
        f"record hooks the step() of one torch optimizer; it was given a {type(optimizer).__name__}. For several optimizers, record "
        f"with each its part of the model."
    )


def _layout(
    model: torch.nn.Module,
    optimizer: torch.optim.Optimizer,
    name: str,
    every: int,
    compress: str,
    loss: str | None,
) -> Layout:
    trained = {id(p) for g in optimizer.param_groups for p in g["params"] if p.requires_grad}
    own = dict(model.named_parameters())
    tensors = []
    for n, p in own.items():
        tensors.append(_tensor(n, p, "parameter" if id(p) in trained else "frozen"))
    kept = set(model.state_dict(keep_vars=True))
    tensors += [_tensor(n, b, "buffer") for n, b in model.named_buffers() if n in kept]
    if not any(t.role == "parameter" for t in tensors):
        raise DataError(
            f"The optimizer trains none of the {len(own)} parameters of {type(model).__name__}. Give the model whose parameters "
            f"it was made with."
        )
    foreign = len(trained - {id(p) for p in own.values()})
    if foreign:
        raise DataError(
            f"The optimizer trains {foreign} tensors that {type(model).__name__} doesn't have. Give the module that holds them all."
        )
    settings = {k: v for k, v in optimizer.defaults.items() if isinstance(v, int | float | str | bool | None)}
    about = {"optimizer": type(optimizer).__name__, "settings": settings, "model": type(model).__qualname__}
    return Layout(name, every, tuple(tensors), len(optimizer.param_groups), compress, loss or "", about)


def _tensor(name: str, tensor: torch.Tensor, role: str) -> Tensor:
    dtype = str(tensor.dtype).removeprefix("torch.")
    if dtype not in DTYPES:
        raise DataError(
            f"{name} has the dtype {dtype}, which is not recorded. Those that are: {', '.join(DTYPES)}."
        )
    return Tensor(name, tuple(tensor.shape), DTYPES[dtype], role)


def _scalar(key: str, value: Any) -> Any:
    """A number at once, unless it lies on a GPU, which isn't waited for."""
    if hasattr(value, "detach"):
        if value.numel() != 1:
            raise DataError(
                f"log: {key} has the shape {tuple(value.shape)}; log one number a step, such as its mean."
            )
        value = value.detach()
        return value.clone() if value.device.type != "cpu" else value.item()
    try:
        return float(value)
    except (TypeError, ValueError):
        raise DataError(f"log: {key} is a {type(value).__name__}; log one number a step.") from None


def _finite(value: Any) -> bool:
    return abs(float(value)) < float("inf")


def _column(found: dict[int, list[Any]], n: int) -> Any:
    import numpy as np

    column = np.full(n, np.nan)
    for row, values in found.items():
        column[row] = sum(map(float, values)) / len(values)
    return column
