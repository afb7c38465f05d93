"""A method about each part of a subject, as tasks of a Ray cluster: what each answers comes back as bytes.

A task whose node is lost is sent again by Ray, so that a node costs no more than what it was at.
"""

from __future__ import annotations

import os
from collections.abc import Generator, Mapping
from pathlib import Path
from typing import Any

from workbench.core.errors import MissingError, StorageError
from workbench.core.result import Result
from workbench.core.storage import scratch
from workbench.report.sweeps.cluster import RETRIES, _first
from workbench.report.sweeps.workers import limits


def answers(
    method: str, subject: str, keys: Mapping[str, str], parameters: Mapping[str, Any]
) -> Generator[tuple[str, Result], None, None]:
    """Ask a method about parts of a subject in the cluster that is connected, and yield each answer as it comes.

    Parameters
    ----------
    subject : a path that leads to the same files on each node, or a bundled name.
    keys : by a part's name, the key of the run that is expected: of the same content, parameters and version of the method.

    Raises
    ------
    MissingError
        A node has no such subject, another one, or another version of the method.
    StorageError
        Ray gave a task up.
    """
    import ray

    where = str(Path(subject).absolute()) if Path(subject).exists() else subject
    task = ray.remote(num_cpus=1, max_retries=RETRIES)(_answer)
    asked = dict(parameters)
    waiting = {task.remote(method, where, name, asked, key): name for name, key in keys.items()}
    try:
        while waiting:
            ready, _ = ray.wait(list(waiting), timeout=0.5)
            for reference in ready:
                name = waiting.pop(reference)
                yield name, _read(ray.get(reference))
    except ray.exceptions.RayTaskError as error:
        raise MissingError(
            f"A node can't answer {method} of {where}: {_first(error.cause or error)}"
        ) from None
    except ray.exceptions.RayError as error:
        raise StorageError(
            f"Ray gave {name} up ({type(error).__name__}): {_first(error)}. What was answered is kept: give the same command "
            "again, and it goes on from there."
        ) from None
    finally:
        for reference in waiting:
            ray.cancel(reference, force=True)


def _answer(method: str, subject: str, part: str, parameters: dict[str, Any], key: str) -> dict[str, bytes]:
    """Answer on a node: the files of the result, by name."""
    os.environ.update(limits(1))
    from dataclasses import replace

    from workbench import asking
    from workbench.core.registry import method as method_named
    from workbench.numerics.threads import one_thread

    question = method_named(method).question(asking.open_named(subject).at(part), **parameters)
    if question.run.key != key:
        raise MissingError(
            f"what lies there as {part} has other content than here, or another version of the workbench is installed"
        )
    with one_thread():
        result, seconds = question.compute()
    result = replace(result, title=question.title, run=replace(question.run, seconds=round(seconds, 4)))
    with scratch("workbench-part") as place:
        result.save(place / "result")
        return {p.name: p.read_bytes() for p in (place / "result").iterdir()}


def _read(files: Mapping[str, bytes]) -> Result:
    from workbench.core.result import load

    with scratch("workbench-part") as place:
        folder = place / "result"
        folder.mkdir()
        for name, content in files.items():
            (folder / Path(name).name).write_bytes(content)
        return load(folder)
