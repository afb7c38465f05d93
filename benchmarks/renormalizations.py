"""Does a renormalization do more than a restart of the learning rate? Several tasks, and several descents of each.

::

    python benchmarks/renormalizations.py --tasks digits,late,sgd,fashion --descents 10

prints the tables of ``LOG_descent.md``, section "Renormalization". A descent (its own split of the data, initial weights and
batches) counts once, with the mean over its seeds: intervals are Student's over descents of the paired difference, p-values exact
flips of signs over descents, corrected by Holm for the arms of a table. The restart that is compared with is the best of each
descent (or none, where all harm), chosen on the very losses that are compared: it is flattered, never the renormalization.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

import workbench as wb
from workbench.analyses.descent._arms import RATE, RESTART
from workbench.analyses.descent._over_steps import network_at
from workbench.numerics.paired import holm, paired_interval, sign_flips

os.environ.setdefault("WORKBENCH_NO_CACHE", "1")
RESTARTS = (2.0, 4.0, 8.0, 16.0, 32.0)
BUDGET = 300
TETHERED_BY = ("gradient_weight", "fisher", "magnitude", "random")
LANGUAGE = {"budget": 30, "repeats": 3, "batch_size": 8, "rate_factors": (2.0, 4.0, 8.0)}
Setting = tuple[str, Callable[[int], Any], dict[str, Any]]


def settings(tasks: list[str], folder: str) -> Iterator[Setting]:
    """Name, descent of a seed, and what `renormalize` is asked."""

    def digits(**how: Any) -> Callable[[int], Any]:
        return lambda seed: wb.digits_descent(random_state=seed, **how)

    def fashion(seed: int) -> Any:
        return wb.fashion_descent(images=8000, steps=600, folder=folder, random_state=seed)

    def language(seed: int) -> Any:
        return wb.fine_tune(
            wb.open("glassllm-en"), wb.corpus("default", max_texts=1000), steps=60, random_state=seed
        )

    sgd = digits(optimizer="sgd", learning_rate=0.05)
    known: dict[str, list[Setting]] = {
        "digits": [
            ("digits, Adam, 500 steps", digits(), {}),
            ("the same, renormalizations with their own restart ×8", digits(), {"arm_rate": 8.0}),
        ],
        "short": [("digits, Adam, 500 steps, a short budget", digits(), {"budget": 100})],
        "late": [("digits, Adam, 2,000 steps", digits(steps=2000), {})],
        "sgd": [
            ("digits, SGD 0.05, 500 steps", sgd, {}),
            (
                "the same, all arms at 0.2 from the fork on",
                sgd,
                {"learning_rate": 0.2, "rate_factors": (2.0, 4.0)},
            ),
        ],
        "fashion": [
            ("Fashion-MNIST, Adam, 600 steps", fashion, {}),
            ("the same, half strength", fashion, {"strength": 0.5}),
            ("the same, a short budget", fashion, {"budget": 100}),
        ],
        "glassllm": [("glassllm on definitions", language, LANGUAGE)],
    }
    for task in tasks:
        yield from known[task]


def main() -> None:
    """Run them and print a table for each."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--tasks", default="digits,late,sgd,tethers")
    parser.add_argument("--descents", type=int, default=10)
    parser.add_argument("--repeats", type=int, default=8, help="seeds of each descent")
    parser.add_argument("--fashion", default="", help="folder with Fashion-MNIST's files")
    given = parser.parse_args()
    tasks = given.tasks.split(",")
    if "tethers" in tasks:
        tasks.remove("tethers")
        tethers(given.descents, given.repeats)
    for name, descent_of, how in settings(tasks, given.fashion):
        start = time.perf_counter()
        asked = {
            "budget": BUDGET,
            "rate_factors": RESTARTS,
            "repeats": given.repeats,
            "n_null": 0,
            "device": "cpu",
            **how,
        }
        runs, losses = [], []
        for seed in range(given.descents):
            descent = descent_of(seed)
            runs.append(wb.renormalize(descent, random_state=seed, **asked))
            network = network_at(descent, int(descent.weight_steps[-2:][0]))
            losses.append(descent.probe.evaluate(network).item())
        report(name, runs, losses, asked, time.perf_counter() - start)


def report(name: str, runs: list[Any], losses: list[float], asked: dict[str, Any], seconds: float) -> None:
    """Print one setting's table: every arm below the control, below the best restart, and what it did when it acted."""
    tables = [r.table().set_index("name") for r in runs]
    first = tables[0].columns[0]
    arms = [a for a in tables[0].index if all(a in t.index for t in tables)]
    below = np.array([[t.loc[a, first] for t in tables] for a in arms])
    restarts = [i for i, a in enumerate(arms) if a == RESTART or a.startswith(RATE)]
    candidates = np.vstack(
        [np.zeros(len(runs)), below[restarts]]
    )  # where every restart harms, the best is none
    best = candidates.max(0)
    which = [["none", *(arms[i] for i in restarts)][k] for k in candidates.argmax(0)]
    renewing = [i for i, a in enumerate(arms) if i not in restarts and a != "other batches"]
    low, high = paired_interval(below.T)
    beyond = below[renewing] - best
    its_low, its_high = paired_interval(beyond.T)
    equal = np.array([[t.loc[arms[i], "at equal operations"] for t in tables] for i in renewing]) - best
    p = holm(np.array([p_value(d) for d in below]))
    p_beyond = holm(np.array([p_value(d) for d in beyond]))
    print(
        f"\n## {name}\n\n{len(runs)} descents, {asked['repeats']} seeds each, {asked['budget']} updates, {seconds:.0f} s. Held-out loss "
        f"at the fork {np.mean(losses):.3f} ({min(losses):.3f} to {max(losses):.3f}). Best restart: "
        f"{', '.join(f'{w} in {which.count(w)}' for w in dict.fromkeys(sorted(which)))}.\n"
    )
    print(
        "| arm | below the control | p | below the best restart | p | won | at equal operations | outputs moved by |\n"
        + "|---" * 8
        + "|"
    )
    for i in np.argsort(-below.mean(1)):
        cells = [arms[i], f"{below[i].mean():+.4f} ({low[i]:+.4f} to {high[i]:+.4f})", f"{p[i]:.3f}"]
        if i in renewing:
            k = renewing.index(i)
            cells += [
                f"{beyond[k].mean():+.4f} ({its_low[k]:+.4f} to {its_high[k]:+.4f})",
                f"{p_beyond[k]:.3f}",
                f"{(beyond[k] > 0).sum()} of {len(runs)}",
                f"{equal[k].mean():+.4f}",
                f"{max(t.loc[arms[i], 'outputs moved by'] for t in tables):.1e}",
            ]
        print("| " + " | ".join(cells + [""] * (8 - len(cells))) + " |")
    left_out = {
        part for r in runs for part in r.caveat.split(". ") if "left out" in part or "Not run" in part
    }
    print("\n" + "\n".join(sorted(left_out)), flush=True)


def tethers(descents: int, repeats: int) -> None:
    """Print whether it matters what edges are tethered by: each source against as many random edges, same rate and batches."""
    ends: dict[str, list[float]] = {s: [] for s in TETHERED_BY}
    for seed in range(descents):
        descent = wb.digits_descent(random_state=seed)
        for source, found in ends.items():
            ranking = wb.renormalize(
                descent,
                arm="tethering",
                tether_source=source,
                arm_rate=8.0,
                rate_factors=(8.0,),
                budget=BUDGET,
                repeats=repeats,
                n_null=0,
                random_state=seed,
                device="cpu",
            )
            table = ranking.table().set_index("name")
            found.append(
                table.loc["tethering", table.columns[0]] - table.loc["learning rate ×8", table.columns[0]]
            )
    below = np.array(list(ends.values()))
    low, high = paired_interval(below.T)
    gains = below[:-1] - below[-1]
    its_low, its_high = paired_interval(gains.T)
    p = holm(np.array([p_value(g) for g in gains]))
    print(f"\n## digits, Adam, 500 steps, tethered by each source, restart ×8, {descents} descents\n")
    print("| tethered by | below learning rate ×8 | below random edges | p |\n|---|---|---|---|")
    for i, source in enumerate(TETHERED_BY):
        cells = [source, f"{below[i].mean():+.4f} ({low[i]:+.4f} to {high[i]:+.4f})", "", ""]
        if i < len(gains):
            cells[2:] = f"{gains[i].mean():+.4f} ({its_low[i]:+.4f} to {its_high[i]:+.4f})", f"{p[i]:.3f}"
        print("| " + " | ".join(cells) + " |", flush=True)


def p_value(differences: np.ndarray) -> float:
    """Two-sided, of all choices of signs; 1 where there are too few descents to choose from."""
    if len(differences) < 2:
        return 1.0
    null = np.abs(sign_flips(differences, 2 ** min(len(differences), 14), 0))
    return float((1 + (null >= abs(differences.mean())).sum()) / (1 + len(null)))


if __name__ == "__main__":
    main()
