"""`bookmark`: advertise the edges that matter while a network is trained, and say when they change."""

from __future__ import annotations

import copy
import logging
import time
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from workbench.core.errors import DataError, ParameterError
from workbench.core.parameters import require_integer
from workbench.recording.bookmark_files import is_name, pack, read_bookmarks, write_bookmarks
from workbench.recording.layout import PROBE, read_layout
from workbench.recording.reading import read_probe
from workbench.recording.writing import SECONDS
from workbench.subjects.descents.bookmarks import Bookmarks, jaccard

if TYPE_CHECKING:
    import torch

    from workbench.recording.recorder import Recording

_log = logging.getLogger(__name__)
LIVE = ("magnitude", "random", "centrality", "movement", "adam", "gradient_weight")
"""Sources that a training loop has at hand; the others evaluate a copy of the network on the probe."""


@dataclass(frozen=True)
class Change:
    """What a bookmark's owner is told.

    Attributes
    ----------
    step : of the bookmark. jaccard : its similarity to the one before. p_value : of so low a similarity; see
        `workbench.numerics.changes.change_p`.
    gained, lost : layer to positions in its flattened weight.
    """

    step: int
    jaccard: float
    p_value: float
    gained: Mapping[str, np.ndarray]
    lost: Mapping[str, np.ndarray]

    def __str__(self) -> str:
        new, gone = (sum(map(len, edges.values())) for edges in (self.gained, self.lost))
        where = ", ".join(f"{len(e)} in {n}" for n, e in self.gained.items())
        return (
            f"step {self.step}: {new} bookmarked edges are new ({where or 'none'}), {gone} are no longer bookmarked; "
            f"Jaccard index {self.jaccard:.3f}, p = {self.p_value:.2g}"
        )


def bookmark(
    run: Recording,
    source: str = "magnitude",
    *,
    fraction: float = 0.05,
    every: int = 20,
    scope: str = "layer",
    on_change: Callable[[Change], Any] | bool | None = None,
    false_alarms: float = 0.05,
    name: str | None = None,
) -> Bookmarking:
    """Keep the most tethered edges every so many steps of a recording: a context manager inside `record`'s.

    ::

        with wb.record(model, optimizer) as run, wb.bookmark(run, "magnitude", on_change=print) as marks:
            for x, y in batches:
                update(x, y)  # the loop, as it was
        run.trajectory.bookmarks["magnitude"]
        wb.bookmark_stability(run.trajectory, recorded="magnitude")

    Each bookmark's Jaccard index with the one before stands in the trajectory's table (``bookmark.<name>``, where the step
    has a row), and 1 in ``bookmark.<name>.changed`` where it was unusually low. Bookmarks lie in the recording's folder,
    compressed, and go on when the recording is resumed. Nothing that goes wrong here reaches the loop.

    A change is told where there is somebody to hear it: to ``on_change`` as it happens (True prints a line), as a line of the logger
    ``workbench.recording.bookmarks`` at level INFO, and in ``marks.changes`` at any time. In others' loops,
    `TrainerRecorder` and `LightningRecorder` take ``bookmark=``.

    Parameters
    ----------
    source : of the tethers, from `workbench.numerics.tethers.SOURCES`. ``gradient_weight`` takes the gradient of the step at
        hand; sources that need samples take the recording's probe, and a copy of the network; ``movement`` counts from the first
        bookmark (of this process). ``movement_score`` needs kept weights, and is for `bookmark_stability` afterwards.
    fraction, scope : how many edges of what; see `workbench.numerics.tethers.top`.
    on_change : called with a `Change` where the edges changed more than they did before; True prints a line.
    false_alarms : how often it may be called by chance, as a share of the bookmarks; it takes 1 / false_alarms - 1
        bookmarks until the first call. 1 calls at every change of an edge.
    name : what the bookmarks are called; the source by default.

    Raises
    ------
    ParameterError
        A parameter is not legal.
    ViewError, MissingError
        The source can't be had while this network is trained.
    """
    from workbench.numerics.tethers import require_source

    require_source(source)
    every = require_integer(every, "every", "bookmark", low=1)
    if source == "movement_score":
        raise ParameterError(
            "bookmark: source='movement_score' sums over steps whose weights were kept, which come afterwards: use "
            "bookmark_stability(trajectory, source='movement_score'), or 'movement' here."
        )
    for value, what in ((fraction, "fraction"), (false_alarms, "false_alarms")):
        if not isinstance(value, int | float) or not 0 < value <= 1:
            raise ParameterError(
                f"bookmark: {what}={value!r} is not legal. It takes a number above 0 and at most 1."
            )
    if scope not in ("layer", "network"):
        raise ParameterError(f"bookmark: scope={scope!r} is not legal. It takes one of 'layer', 'network'.")
    name = name or source
    if not is_name(name):
        raise ParameterError(
            f"bookmark: name={name!r} is not legal. It takes letters, digits, '_', '-' and '.'."
        )
    if on_change is not None and not isinstance(on_change, bool) and not callable(on_change):
        raise ParameterError(
            f"bookmark: on_change={on_change!r} is not legal. It takes a function of the change, True to print it, or None."
        )
    told = print if on_change is True else on_change or None
    return Bookmarking(run, source, float(fraction), every, scope, told, float(false_alarms), name)


class Bookmarking:
    """Bookmarks under way; made by `bookmark`.

    Attributes
    ----------
    changes : what there was to tell so far.
    """

    def __init__(
        self,
        run: Recording,
        source: str,
        fraction: float,
        every: int,
        scope: str,
        on_change: Callable[[Change], Any] | None,
        false_alarms: float,
        name: str,
    ):
        from workbench.numerics.tethers import edge_names

        self.run, self.source, self.name = run, source, name
        self.changes: list[Change] = []
        self._fraction, self._every, self._scope = fraction, every, scope
        self._on_change, self._false_alarms = on_change, false_alarms
        parameters = dict(run.parameters)
        names = edge_names(
            {n: tuple(p.shape) for n, p in parameters.items()}, run.model, type(run.model).__name__
        )
        self._parameters = {n: parameters[n] for n in names}
        self._shapes = {n: tuple(p.shape) for n, p in self._parameters.items()}
        self._probe = read_probe(run.folder, read_layout(run.folder), PROBE)
        self._start: dict[str, np.ndarray] = {}
        self._steps: list[int] = []
        self._edges: list[np.ndarray] = []
        self._packed: list[np.ndarray] = []
        self._similar: list[float] = []  # each bookmark to the one before, from the second on
        self._kept = -1  # the last step of this process that has one
        self._failure = ""
        self._hook: Any = None
        self._written = time.monotonic()
        if source not in LIVE:
            from workbench.numerics.tethers import require

            require(self._place(), source)

    @property
    def bookmarks(self) -> Bookmarks:
        """Those so far."""
        return Bookmarks(
            self.name,
            self.source,
            self._fraction,
            self._scope,
            self._shapes,
            np.array(self._steps, np.int64),
            list(self._edges),
        )

    def __enter__(self) -> Bookmarking:
        layout = read_layout(self.run.folder)
        held = read_bookmarks(self.run.folder, checked=layout.checked).get(self.name)
        if held is not None:
            if (held.source, held.fraction, held.scope, dict(held.shapes)) != (
                self.source,
                self._fraction,
                self._scope,
                self._shapes,
            ):
                raise ParameterError(
                    f"bookmark: the recording has bookmarks {self.name!r} of other edges ({held.source}, {held.fraction:g} of each "
                    f"{held.scope}). Give these a name= of their own."
                )
            self._steps, self._edges = list(map(int, held.steps)), list(held.edges)
            self._packed = [pack(e) for e in self._edges]
            self._similar = held.turnover().tolist()
        self._hook = self.run.optimizer.register_step_pre_hook(self._before_step)
        return self

    def __exit__(self, *error: object) -> None:
        self._hook.remove()
        try:
            ended = error[0] is None and not self._failure
            if ended and self.run.step % self._every == 0 and self.run.step != self._kept:
                self._keep(log=False)  # after the last update there is no row of its own
            self._write()  # also what came before a failure
        except Exception as e:
            self._failure = self._failure or f"{e}"
        if self._failure:
            warnings.warn(
                f"Bookmarks {self.name!r} stopped: {self._failure} The training was left alone.",
                RuntimeWarning,
                stacklevel=2,
            )

    # -- a step -------------------------------------------------------------------------------------

    def _before_step(self, optimizer: Any, args: Any, kwargs: Any) -> None:
        if self.run.skipping or self.run.step % self._every or self._failure or self.run.step == self._kept:
            return
        try:
            self._keep()
            if time.monotonic() - self._written > SECONDS:
                self._write()
        except Exception as e:
            self._failure = f"at step {self.run.step}: {e}"

    def _keep(self, *, log: bool = True) -> None:
        from workbench.numerics.changes import change_p
        from workbench.numerics.tethers import flat, top

        step = self.run.step
        while self._steps and self._steps[-1] >= step:  # the recording went back to before them
            self._steps.pop(), self._edges.pop(), self._packed.pop()
        del self._similar[max(len(self._steps) - 1, 0) :]
        tethers = self._tethers()
        bad = next((n for n, t in tethers.items() if not np.isfinite(t).all()), None)
        if bad is not None:
            raise DataError(f"{self.source} of {bad} isn't finite.")
        marked = top(tethers, self._fraction, scope=self._scope)  # type: ignore[arg-type]
        edges = np.flatnonzero(flat({n: marked.get(n, np.zeros(s, bool)) for n, s in self._shapes.items()}))
        if self._edges:
            now = jaccard(self._edges[-1], edges)
            p = change_p(self._similar, now)
            values = {
                f"bookmark.{self.name}": now,
                f"bookmark.{self.name}.changed": float(p <= self._false_alarms and now < 1),
            }
            if log:
                self.run.log(**values)
            if p <= self._false_alarms and now < 1:
                self._tell(step, now, p, edges)
            self._similar.append(now)
        self._kept = step
        self._steps.append(step)
        self._edges.append(edges)
        self._packed.append(pack(edges))

    def _tell(self, step: int, now: float, p: float, edges: np.ndarray) -> None:
        marks, before = self.bookmarks, self._edges[-1]
        gained, lost = (marks.layers(np.setdiff1d(a, b)) for a, b in ((edges, before), (before, edges)))
        change = Change(step, now, p, gained, lost)
        self.changes.append(change)
        _log.info("%s of %s: %s", self.name, type(self.run.model).__name__, change)
        if self._on_change is not None:
            self._on_change(change)

    def _tethers(self) -> dict[str, np.ndarray]:
        """T of the weights as they are before this step's update."""
        from workbench.numerics.tethers import tether

        if self.source == "adam":
            return {n: _second_moment(self.run.optimizer, n, p) for n, p in self._parameters.items()}
        if self.source == "gradient_weight":
            return {
                n: np.abs(_numbers(p) * (_numbers(p.grad) if p.grad is not None else 0))
                for n, p in self._parameters.items()
            }
        if self.source == "movement":
            now = {n: _numbers(p) for n, p in self._parameters.items()}
            self._start = self._start or now
            return {n: np.abs(w - self._start[n]) for n, w in now.items()}
        place = self._place()
        return tether(place, self.source, random_state=self.run.step)

    def _place(self) -> Any:
        from workbench.numerics.tethers import Place

        weights = {n: _numbers(p) for n, p in self._parameters.items()}
        if self.source in LIVE:
            return Place(weights, None, None, name=type(self.run.model).__name__)
        network = copy.deepcopy(self.run.model).cpu().eval()
        return Place(weights, network, self._probe, name=type(self.run.model).__name__)

    # -- files --------------------------------------------------------------------------------------

    def _write(self) -> None:
        self._written = time.monotonic()
        if self._steps:
            write_bookmarks(self.run.folder, self.bookmarks, self._packed)


def _numbers(p: torch.Tensor) -> np.ndarray:
    tensor = p.detach()
    return np.array((tensor.float() if tensor.element_size() == 2 else tensor).cpu().numpy())


def _second_moment(optimizer: Any, name: str, p: torch.Tensor) -> np.ndarray:
    """Zeros before the first update."""
    state = optimizer.state.get(p, {})
    if state and "exp_avg_sq" not in state:
        raise DataError(f"{type(optimizer).__name__} has no second moment of {name}; ask for another source.")
    return _numbers(state["exp_avg_sq"]) if state else np.zeros(tuple(p.shape))
