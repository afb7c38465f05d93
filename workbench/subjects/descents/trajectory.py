"""Trajectories: a descent as it was recorded, one row a step, with the weights at some of the steps.

Row *t* says what held after *t* updates: the loss and the gradient at the weights of step *t*, and the update
that led from there to step *t* + 1. ``weights(t)`` are those same weights; buffers (running means) and whatever else changes,
in ``state(t)``, are as the forward pass of that step found them, so that ``network(t)`` is the network that gave its loss.
"""

from __future__ import annotations

import copy
import shutil
import typing
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from workbench.core.digest import digest
from workbench.core.errors import DataError, MissingError, ParameterError, ViewError, suggest
from workbench.core.registry import method
from workbench.core.rows import require_finite, table_column
from workbench.core.storage import writing
from workbench.core.subject import FINITE, Rowed, Subject
from workbench.core.view import View
from workbench.numerics.gram import coordinates
from workbench.numerics.objectives import Probe
from workbench.subjects.checkpoint import Checkpoint, Matrix, TensorInfo
from workbench.subjects.descents.bookmarks import Bookmarks
from workbench.subjects.descents.record import Record, few, structure
from workbench.subjects.descents.step_weights import ArrayWeights, StepWeights, WeightSource
from workbench.subjects.own_kinds import configuration_of
from workbench.subjects.points import Points
from workbench.subjects.series import Series

if TYPE_CHECKING:
    from typing import Self

    import pandas as pd
    import torch
    from jaxtyping import Int

CURVES = ("loss", "grad_norm", "update_norm", "lr")


@dataclass(frozen=True, eq=False)
class Descent(View):
    """A recorded descent: curves over its steps, and weights, network and probe where there are any.

    Row *t* is the loss and the gradient at the weights of step *t*, and the update that led on from there.

    Attributes
    ----------
    steps : (n,) the recorded steps, ascending; also the row ids.
    table : one line a step, indexed by it: ``loss``, ``lr``, ``grad_norm``, ``update_norm`` and what was logged.
    weight_steps : (k,) steps with weights; the last may lie after the last row.
    trajectory : the subject, for whatever else it has (``gradient_norms``, ``optimizer_state``).
    """

    needs: ClassVar[str] = "a recorded descent (a Trajectory: workbench.record, or a folder of checkpoints)"
    steps: Int[np.ndarray, " n"]
    ids: Int[np.ndarray, " n"]
    table: pd.DataFrame
    weight_steps: Int[np.ndarray, " k"]
    trajectory: Trajectory

    @property
    def parameter_names(self) -> tuple[str, ...]:
        """Names of the trained parameters."""
        return self.trajectory.parameter_names

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Shape of each trained parameter."""
        return self.trajectory.shapes

    def curve(self, name: str = "loss") -> tuple[np.ndarray, np.ndarray]:
        """Steps and values of one column, at the steps where it was recorded; refused if it isn't finite there.

        Raises
        ------
        ViewError
            It was never recorded.
        DataError
            Values are infinite, or NaN at the step where the descent diverged.
        """
        values = np.asarray(table_column(self.table, name, self.name), dtype=np.float64)
        there = ~np.isnan(values)
        diverged = self.trajectory.diverged
        if not there.any():
            raise ViewError(
                f"{self.name} is {self.trajectory.holds}; this needs its {name} (run.log({name}=...) while recording)."
            )
        if diverged is not None and (self.steps >= diverged).any():
            raise DataError(
                f"{self.name}: {self.trajectory.outcome}. Ask about the steps before it: .select('step < {diverged}')."
            )
        require_finite(values[there], f"{self.name} ({name})")
        return self.steps[there], values[there]

    def require(self, *, weights: int = 0, network: bool = False, probe: bool = False) -> None:
        """Refuse a descent that lacks what an instrument asks for, with what it does hold.

        Parameters
        ----------
        weights : at how many steps at least. network, probe : whether they are needed.

        Raises
        ------
        ViewError
            With each missing thing and how to get it.
        """
        lacks = []
        if len(self.weight_steps) < max(weights, int(network)):
            n = max(weights, int(network))
            lacks.append(f"weights at {n} step{'s' if n > 1 else ''} or more (record with weights_at=)")
        if network and self.trajectory.model is None:
            lacks.append("its network (.with_model(module))")
        if probe and self.trajectory.probe is None:
            lacks.append("a batch and a loss (record with probe=(x, y), loss=, or .with_probe(x, y, loss))")
        if lacks:
            raise ViewError(f"{self.name} is {self.trajectory.holds}; this needs {' and '.join(lacks)}.")

    def weights(self, step: int) -> StepWeights:
        """The trained parameters at a step: name to array, read when asked for; ``.vector()`` for all in one."""
        return self.trajectory.weights(step)

    def network(self, step: int) -> torch.nn.Module:
        """A copy of the network with the weights of a step, in evaluation mode."""
        self.require(network=True)
        return self.trajectory.network(step)

    @property
    def probe(self) -> Probe:
        """The batch and its loss; ``probe.evaluate(network)`` is the loss as a tensor."""
        self.require(probe=True)
        return typing.cast("Probe", self.trajectory.probe)


class Trajectory(Rowed):
    """A recorded descent: rows are steps, and a row's id is its step.

    Parameters
    ----------
    table : one line a step, indexed by step (ascending, unique). Usual columns: ``loss``, ``lr``,
        ``grad_norm``, ``update_norm`` and whatever was logged; NaN where something wasn't.
    record : what there is beside it.
    weights : step to name to array, for a trajectory made by hand.

    Raises
    ------
    DataError
        The steps don't ascend, or the weights change shape or dtype from step to step.
    """

    def __init__(
        self,
        table: pd.DataFrame,
        record: Record | None = None,
        *,
        name: str = "descent",
        weights: Mapping[int, Mapping[str, np.ndarray]] | None = None,
        space: str | None = None,
    ):
        ids = table.index.to_numpy()
        if len(ids) == 0 or ids.dtype.kind not in "iu" or (np.diff(ids) <= 0).any():
            raise DataError(
                f"{name}: a trajectory's table is indexed by its steps, whole numbers that ascend; at least one."
            )
        if "step" not in table.columns:
            table = table.copy()
            table.insert(0, "step", ids)
        super().__init__(name, table, space)
        self.record = record or Record()
        if weights is not None:
            self.record = replace(self.record, weights=ArrayWeights(weights))

    narrows: ClassVar[Mapping[type[View], str]] = {Matrix: "500/0.weight"}
    typed: ClassVar[str] = "digits-descent"

    @classmethod
    def example(cls, variant: int = 0) -> Subject:
        """A small classifier of digits, trained for 60 steps and recorded with all there is."""
        return method("digits_descent")(width=8, depth=1, steps=60, random_state=variant)

    # -- what there is ------------------------------------------------------------------------------

    @property
    def steps(self) -> Int[np.ndarray, " n"]:
        """The recorded steps, which are the row ids."""
        return self.ids

    @property
    def selected(self) -> bool:
        """Whether these are some of the steps of a longer descent."""
        return self._space is not None

    @cached_property
    def weight_steps(self) -> Int[np.ndarray, " k"]:
        """The steps whose weights were kept, among the selected rows or after the last of all."""
        if self.record.weights is None:
            return np.empty(0, np.int64)
        found = np.asarray(self.record.weights.steps, np.int64)
        if not self.selected:
            return found
        whole = np.asarray(self.record.about.get("last", self.ids[-1]))
        return found[np.isin(found, self.ids) | ((found > whole) & (self.ids[-1] == whole))]

    @property
    def tensors(self) -> Mapping[str, TensorInfo]:
        """What there is at every step with weights: parameters, then buffers and weights that it didn't train."""
        return self.record.weights.tensors if self.record.weights is not None else {}

    @property
    def parameter_names(self) -> tuple[str, ...]:
        """Names of the trained parameters, in the network's order."""
        return tuple(self.record.weights.parameters) if self.record.weights is not None else ()

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Shape of each trained parameter."""
        return {n: self.tensors[n].shape for n in self.parameter_names}

    @property
    def model(self) -> torch.nn.Module | None:
        """The attached network; use ``network(step)`` for one with the weights of a step."""
        return self.record.model

    @property
    def probe(self) -> Probe | None:
        """The batch and the loss that instruments evaluate; see `with_probe`."""
        return self.record.probe

    data = probe

    @property
    def training(self) -> Probe | None:
        """What it was trained on, where that was kept; see `with_training`."""
        return self.record.training

    @property
    def loss_name(self) -> str:
        """Name of the loss in `objectives.LOSSES`, or ""."""
        return self.record.probe.loss if self.record.probe else ""

    @property
    def outcome(self) -> str:
        """How the descent ended, in words; "" for an end without incident."""
        return self.record.outcome

    @property
    def diverged(self) -> int | None:
        """The step at which loss or gradient were no longer finite, or None."""
        return self.record.diverged

    @property
    def gradient_norms(self) -> pd.DataFrame:
        """Norm of each parameter's gradient, one line a step; refused where it wasn't recorded."""
        return self._norms(self.record.gradient_norms, "gradient")

    @property
    def update_norms(self) -> pd.DataFrame:
        """Norm of each parameter's update, one line a step; refused where it wasn't recorded."""
        return self._norms(self.record.update_norms, "update")

    @property
    def optimizer_table(self) -> pd.DataFrame:
        """Summaries of the optimizer's state, one line a step where they were taken; may be empty."""
        import pandas as pd

        return self.record.optimizer if self.record.optimizer is not None else pd.DataFrame()

    @property
    def bookmarks(self) -> Mapping[str, Bookmarks]:
        """The most tethered edges at some steps, by name; empty where none were advertised (`workbench.bookmark`)."""
        return self.record.bookmarks

    @property
    def holds(self) -> str:
        columns = [c for c in self.table.columns if c != "step" and bool(self.table[c].notna().any())]
        said = f"a descent of {len(self):,} steps ({', '.join(map(str, columns)) or 'without curves'})"
        steps = self.weight_steps
        if len(steps):
            said += f", weights of {len(self.tensors):,} tensors at {len(steps):,} steps ({few(steps)})"
        else:
            said += ", no weights"
        said += f", {'a' if self.model is not None else 'no'} network"
        said += (
            f", a probe of {len(self.probe):,} samples ({self.probe.loss})" if self.probe else ", no probe"
        )
        return said + (f"; {self.outcome}" if self.outcome else "")

    # -- what it is ---------------------------------------------------------------------------------

    @cached_property
    def _content(self) -> str:
        w = self.record.weights
        held = (
            [] if w is None else [list(map(int, w.steps)), [w.digest(s) for s in w.steps], list(w.parameters)]
        )
        norms = [
            n.to_numpy() for n in (self.record.gradient_norms, self.record.update_norms) if n is not None
        ]
        batches = [p.digest if p else "" for p in (self.record.probe, self.record.training)]
        marks = [b.digest for _, b in sorted(self.record.bookmarks.items())]
        return digest("descent", held, *norms, *batches, structure(self.model), *marks)

    @cached_property
    def digest(self) -> str:
        return digest("trajectory", self._content, self.table_digest)

    @property
    def space(self) -> str:
        return self._space or digest("steps of", self.table_digest)  # the same with another network

    # -- weights and networks -----------------------------------------------------------------------

    def weights(self, step: int) -> StepWeights:
        """The trained parameters at a step, name to array, each read when it is asked for.

        Raises
        ------
        MissingError
            No weights were kept at this step; the nearest steps are named.
        """
        return StepWeights(self._source(step), int(step), self.parameter_names, self.name)

    def state(self, step: int) -> StepWeights:
        """All tensors at a step: the parameters, and buffers and weights that weren't trained with them."""
        return StepWeights(self._source(step), int(step), tuple(self.tensors), self.name)

    def optimizer_state(self, step: int) -> Mapping[str, Mapping[str, np.ndarray]]:
        """The optimizer's own state at a step, parameter to name (``exp_avg_sq``) to array.

        Raises
        ------
        MissingError
            It wasn't recorded.
        """
        found = self._source(step).state(int(step))
        if not found:
            raise MissingError(
                f"{self.name} has no optimizer state at step {step}: record with optimizer_state=True to keep it."
            )
        return found

    def weight_error(self, step: int) -> dict[str, float]:
        """Relative error of each parameter at a step: 0 where it is exact, more where it was kept in low rank."""
        source = self._source(step)
        return {n: source.error(int(step), n) for n in self.parameter_names}

    def parts(self, kind: type[View] | None = None) -> tuple[str, ...]:
        """The steps with weights; for a view of one tensor each matrix at the last of them, as ``STEP/TENSOR``."""
        if kind is None:
            return tuple(map(str, self.weight_steps))
        if not len(self.weight_steps) or kind.__name__ in self.gives:
            return ()
        last = int(self.weight_steps[-1])
        return tuple(f"{last}/{name}" for name in self.at(last).parts(kind))

    def at(self, step: int | str) -> Checkpoint:
        """The weights at a step as a checkpoint, with its network where one is attached; ``500/0.weight`` one tensor of it.

        Raises
        ------
        MissingError
            No weights were kept at this step; the nearest steps are named.
        ParameterError
            It is no step.
        """
        if isinstance(step, str):
            number, _, tensor = step.partition("/")
            if not number.isdecimal():
                raise ParameterError(
                    f"{self.name}.at takes STEP or STEP/TENSOR, such as {few(self.weight_steps[-1:]) or '100'}, not {step!r}."
                )
            found = self.at(int(number))
            return found.at(tensor) if tensor else found
        if not isinstance(step, int | np.integer):
            raise ParameterError(f"{self.name}.at takes a step, or STEP/TENSOR as a text, not {step!r}.")
        source = self._source(step)
        step = int(step)

        def read(name: str) -> np.ndarray:
            array = source.read(step, name)
            return array.astype(np.float32) if array.dtype.kind == "f" else array

        made = Checkpoint(
            self.tensors,
            read,
            name=self.name,
            content=lambda: source.digest(step),
            config=configuration_of(self.model),
            load=(lambda: self._callable(step)) if self.model is not None else None,
        )
        return self.derived(made, "at", f"step {step}", {"*": (step,)})

    def network(self, step: int) -> torch.nn.Module:
        """A copy of the attached network with the weights of a step, in evaluation mode.

        Raises
        ------
        ViewError
            No network is attached.
        MissingError
            No weights were kept at this step.
        """
        import torch

        if self.model is None:
            raise ViewError(
                f"{self.name} has weights and no network to put them into: attach it with .with_model(module)."
            )
        module = copy.deepcopy(self.model).eval()
        for p in module.parameters():
            p.grad = None
        held = {**dict(module.named_parameters()), **dict(module.named_buffers())}
        with torch.no_grad():
            for name, array in self.state(step).items():
                held[name].copy_(torch.from_numpy(np.array(array)).reshape(held[name].shape))
        return module

    def with_model(self, module: torch.nn.Module) -> Self:
        """Return this trajectory with a network attached, into which the weights of any step can be put.

        Raises
        ------
        DataError
            A name or a shape differs; nothing of the recording names code that could be built from.
        """
        held = {n: tuple(p.shape) for n, p in (*module.named_parameters(), *module.named_buffers())}
        for name, info in self.tensors.items():
            if name not in held:
                raise DataError(
                    f"The module has no tensor {name!r}, which {self.name} has. {suggest(name, held)}"
                )
            if held[name] != tuple(info.shape):
                raise DataError(
                    f"{name} has the shape {held[name]} in the module and {info.shape} in {self.name}."
                )
        extra = [n for n, _ in module.named_parameters() if n not in self.tensors]
        if self.tensors and extra:
            raise DataError(f"The module has the parameter {extra[0]!r}, which {self.name} has not.")
        return self.derived(self._with(model=module), "with_model", "", {}, {"module": module})

    def with_probe(self, x: Any, y: Any, loss: str) -> Self:
        """Return this trajectory with another batch and loss (a name from `objectives.LOSSES`)."""
        made = self._with(probe=Probe.of(x, y, loss), folder=None)
        return self.derived(made, "with_probe", "", {"loss": loss}, {"x": x, "y": y})

    def with_training(self, x: Any, y: Any, loss: str) -> Self:
        """Return this trajectory with the data that it was trained on, for instruments that train on from a step."""
        made = self._with(training=Probe.of(x, y, loss), folder=None)
        return self.derived(made, "with_training", "", {"loss": loss}, {"x": x, "y": y})

    def save(self, path: str | Path) -> Path:
        """Copy a recording to a folder that `workbench.open` opens; the network itself is not stored.

        Raises
        ------
        DataError
            It isn't stored anywhere as it is: rows were selected, the probe was changed, or it was made by hand.
        StorageError
            The folder can't be written.
        """
        folder = self.record.folder
        if folder is None or self.selected:
            raise DataError(
                f"{self.name} isn't stored as it is (rows were selected, its probe was changed, or it was made by hand). Save the "
                f"whole recording, and do the same to what opens."
            )
        path = Path(path)
        with writing(path) as temporary:
            shutil.copytree(folder, temporary)
        return path

    def drop_nonfinite(self) -> Self:
        """Return the steps at which everything that was recorded at most steps is finite."""
        columns = [c for c in self._curves() if c in self.table]
        ok = np.isfinite(self.table[columns].to_numpy(dtype=np.float64)).all(axis=1)
        return self.select(ok, reason=FINITE)

    # -- views --------------------------------------------------------------------------------------

    def as_series(self) -> Series:
        columns = self._curves()
        if not columns:
            raise ViewError(f"{self.name} is {self.holds}; this needs curves (losses, norms) over its steps.")
        values = self.table[columns].to_numpy(dtype=np.float64)
        require_finite(values, f"{self.name} ({', '.join(columns)})")
        return Series(self.name, self.digest, self.space, self.ids, self.table, values, tuple(columns))

    def as_points(self) -> Points:
        """The flattened weights, by exact distances: as many coordinates as there are steps, less one."""
        steps = self.weight_steps
        if len(steps) < 2:
            raise ViewError(
                f"{self.name} is {self.holds}; as points it needs weights at two steps or more "
                f"(record with weights_at=)."
            )
        values = coordinates([self.weights(s) for s in steps], self.parameter_names)
        require_finite(values, self.name)
        table = self.table.reindex(steps)
        table["step"] = steps
        return Points(self.name, self.digest, self.space, steps, table, values, grouped_by="")

    def as_descent(self) -> Descent:
        return Descent(
            self.name, self.digest, self.space, self.steps, self.ids, self.table, self.weight_steps, self
        )

    # -- parts --------------------------------------------------------------------------------------

    def _curves(self) -> list[str]:
        """The usual columns, without those that were never recorded, and without a learning rate that never changes."""
        there = [c for c in CURVES if c in self.table.columns and bool(self.table[c].notna().any())]
        return [c for c in there if c != "lr" or self.table[c].nunique() > 1]

    def _source(self, step: int) -> WeightSource:
        steps = self.weight_steps
        if self.record.weights is None or not len(steps):
            raise MissingError(f"{self.name} holds no weights. Record them with weights_at=.")
        if int(step) not in steps:
            near = steps[np.argsort(np.abs(steps - int(step)), kind="stable")[:4]]
            raise MissingError(
                f"{self.name} has no weights at step {step}; the nearest are at {', '.join(map(str, sorted(near)))} "
                f"(of {len(steps)}: .weight_steps)."
            )
        return self.record.weights

    def _norms(self, found: pd.DataFrame | None, what: str) -> pd.DataFrame:
        if found is None:
            raise MissingError(f"{self.name} has no {what} norms of single parameters; it is {self.holds}.")
        return found.loc[found.index.isin(self.ids)]

    def _callable(self, step: int) -> Any:
        from workbench.subjects.own_models import network_of

        content = digest("network", self._source(step).digest(step), structure(self.model))
        return network_of(self.network(step), self.name, content)

    def _with(self, **change: Any) -> Self:
        return type(self)(self.table, replace(self.record, **change), name=self.name, space=self._space)

    def _take(self, at: np.ndarray) -> Self:
        about = {"last": int(self.ids[-1]), **self.record.about}
        record = replace(self.record, about=about)
        return type(self)(self.table.iloc[at], record, name=self.name, space=self.space)
