"""``workbench weights``: all matrices of a checkpoint of any size, within a memory cap, to be resumed where it was stopped."""

from __future__ import annotations

import time
from collections.abc import Generator, Mapping
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import closing
from contextvars import copy_context
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import click

from workbench.commands import _answers, _subjects
from workbench.commands.console import (
    SIZES,
    Amount,
    bytes_words,
    progress,
    say,
    say_json,
    say_table,
    time_words,
)

if TYPE_CHECKING:
    from workbench.analyses.weights.weights import Plan
    from workbench.core.method import Question
    from workbench.results.weight_map import WeightMap
    from workbench.subjects.checkpoint import Checkpoint, TensorInfo

BESIDE = 350e6  # bytes of the interpreter with what it has loaded
BLOCKS = 80e6  # bytes of the rows that are read at once, widened, for each matrix that is under way
_OF_GRAM = 2 * 8  # bytes a number of the Gram matrix: it, and what is added to it or what LAPACK overwrites
_OF_SVD = 3 * 8  # bytes a number of the matrix: it, and what LAPACK copies and overwrites
_OF_SKETCH = 8 * 24 * 8 * 5  # bytes a number of the shorter side: five arrays of all probes and steps
_COLUMNS = ("name", "role", "rows x columns", "stable rank", "outside", "alpha", "tail")


@click.command("weights", short_help="Analyse every matrix of a checkpoint of any size.")
@click.argument("path")
@click.option("--at", metavar="PATTERN", help="Only tensors whose names match, such as 'encoder.layer.0.**'.")
@click.option(
    "--memory",
    type=Amount("size", SIZES, "1GB"),
    default="1GB",
    show_default=True,
    help="Memory that it may use. The singular values of a matrix whose Gram matrix doesn't fit are estimated from a sketch.",
)
@click.option(
    "--jobs",
    type=click.IntRange(1),
    default=None,
    help="Matrices at once, each with one thread. Default: as many as processors and memory allow.",
)
@click.option(
    "--largest-exact",
    type=click.IntRange(0),
    default=None,
    help="As in workbench info weights; lowered to what fits into --memory.",
)
@click.option(
    "--small-values",
    is_flag=True,
    help="Also find singular values below 1e-7 of the largest, by an SVD of each whole matrix: slower, and the matrix has to "
    "fit into memory.",
)
@click.option(
    "--n-null", type=click.IntRange(0, 9999), default=99, show_default=True, help="Draws from each null."
)
@click.option("--random-state", type=click.IntRange(0), default=0, show_default=True, help="Seed.")
@click.option(
    "--device",
    type=click.Choice(["auto", "cpu", "cuda"]),
    default="auto",
    show_default=True,
    help="Where spectra are computed. The plan's time is for this processor.",
)
@click.option(
    "--ray",
    metavar="ADDRESS",
    help="Run on a Ray cluster, one task per matrix: HOST:PORT, or auto for the one that runs here. PATH has to lead to the same "
    "files on each node; --memory is of each task.",
)
@click.option(
    "--plan", "only_plan", is_flag=True, help="Only say what would be done and how long it would take."
)
@click.option(
    "-o",
    "--out",
    type=click.Path(path_type=Path),
    metavar="DIR|PAGE.html",
    help="Keep the answer in this folder, or write it as a page.",
)
@click.option("--json", "as_json", is_flag=True, help="Write the answer as JSON on stdout.")
def weights(
    path: str,
    at: str | None,
    memory: float,
    jobs: int | None,
    largest_exact: int | None,
    small_values: bool,
    n_null: int,
    random_state: int,
    device: str,
    ray: str | None,
    only_plan: bool,
    out: Path | None,
    as_json: bool,
) -> None:
    """Analyse every matrix of PATH: a file or folder of weights, or the name of a bundled network.

    First comes the plan: which matrices, how, and how long it takes. Then they are analysed, several at once, each read a
    few rows at a time. Each answer is kept as soon as it is there: run a stopped command again, and it goes on.

    \b
    workbench weights minilm
    workbench weights model/ --plan
    workbench weights model/ --memory 4GB --out weighed
    """
    from workbench.analyses.weights.weights import planned
    from workbench.core.device import resolve

    if out is not None:
        _answers.require_answer(out)
        _answers.keep_inputs([path], out)
    with progress():
        checkpoint = _subjects.open_checkpoint(path)
        checkpoint = checkpoint if at is None else checkpoint.at(at)
        plan, each = planned(checkpoint), checkpoint.experts_apart()
    exact, work, at_once = _within(memory, each, plan, largest_exact, small_values, jobs)
    parameters = {
        "largest_exact": exact,
        "small_values": small_values,
        "n_null": n_null,
        "random_state": random_state,
        "device": resolve(device),
    }
    if not as_json:
        _say_plan(each, plan, work, at_once, n_null)
    if only_plan:
        if as_json:
            say_json(
                {
                    "jobs": at_once,
                    **parameters,
                    "matrices": dict(zip(plan.names, map(vars, work), strict=True)),
                }
            )
        return
    with progress():
        if ray is None:
            result = weigh_all(checkpoint, plan, parameters, at_once)
        else:
            result = weigh_all(checkpoint, plan, parameters, at_once, on=(ray, path))
        if out is not None:
            _answers.save(result, out)
    if as_json:
        say_json(
            {"title": result.title, "caveat": result.caveat, "matrices": list(result.matrices), "out": out}
        )
        return
    _show(result, out)


def weigh_all(
    checkpoint: Checkpoint,
    plan: Plan,
    parameters: Mapping[str, Any],
    jobs: int,
    on: tuple[str, str] | None = None,
) -> WeightMap:
    """Answer `weights` of a checkpoint matrix by matrix, each kept in the cache as soon as it is there.

    Parameters
    ----------
    jobs : matrices at once in this process. on : a Ray cluster's address that does it instead, and the path to open there.
    """
    from workbench.analyses.weights.weights import joined
    from workbench.analyses.weights.weights import weights as method
    from workbench.core import cache
    from workbench.core.progress import track

    whole = method.question(checkpoint, **parameters)
    if whole.kept is not None:
        return whole.answered(None)
    start = time.perf_counter()
    questions = {name: method.question(checkpoint.at(name), **parameters) for name in plan.names}
    parts = {name: q.kept for name, q in questions.items() if q.kept is not None}
    rest = {name: q for name, q in questions.items() if name not in parts}
    done = _here(rest, jobs) if on is None else _on_cluster(rest, parameters, *on)
    with closing(done):
        for name, result in track(done, "weights", len(rest)):
            parts[name] = result
            if cache.wanted():
                cache.store(result)
    return whole.answered((joined(plan, parts), time.perf_counter() - start))


def _here(questions: Mapping[str, Question], jobs: int) -> Generator[tuple[str, WeightMap]]:
    """Answer several questions at once in this process, each in one thread, and yield each as it is answered."""
    from workbench.core.progress import unheard
    from workbench.numerics.threads import one_thread

    def answer(question: Question) -> WeightMap:
        with unheard():
            result, seconds = question.compute()
        run = replace(question.run, seconds=round(seconds, 4))
        return cast("WeightMap", replace(result, title=question.title, run=run))

    with one_thread(), ThreadPoolExecutor(jobs) as pool:
        # each with the context of its own, in which linear algebra has one thread
        futures = {pool.submit(copy_context().run, answer, q): name for name, q in questions.items()}
        try:
            for future in as_completed(futures):
                yield futures[future], future.result()
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _on_cluster(
    questions: Mapping[str, Question], parameters: Mapping[str, Any], address: str, path: str
) -> Generator[tuple[str, WeightMap]]:
    """Have the nodes of a Ray cluster answer them."""
    from workbench.report.sweeps.cluster import connected
    from workbench.report.sweeps.parts import answers

    with connected(address, 1):
        keys = {name: q.run.key for name, q in questions.items()}
        for name, result in answers("weights", path, keys, parameters):
            yield name, cast("WeightMap", result)


@dataclass(frozen=True)
class _Work:
    """What weighing one matrix takes: how, the numbers, bytes read and held, and what they are multiplied by."""

    tier: str
    rows: int
    columns: int
    read: int
    bytes: float

    @classmethod
    def of(cls, info: TensorInfo, largest_exact: int, small_values: bool) -> _Work:
        from workbench.analyses.weights.weights import shorter_side

        side, rows = shorter_side(info), info.shape[0]
        size = 1
        for n in info.shape:
            size *= n
        exact = side <= largest_exact
        if exact and small_values:
            return cls("SVD", rows, size // rows, info.nbytes, BLOCKS + _OF_SVD * size)
        held = _need(BLOCKS, side if exact else 0, 0 if exact else side)
        return cls("exact" if exact else "sketch", rows, size // rows, info.nbytes, held)


def _within(
    memory: float,
    each: Checkpoint,
    plan: Plan,
    largest_exact: int | None,
    small_values: bool,
    jobs: int | None,
) -> tuple[int, list[_Work], int]:
    """The longest side whose spectrum is exact, what each matrix takes, and how many at once fit into the memory.

    Raises
    ------
    ParameterError
        The largest matrix alone doesn't fit.
    """
    from workbench.core.errors import ParameterError

    room = memory - BESIDE
    exact = _largest_exact(each, plan, room, largest_exact)
    if room < _need(BLOCKS, 0, 0):
        raise ParameterError(
            f"--memory {bytes_words(memory)} is too little: the interpreter alone takes {bytes_words(BESIDE)}, and a few rows "
            f"{bytes_words(BLOCKS)}. Give --memory 500MB or more."
        )
    work = [_Work.of(each.tensors[n], exact, small_values) for n in plan.names]
    most = max(w.bytes for w in work)
    if most > room:
        what = "the SVD that --small-values asks for" if small_values else "a sketch"
        raise ParameterError(
            f"--memory {bytes_words(memory)} is too little for {what} of the largest matrix: give {bytes_words(BESIDE + most)}."
        )
    return exact, work, _at_once(jobs, room, most)


def _need(blocks: float, exact_side: int, sketched_side: int) -> float:
    return blocks + _OF_GRAM * exact_side**2 + _OF_SKETCH * sketched_side


def _largest_exact(checkpoint: Checkpoint, plan: Plan, room: float, asked: int | None) -> int:
    """What was asked, or the default; where a Gram matrix of that doesn't fit, the longest side of one that does."""
    from workbench.analyses.weights.weights import shorter_side
    from workbench.analyses.weights.weights import weights as method

    wanted = method.parameters["largest_exact"].default if asked is None else asked
    fits = int((max(room - BLOCKS, 0.0) / _OF_GRAM) ** 0.5)
    sides = (shorter_side(checkpoint.tensors[n]) for n in plan.names)
    return int(wanted) if all(side <= fits for side in sides if side <= wanted) else fits


def _at_once(asked: int | None, room: float, most: float) -> int:
    from workbench.numerics.threads import cores

    return max(1, min(asked or cores(), int(room // most)))


def _say_plan(checkpoint: Checkpoint, plan: Plan, work: list[_Work], jobs: int, n_null: int) -> None:
    """The plan, kinds of matrices by the time that they take."""
    seconds = _seconds(checkpoint, plan, n_null)
    groups: dict[tuple[str, int, int], list[_Work]] = {}
    for w in work:
        groups.setdefault((w.tier, w.rows, w.columns), []).append(w)
    lines = []
    for (tier, rows, columns), members in groups.items():
        took = sum(map(seconds, members))
        read = bytes_words(sum(w.read for w in members))
        lines.append((took, [len(members), f"{rows:,} x {columns:,}", tier, read, time_words(took)]))
    lines.sort(key=lambda line: -line[0])
    say_table(["matrices", "rows x columns", "how", "read", "time"], (cells for _, cells in lines))
    total = sum(took for took, _ in lines) / jobs
    say(
        f"{len(work)} matrices of {checkpoint.name}, {bytes_words(sum(w.read for w in work))}, {jobs} at once: about "
        f"{time_words(total)}, at most {bytes_words(BESIDE + jobs * max(w.bytes for w in work))} of memory."
    )
    for said in plan.aside:
        say(f"Not analysed: {said}.")
    if plan.tied:
        say(f"{len(plan.tied)} more are copies of one of these and aren't read again.")


def _seconds(checkpoint: Checkpoint, plan: Plan, n_null: int) -> Any:
    """What says how long a matrix takes, from a tenth of a second of such work on this machine."""
    import numpy as np

    from workbench.core.lazy import LazyTensor
    from workbench.numerics.heavy_tails import tail
    from workbench.numerics.streamed import PROBES, STEPS, as_rows, leading_value, measure
    from workbench.numerics.threads import one_thread

    def timed(work: Any) -> float:
        took = []
        for _ in range(3):  # the first is slower: memory is touched, code is read from disk
            start = time.perf_counter()
            work()
            took.append(time.perf_counter() - start)
        return min(took)

    rng = np.random.default_rng(0)
    square = rng.standard_normal((384, 384))
    single = square[:320, :320].astype(np.float32)
    largest = as_rows(checkpoint.lazy(max(plan.names, key=lambda n: checkpoint.tensors[n].nbytes)))
    some = max(1, min(largest.rows, (1 << 21) // largest.shape[1]))
    few = LazyTensor((some, largest.shape[1]), largest.read)
    none = np.empty(0, np.int64)
    with one_thread():
        product = timed(lambda: square.T @ square) / 384**3
        eigen = timed(lambda: np.linalg.eigvalsh(square @ square.T)) / 384**3
        entry = timed(lambda: measure(few, gram=False, keep=none)) / (some * largest.shape[1])
        draw = 1.5 * timed(lambda: leading_value(single, single[0], 16))
        one_tail = timed(lambda: tail(np.abs(square[0]))) / 384

    def of(w: _Work) -> float:
        size, side = w.rows * w.columns, min(w.rows, w.columns)
        null = n_null * draw * min(1.0, size / single.size)
        if w.tier == "sketch":
            passes = (STEPS + 1) * (1 if w.rows >= w.columns else 2)
            return float(size * entry * (1 + passes / 2) + 2 * passes * size * PROBES * product + null)
        blocks = (
            1 if w.rows >= w.columns else -(-size // (1 << 21))
        )  # of which each is read beside those before
        if w.tier == "SVD":  # a product and a reduction of the whole matrix, half of it by vectors
            return float(size * entry + size * side * (product + eigen) + n_null * one_tail * side + null)
        read = size * entry * (1 + 0.5 * (blocks - 1) / 2)
        return float(read + size * side * product + eigen * side**3 + n_null * one_tail * side + null)

    return of


def _show(result: WeightMap, out: Path | None) -> None:
    say(f"{result.title} ({len(result.matrices)} matrices)")
    lines = (
        {**m, "rows x columns": f"{m['rows']:,} x {m['columns']:,}", "stable rank": m["stable_rank"]}
        for m in result.matrices
    )
    say_table(_COLUMNS, ([_cell(line[c]) for c in _COLUMNS] for line in lines))
    if result.caveat:
        say(result.caveat)
    if out is None:
        say("--out DIR keeps the answer, its table and its figure; --out PAGE.html writes it as a page.")
    else:
        say(
            f"Written: {out}"
            if out.suffix == _answers.PAGE
            else f"Kept in {out}: {', '.join(_answers.KEPT)}."
        )


def _cell(value: Any) -> str:
    if value is None:
        return ""
    return f"{value:.3g}" if isinstance(value, float) else str(value)
