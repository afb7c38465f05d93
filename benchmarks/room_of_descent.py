"""Measure the room of several descents on the digits: does it fall, and what of that is learning?

For each seed a network is trained on the digits as they are, a second one with permuted classes (it can only learn them by
heart), and every measure of the room is taken at the first and the last step of both, on the same images. The table
gives means over seeds of last, and of last minus first, with Student's t intervals over seeds.

    python benchmarks/room_of_descent.py --seeds 5
    python benchmarks/room_of_descent.py --seeds 5 --on trained --images 256 --steps 2000   # both are learned by heart
"""

from __future__ import annotations

import argparse
import json
from typing import Any

import numpy as np
from scipy.stats import t

import workbench as wb
from workbench.subjects.descents.trajectory import Descent, Trajectory

ASKED: list[tuple[str, dict[str, Any]]] = [
    ("hessian_spectrum", {"n_null": 0}),
    ("hessian_density", {"n_null": 0}),
    ("gradient_rank", {"n_null": 0, "n_boot": 0}),
    ("gradient_rank", {"n_null": 0, "n_boot": 0, "measure": "participation_ratio"}),
    ("activation_rank", {"n_null": 0, "n_boot": 0}),
    ("activation_rank", {"n_null": 0, "n_boot": 0, "measure": "participation_ratio"}),
    ("output_entropy", {"n_null": 0, "n_boot": 0}),
    ("sameness", {"n_null": 0, "n_boot": 0}),
    ("sameness", {"n_null": 0, "n_boot": 0, "of": "answers"}),
    ("neural_collapse", {"n_null": 0, "n_boot": 0}),
    ("update_alignment", {"n_null": 0, "n_boot": 0}),
]


def trained(seed: int, permuted: bool, steps: int, on: str, images: int) -> Trajectory:
    """A descent as `digits_descent` makes it, on classes as they are or permuted; measured on trained or on other images."""
    import torch

    from workbench.models._training import descend, optimizer_of, seeded
    from workbench.models.digits_descent import PROBE, digits, perceptron

    with seeded(seed):
        x, y = digits()
        order = torch.randperm(len(x))
        train, rest = order[:images], order[1500:][:PROBE]
        if permuted:
            y = y[torch.randperm(len(y))]
        network = perceptron(64, [32, 32], 10)

        def batch(step: int) -> tuple[torch.Tensor, torch.Tensor]:
            chosen = train[torch.randint(len(train), (64,))]
            return x[chosen], y[chosen]

        probe = rest if on == "other" else train[:PROBE]
        return descend(
            network,
            optimizer_of("adam", network, 1e-3),
            batch,
            steps,
            loss="cross_entropy",
            probe=(x[probe], y[probe]),
            name="digits descent",
        )


def measures(d: Trajectory) -> dict[str, tuple[float, float]]:
    """Every measure's value at the first and at the last step."""
    losses = [
        float(d.view(Descent).probe.evaluate(d.network(int(s))).detach())
        for s in (d.weight_steps[0], d.weight_steps[-1])
    ]
    found: dict[str, tuple[float, float]] = {"loss": (losses[0], losses[1])}
    with_network = {"max_steps": 2}
    for name, how in ASKED:
        said = " ".join([name, *(str(v) for v in how.values() if isinstance(v, str))])
        if name == "hessian_density":
            first, last = (wb.hessian_density(d, step=s, **how) for s in (0, int(d.weight_steps[-1])))
            found[f"{said} flat"] = first.evidence[0].value, last.evidence[0].value
            found[f"{said} curve down"] = first.evidence[1].value, last.evidence[1].value
            continue
        r = getattr(wb, name)(d, **how, **({} if name == "update_alignment" else with_network))
        for j, column in enumerate(r.names):
            found[f"{said} {column}"] = float(r.y[0, j]), float(r.y[-1, j])
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=500)
    parser.add_argument(
        "--on", choices=("other", "trained"), default="other", help="which images are looked at"
    )
    parser.add_argument(
        "--images", type=int, default=1500, help="how many are trained on; few can be learned by heart"
    )
    given = parser.parse_args()
    arms = {
        arm: [
            measures(trained(seed, arm == "permuted", given.steps, given.on, given.images))
            for seed in range(given.seeds)
        ]
        for arm in ("plain", "permuted")
    }
    for name in arms["plain"][0]:
        row = {}
        for arm, runs in arms.items():
            pairs = np.array([r[name] for r in runs])
            change = pairs[:, 1] - pairs[:, 0]
            half = t.ppf(0.975, len(change) - 1) * change.std(ddof=1) / np.sqrt(len(change))
            row[arm] = {
                "first": pairs[:, 0].mean(),
                "last": pairs[:, 1].mean(),
                "change": [change.mean() - half, change.mean() + half],
            }
        print(json.dumps({"measure": name, **row}, default=float))


if __name__ == "__main__":
    main()
