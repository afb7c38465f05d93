"""Practical tasks of the kinds of attention, each beside its controls; one run a task, variant and seed, kept in a JSON file.

``python benchmarks/geometry_tasks.py s5 --seeds 5 --variants braid no_penalty`` trains what the file doesn't hold yet;
``python benchmarks/geometry_tasks.py summary`` prints what it holds. Tasks:

- ``s5``, ``dyck2``: the share of positions answered right at lengths beyond those of training (at most 32).
- ``match3``: two GPTs of one layer with equal parameters; the share of positions answered right, beside the best guess that knows
  the position alone. ``summary`` gives the paired difference with Student's interval.
- ``tropical``: radii that are certified for a trained tropical GPT, and the smallest change that an attack found to flip an answer.
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
from scipy import stats
from torch.nn import functional as F

from workbench.numerics.attention.braid import broken_relations
from workbench.numerics.geometry import tasks
from workbench.numerics.geometry.certificate import Last
from workbench.numerics.geometry.config import GeometryConfig
from workbench.numerics.geometry.gpt import GPT
from workbench.numerics.geometry.text import Language
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


def tracked(
    make: Callable[..., Any], letters: int, classes: int, hidden: int, lengths: tuple[int, ...]
) -> Any:
    """Give what trains and tests a tracker of a task."""

    def run(variant: dict[str, Any], seed: int, steps: int, name: str) -> Row:
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


NUMBERS, MODULUS = 12, 16  # of match3
MATCH3: Mapping[str, dict[str, Any]] = {
    "standard": {"expand": 5},  # the parameters that simplicial has in two more projections
    "simplicial": {"options": {"near": NUMBERS, "pairs": NUMBERS}},
}
RADII = tuple(2.0**i for i in range(1, 15))  # of the attack, in certified ones
LETTERS, TEXT = 8, 8  # of the language that the tropical GPT is trained on


def fitted(gpt: GPT, batch: Callable[[], tuple[torch.Tensor, torch.Tensor]], steps: int, rate: float) -> None:
    moving = torch.optim.AdamW(gpt.parameters(), rate)
    for step in range(steps):
        x, y = batch()
        loss = F.cross_entropy(gpt(x)[..., : int(y.max()) + 1].flatten(0, 1), y.flatten())
        moving.zero_grad()
        loss.backward()
        moving.step()
        moving.param_groups[0]["lr"] = rate * min(1.0, 2 * (1 - step / steps))


def matched(variant: dict[str, Any], seed: int, steps: int, name: str) -> Row:
    """Train a GPT of one layer on match3; its first two logits are the answer."""
    torch.manual_seed(seed)
    rng = np.random.default_rng([seed, 1])

    def numbers(count: int, own: np.random.Generator) -> tuple[torch.Tensor, torch.Tensor]:
        x, y = tasks.match3(count, NUMBERS, own, modulus=MODULUS)
        return torch.from_numpy(x), torch.from_numpy(y)

    gpt = GPT(GeometryConfig(mechanism=name, width=32, layers=1, heads=2, vocabulary=MODULUS, **variant))
    fitted(gpt, lambda: numbers(64, rng), steps, 1e-2)
    x, y = numbers(2000, np.random.default_rng(77))
    often = y.double().mean(0)
    with torch.no_grad():
        found = (gpt(x)[..., :2].argmax(-1) == y).double().mean()
    guessed = torch.maximum(often, 1 - often).mean()
    return {
        "parameters": sum(p.numel() for p in gpt.parameters()),
        "right": float(found),
        "guessed": float(guessed),
    }


def certified(variant: dict[str, Any], seed: int, steps: int, name: str) -> Row:
    """Train a tropical GPT on a language, certify its answers to 32 new texts, and attack them within and beyond."""
    torch.manual_seed(seed)
    language, rng = Language.drawn(LETTERS, seed), np.random.default_rng([seed, 1])

    def texts() -> tuple[torch.Tensor, torch.Tensor]:
        x = torch.from_numpy(language.written(16, TEXT + 1, rng))
        return x[:, :-1], x[:, 1:]

    gpt = GPT(GeometryConfig(mechanism="tropical", width=16, heads=2, vocabulary=LETTERS, **variant))
    fitted(gpt, texts, steps, 3e-3)
    last = Last(gpt.double(), torch.from_numpy(language.written(32, TEXT, rng)))
    radius = last.certified()
    within = last.attacked(radius, steps=50, restarts=5)
    beyond = torch.full_like(radius, torch.inf)
    for times in RADII:
        if torch.isinf(beyond).any():
            beyond = torch.minimum(beyond, last.attacked(times * radius, steps=15, seed=seed))
    ratio, parts = beyond / radius, torch.tensor([0.0, 0.5, 1.0], dtype=torch.float64)
    ratio = ratio.nan_to_num(posinf=RADII[-1])  # at least that, where no attack flipped any
    return {
        "flips_within": int(torch.isfinite(within).sum()),
        "not_flipped_beyond": int(torch.isinf(beyond).sum()),
        **dict(
            zip(
                ("radius_least", "radius_median", "radius_largest"),
                radius.quantile(parts).tolist(),
                strict=True,
            )
        ),
        **dict(zip(("gap_least", "gap_median", "gap_largest"), ratio.quantile(parts).tolist(), strict=True)),
    }


TASKS: Mapping[str, tuple[Mapping[str, dict[str, Any]], Any]] = {
    "s5": (S5, tracked(tasks.s5, tasks.S5_LETTERS, tasks.S5_STATES, 0, (32, 256, 2048))),
    "dyck2": (DYCK2, tracked(tasks.dyck2, 4, 3, 64, (32, 256, 1024))),
    "match3": (MATCH3, matched),
    "tropical": ({"one_layer": {"layers": 1}, "two_layers": {"layers": 2}}, certified),
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
        each = {k: [float(f"{row[k]:.4g}") for row in rows] for k in rows[0]}
        print(name, *(f"{k}: {' '.join(map(str, values))}" for k, values in each.items()), sep="\n  ")
    for name in [name for name in together if name.startswith("match3/simplicial/")]:
        other = together.get(name.replace("simplicial", "standard"), [])
        pairs = zip(together[name], other, strict=False)
        apart = np.array([row["right"] - usual["right"] for row, usual in pairs])
        if len(apart) > 1:
            half = stats.t.ppf(0.975, len(apart) - 1) * apart.std(ddof=1) / len(apart) ** 0.5
            print(f"{name} minus standard: {apart.mean():+.4f} ± {half:.4f}")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
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
            row = run(variants[name], seed, given.steps, name)
            keep(given.file, key, {**row, "processor_s": round(time.process_time() - began, 1)})
            print(key, row, flush=True)


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
