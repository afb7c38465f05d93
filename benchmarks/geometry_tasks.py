"""Practical tasks of the kinds of attention, each beside its controls; one run a task, variant and seed, kept in a JSON file.

``python benchmarks/geometry_tasks.py s5 --seeds 5 --variants braid no_penalty`` trains what the file doesn't hold yet;
``python benchmarks/geometry_tasks.py summary`` prints what it holds. Tasks: s5, dyck2.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from workbench.numerics.attention.braid import broken_relations
from workbench.numerics.geometry import tasks
from workbench.numerics.geometry.tracking import Tracker, broken_brackets, trained

KEPT = Path(__file__).parent / "recorded" / "geometry_tasks.json"
EXCHANGES = 4
S5: Mapping[str, dict[str, Any]] = {
    "braid": {"broken": partial(broken_relations, letters=EXCHANGES)},
    "no_penalty": {},
    "order_3": {"broken": partial(broken_relations, letters=EXCHANGES, order=3)},
    "deltaproduct": {"matrices": "householder", "size": 22},
    "deltaproduct_penalty": {
        "matrices": "householder",
        "size": 22,
        "broken": partial(broken_relations, letters=EXCHANGES),
    },
    "diagonal": {"matrices": "diagonal", "size": 25},
}
DYCK2: Mapping[str, dict[str, Any]] = {"braid": {"broken": broken_brackets}, "no_penalty": {}}
Row = dict[str, Any]


def right(tracker: Tracker, make: Callable[..., Any], length: int) -> float:
    """The share of positions answered right, in 32 words that no training saw."""
    x, y = (torch.from_numpy(part) for part in make(32, length, np.random.default_rng([length, 77])))
    with torch.no_grad():
        return float((tracker(x).argmax(-1) == y).double().mean())


def tracked(make: Callable[..., Any], letters: int, classes: int, hidden: int, lengths: tuple[int, ...]) -> Any:
    """Give what trains and tests a tracker of a task."""

    def run(variant: dict[str, Any], seed: int, steps: int) -> Row:
        torch.manual_seed(seed)
        rng = np.random.default_rng([seed, 1])
        matrices, size = variant.get("matrices", "orthogonal"), variant.get("size", 16)
        tracker = Tracker(letters, classes, size, matrices=matrices, hidden=hidden)
        reached = trained(
            tracker,
            lambda n, length: tuple(torch.from_numpy(part) for part in make(n, length, rng)),  # type: ignore[arg-type]
            steps,
            broken=variant.get("broken"),
        )
        found = {f"right_{length}": right(tracker, make, length) for length in lengths}
        return {"parameters": sum(p.numel() for p in tracker.parameters()), "length": reached, **found}

    return run


TASKS: Mapping[str, tuple[Mapping[str, dict[str, Any]], Any]] = {
    "s5": (S5, tracked(tasks.s5, tasks.S5_LETTERS, tasks.S5_STATES, 0, (32, 256, 2048))),
    "dyck2": (DYCK2, tracked(tasks.dyck2, 4, 3, 64, (32, 256, 1024))),
}


def held(path: Path) -> dict[str, Row]:
    return json.loads(path.read_text()) if path.exists() else {}


def keep(path: Path, key: str, row: Row) -> None:
    """Write a run beside those that there are, so that a kill leaves the old file or the new one."""
    rows = {**held(path), key: row}
    beside = path.with_suffix(".part")
    beside.write_text(json.dumps(rows, indent=1, sort_keys=True) + "\n")
    os.replace(beside, path)


def summary(path: Path) -> None:
    """Print all runs, those of a task and variant on one line."""
    together: dict[str, list[Row]] = {}
    for key, row in held(path).items():
        together.setdefault(key.rsplit("/", 1)[0], []).append(row)
    for name, rows in together.items():
        each = {k: [round(row[k], 4) for row in rows] for k in rows[0]}
        print(name, *(f"{k}: {' '.join(map(str, values))}" for k, values in each.items()), sep="\n  ")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("task", choices=[*TASKS, "summary"])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=2000)
    parser.add_argument("--variants", nargs="*", help="all of the task's if it is left out")
    parser.add_argument("--file", type=Path, default=KEPT)
    given = parser.parse_args()
    if given.task == "summary":
        return summary(given.file)
    variants, run = TASKS[given.task]
    if unknown := set(given.variants or ()) - set(variants):
        parser.error(f"--variants: {given.task} has {', '.join(variants)}, not {', '.join(sorted(unknown))}")
    for seed in range(given.seeds):
        for name in given.variants or variants:
            key = f"{given.task}/{name}/{given.steps}/{seed}"
            if key in held(given.file):
                continue
            began = time.process_time()
            row = run(variants[name], seed, given.steps)
            keep(given.file, key, {**row, "processor_s": round(time.process_time() - began, 1)})
            print(key, row, flush=True)


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
