"""Do sources of tethers agree, and do their edges matter more than magnitude's? Over seeds of ``digits_descent``.

::

    python benchmarks/tethers_within.py --seeds 12

prints the tables of ``LOG_tethers.md``, section "Within a model". Each seed is a network of its own (its own split of the
digits, initial weights and batches); intervals are Student's over seeds of the difference to magnitude (or to random edges) in the
same network, p-values exact sign flips over seeds, corrected by Holm for the sources of one table.
"""

from __future__ import annotations

import argparse
import itertools
import os
from collections.abc import Iterable
from typing import Any

import numpy as np
from scipy.stats import t as student

import workbench as wb
from workbench.numerics.ablation import Ablation
from workbench.numerics.tethers import Place, contributions, tether
from workbench.subjects.descents.places import at_step
from workbench.subjects.descents.trajectory import Descent

os.environ.setdefault("WORKBENCH_NO_CACHE", "1")
REMOVED = (0.01, 0.02, 0.05, 0.1, 0.2, 0.4)
KEPT = (0.1, 0.2, 0.4, 0.6, 0.8)
SETTINGS: tuple[dict[str, Any], ...] = (
    {"mode": "remove", "measure": "error", "fractions": REMOVED},
    {"mode": "remove", "measure": "loss", "fractions": REMOVED},
    {"mode": "keep", "measure": "error", "fractions": KEPT},
    {"mode": "keep", "measure": "loss", "fractions": KEPT},
)


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--seeds", type=int, default=12)
    parser.add_argument("--optimizer", default="adam")
    parser.add_argument("--learning-rate", type=float, default=1e-3)
    parser.add_argument("--scope", default="layer", choices=["layer", "network"])
    parser.add_argument("--stability", action="store_true", help="bookmarks over the descents instead")
    parser.add_argument(
        "--signs", action="store_true", help="signed and absolute variants of three sources instead"
    )
    asked = parser.parse_args()
    if asked.signs:
        signs(asked)
        return
    if asked.stability:
        stability(asked)
        return
    agreements: dict[str, list[np.ndarray]] = {"spearman": [], "overlap": []}
    rises: list[list[tuple[np.ndarray, float]]] = [[] for _ in SETTINGS]
    names: tuple[str, ...] = ()
    bases = []
    for seed in range(asked.seeds):
        descent = wb.digits_descent(
            random_state=seed, optimizer=asked.optimizer, learning_rate=asked.learning_rate
        )
        bases.append(whole(descent))
        for measure, found in agreements.items():
            result = wb.tether_agreement(
                descent, measure=measure, scope=asked.scope, n_null=0, n_boot=0, random_state=seed
            )
            names = result.row_names
            found.append(result.values)
        for setting, kept in zip(SETTINGS, rises, strict=True):
            result = wb.tether_ablation(
                descent, **setting, scope=asked.scope, n_null=19, n_boot=0, random_state=seed
            )
            kept.append((result.y.mean(0), float(np.mean(result.evidence[0].null_values))))
        print(f"seed {seed} done", flush=True)
    print("\nheld-out loss and error of the whole networks, mean over seeds:", np.mean(bases, 0).round(4))
    for measure, values in agreements.items():
        agreement(measure, np.array(values), names)
    for setting, kept in zip(SETTINGS, rises, strict=True):
        ablation(setting, np.array([k[0] for k in kept]), np.array([k[1] for k in kept]), names)


def whole(descent: Any) -> tuple[float, float]:
    """Loss and error of the last network on the probe."""
    network = descent.network(int(descent.weight_steps[-1]))
    x, y = descent.probe.tensors()
    wrong = network(x).argmax(1) != y
    return descent.probe.evaluate(network).item(), wrong.double().mean().item()


def signs(asked: argparse.Namespace) -> None:
    """Whether it matters that some sources tether only the edges that hold the loss down, and not those that push it up."""
    rises: dict[str, dict[str, list[float]]] = {"remove": {}, "keep": {}}
    for seed in range(asked.seeds):
        descent = wb.digits_descent(
            random_state=seed, optimizer=asked.optimizer, learning_rate=asked.learning_rate
        )
        place = at_step(descent.view(Descent))
        split = (
            np.random.default_rng([seed, 0x73706C74]).permutation(len(place.probe)) % 2
        )  # as tether_ablation does
        for half in (0, 1):
            seen, held = np.flatnonzero(split == half), np.flatnonzero(split != half)
            candidates = {"magnitude": tether(place, "magnitude")}
            for source in ("dropout", "movement_score", "gradient_weight"):
                mean = mean_contributions(place, source, seen)
                if source == "gradient_weight":  # a removal's first-order rise of the loss
                    mean = {n: -m * place.weights[n] for n, m in mean.items()}
                candidates[f"{source}, positive part"] = {n: np.maximum(m, 0) for n, m in mean.items()}
                candidates[f"{source}, absolute"] = {n: np.abs(m) for n, m in mean.items()}
            for mode, fractions in (("remove", REMOVED), ("keep", KEPT)):
                ablation = Ablation(place, fractions, mode, "zero", asked.scope, "error", seed, "cpu")
                rise = ablation.rises(list(candidates.values()), held).mean((1, 2))
                for name, value in zip(candidates, rise, strict=True):
                    rises[mode].setdefault(name, []).append(float(value))
    for mode, by_name in rises.items():
        print(f"\n{mode}, rise of the error\n\n| source | rise | gain on magnitude |\n|---|---|---|")
        by_seed = {n: np.reshape(v, (-1, 2)).mean(1) for n, v in by_name.items()}
        for name, values in by_seed.items():
            gain = (values - by_seed["magnitude"]) * (1 if mode == "remove" else -1)
            print(f"| {name} | {values.mean():.3f} | {interval(gain) if gain.any() else ''} |")


def mean_contributions(place: Place, source: str, samples: np.ndarray) -> dict[str, np.ndarray]:
    """Mean over samples of what each contributes, signed."""
    parts = list(contributions(place, source, samples=samples))
    return {n: np.concatenate([p[n] for p in parts]).mean(0, dtype=np.float64) for n in parts[0]}


def stability(asked: argparse.Namespace) -> None:
    """How long bookmarks last, and when they are settled, by source."""
    sources = (
        "magnitude",
        "movement",
        "adam",
        "fisher",
        "fisher_weight",
        "gradient_weight",
        "centrality",
        "random",
    )
    found: dict[str, list[list[float]]] = {s: [] for s in sources}
    for seed in range(asked.seeds):
        descent = wb.digits_descent(
            random_state=seed, optimizer=asked.optimizer, learning_rate=asked.learning_rate
        )
        for source in sources:
            result = wb.bookmark_stability(
                descent, source=source, scope=asked.scope, n_null=19, n_boot=0, random_state=seed
            )
            keeps, last, gone, there, changes = result.evidence
            drift = keeps.value - float(np.mean(keeps.null_values))
            found[source].append([keeps.value, drift, last.value, gone.value, there.value, changes.value])
        print(f"seed {seed} done", flush=True)
    heads = (
        "mean Jaccard, step to step",
        "beyond drift",
        "last with first",
        "half gone after",
        "half of the last there at",
        "changes told",
    )
    print(f"\n| source | {' | '.join(heads)} |\n|---|{'---|' * len(heads)}")
    for source, rows in found.items():
        print(f"| {source} | {' | '.join(interval(c) for c in np.array(rows).T)} |")


def agreement(measure: str, values: np.ndarray, names: tuple[str, ...]) -> None:
    """Mean over seeds of every pair's agreement, and the widest half interval of any pair."""
    mean = values.mean(0)
    half = student.ppf(0.975, len(values) - 1) * values.std(0, ddof=1) / np.sqrt(len(values))
    print(
        f"\nagreement, {measure}: mean of {len(values)} seeds; half width of the 95 % interval at most {half.max():.3f}\n"
    )
    print(f"| | {' | '.join(names)} |\n|---|{'---|' * len(names)}")
    for name, row in zip(names, mean, strict=True):
        print(f"| {name} | {' | '.join(f'{v:.2f}' for v in row)} |")


def ablation(setting: dict[str, Any], rises: np.ndarray, random: np.ndarray, names: tuple[str, ...]) -> None:
    """Rises, and gains on magnitude and on random edges, with intervals and corrected p-values."""
    better = 1 if setting["mode"] == "remove" else -1
    base = rises[:, names.index("magnitude")]
    others = [i for i, n in enumerate(names) if n != "magnitude"]
    gains = {i: better * (rises[:, i] - base) for i in others}
    corrected = dict(zip(others, holm([flips(g) for g in gains.values()]), strict=True))
    over_random = [better * (rises[:, i] - random) for i in range(len(names))]
    by_random = holm([flips(g) for g in over_random])
    print(
        f"\n{setting['mode']}, rise of the {setting['measure']}; random edges: {random.mean():.3f}\n\n"
        f"| source | rise | gain on random | p | gain on magnitude | p | seeds better |\n|---|---|---|---|---|---|---|"
    )
    for i in sorted(range(len(names)), key=lambda i: -better * rises[:, i].mean()):
        row = [names[i], f"{rises[:, i].mean():.3f}", interval(over_random[i]), f"{by_random[i]:.3g}"]
        if i in gains:
            row += [interval(gains[i]), f"{corrected[i]:.3g}", f"{(gains[i] > 0).sum()} of {len(base)}"]
        else:
            row += ["", "", ""]
        print(f"| {' | '.join(row)} |")


def interval(values: np.ndarray) -> str:
    """Mean and Student's 95 % interval."""
    half = student.ppf(0.975, len(values) - 1) * values.std(ddof=1) / np.sqrt(len(values))
    return f"{values.mean():.3f} ({values.mean() - half:.3f} to {values.mean() + half:.3f})"


def flips(values: np.ndarray) -> float:
    """Exact two-sided p-value under flips of every sign."""
    signs = np.array(list(itertools.product([-1, 1], repeat=len(values))))
    return float((np.abs(signs @ values) >= abs(values.sum()) * (1 - 1e-12)).mean())


def holm(p: Iterable[float]) -> np.ndarray:
    """Holm's corrected p-values."""
    values = np.array(list(p))
    order = np.argsort(values)
    steps = np.maximum.accumulate(values[order] * np.arange(len(values), 0, -1))
    out = np.empty(len(values))
    out[order] = np.minimum(steps, 1)
    return out


if __name__ == "__main__":
    main()
