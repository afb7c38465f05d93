"""Runs on a Ray cluster: the same jobs, each a task, whose folder comes back as bytes; no shared disk is needed.

A task whose node is lost is sent again by Ray. This module alone imports ray, and only when it is asked to.
"""

from __future__ import annotations

import contextlib
import logging
import os
import re
import socket
import sys
import time
from collections.abc import Generator, Iterator, Sequence
from pathlib import Path
from typing import Any

from workbench.core.errors import MissingError, StorageError
from workbench.core.storage import scratch
from workbench.report.sweeps.runs import Job, Outcome, perform, receive, this_versions
from workbench.report.sweeps.workers import Event, limits

RETRIES = 3  # nodes that one run may lose
ANSWER_SECONDS = 10
CONNECT_SECONDS = 60  # that a cluster has to start its first process for us


@contextlib.contextmanager
def connected(address: str, threads: int) -> Iterator[tuple[dict[str, str], int]]:
    """Connect to a cluster inside the block; gives the versions installed there and how many runs it has room for.

    Raises
    ------
    MissingError
        Ray isn't installed, no cluster answers at the address, or its nodes have no workbench.
    """
    try:
        import ray
    except ImportError:
        raise MissingError(
            "--ray needs Ray, which is an extra: python -m pip install 'workbench[ray]' (or 'ray>=2.40'). Without --ray "
            "the same runs go to processes of this machine."
        ) from None
    # Ray would hide the GPUs from a task that doesn't ask for one, and warns that it soon won't.
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    try:
        _knock(address)
        ray.init(address, log_to_driver=False, logging_level=logging.ERROR, configure_logging=False)
    except (ConnectionError, ValueError, RuntimeError, OSError, OverflowError, ImportError) as e:
        raise MissingError(
            f"No Ray cluster can be reached at --ray {address} ({type(e).__name__}: {_first(e)}). Start one with: ray start "
            "--head, join others with: ray start --address=HOST:6379, and give HOST:6379, or auto on one of its nodes."
        ) from None
    # Ray says on stdout what its nodes do, until it is shut down; there stands our answer, which a script may read.
    with contextlib.redirect_stdout(sys.stderr):
        try:
            versions = _ask_versions(address)
            yield versions, max(1, int(ray.cluster_resources().get("CPU", 1)) // threads)
        finally:
            ray.shutdown()


def remotely(
    jobs: Sequence[Job], folder: Path, *, at_once: int, threads: int
) -> Generator[Event, None, None]:
    """Perform jobs as tasks of the cluster that is connected, yielding each as it is sent and as it ends."""
    import ray

    task = ray.remote(num_cpus=threads, max_retries=RETRIES)(_perform)
    waiting = list(reversed(jobs))
    running: dict[Any, tuple[Job, float]] = {}
    while waiting or running:
        while waiting and len(running) < at_once:
            job = waiting.pop()
            sent = task.remote(job.to_json(), job.notebook.read_bytes(), threads)
            running[sent] = (job, time.perf_counter())
            yield job, None
        ready, _ = ray.wait(list(running), timeout=0.5)
        for reference in ready:
            job, began = running.pop(reference)
            yield job, _fetch(reference, job, folder, began)


def _knock(address: str) -> None:
    """Raise at once where nobody listens: Ray itself would try for minutes."""
    found = re.fullmatch(r"(?:ray://)?\[?([^/\]]+?)\]?:(\d{1,5})", address)
    if found:
        socket.create_connection((found[1], int(found[2])), timeout=ANSWER_SECONDS).close()


def _fetch(reference: Any, job: Job, folder: Path, began: float) -> Outcome:
    """Write what a task answered; what Ray could not carry out is an outcome too."""
    import ray

    try:
        answer, files = ray.get(reference)
    except ray.exceptions.RayError as e:
        said = f"Ray gave it up ({type(e).__name__}): {_first(e)}"
        return Outcome(said, round(time.perf_counter() - began, 2), lost=True)
    try:
        receive(job, folder, files)
    except StorageError as e:
        return Outcome(str(e), round(time.perf_counter() - began, 2), lost=True)
    return Outcome(**answer)


def _perform(job: dict[str, Any], notebook: bytes, threads: int) -> tuple[dict[str, Any], dict[str, bytes]]:
    """Perform a job on a node of the cluster: its outcome, and the files of its folder by their place in it."""
    os.environ.update(limits(threads))
    with scratch("workbench-sweep") as place:
        copy = place / Path(job["notebook"]).name
        copy.write_bytes(notebook)
        # where nodes share a disk, or are one machine, the notebook's folder is there too
        cwd = job["cwd"] if os.path.isdir(job["cwd"]) else str(place)
        asked = Job.from_json({**job, "notebook": str(copy), "cwd": cwd})
        outcome = perform(asked, place)
        made = place / asked.name
        files = {p.relative_to(made).as_posix(): p.read_bytes() for p in made.rglob("*") if p.is_file()}
    return vars(outcome), files


def _ask_versions(address: str) -> dict[str, str]:
    import ray

    task = ray.remote(num_cpus=1, max_retries=RETRIES)(this_versions)
    try:
        return ray.get(task.remote(), timeout=CONNECT_SECONDS)
    except ray.exceptions.GetTimeoutError:
        cores = ray.cluster_resources().get("CPU", 0)
        raise StorageError(
            f"The cluster at {address} started nothing within {CONNECT_SECONDS} s: it has {cores:g} cores, and none is free "
            "(ray status shows what holds them). Join a node with: ray start --address=HOST:6379."
        ) from None
    except ray.exceptions.RayError as e:
        raise MissingError(
            f"The nodes of the cluster at {address} can't run the workbench ({_first(e)}). Install the same version of it "
            "there as here: python -m pip install 'workbench[ray]'."
        ) from None


def _first(error: BaseException) -> str:
    """The line of an error that says most: Ray puts the remote traceback above it."""
    lines = [line.strip() for line in str(error).split("\n") if line.strip()]
    return (lines[-1] if lines else type(error).__name__)[:500]
