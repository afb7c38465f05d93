"""Held-out bits a letter of each kind of attention beside the standard one, at equal counted operations, over paired seeds.

python benchmarks/geometry_compare.py --steps 150 --seeds 3
"""

from __future__ import annotations

import argparse

import numpy as np
from scipy import stats

import workbench as wb
from workbench.numerics.attention import NAMES
from workbench.numerics.geometry.config import GeometryConfig
from workbench.numerics.geometry.gpt import cost_of

SIZES = {"width": 32, "layers": 2, "heads": 2}
LENGTH = 48


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--steps", type=int, default=150, help="of the standard kind; others get as many as cost the same"
    )
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--kinds", nargs="*", default=NAMES)
    given = parser.parse_args()
    costs = {
        name: cost_of(GeometryConfig(mechanism=name, vocabulary=16, **SIZES), LENGTH, training=True)
        for name in given.kinds
    }
    usual: np.ndarray | None = None
    print(
        "| kind | steps | bits above the language's entropy | difference, 95 % interval |\n|---|---|---|---|"
    )
    for name in given.kinds:
        steps, above = round(given.steps * costs["standard"].matrix / costs[name].matrix), []
        for seed in range(given.seeds):
            descent = wb.geometry_descent(
                mechanism=name, steps=steps, length=LENGTH, random_state=seed, **SIZES
            )
            above.append(descent.table["loss"].to_numpy()[-1] / np.log(2) - descent.truth["bits"])
        if usual is None:
            usual = np.array(above)
            print(f"| {name} | {steps} | {usual.mean():.3f} | |", flush=True)
            continue
        apart = np.array(above) - usual
        half = stats.t.ppf(0.975, len(apart) - 1) * apart.std(ddof=1) / len(apart) ** 0.5
        said = f"{apart.mean():+.3f} ({apart.mean() - half:+.3f} to {apart.mean() + half:+.3f})"
        print(f"| {name} | {steps} | {np.mean(above):.3f} | {said} |", flush=True)


if __name__ == "__main__":
    main()
