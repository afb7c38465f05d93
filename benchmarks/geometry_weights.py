"""Held-out bits a letter by what draws the weights, beside the normal distribution, over paired seeds.

python benchmarks/geometry_weights.py --steps 150 --seeds 3
"""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np
from scipy import stats

import workbench as wb
from workbench.numerics.initializers import NAMES

SIZES: dict[str, Any] = {"width": 32, "layers": 2, "heads": 2, "length": 48}


def bits_above(seeds: int, **how: Any) -> np.ndarray:
    """Of each seed, what is held out costs above the language's entropy, in bits a letter."""
    runs = [wb.geometry_descent(random_state=seed, **SIZES, **how) for seed in range(seeds)]
    return np.array([run.table["loss"].to_numpy()[-1] / np.log(2) - run.truth["bits"] for run in runs])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=150)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--optimizer", default="adamw")
    given = parser.parse_args()
    found = {
        name: bits_above(given.seeds, steps=given.steps, optimizer=given.optimizer, initializer=name)
        for name in NAMES
    }
    print("| initializer | bits above the language's entropy | difference, 95 % interval |\n|---|---|---|")
    for name, above in found.items():
        apart = above - found[NAMES[0]]
        half = stats.t.ppf(0.975, given.seeds - 1) * apart.std(ddof=1) / given.seeds**0.5
        said = f"{apart.mean():+.3f} ({apart.mean() - half:+.3f} to {apart.mean() + half:+.3f})"
        print(f"| {name} | {above.mean():.3f} | {said if name != NAMES[0] else ''} |")


if __name__ == "__main__":
    main()
