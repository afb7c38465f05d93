"""Kill what the workbench does at random moments, look at what is left, and do it again: nothing is lost, and it ends the same.

As a script: ``python tests/fuzz/killing.py --kills 100 --seed 1 capture record`` prints how many kills fell into the work, and
each fault with its moment.
"""

from __future__ import annotations

import argparse
import hashlib
import multiprocessing
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest import mock

ROOT = Path(__file__).parents[2]
# Each process is forked from one that has imported what all need: that would take longer than the work that is killed.
FORKS = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload(
    [
        "torch",
        "workbench.capturing",
        "workbench.recording.passes",
        "workbench.analyses.embedding.pca",
        "nbformat",
    ]
)
SETUP = """
import numpy as np, torch, workbench as wb
torch.set_num_threads(1)
torch.manual_seed(0)
rng = np.random.default_rng(0)
"""
CAPTURE = """
from workbench.capturing import capture, writing
writing.SYNC_SECONDS = 0
network = torch.nn.Sequential(*[torch.nn.Linear(64, 64) for _ in range(6)])
x = rng.normal(size=(4000, 64)).astype(np.float32)
capture(network, x, at="*", batch_size=8, store=folder / "store", name="killed")
"""
RECORD = """
from torch.nn import functional as F
from workbench.recording import recorder, writing
recorder.SECONDS = writing.SECONDS = 0.05
x = torch.randn(32, 5); y = x.sum(1, keepdim=True)
model = torch.nn.Sequential(torch.nn.Linear(5, 8), torch.nn.BatchNorm1d(8), torch.nn.Tanh(), torch.nn.Linear(8, 1))
optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
going_on = (folder / "run" / "recording.json").exists()
with wb.record(model, optimizer, to=folder / "run", weights_at=1, optimizer_state=True, resume=going_on) as run:
    first = run.restore() if going_on else 0
    for step in range(first, 200):
        optimizer.zero_grad()
        loss = F.mse_loss(model(x), y)
        loss.backward()
        optimizer.step()
        run.log(loss)
"""
CACHE = """
for seed in range(12):
    wb.pca(wb.circle(n=300, random_state=seed), n_null=19, n_boot=19)
"""
REPORT = """
from workbench.report import report
report(folder / "n.ipynb", {"n": 60}, folder / "out" / "n.html")
"""
SWEEP = """
from workbench.report.sweeps.sweep import sweep
sweep(folder / "n.ipynb", {"n": [50, 60]}, folder / "out", jobs=2)
"""
CELLS = (
    "import workbench as wb\ncloud = wb.circle(n=n, noise=0.1, dimensions=4)\nwb.pca(cloud, n_null=19, n_boot=9)",
    "wb.persistence(cloud, n_null=9, n_boot=9)",
)


def bytes_of(folder: Path) -> dict[str, str]:
    return {
        str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest()
        for p in sorted(folder.rglob("*"))
        if p.is_file()
    }


def stored(folder: Path) -> Any:
    from workbench.capturing import open_store

    captured = open_store(folder / "store")
    return captured.digest, bytes_of(folder / "store")


def recorded(folder: Path) -> Any:
    import workbench as wb

    trajectory = wb.open(folder / "run", name="x")
    return trajectory.digest, trajectory.outcome, trajectory.steps.tolist()


def cached(folder: Path) -> Any:
    from workbench.core import cache

    keys = sorted(
        e.path.name for e in cache.entries() if not e.path.name.startswith(".")
    )  # as what is unfinished does
    results = [cache.lookup(key) for key in keys]
    assert all(result is not None for result in results), "a cached result can't be read"
    return [(key, result.values.tobytes()) for key, result in zip(keys, results, strict=True)]


def reported(page: Path) -> Any:
    from workbench.report import facts

    return [
        (r.run.method, r.run.key, {n: a.digest for n, a in r.arrays.items()}) for r in facts.of(page).results
    ]


def swept(folder: Path) -> Any:
    pages = sorted((folder / "out" / "runs").glob("*/*.html"))
    return [reported(page) for page in pages]


@dataclass(frozen=True)
class Verb:
    """What is killed.

    Attributes
    ----------
    code : what a process does in a folder; done again after a kill, it goes on.
    seen : what there is when it is done, which must be the same whether it was killed or not.
    left : reads what a kill left, if that shows itself at all; one of our refusals is fine.
    safe : how much of it is stored for good, which no later kill may make less.
    """

    code: str
    seen: Callable[[Path], Any]
    left: Callable[[Path], Any]
    safe: Callable[[Path], int] = lambda folder: 0


def batches(folder: Path) -> int:
    if (folder / "store").exists():
        return 500
    journal = folder / "store.partial" / "journal"
    lines = journal.read_text().split("\n")[:-1] if journal.exists() else []  # the last may be torn
    return max((int(line.split()[0]) for line in lines), default=0)


def answers(folder: Path) -> int:
    with cache_in(folder):
        return len(cached(folder))


def page_if_there(folder: Path) -> Any:
    page = folder / "out" / "n.html"
    return reported(page) if page.exists() else None


VERBS: dict[str, Verb] = {
    "capture": Verb(CAPTURE, stored, stored, batches),
    "record": Verb(RECORD, recorded, recorded),
    "cache": Verb(CACHE, cached, cached, answers),
    "report": Verb(REPORT, lambda folder: reported(folder / "out" / "n.html"), page_if_there),
    "sweep": Verb(SWEEP, swept, swept, lambda folder: len(swept(folder))),
}


@dataclass
class Kills:
    """What came of so many: how many fell into the work, and each fault in words."""

    within: int = 0
    faults: list[str] = field(default_factory=list)


def work(code: str, folder: Path, begun: Any) -> None:
    """Do it in this process, a group of its own, and say when the work begins."""
    os.setsid()
    with (folder / "said").open("w") as said:
        os.dup2(said.fileno(), 1)
        os.dup2(said.fileno(), 2)
    os.environ |= {"PYTHONPATH": str(ROOT), "WORKBENCH_CACHE": str(folder / "cache")}
    names = {"folder": folder}
    exec(SETUP, names)
    begun.send("ready")
    exec(code, names)


def started(verb: Verb, folder: Path) -> Any:
    """A process that has begun its work."""
    here, there = FORKS.Pipe()
    process = FORKS.Process(target=work, args=(verb.code, folder, there))
    with mock.patch.dict(os.environ, OMP_NUM_THREADS="1"):
        process.start()
    there.close()
    try:
        here.recv()
    except EOFError:
        raise AssertionError((folder / "said").read_text()[-2000:]) from None
    return process


def finished(verb: Verb, folder: Path) -> float:
    """Do it to its end, and say how long it took once everything was imported."""
    process = started(verb, folder)
    start = time.perf_counter()
    process.join(300)
    assert process.exitcode == 0, (folder / "said").read_text()[-2000:]
    return time.perf_counter() - start


def killed(verb: Verb, folder: Path, after: float) -> bool:
    """Kill it some time after it began, its children with it; whether it was still at work."""
    process = started(verb, folder)
    time.sleep(after)
    working = process.is_alive()
    if working:
        os.killpg(process.pid, signal.SIGKILL)
    process.join()
    return working


def prepare(folder: Path) -> Path:
    import nbformat
    from nbformat.v4 import new_code_cell, new_notebook

    folder.mkdir(parents=True)
    cells = [new_code_cell("n = 40", metadata={"tags": ["parameters"]}), *map(new_code_cell, CELLS)]
    nbformat.write(new_notebook(cells=cells), folder / "n.ipynb")
    return folder


def fault(verb: Verb, folder: Path, expected: Any) -> str:
    """What is wrong with what a kill left, or with the end of doing it again."""
    from workbench.core.errors import WorkbenchError

    with cache_in(folder):
        try:
            verb.left(folder)
        except WorkbenchError as e:
            if "\n" in str(e):
                return f"a refusal of several lines: {e}"
        except FileNotFoundError:
            pass  # nothing was there yet
        except Exception as e:
            return f"what was left can't be read: {type(e).__name__}: {e}"
        try:
            finished(verb, folder)
            ended = verb.seen(folder)
        except Exception as e:
            return f"it can't be done again: {type(e).__name__}: {e}"
    return "" if ended == expected else "it ends with something else"


def cache_in(folder: Path) -> Any:
    """A block in which results are kept there."""
    return mock.patch.dict(os.environ, WORKBENCH_CACHE=str(folder / "cache"))


def survive_kills(name: str, kills: int, seed: int, folder: Path) -> Kills:
    """Kill a verb so many times over, each in a folder of its own, once or twice, evenly over the time that it takes."""
    verb, out = VERBS[name], Kills()
    whole = prepare(folder / "whole")
    seconds = finished(verb, whole)
    with cache_in(whole):
        expected = verb.seen(whole)
    rng = random.Random(f"{name} {seed}")
    for number in range(kills):
        place = prepare(folder / str(number))
        moments = [rng.uniform(0, seconds) for _ in range(rng.choice((1, 1, 2)))]
        safe = []
        for after in moments:
            out.within += killed(verb, place, after)
            safe.append(verb.safe(place))
        wrong = "what was stored was lost" if sorted(safe) != safe else fault(verb, place, expected)
        if wrong:
            times = ", then ".join(f"{after:.3f} s" for after in moments)
            out.faults.append(f"{name}, seed {seed}, number {number}, killed after {times}: {wrong}")
        shutil.rmtree(place)
    return out


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", help=f"of {', '.join(VERBS)}; all of them by default")
    parser.add_argument("--kills", type=int, default=100, help="of each")
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    faults = 0
    for name in asked.names or VERBS:
        with tempfile.TemporaryDirectory() as folder:
            out = survive_kills(name, asked.kills, asked.seed, Path(folder))
        faults += len(out.faults)
        print(
            "\n".join(
                [
                    *out.faults,
                    f"{name}: {asked.kills} times, {out.within} kills fell into the work, {len(out.faults)} faults",
                ]
            ),
            flush=True,
        )
    sys.exit(faults > 0)


if __name__ == "__main__":
    main()
