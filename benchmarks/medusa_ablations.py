"""What waves, adapters, heads and noise do to series that the relay makes: chosen on training parts, then tried on what is held out.

    python benchmarks/medusa_ablations.py --aeon FOLDER [--only NAME] [--part training|held_out]

Training: the eight ways in which an even number of the four is on, by forecasts of the last third of the first two thirds. A switch's
effect is the mean log squared error of the four ways with it less that of the four without, of one seed. In these eight ways each of the
other three is on as often with it as without. Held out: all on, each off, and all off, over the error of all on.
"""

from __future__ import annotations

import argparse
from itertools import product
from pathlib import Path

import numpy as np
from synthetic_usefulness import HELD_OUT, SEEDS, SERIES, spread

import workbench as wb
from workbench.numerics.medusa.relay import SWITCHES
from workbench.numerics.synthesis.makers import make, off

ALL = dict.fromkeys(SWITCHES, True)
WAYS = {
    "all on": ALL,
    **{f"{name} off": {**ALL, name: False} for name in SWITCHES},
    "all off": dict.fromkeys(SWITCHES, False),
}


def training(known: np.ndarray) -> np.ndarray:
    """(seeds, switches) effects, of which those below 0 help."""
    on = np.array([way for way in product((False, True), repeat=len(SWITCHES)) if sum(way) % 2 == 0])
    ways = [dict(zip(SWITCHES, way.tolist(), strict=True)) for way in on]
    error = np.array([[off(known, "medusa", 2000 + seed, way) for way in ways] for seed in range(SEEDS)])
    effects = np.stack(
        [error[:, on[:, i]].mean(1) - error[:, ~on[:, i]].mean(1) for i in range(len(SWITCHES))], 1
    )
    told = "; ".join(f"{name} {spread(list(e))}" for name, e in zip(SWITCHES, effects.T, strict=True))
    print(f"  training, log error with less without: {told}", flush=True)
    return effects


def held_out(real: wb.TimeSeries, known: np.ndarray) -> None:
    """Print a line for each way, and its log ratio to all on by seed."""
    first: dict[str, list[float]] = {}
    for called, way in WAYS.items():
        found: dict[str, list[float]] = {}
        for seed in range(SEEDS):
            made = wb.TimeSeries(make(known, "medusa", len(known), seed, way), name=called)
            for e in (
                *wb.usefulness(real, made, n_null=0, n_boot=0).evidence,
                *wb.copying(real, made, n_null=0).evidence,
            ):
                found.setdefault(e.name, []).append(e.value)
        first = first or found
        print(f"  {called}: " + "; ".join(f"{name} {spread(v)}" for name, v in found.items()))
        if called != "all on":
            ratios = {
                n: list(np.log(np.array(found[n]) / first[n]))
                for n in found
                if n.startswith(("boosted", "linear"))
            }
            print(
                "    log error over all on, by seed: "
                + "; ".join(f"{n} {spread(v)}" for n, v in ratios.items()),
                flush=True,
            )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--aeon", type=Path, required=True)
    parser.add_argument("--only", choices=SERIES)
    parser.add_argument("--part", choices=["training", "held_out"])
    asked = parser.parse_args()
    effects = []
    for name, read in SERIES.items():
        if asked.only in (None, name):
            real = wb.TimeSeries(read(asked.aeon), name=name)
            known = real.values[: len(real) - round(HELD_OUT * len(real))].astype(float)
            print(f"{name}: {real.values.shape[0]} x {real.values.shape[1]}", flush=True)
            if asked.part != "held_out":
                effects.append(training(known))
            if asked.part != "training":
                held_out(real, known)
    if effects:
        over = np.mean(effects, axis=0)  # of the series, by seed
        print(
            "all series, training: "
            + "; ".join(f"{n} {spread(list(e))}" for n, e in zip(SWITCHES, over.T, strict=True))
        )


if __name__ == "__main__":
    main()
