"""Siblings: several descents of one task by networks of one structure. Rows are the samples of the probe that they share."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, reduce
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from workbench.core.digest import digest
from workbench.core.errors import DataError, ParameterError, ViewError
from workbench.core.lineage import Origin
from workbench.core.registry import method
from workbench.core.storage import writing
from workbench.core.subject import Rowed, Subject
from workbench.core.view import View
from workbench.numerics.objectives import Probe
from workbench.subjects.descents.record import few, structure
from workbench.subjects.descents.trajectory import Trajectory

if TYPE_CHECKING:
    import pandas as pd
    from jaxtyping import Int


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


class Siblings(Rowed):
    """Several descents of one task: one probe, the same tensors in the same shapes.

    A row is a sample of the probe, so that a selection of samples holds in every figure about them.

    Parameters
    ----------
    trajectories : two or more, whole (no selection of steps).
    table : one line a sample; ``target`` where it has one number a sample.

    Raises
    ------
    ParameterError
        Fewer than two, or something that is no trajectory.
    DataError
        They differ in probe, loss, tensors or structure: which, and where, is named.
    ViewError
        They have no probe, or no weights at steps that all have.
    """

    def __init__(
        self,
        trajectories: Sequence[Trajectory],
        *,
        name: str = "siblings",
        table: pd.DataFrame | None = None,
        space: str | None = None,
    ):
        members = tuple(trajectories)
        _require_alike(members, name)
        self.trajectories = members
        super().__init__(name, _table_of(members[0].probe) if table is None else table, space)

    typed: ClassVar[str] = "digits-siblings"

    @classmethod
    def example(cls, variant: int = 0) -> Subject:
        """Three small classifiers of digits, trained for 30 steps."""
        return method("digits_siblings")(models=3, width=8, depth=1, steps=30, random_state=variant)

    def __iter__(self) -> Iterator[Trajectory]:
        return iter(self.trajectories)

    def __getitem__(self, i: int) -> Trajectory:
        return self.trajectories[i]

    @property
    def models(self) -> int:
        """How many descents there are."""
        return len(self.trajectories)

    @cached_property
    def weight_steps(self) -> Int[np.ndarray, " k"]:
        """Steps at which all of them have weights."""
        return reduce(np.intersect1d, [t.weight_steps for t in self.trajectories])

    @property
    def probe(self) -> Probe:
        """The samples that they share, as far as they are selected, and the loss."""
        whole = self.trajectories[0].probe
        assert whole is not None  # seen to by __init__
        if self._space is None:
            return whole
        at = self.ids
        x = {k: v[at] for k, v in whole.x.items()} if isinstance(whole.x, dict) else np.asarray(whole.x)[at]
        return Probe(x, whole.y[at], whole.loss)

    @property
    def holds(self) -> str:
        first = self.trajectories[0]
        return (
            f"{self.models} descents of one task, weights of {len(first.tensors):,} tensors at {len(self.weight_steps):,} steps "
            f"that all have ({few(self.weight_steps)}), {'a' if first.model is not None else 'no'} network, a probe of "
            f"{len(self):,} samples ({self.probe.loss})"
        )

    @cached_property
    def digest(self) -> str:
        return digest("siblings", [t.digest for t in self.trajectories], self.table_digest)

    @property
    def space(self) -> str:
        whole = self.trajectories[0].probe
        return self._space or digest("samples of", whole.digest if whole else "")

    def with_model(self, module: object) -> Siblings:
        """Return these descents with a network attached to each, as `Trajectory.with_model` does."""
        made = [t.with_model(module) for t in self.trajectories]  # type: ignore[arg-type]
        joined = Siblings(made, name=self.name, table=self.table, space=self._space)
        return self.derived(joined, "with_model", "", {}, {"module": module})

    def save(self, path: str | Path) -> Path:
        """Copy the recordings into a folder that `workbench.open` opens as siblings; networks are not stored.

        Raises
        ------
        DataError
            Rows were selected, or one of them isn't stored as it is.
        StorageError
            The folder can't be written.
        """
        if self._space is not None:
            raise DataError(f"{self.name}: rows were selected. Save the whole, and select when it is opened.")
        path = Path(path)
        with writing(path) as temporary:
            temporary.mkdir()
            for i, t in enumerate(self.trajectories):
                t.save(temporary / f"{i:02d}")
        return path

    def _take(self, at: np.ndarray) -> Siblings:
        return Siblings(self.trajectories, name=self.name, table=self.table.iloc[at], space=self.space)

    def as_models(self) -> Models:
        return Models(
            self.name,
            self.digest,
            self.space,
            self.ids,
            self.table,
            self.weight_steps,
            self.probe,
            self.trajectories,
        )


def siblings(trajectories: Sequence[Trajectory], *, name: str = "siblings") -> Siblings:
    """Take several descents of one task as one subject; see `Siblings` for what must be alike."""
    if isinstance(trajectories, Siblings):
        return trajectories
    if isinstance(trajectories, Trajectory) or not isinstance(trajectories, Sequence):
        raise ParameterError("siblings takes a list of two trajectories or more: siblings([one, other]).")
    made = Siblings(trajectories, name=name)
    parts = {f"trajectories[{i}]": t for i, t in enumerate(trajectories)}
    return made.made_by(Origin("siblings", parts, {"name": name}, verb="list"))


def _require_alike(members: tuple[Trajectory, ...], name: str) -> None:
    wrong = next((m for m in members if not isinstance(m, Trajectory)), None)
    if len(members) < 2 or wrong is not None:
        said = f"{len(members)} trajectories" if wrong is None else f"a {type(wrong).__name__}"
        raise ParameterError(
            f"{name}: siblings are two trajectories or more; this is {said}. Open each with workbench.open."
        )
    first, *others = members
    labels = [f"{m.name} ({i + 1} of {len(members)})" for i, m in enumerate(members)]
    for label, m in zip(labels, members, strict=True):
        if m.probe is None:
            raise ViewError(
                f"{name}: {label} has no probe. Siblings share one: give it with .with_probe(x, y, loss)."
            )
        if m.selected:
            raise DataError(f"{name}: {label} is a selection of steps. Siblings are whole descents.")
    for label, m in zip(labels[1:], others, strict=True):
        for n in [*first.tensors, *m.tensors]:
            if n not in m.tensors or n not in first.tensors:
                raise DataError(
                    f"{name}: {n} is in one of {labels[0]} and {label} only: they differ in structure."
                )
            a, b = first.tensors[n].shape, m.tensors[n].shape
            if a != b:
                raise DataError(
                    f"{name}: {n} has the shape {a} in {labels[0]} and {b} in {label}. Neurons are compared one to one, so "
                    f"siblings have the same widths; leave one of them out."
                )
        if m.probe.digest != first.probe.digest:  # type: ignore[union-attr]
            raise DataError(
                f"{name}: {label} has another probe than {labels[0]}. Give both the same with .with_probe(x, y, loss)."
            )
        if structure(m.model) != structure(first.model):
            raise DataError(
                f"{name}: the networks of {labels[0]} and {label} are not built alike (or only one is there). Attach one with "
                f".with_model(module)."
            )
    common = reduce(np.intersect1d, [m.weight_steps for m in members])
    if not len(common):
        raise ViewError(
            f"{name}: there is no step at which all {len(members)} descents have weights. Record with weights_at=."
        )


def _table_of(probe: Probe | None) -> pd.DataFrame:
    import pandas as pd

    y = probe.y if probe is not None else np.empty(0)
    columns = {"target": y.reshape(len(y))} if y.size == len(y) else {}
    return pd.DataFrame(columns, index=pd.RangeIndex(len(y)))
