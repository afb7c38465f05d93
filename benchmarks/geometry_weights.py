"""Held-out bits a letter by what draws the weights, or what they are made of, beside the usual, over paired seeds.

python benchmarks/geometry_weights.py --steps 150 --seeds 3 --vary initializer
"""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np
from scipy import stats

import workbench as wb
from workbench.numerics.initializers import NAMES as INITIALIZERS
from workbench.numerics.reparametrizations import NAMES as REPARAMETRIZATIONS

SIZES: dict[str, Any] = {"width": 32, "layers": 2, "heads": 2, "length": 48}
VARIED: dict[str, list[dict[str, str]]] = {
    "initializer": [{"initializer": name} for name in INITIALIZERS],
    "reparametrization": [
        *({"reparametrization": name} for name in REPARAMETRIZATIONS),
        {"mechanism": "surreal"},
    ],
}


def bits_above(seeds: int, **how: Any) -> np.ndarray:
    """Of each seed, what is held out costs above the language's entropy, in bits a letter."""
    runs = [wb.geometry_descent(random_state=seed, **SIZES, **how) for seed in range(seeds)]
    return np.array([run.table["loss"].to_numpy()[-1] / np.log(2) - run.truth["bits"] for run in runs])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=150)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--vary", choices=sorted(VARIED), default="initializer")
    given = parser.parse_args()
    print(f"| {given.vary} | bits above the language's entropy | difference, 95 % interval |\n|---|---|---|")
    usual: np.ndarray | None = None
    for how in VARIED[given.vary]:
        above = bits_above(given.seeds, steps=given.steps, **how)
        name = ", ".join(how.values())
        if usual is None:
            usual = above
            print(f"| {name} | {above.mean():.3f} | |", flush=True)
            continue
        apart = above - usual
        half = stats.t.ppf(0.975, given.seeds - 1) * apart.std(ddof=1) / given.seeds**0.5
        said = f"{apart.mean():+.3f} ({apart.mean() - half:+.3f} to {apart.mean() + half:+.3f})"
        print(f"| {name} | {above.mean():.3f} | {said} |", flush=True)


if __name__ == "__main__":
    main()
