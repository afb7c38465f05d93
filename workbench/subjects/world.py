"""Worlds: a stochastic system on a graph, with what was seen of it, what its heads held, and what happened, in words.

Steps are rows with the same ids in the series, in each state and in the events; nodes in the graph and the sentences.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property, partial
from hashlib import file_digest
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from workbench.core.digest import digest
from workbench.core.errors import DataError, MissingError, ParameterError, suggest
from workbench.core.registry import method
from workbench.core.rows import frozen
from workbench.core.run import versions
from workbench.core.storage import writing
from workbench.core.subject import Subject
from workbench.core.view import View
from workbench.subjects.checkpoint import Checkpoint
from workbench.subjects.corpus import Corpus
from workbench.subjects.graph import Graph, GraphSubject
from workbench.subjects.own_checkpoints import checkpoint_of
from workbench.subjects.points import Points
from workbench.subjects.saving import Saved
from workbench.subjects.series import Series, TimeSeries

if TYPE_CHECKING:
    import pandas as pd
    from jaxtyping import Float

    from workbench.numerics.medusa.model import Sparse

STATES = {
    "r": "rates",
    "q": "displacements of the wave",
    "p": "velocities of the wave",
    "u": "what the heads write",
}
MANIFEST = "manifest.json"


class World(Subject):
    """A world that was lived.

    Parameters
    ----------
    config : what ``config.json`` will hold; see `workbench.numerics.medusa.model.WorldConfig`.
    graph : that it lives on; its table has ``text`` and ``sentence`` where it grew from a story.
    weights : (m,), by which the graph's edges carry rates; the graph's own are how well they conduct the wave.
    maps : its fixed matrices, each as rows, columns and numbers. given : (n,), its constant input.
    states : the `STATES` by name, (steps + 1, n) each, the start among them.
    seen : (steps + 1, channels). heads : (steps + 1, heads), the first number of each; without columns where there is none.
    events : one line a step in which something happened, indexed by that step, with the column ``text``.

    Raises
    ------
    DataError
        States that aren't as many nodes as the graph has, or as many steps as the series.
    """

    needs: ClassVar[str] = "a world (workbench.medusa)"
    narrows: ClassVar[Mapping[type[View], str]] = {Series: "heads", Points: "series", Graph: "graph"}

    def __init__(
        self,
        config: Mapping[str, Any],
        graph: GraphSubject,
        weights: Float[np.ndarray, " m"],
        maps: Mapping[str, Sparse],
        given: Float[np.ndarray, " n"],
        states: Mapping[str, Float[np.ndarray, "steps n"]],
        seen: Float[np.ndarray, "steps channels"],
        heads: Float[np.ndarray, "steps heads"],
        events: pd.DataFrame,
        *,
        name: str = "world",
        truth: Mapping[str, Any] | None = None,
    ):
        for state, values in states.items():
            if values.shape != (len(seen), len(graph)):
                raise DataError(
                    f"{name}: {state} has the shape {values.shape}, and the world has {len(seen):,} steps and {len(graph):,} nodes."
                )
        self.name, self.config, self.truth = name, dict(config), dict(truth or {})
        self.weights, self.maps, self.given = frozen(weights), dict(maps), frozen(given)
        self.states = {state: frozen(values) for state, values in states.items()}
        self.heads, self.happened = frozen(heads), events
        self.seen = TimeSeries(
            seen,
            name=f"what is seen of {name}",
            channels=tuple(f"seen {i}" for i in range(seen.shape[1])),
            interval=float(config["h"]),
            truth=self.truth,
        )
        self.graph = graph

    @classmethod
    def example(cls, variant: int = 0) -> Subject:
        """The story's world, 200 steps of it."""
        return method("medusa")(steps=200, generations=0, random_state=variant)

    @cached_property
    def digest(self) -> str:
        held = [values for pair in sorted(self.states.items()) for values in (pair[0], pair[1])]
        maps = [part for _, parts in sorted(self.maps.items()) for part in parts]
        config = json.dumps(self.config, sort_keys=True)
        return digest(
            "world", config, self.graph.digest, self.seen.digest, self.heads, self.given, *held, *maps
        )

    @property
    def holds(self) -> str:
        outcome, step = self.truth.get("outcome", "finished"), self.truth.get("step", len(self.seen) - 1)
        ended = f", which {outcome} at step {step:,}" if outcome != "finished" else ""
        return (
            f"a world of {len(self.graph):,} nodes and {len(self.seen) - 1:,} steps{ended}, {len(self.seen.channels):,} channels seen "
            f"and {len(self.happened):,} steps with an event"
        )

    @property
    def sentences(self) -> Corpus | None:
        """The sentences that it grew from, whose ids are those of their nodes; None where it grew from none."""
        table = self.graph.table
        if "text" not in table:
            return None
        told = table[table["generation"] == 0]
        kept = [c for c in told if c not in ("generation", "sentence")]
        return Corpus(told[kept], name=f"sentences of {self.name}", space=self.graph.space)

    @property
    def events(self) -> Corpus | None:
        """What happened, a text for each step in which a head left its range, with that step's id; None where none did."""
        if not len(self.happened):
            return None
        return Corpus(self.happened, name=f"events of {self.name}", space=self.seen.space)

    def parts(self, kind: type[View] | None = None) -> tuple[str, ...]:
        return tuple(n for n, (gives, _) in self._parts.items() if kind is None or kind in gives)

    def default_part(self, kind: type[View] | None = None) -> str | None:
        return "graph" if kind is Graph else "series"

    def at(self, *names: Any) -> Subject:
        """Return a part: ``series``, ``graph``, ``events``, ``sentences``, ``heads``, or a state (``r``, ``q``, ``p``, ``u``).

        Raises
        ------
        MissingError
            There is no such part; no events where no head left its range.
        """
        if len(names) != 1 or names[0] not in self._parts:
            wanted = ", ".join(map(str, names)) or "nothing"
            raise MissingError(
                f"{self.name} has no one part {wanted!r}. {suggest(wanted, self._parts)}"
                + (" Nothing happened: no head left its range." if "events" in names else "")
            )
        part = self._parts[names[0]][1]()
        return self.derived(part, "at", names[0], {"*": names})

    @property
    def _parts(self) -> dict[str, tuple[tuple[type[View], ...], Callable[[], Subject]]]:
        """Each part's name to the views that it gives and what makes it, the likeliest last."""
        rows: tuple[type[View], ...] = (Series, Points)
        made: dict[str, tuple[tuple[type[View], ...], Callable[[], Subject]]] = {}
        for name, told in (("sentences", self.sentences), ("events", self.events)):
            if told is not None:
                made[name] = ((), partial(copy.copy, told))
        for state, values in self.states.items():
            made[state] = (rows, partial(self._along, values, tuple(map(str, self.graph.ids.tolist()))))
        if heads := self.heads.shape[1]:
            made["heads"] = (rows, partial(self._along, self.heads, tuple(f"head {i}" for i in range(heads))))
        made["graph"] = ((Graph,), partial(copy.copy, self.graph))
        made["series"] = (rows, partial(copy.copy, self.seen))
        return made

    def _along(self, values: np.ndarray, channels: tuple[str, ...]) -> TimeSeries:
        """Something of each step as a series whose rows are the world's steps."""
        interval, space = self.seen.interval, self.seen.space
        return TimeSeries(values, channels=channels, interval=interval, space=space, truth=self.truth)

    def as_series(self) -> Series:
        return self.seen.as_series()

    def as_points(self) -> Points:
        return self.seen.as_points()

    def as_graph(self) -> Graph:
        return self.graph.as_graph()

    def matrices(self) -> Checkpoint:
        """Return its matrices in full, as weights.

        Raises
        ------
        DataError
            It has more nodes than matrices are written in full for.
        """
        from workbench.numerics.medusa.model import in_full

        made = checkpoint_of(in_full(self.config, self.maps, self.given), self.name)
        return self.derived(made, "matrices", "matrices")

    def save(self, path: str | Path, *, dtype: Saved = "stored") -> Path:
        """Write its matrices and ``config.json`` to a folder, which `workbench.open` opens as a checkpoint.

        The same world is the same bytes. The configuration has the call that made it, by which its states are made again.

        Raises
        ------
        DataError
            It has more nodes than matrices are written in full for.
        StorageError
            Something lies there already.
        """
        return self.matrices().save(path, dtype=dtype)

    def to_parquet(self, path: str | Path, *, states: Sequence[str] = ()) -> Path:
        """Write tables to a folder: nodes, edges, series, events as sentences, heads, and the states that are asked for.

        The same world is the same bytes. ``manifest.json`` has the call with its seed, versions, and each file's SHA-256.

        Parameters
        ----------
        path : a new folder, or one that was written so, which is replaced whole.
        states : names of `STATES`, one row a step and node each.

        Raises
        ------
        ParameterError
            There is no such state.
        StorageError
            It can't be written there.
        """
        import pandas as pd

        for state in states:
            if state not in self.states:
                raise ParameterError(
                    f"states={state!r} is not legal. It takes some of {', '.join(self.states)}."
                )
        nodes = self.graph.table.rename_axis("node").reset_index()
        edges = pd.DataFrame(
            {
                "first": self.graph.edges[:, 0],
                "second": self.graph.edges[:, 1],
                "conducts": self.graph.weights,
                "weight": self.weights,
            }
        )
        steps = np.arange(len(self.seen))
        along = {"step": steps, "time": steps * self.seen.interval}
        tables = {
            "nodes": nodes,
            "edges": edges,
            "series": pd.DataFrame(
                {**along, **dict(zip(self.seen.channels, self.seen.values.T, strict=True))}
            ),
            "events": self.happened.rename_axis("step").reset_index(),
        }
        if self.heads.shape[1]:
            tables["heads"] = pd.DataFrame({**along, **{f"head {i}": h for i, h in enumerate(self.heads.T)}})
        if states:
            n = len(self.graph)
            wide = {state: self.states[state].reshape(-1) for state in dict.fromkeys(states)}
            who = {"step": np.repeat(steps, n), "node": np.tile(self.graph.ids, len(steps))}
            tables["states"] = pd.DataFrame({**who, **wide})
        path = Path(path)
        with writing(path) as temporary:
            temporary.mkdir()
            digests = {}
            for name, table in tables.items():
                file = temporary / f"{name}.parquet"
                table.to_parquet(file, index=False)
                with file.open("rb") as written:
                    digests[file.name] = file_digest(written, "sha256").hexdigest()
            manifest = {
                "name": self.name,
                "call": self.config["made"],
                "seed": self.config["made"].get("random_state"),
                "outcome": self.truth.get("outcome"),
                "step": self.truth.get("step"),
                "digest": self.digest,
                "versions": versions(),
                "sha256": digests,
            }
            (temporary / MANIFEST).write_text(json.dumps(manifest, indent=1) + "\n", encoding="utf-8")
        return path
