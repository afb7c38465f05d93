"""Runs: what was asked of what, with which parameters, seed, versions and device, and how that in turn came to be."""

from __future__ import annotations

import platform
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from importlib import metadata
from typing import Any

from workbench.core.digest import digest
from workbench.core.release import VERSION

_LIBRARIES = (
    "numpy",
    "scipy",
    "pandas",
    "scikit-learn",
    "networkx",
    "igraph",
    "umap-learn",
    "pynndescent",
    "giotto-ph",
    "giotto-tda",
    "torch",
    "transformers",
)

DRAWS = ("n_null", "n_boot")
"""Parameters that say how exactly a question is answered, and not which it is."""


@dataclass(frozen=True)
class Given:
    """One input of a run.

    Attributes
    ----------
    name : of the method's argument. title : what was given, in words. kind : its class.
    digest : of what the method saw of it.
    run : how it came to be; None for what was made in memory.
    """

    name: str
    title: str
    kind: str
    digest: str
    run: Run | None = None

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Given:
        """Read what `Run.to_json` gave."""
        run = data.get("run")
        return cls(**{**data, "run": None if run is None else Run.from_json(run)})


@dataclass(frozen=True)
class Run:
    """One step of a lineage: a verb, what it was given, and its parameters. The unit of caching and provenance.

    Attributes
    ----------
    method, verb : what was done; the verb is ``analysis``, ``source`` or ``edit``; ``function`` for a function of the
        package (`open`, `capture`), ``list`` or ``dict`` for one that takes its inputs so (`siblings`, `along`);
        ``sum`` for a network and its edits; ``call`` for a call of its first input (``select``, ``sample``); ``loop``
        for a training loop of the user's (`record`).
    version : digest of the method's source and of what it imports; "" where there is none.
    inputs : what it was given, each with the run that made it.
    parameters : every value, the defaults among them; ``chosen`` names those that aren't defaults.
    aligned : how the rows of several inputs were brought together, in words.
    key : equal for runs that must give the same answer.
    seconds : wall time of the method, its control included.
    """

    method: str
    version: str = ""
    inputs: tuple[Given, ...] = ()
    parameters: dict[str, Any] = field(default_factory=dict)
    verb: str = "analysis"
    chosen: tuple[str, ...] = ()
    aligned: str = ""
    device: str = "cpu"
    started: str = ""
    seconds: float = 0.0
    versions: dict[str, str] = field(default_factory=dict)

    @property
    def subject(self) -> str:
        """What was asked about, in words."""
        return " and ".join(given.title for given in self.inputs)

    @property
    def seed(self) -> int | None:
        """The seed, where the method takes one (``random_state``)."""
        return self.parameters.get("random_state")

    @property
    def key(self) -> str:
        """Digest of everything that the answer depends on; libraries count, the clock doesn't."""
        given = [[i.name, i.digest] for i in self.inputs]
        return digest(
            self.verb,
            self.method,
            self.version,
            given,
            self.aligned,
            self.parameters,
            self.device,
            self.versions,
        )

    @property
    def question(self) -> str:
        """Digest of what was asked: alike for whatever versions and device answered it, and from however many draws."""
        given = [[i.name, i.digest] for i in self.inputs]
        asked = {n: v for n, v in self.parameters.items() if n not in DRAWS}
        return digest(self.verb, self.method, given, self.aligned, asked)

    def chain(self) -> Iterator[Run]:
        """Yield every run that this one rests on, the earliest first and itself last, each once."""
        seen: set[str] = set()

        def walk(run: Run) -> Iterator[Run]:
            for given in run.inputs:
                if given.run is not None:
                    yield from walk(given.run)
            if run.key not in seen:
                seen.add(run.key)
                yield run

        yield from walk(self)

    def asked(self) -> Iterator[Run]:
        """Yield the analyses that it shows: itself, or those of the results that it puts together."""
        if self.verb == "analysis":
            yield self
        elif self.verb == "dict":
            for given in self.inputs:
                if given.run is not None:
                    yield from given.run.asked()

    def to_json(self) -> dict[str, Any]:
        """Plain dictionary, with the key."""
        return {**self._plain(), "key": self.key}

    def _plain(self) -> dict[str, Any]:
        """Like `asdict`, which takes a hundred times as long to copy what can't change."""
        inputs = [{**vars(i), "run": i.run and i.run._plain()} for i in self.inputs]
        own = {"inputs": inputs, "parameters": dict(self.parameters), "versions": dict(self.versions)}
        return {**vars(self), **own}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Run:
        """Read what `to_json` gave."""
        parameters = {k: tuple(v) if isinstance(v, list) else v for k, v in data["parameters"].items()}
        rest = {k: v for k, v in data.items() if k not in ("key", "parameters", "inputs", "chosen")}
        inputs = tuple(Given.from_json(i) for i in data.get("inputs", ()))
        return cls(**rest, parameters=parameters, inputs=inputs, chosen=tuple(data.get("chosen", ())))


def now() -> str:
    """The time as ISO 8601, UTC, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


@cache
def versions() -> dict[str, str]:
    """Installed versions of what an answer may depend on."""
    found = {"python": platform.python_version(), "workbench": VERSION}
    for name in _LIBRARIES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found
