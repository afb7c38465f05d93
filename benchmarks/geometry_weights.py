"""Held-out bits a letter by what draws the weights, or what they are made of, beside the usual, over paired seeds.

python benchmarks/geometry_weights.py --steps 150 --seeds 3 --vary initializer
"""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np
import torch
from scipy import stats

import workbench as wb
from workbench.numerics.geometry.config import GeometryConfig
from workbench.numerics.geometry.gpt import GPT
from workbench.numerics.initializers import NAMES as INITIALIZERS
from workbench.numerics.objectives import loss_function
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


def logits_moved(name: str, width: int, seed: int) -> float:
    """Root mean square change of the logits of a text by three steps of Adam on it."""
    torch.manual_seed(seed)
    gpt = GPT(GeometryConfig(width=width, layers=2, heads=4, vocabulary=16, reparametrization=name))
    x = torch.randint(16, (4, 33))
    optimizer, before = torch.optim.Adam(gpt.parameters(), lr=1e-3), gpt(x).detach()
    for _ in range(3):
        optimizer.zero_grad()
        loss_function("next_token")(gpt(x), x).backward()
        optimizer.step()
    return float((gpt(x) - before).detach().square().mean().sqrt())


def widths(seeds: int) -> None:
    """Print by how much logits move at each width."""
    print(
        "| reparametrization | width 32 | 128 | 512 | ratio of the last and the first |\n|---|---|---|---|---|"
    )
    for name in REPARAMETRIZATIONS:
        of = [float(np.mean([logits_moved(name, w, s) for s in range(seeds)])) for w in (32, 128, 512)]
        print(f"| {name} | {' | '.join(f'{m:.3f}' for m in of)} | {of[-1] / of[0]:.1f} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=150)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--vary", choices=[*VARIED, "width"], default="initializer")
    given = parser.parse_args()
    if given.vary == "width":
        widths(given.seeds)
        return
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
