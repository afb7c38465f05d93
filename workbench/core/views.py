"""Views: what a method needs of a subject. The annotation of a method's first argument chooses one."""

from __future__ import annotations

import typing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from workbench.core.errors import DataError, ViewError

if TYPE_CHECKING:
    import pandas as pd
    import torch
    from jaxtyping import Float, Int, Shaped

    from workbench.core.objectives import Probe
    from workbench.core.step_weights import StepWeights
    from workbench.core.trajectories import Trajectory


@dataclass(frozen=True, eq=False)
class View:
    """What every view carries beside its arrays.

    Attributes
    ----------
    name : the subject's, for titles and messages.
    digest : of the content; part of a run's key.
    space : which set of row ids ``ids`` belongs to; figures with the same space share a selection.
    """

    needs: ClassVar[str] = ""
    name: str
    digest: str
    space: str


@dataclass(frozen=True, eq=False)
class Points(View):
    """Rows in a vector space.

    Attributes
    ----------
    values : (n, d) floating point, finite.
    ids : (n,) stable row ids.
    table : one line a row, indexed by id; may have no columns.
    """

    needs: ClassVar[str] = "rows of numbers (n x d)"
    values: Float[np.ndarray, "n d"]
    ids: Int[np.ndarray, " n"]
    table: pd.DataFrame

    @property
    def n(self) -> int:
        """Number of rows."""
        return len(self.values)

    def column(self, name: str) -> Shaped[np.ndarray, " n"]:
        """One column of the row table, in row order; refused with the names that exist."""
        return table_column(self.table, name, self.name)


@dataclass(frozen=True, eq=False)
class Series(View):
    """A sequence in time: ``values`` (T, c) floating point, finite, one row a time step."""

    needs: ClassVar[str] = "a sequence in time (T x c)"
    values: Float[np.ndarray, "T c"]
    ids: Int[np.ndarray, " T"]
    table: pd.DataFrame


@dataclass(frozen=True, eq=False)
class Matrix(View):
    """One weight matrix: ``values`` (n, m) float32, finite; ``noise`` says what quantization did to it, or is empty."""

    needs: ClassVar[str] = "one weight matrix (n x m)"
    values: Float[np.ndarray, "n m"]
    noise: str = ""


@dataclass(frozen=True, eq=False)
class Aligned(View):
    """Two or more arrays with the same rows: layers of one network, or the same rows in two networks.

    Attributes
    ----------
    arrays : name to (n, d_i) floating point, finite; at least two.
    ids : (n,) row ids that all arrays share.
    """

    needs: ClassVar[str] = "two or more arrays with the same rows (several layers)"
    arrays: dict[str, Float[np.ndarray, "n _"]]
    ids: Int[np.ndarray, " n"]
    table: pd.DataFrame


@dataclass(frozen=True, eq=False)
class Graph(View):
    """A weighted graph.

    Attributes
    ----------
    edges : (m, 2) node positions, 0 to n - 1.
    weights : (m,) finite.
    ids : (n,) row ids of the nodes.
    directed : whether an edge runs only from its first node to its second.
    """

    needs: ClassVar[str] = "a graph (weighted edges)"
    edges: Int[np.ndarray, "m 2"]
    weights: Float[np.ndarray, " m"]
    ids: Int[np.ndarray, " n"]
    table: pd.DataFrame
    directed: bool = False

    @property
    def n(self) -> int:
        """Number of nodes."""
        return len(self.ids)


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


@dataclass(frozen=True, eq=False)
class Models(View):
    """Several descents of one task by networks of one structure.

    Attributes
    ----------
    ids : (n,) row ids: the samples of the probe, as far as they are selected.
    table : one line a sample.
    weight_steps : (k,) steps at which all have weights.
    probe : the samples and the loss that they share.
    trajectories : the descents themselves.
    """

    needs: ClassVar[str] = (
        "several descents of one task (wb.siblings([one, other]), or a folder of recordings)"
    )
    ids: Int[np.ndarray, " n"]
    table: pd.DataFrame
    weight_steps: Int[np.ndarray, " k"]
    probe: Probe
    trajectories: tuple[Trajectory, ...]

    @property
    def n(self) -> int:
        """Number of descents."""
        return len(self.trajectories)

    def require_network(self) -> None:
        """Refuse descents without their network.

        Raises
        ------
        ViewError
            With how to attach it.
        """
        if self.trajectories[0].model is None:
            raise ViewError(
                f"{self.name} has weights and no network; this needs it to know which neurons belong together, and to run it. "
                f"Attach it with .with_model(module)."
            )


VIEWS: tuple[type[View], ...] = (Points, Series, Matrix, Aligned, Graph, Descent, Models)


def require_finite(values: np.ndarray, name: str) -> None:
    """Refuse NaN and infinite values, counted, with the choice to leave their rows out.

    Raises
    ------
    DataError
        With the counts, the first rows that have them, and `drop_nonfinite`.
    """
    rows_ok = (
        np.isfinite(values).reshape(len(values), -1).all(axis=1)
        if values.size
        else np.ones(len(values), bool)
    )
    if rows_ok.all():
        return
    bad = values[~rows_ok]
    first = ", ".join(str(i) for i in np.flatnonzero(~rows_ok)[:5])
    raise DataError(
        f"{name} has {int(np.isnan(bad).sum()):,} NaN and {int(np.isinf(bad).sum()):,} infinite values in "
        f"{int((~rows_ok).sum()):,} of {len(values):,} rows (first: {first}). Leave those rows out with "
        f"subject.drop_nonfinite(), or --drop-nonfinite at the command line."
    )


def table_column(table: pd.DataFrame, name: str, owner: str) -> Any:
    """Return a column as an array, or refuse with the columns that exist."""
    from workbench.core.errors import MissingError, suggest

    if name not in table.columns:
        raise MissingError(f"{owner} has no column {name!r}. {suggest(name, map(str, table.columns))}")
    return table[name].to_numpy()
