"""Cells of the geometry lab side by side: kinds × optimizers × schedules, trained from paired seeds, judged on held-out text.

A trial, one cell from one seed, is a file that is renamed into place when it is done: whatever stops a comparison, the same call
goes on from there. Trials go to processes of this machine or to a Ray cluster.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import math
import multiprocessing
import os
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workbench.core.errors import ParameterError, suggest
from workbench.core.progress import tell
from workbench.core.storage import writing
from workbench.core.version import source_digest
from workbench.numerics import attention, optimization
from workbench.numerics import schedules as pacing

if TYPE_CHECKING:
    import pandas as pd

    from workbench.numerics.geometry.training import Trial
    from workbench.results.ranking import Ranking

TRAINING = "workbench.numerics.geometry.training"
LEVEL = 0.05
FEWEST = 3  # seeds
MOST_JOBS = 4
RETRIES = 3  # nodes that a trial may lose
CELL = ("mechanism", "optimizer", "schedule")


@dataclass(frozen=True)
class Comparison:
    """What was found.

    Attributes
    ----------
    cells : a row a cell. Its means over seeds and their 95 % intervals (Student's t): ``bits`` a token of held-out text. ``difference``
        to the usual cell, paired by seed, with ``p`` and ``corrected`` (`multiplicity.hochberg` over the cells); ``verdict``: better,
        worse, no difference, refused, or usual, with a ``reason``; ``tokens_per_second`` of processor time; ``memory_mb`` that training
        took beyond what the process had.
    trials : a row a cell and seed, as `training.run` gives it.
    """

    cells: pd.DataFrame
    trials: pd.DataFrame

    def ranking(self) -> Ranking:
        """The cells in order of how many bits they save, as an answer that draws itself."""
        from workbench.results.ranking import Ranking

        there = self.cells[self.cells["difference"].notna()]
        return Ranking(
            title="Bits of held-out text that a cell saves beside the usual one",
            quantity="bits saved",
            names=tuple(f"{' '.join(row[:3])}: {row[3]}" for row in there[[*CELL, "verdict"]].to_numpy()),
            scores=-there["difference"].to_numpy(float),
            low=-there["difference_high"].to_numpy(float),
            high=-there["difference_low"].to_numpy(float),
            caveat=f"Intervals are of 95 % each, over {int(self.cells['seeds'].max())} seeds; verdicts are corrected for "
            f"{len(there) - 1} comparisons.",
        )

    def save(self, folder: Path) -> list[Path]:
        """Write ``cells`` and ``trials`` (Parquet), both as JSON, and the picture (HTML); returns the files."""
        from workbench.report.figure import page_of

        made = {name: folder / name for name in ("cells.parquet", "trials.parquet", "comparison.json")}
        with writing(made["cells.parquet"]) as path:
            self.cells.to_parquet(path)
        with writing(made["trials.parquet"]) as path:
            self.trials.to_parquet(path)
        with writing(made["comparison.json"]) as path:
            parts = {
                name: json.loads(t.to_json(orient="records"))
                for name, t in (("cells", self.cells), ("trials", self.trials))
            }
            path.write_text(json.dumps(parts, indent=1), encoding="utf-8")
        if self.cells["difference"].notna().any():
            made["comparison.html"] = folder / "comparison.html"
            with writing(made["comparison.html"]) as path:
                path.write_text(page_of(self.ranking()), encoding="utf-8")
        return list(made.values())


def compare(
    kinds: Sequence[str] = attention.NAMES,
    optimizers: Sequence[str] = ("adamw",),
    schedules: Sequence[str] = ("cosine",),
    *,
    folder: str | Path = "reports/geometry",
    seeds: int = FEWEST,
    jobs: int | None = None,
    ray: str | None = None,
    **how: Any,
) -> Comparison:
    """Train every combination from the same seeds, and judge each beside the usual cell (standard, adamw, cosine).

    Parameters
    ----------
    folder : where trials are kept, and found again.
    seeds : each cell is trained from 0 to this, without it; 3 or more.
    jobs : trials at once; the number of cores, at most 4, without it. ray : address of a Ray cluster, which then runs them.
    how : for `training.Trial`: steps, equal ("flops" or "tokens"), text, width, layers, heads, length, texts, rate, threads.

    Raises
    ------
    ParameterError
        A name that isn't there, fewer than 3 seeds, or a usual cell that can't be trained with these sizes.
    MissingError
        No such cluster. StorageError : the folder can't be written.
    """
    from workbench.numerics.geometry.training import USUAL, Trial, refusal

    for what, given, known in (
        ("kind", kinds, attention.NAMES),
        ("optimizer", optimizers, optimization.NAMES),
        ("schedule", schedules, pacing.NAMES),
    ):
        for name in given:
            if name not in known:
                raise ParameterError(f"There is no {what} {name!r}. {suggest(name, known)}")
    if seeds < FEWEST:
        raise ParameterError(f"seeds={seeds}: an interval needs {FEWEST} or more.")
    cells = list(dict.fromkeys([USUAL, *itertools.product(kinds, optimizers, schedules)]))
    why = {cell: refusal(Trial(*cell, **how)) for cell in cells}
    if why[USUAL]:
        raise ParameterError(f"The usual cell can't be trained: {why[USUAL]}.")
    asked = [Trial(*cell, seed=seed, **how) for cell in cells if not why[cell] for seed in range(seeds)]
    found = _trained(asked, Path(folder) / "trials", jobs, ray)
    return judged(found, {cell: reason for cell, reason in why.items() if reason})


def _trained(
    asked: Sequence[Trial], folder: Path, jobs: int | None, ray: str | None
) -> list[tuple[Trial, dict[str, Any]]]:
    """What each trial gave: those that are done read, the others trained and kept."""
    found = {trial: said for trial in asked if (said := _kept(folder, trial)) is not None}
    rest = [trial for trial in asked if trial not in found]
    tell("training cells", len(found), len(asked))
    for trial, said in (_locally(rest, jobs) if ray is None else _remotely(rest, jobs, ray)) if rest else ():
        with writing(_place(folder, trial)) as path:
            path.write_text(json.dumps({"trial": asdict(trial), "found": said}), encoding="utf-8")
        found[trial] = said
        tell("training cells", len(found), len(asked))
    return [(trial, found[trial]) for trial in asked]


def _place(folder: Path, trial: Trial) -> Path:
    """The file of a trial; its name depends on all that was asked, and on the code that trains."""
    asked = json.dumps(asdict(trial), sort_keys=True).encode()
    digest = hashlib.blake2b(asked + source_digest(TRAINING), digest_size=8).hexdigest()
    return folder / f"{'-'.join(trial.cell)}-{trial.seed}-{digest}.json"


def _kept(folder: Path, trial: Trial) -> dict[str, Any] | None:
    """What a file says that was found; None where there is none, or it is damaged."""
    try:
        read = json.loads(_place(folder, trial).read_text(encoding="utf-8"))
        found: dict[str, Any] = read["found"]
        return found if read["trial"] == asdict(trial) and "nats" in found else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _locally(trials: Sequence[Trial], jobs: int | None) -> Iterator[tuple[Trial, dict[str, Any]]]:
    """Each in a process of its own, so that its memory is its own."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    with ProcessPoolExecutor(
        min(jobs or min(cores, MOST_JOBS), len(trials)),
        mp_context=multiprocessing.get_context("spawn"),
        initializer=_end_with_parent,
        max_tasks_per_child=1,
    ) as pool:
        sent = {pool.submit(train, trial): trial for trial in trials}
        try:
            for done in as_completed(sent):
                yield sent[done], done.result()
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def _end_with_parent() -> None:
    """End this process when the one that started it is gone, so that no trial goes on unseen."""
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _remotely(
    trials: Sequence[Trial], jobs: int | None, address: str
) -> Iterator[tuple[Trial, dict[str, Any]]]:
    from workbench.report.sweeps.cluster import connected

    threads = trials[0].threads
    with connected(address, threads) as (_, room):
        import ray

        # a process a task: its memory is its own
        task = ray.remote(num_cpus=threads, max_retries=RETRIES, max_calls=1)(train)
        waiting: list[Trial] = list(reversed(trials))
        running: dict[Any, Trial] = {}
        while waiting or running:
            while waiting and len(running) < (jobs or room):
                trial = waiting.pop()
                running[task.remote(trial)] = trial
            ready, _ = ray.wait(list(running), timeout=0.5)
            for reference in ready:
                yield running.pop(reference), ray.get(reference)


def train(trial: Trial) -> dict[str, Any]:
    """Run a trial: what a process is sent."""
    from workbench.numerics.geometry.training import run

    return run(trial)


def judged(
    found: Sequence[tuple[Trial, dict[str, Any]]], refused: dict[tuple[str, str, str], str]
) -> Comparison:
    """Compare what was trained with the usual cell, seed by seed; ``refused`` says why other cells weren't."""
    import pandas as pd

    from workbench.numerics.geometry.training import USUAL
    from workbench.numerics.multiplicity import hochberg

    trials = pd.DataFrame([{**asdict(trial), **said} for trial, said in found])
    of_cell = {cell: part.sort_values("seed") for cell, part in trials.groupby(list(CELL), sort=False)}
    usual = of_cell[USUAL]["bits"].to_numpy(float)
    rows = [_row(cell, part, part["bits"].to_numpy(float) - usual) for cell, part in of_cell.items()]
    tested = [row for row in rows if math.isfinite(row["p"])]
    for row, corrected in zip(tested, hochberg(_array([row["p"] for row in tested])), strict=True):
        row["corrected"] = float(corrected)
        if corrected < LEVEL:
            row["verdict"] = "better" if row["difference"] < 0 else "worse"
    rows += [
        {**dict(zip(CELL, cell, strict=True)), "verdict": "refused", "reason": why}
        for cell, why in refused.items()
    ]
    return Comparison(pd.DataFrame(rows), trials)


def _row(cell: tuple[str, str, str], part: pd.DataFrame, apart: Any) -> dict[str, Any]:
    from scipy import stats

    from workbench.numerics.geometry.training import USUAL
    from workbench.numerics.paired import paired_interval

    row: dict[str, Any] = {**dict(zip(CELL, cell, strict=True)), "verdict": "no difference", "reason": ""}
    row |= {"seeds": len(part), "steps": int(part["steps"].iloc[0]), "p": math.nan, "corrected": math.nan}
    speed = part["tokens"].to_numpy(float) / part["seconds"].to_numpy(float)
    for name, values in (
        ("bits", part["bits"]),
        ("difference", apart),
        ("tokens_per_second", speed),
        ("memory_mb", part["memory"] / 1e6),
    ):
        numbers = _array(values)
        low, high = paired_interval(numbers)
        row |= {name: float(numbers.mean()), f"{name}_low": float(low), f"{name}_high": float(high)}
    diverged = int((~_finite(part["bits"])).sum())
    if cell == USUAL:
        row["verdict"] = "usual"
    elif diverged:
        row |= {"verdict": "worse", "reason": f"the loss isn't finite from {diverged} of {len(part)} seeds"}
    elif not apart.any():
        row["p"] = 1.0
    else:
        row["p"] = float(stats.ttest_1samp(apart, 0.0).pvalue)
    return row


def _array(values: Any) -> Any:
    import numpy as np

    return np.asarray(values, float)


def _finite(values: Any) -> Any:
    import numpy as np

    return np.isfinite(_array(values))
