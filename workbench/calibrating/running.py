"""Asking methods in worlds, over and over, in processes; what was asked already isn't asked again."""

from __future__ import annotations

import json
import multiprocessing
import os
import time
import warnings
import zlib
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import Any

import numpy as np

from workbench.calibrating.world import World, worlds_for
from workbench.core import history
from workbench.core.cache import cache_dir
from workbench.core.errors import DataError, ParameterError, ViewError
from workbench.core.evidence import finite
from workbench.core.method import Method
from workbench.core.progress import tell
from workbench.core.registry import method

LEVEL = 0.05
DRAWS = 39
"""Draws of a null in a calibration, at most: a level of 5 % needs no more, and every rate is that of any number of draws."""
RESAMPLES = 60
TOGETHER = 5
"""Runs that a process makes before it hands them over."""


def records_of(method: Method, world: World) -> Path:
    """The file in which the runs of a method, as its code is now, in a world are kept: a line of JSON a run."""
    return (
        cache_dir()
        / "calibration"
        / method.name
        / method.version[:16]
        / f"{world.name.replace(' ', '-')}.jsonl"
    )


def kept(path: Path) -> dict[int, dict[str, Any]]:
    """The runs in a file, by seed; a line that was cut short by a kill isn't one."""
    found = {}
    for line in path.read_text("utf-8").splitlines() if path.is_file() else ():
        try:
            record = json.loads(line)
        except ValueError:
            continue
        found[int(record["seed"])] = record
    return found


def run_once(method: Method, world: World, seed: int) -> dict[str, Any]:
    """Ask a method in one draw of a world: its answers by name, or why it refused."""
    rng = np.random.default_rng([seed, zlib.crc32(world.name.encode())])  # worlds are as unlike as may be
    subjects = world.make(rng)
    most = method.parameters["n_null"].default if "n_null" in method.parameters else 0
    wanted = {
        "n_null": min(DRAWS, most),
        "n_boot": RESAMPLES if world.covers else 0,
        "random_state": seed,
        "device": "cpu",
    }
    values = {k: v for k, v in wanted.items() if k in method.parameters} | dict(
        world.parameters.get(method.name, {})
    )
    start = time.perf_counter()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            result = method(*subjects, **values)
    except (DataError, ViewError, ParameterError) as e:
        return {"seed": seed, "refused": str(e)}
    finally:
        history.forget()
    answers = {
        e.name: {
            "value": finite(e.value),
            "p": e.p_value,
            "interval": finite(e.interval),
            "conservative": e.conservative,
            "untested": e.untested,
            "groups": e.groups,
        }
        for e in result.evidence
    }
    return {"seed": seed, "seconds": round(time.perf_counter() - start, 4), "answers": answers}


def _several(name: str, world: str, seeds: Sequence[int]) -> list[dict[str, Any]]:
    """Run in a process of its own, which finds the method and the world by their names."""
    os.environ["WORKBENCH_NO_CACHE"] = "1"
    from workbench.numerics.threads import one_thread

    asked = method(name)
    here = worlds_for(asked, (world,))[0]
    with one_thread():
        return [run_once(asked, here, seed) for seed in seeds]


def calibrate(
    asked: Method, here: Sequence[World], runs: int, jobs: int
) -> Iterator[tuple[World, dict[int, dict[str, Any]]]]:
    """Ask a method ``runs`` times in each of several worlds; yield each world with all its runs, as it is done.

    Runs are kept as they come, so that what is stopped or killed goes on where it was.

    Parameters
    ----------
    jobs : processes, each with one thread; 1 asks in this one.
    """
    context = multiprocessing.get_context("spawn")
    todo = {w.name: [s for s in range(runs) if s not in kept(records_of(asked, w))] for w in here}
    chunks = [
        (w, seeds[i : i + TOGETHER])
        for w in here
        for seeds in [todo[w.name]]
        for i in range(0, len(seeds), TOGETHER)
    ]
    left = {w.name: sum(c[0] is w for c in chunks) for w in here}
    total, done = sum(len(s) for s in todo.values()), 0
    for w in here:
        if not left[w.name]:
            yield w, _chosen(kept(records_of(asked, w)), runs)
    if not chunks:
        return
    with ProcessPoolExecutor(min(jobs, len(chunks)), mp_context=context) as pool:
        try:
            waiting: dict[Future[list[dict[str, Any]]], World] = {
                pool.submit(_several, asked.name, w.name, seeds): w for w, seeds in chunks
            }
            for future in as_completed(waiting):
                w = waiting[future]
                records = future.result()
                _keep(records_of(asked, w), records)
                done += len(records)
                tell(f"calibrate {asked.name}", done, total)
                tell(w.name)
                left[w.name] -= 1
                if not left[w.name]:
                    yield w, _chosen(kept(records_of(asked, w)), runs)
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _chosen(records: dict[int, dict[str, Any]], runs: int) -> dict[int, dict[str, Any]]:
    return {seed: records[seed] for seed in range(runs) if seed in records}


def _keep(path: Path, records: Sequence[dict[str, Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8") as file:
        file.write("".join(json.dumps(r) + "\n" for r in records))
