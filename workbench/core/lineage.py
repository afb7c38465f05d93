"""Lineage: how a subject or a result came to be, as runs, and as the Python that makes it again.

What a subject came from is written down when it is made and turned into a `Run` when somebody asks, since the digest of
a large input is computed only then.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from workbench.core.run import Given, Run, now

IDS_KEPT = 5000  # of a selection; a larger one is known by its digest


class Made(Protocol):
    """What has a lineage: a subject, a result, an edit."""

    @property
    def called(self) -> str: ...
    @property
    def digest(self) -> str: ...
    @property
    def run(self) -> Run | None: ...


@dataclass(frozen=True)
class Origin:
    """What made a subject, before digests are known; see `Run` for what each is."""

    method: str
    inputs: Mapping[str, Made] = field(default_factory=dict)
    parameters: Mapping[str, Any] = field(default_factory=dict)
    verb: str = "function"
    started: str = field(default_factory=now)

    def run(self) -> Run:
        """The run that this stands for; digests of the inputs are computed now."""
        return Run(
            method=self.method,
            inputs=tuple(given(name, thing) for name, thing in self.inputs.items()),
            parameters=dict(self.parameters),
            chosen=tuple(self.parameters),
            verb=self.verb,
            started=self.started,
        )


def given(name: str, thing: Made, digest: str = "") -> Given:
    """One input of a run: what it is called, its digest (or that of what was seen of it) and how it came to be."""
    return Given(name, thing.called, type(thing).__name__, digest or thing.digest, thing.run)


def code(run: Run) -> str:
    """Return the Python that makes an answer again from the files and sources that it began with.

    What was made in memory has no code: its line says what belongs there.
    """
    lines = ["import workbench as wb", ""]
    names: dict[str, str] = {}
    steps = list(run.chain())
    for step in steps:
        arguments = []
        for item in step.inputs:
            if item.run is not None:
                arguments.append(names[item.run.key])
                continue
            if item.digest not in names:
                names[item.digest] = f"given{1 + sum(n.startswith('given') for n in names.values())}"
                what = " ".join(item.title.split())  # one line, whatever a stranger called it
                lines.append(f"{names[item.digest]} = ...  # {item.kind} {what}, made in memory: put it here")
            arguments.append(names[item.digest])
        names[step.key] = (
            "result" if step is steps[-1] else f"step{1 + sum(n.startswith('step') for n in names.values())}"
        )
        lines.append(f"{names[step.key]} = {_call(step, arguments)}")
    return "\n".join(lines) + "\n"


def _call(step: Run, arguments: list[str]) -> str:
    values = {name: step.parameters[name] for name in step.chosen if name in step.parameters}
    rest = [repr(v) for v in values.pop("*", ())] + [f"{k}={v!r}" for k, v in values.items()]
    if step.verb == "call":
        owner, *others = arguments
        return f"{owner}.{step.method}({', '.join([*others, *rest])})"
    return f"wb.{step.method}({', '.join([*arguments, *rest])})"
