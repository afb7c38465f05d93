"""How often plateaus and laws are found that aren't there, and those that are: ``python benchmarks/patience_rates.py [runs]``."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import numpy as np
import pandas as pd

import workbench as wb
from workbench.numerics.descent_laws import LAWS, correlated, fit_law, fit_laws, redrawn
from workbench.subjects.descents.trajectory import Descent, Trajectory

OWN = {"time scale": 60.0, "exponent": 0.5, "stretch": 0.6}
TRUTH = {"start": 2.0, "floor": 0.1, **OWN}


def noise(seed: int, n: int, phi: float, size: float) -> np.ndarray:
    e = np.random.default_rng(seed).standard_normal(n) * size * np.sqrt(1 - phi**2)
    return correlated(e, phi)


def descent(log_loss: np.ndarray) -> Descent:
    table = pd.DataFrame({"loss": np.exp(log_loss)}, index=np.arange(len(log_loss)))
    return Trajectory(table, name="planted").view(Descent)


def planted(name: str, t: np.ndarray) -> np.ndarray:
    law = LAWS[name]
    floor = TRUTH["floor"] if law.floor else 0.0
    return floor + (TRUTH["start"] - floor) * law.shape(t, *(OWN[p] for p in law.own))


def steady(runs: int) -> Iterator[str]:
    for phi, n in ((0.0, 150), (0.5, 150), (0.9, 150), (0.9, 400)):
        alarms = named = 0
        for s in range(runs):
            view = descent(-0.01 * np.arange(n) + noise(10_000 + s, n, phi, 0.1))
            found = wb.plateaus.function(view, clock="step", n_null=19, n_boot=20, random_state=s)
            alarms += found.evidence[0].p_value <= 0.05
            named += len(found.spans) > 0
        yield f"steady descent, phi {phi}, {n} points: {alarms} of {runs} given a change, {named} a plateau"


def resting(runs: int) -> Iterator[str]:
    t = np.arange(300)
    rest = 2 - 0.01 * np.where(t < 120, t, np.maximum(120, t - 80))
    for phi in (0.0, 0.5, 0.9):
        off, inside, asked = [], 0, 0
        for s in range(runs):
            view = descent(rest + noise(20_000 + s, 300, phi, 0.05))
            found = wb.plateaus.function(view, clock="step", n_null=19, n_boot=40, random_state=s)
            if len(found.spans) == 1:
                off.append(np.abs(found.spans[0] - [120, 200]).max())
            changes = [e for e in found.evidence if e.id == "step_of_change"]
            if len(changes) == 2:
                asked += 2
                inside += sum(
                    e.interval[0] <= v <= e.interval[1] for e, v in zip(changes, (120, 200), strict=True)
                )
        near = int((np.array(off) <= 10).sum())
        yield (
            f"planted rest of 80 steps, phi {phi}: {near} of {runs} within 10 steps at both ends, median {np.median(off):.0f}; "
            f"intervals cover {inside} of {asked}"
        )


def laws(runs: int) -> Iterator[str]:
    t = np.arange(300.0)
    for name in (n for n in LAWS if n != "constant"):
        for phi in (0.0, 0.7):
            chosen, cover = 0, np.zeros(len(LAWS[name].parameters))
            truth = [TRUTH[p] for p in LAWS[name].parameters]
            for s in range(runs):
                y = planted(name, t) * np.exp(noise(30_000 + s, 300, phi, 0.05))
                fits = fit_laws(t, y, log=True)
                chosen += min(fits, key=lambda f: f.bic).law.name == name
                fit = next(f for f in fits if f.law.name == name)
                rng = np.random.default_rng(s)
                again = [
                    fit_law(name, t, redrawn(fit, rng), log=True, start=fit, rounds=2).parameters
                    for _ in range(60)
                ]
                low, high = np.quantile(again, [0.025, 0.975], axis=0, method="weibull")
                cover += (low <= truth) & (truth <= high)
            said = ", ".join(f"{p} {c / runs:.2f}" for p, c in zip(LAWS[name].parameters, cover, strict=True))
            yield f"{name}, phi {phi}: chosen in {chosen} of {runs}; intervals cover {said}"


def luck(runs: int) -> Iterator[str]:
    t = np.arange(150.0)
    for phi in (0.0, 0.7):
        other = law = 0
        for s in range(runs):
            view = descent(np.log(planted("exponential", t)) + noise(s, 150, phi, 0.05))
            found = wb.descent_law.function(view, n_null=19, n_boot=0, random_state=s)
            other += found.names[1] != "exponential" and found.evidence[0].p_value <= 0.05
            flat = wb.descent_law.function(
                descent(noise(s, 80, phi, 0.05)), n_null=19, n_boot=0, random_state=s
            )
            law += flat.evidence[1].p_value <= 0.05
        yield (
            f"phi {phi}: another law said to lead an exponential beyond luck in {other} of {runs}; a constant given a law in "
            f"{law} of {runs}"
        )


if __name__ == "__main__":
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 100
    for part in (steady, resting, laws, luck):
        for line in part(runs):
            print(line, flush=True)
