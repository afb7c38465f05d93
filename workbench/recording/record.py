"""`record`: watch an optimizer take its steps, and keep what happened."""

from __future__ import annotations

import os
import shutil
import tempfile
import weakref
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from workbench.core.errors import DataError, ParameterError, ViewError
from workbench.core.parameters import require_integer
from workbench.numerics.identity.tensors import require_numbers
from workbench.numerics.objectives import LOSSES, Probe
from workbench.recording.codecs import Compress
from workbench.recording.layout import DTYPES, Layout, Tensor
from workbench.recording.recorder import Recording
from workbench.recording.schedule import schedule
from workbench.recording.writing import Writer
from workbench.subjects.own_kinds import configuration_of

if TYPE_CHECKING:
    import torch


def record(
    model: torch.nn.Module,
    optimizer: Any,
    *,
    to: str | os.PathLike[str] | None = None,
    every: int = 1,
    weights_at: Any = "auto",
    compress: Compress = "delta",
    rank: int = 8,
    optimizer_state: bool = False,
    probe: tuple[Any, Any] | None = None,
    loss: str | None = None,
    training: tuple[Any, Any] | None = None,
    name: str | None = None,
    resume: bool = False,
    step: int | None = None,
    stop_on_nan: bool = False,
    max_bytes: int = 4 << 30,
) -> Recording:
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
    after any clipping; without a gradient scaler's factor), the learning rates, and the update that led on. A step that a
    scaler skips is none. Weights and buffers are those with which the forward pass of that step began, whoever set them: an
    averaged teacher, another optimizer, or this one once they are unfrozen. Nothing that goes wrong here reaches the loop; a
    warning says it when the block ends.

    Parameters
    ----------
    model : whose parameters and buffers are recorded, under their own names. Those that the optimizer doesn't train are
        stored again only where they have changed.
    optimizer : a torch optimizer, or a wrapper that has one (Accelerate's, Lightning's).
    to : the folder; None for one that is removed with the trajectory.
    every : a row every so many steps.
    weights_at : when weights are kept: ``"auto"`` (steps that grow further apart, by a fifth), a number (every so
        many steps), a list of steps, or None. The first and the last weights are always kept, except with None.
    compress : ``"delta"``, differences without loss; ``"low-rank"``, differences of matrices to the last whole
        weights by ``rank`` factors, with the error recorded; ``"none"``.
    optimizer_state : keep the optimizer's tensors beside the weights, for `Recording.restore` and second moments.
    probe : a batch ``(x, y)`` and with ``loss`` the name of its loss (see `objectives.LOSSES`), for instruments
        that evaluate the network along the way.
    training : all that it is trained on, ``(x, y)`` with the same loss, for instruments that train on from a step.
    resume : go on with the recording in ``to``, after a kill for example; see `Recording.restore` and ``step``.
    step : how many updates the model has seen; what was recorded from there on no longer counts. By default,
        going on after the last row. `Recording.flush` stores what is recorded until your own checkpoint.
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
    if (probe is None) != (loss is None) and training is None:
        raise ParameterError(
            f"record: probe=(x, y) and loss= belong together. The loss is one of: {', '.join(LOSSES)}."
        )
    if training is not None and loss is None:
        raise ParameterError(f"record: training=(x, y) needs loss=, one of: {', '.join(LOSSES)}.")
    if resume and to is None:
        raise ParameterError("record: resume=True goes on with a folder; give it as to=.")
    due = schedule(weights_at)
    entry, model, optimizer = model, _unwrapped(model), _torch_optimizer(optimizer)
    require_numbers(model, type(model).__name__)
    layout = _layout(model, optimizer, name or type(model).__name__, every, compress, loss)
    batch, data = (
        Probe.of(*b, loss) if b is not None and loss is not None else None for b in (probe, training)
    )
    folder = Path(to).expanduser().absolute() if to is not None else None
    keep = None
    if folder is None:
        keep = _Temporary()
        folder = keep.path / "recording"
    writer = Writer(
        folder, layout, batch, data, resume=resume, rank=rank, max_bytes=max_bytes, flush=to is not None
    )
    return Recording(
        model,
        optimizer,
        writer,
        due,
        stop_on_nan=stop_on_nan,
        optimizer_state=optimizer_state,
        start=step,
        keep=keep,
        entry=entry,
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

    inner = optimizer
    for _ in range(4):
        if isinstance(inner, torch.optim.Optimizer) and not hasattr(inner, "optimizer"):
            return inner
        inner = getattr(inner, "optimizer", inner)
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
    from workbench.recording.measuring import trained_by

    trained = {id(p) for p in trained_by(optimizer)}
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
    settings = {k: v for k, v in optimizer.defaults.items() if _plain(v)}
    about: dict[str, Any] = {
        "optimizer": type(optimizer).__name__,
        "settings": settings,
        "model": type(model).__qualname__,
    }
    if config := configuration_of(model):
        about["config"] = config  # from which what is opened again is built
    return Layout(name, every, tuple(tensors), len(optimizer.param_groups), compress, loss or "", about)


def _plain(value: Any) -> bool:
    if isinstance(value, tuple):
        return all(isinstance(v, int | float) for v in value)
    return isinstance(value, int | float | str | bool | None)


def _tensor(name: str, tensor: torch.Tensor, role: str) -> Tensor:
    dtype = str(tensor.dtype).removeprefix("torch.")
    if dtype not in DTYPES:
        raise DataError(
            f"{name} has the dtype {dtype}, which is not recorded. Those that are: {', '.join(DTYPES)}."
        )
    return Tensor(name, tuple(tensor.shape), DTYPES[dtype], role)
