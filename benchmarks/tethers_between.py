"""Measure what stands under "Between models" in LOG_tethers.md.

::

    python benchmarks/tethers_between.py rates samples compatibility ensemble
"""

from __future__ import annotations

import os
import sys

os.environ["WORKBENCH_NO_CACHE"] = "1"

import numpy as np

import workbench as wb
from workbench.core.evidence import monte_carlo_p
from workbench.numerics.compatibility import in_another_order, same_layers
from workbench.numerics.neuron_chain import chain_of

MEASURES = ("cka", "procrustes", "cosine")


def rates(runs: int = 1000) -> None:
    """How often trained networks with nothing in common are above the threshold at 5 %: exact null, and rows permuted alone."""
    made = wb.digits_siblings(models=8, width=16, depth=2, steps=80, images="scrambled")
    chain, states = chain_of(made[0].model), [dict(t.state(80)) for t in made]
    print(f"{'measure':12}{'layer':>6}{'null of order':>16}{'rows permuted':>16}")
    for measure in MEASURES:
        hits = np.zeros((2, 3))
        for seed in range(runs):
            rng = np.random.default_rng(seed)
            i, j = rng.choice(len(states), 2, replace=False)
            a, b = states[i], in_another_order(chain, states[j], {}, rng)[0]
            x, y = ({n.weight: np.abs(w[n.weight]) for n in chain} for w in (a, b))
            pairs = same_layers(chain, a, b, x, y)
            mixed = [_against(chain, a, x, in_another_order(chain, b, y, rng)) for _ in range(19)]
            for k, p in pairs.items():
                null = tuple(m[k].value(measure) for m in mixed)
                rows = tuple(p.by_chance(measure, 19, rng))
                hits[0, k] += monte_carlo_p(p.value(measure), null, "greater") <= 0.05
                hits[1, k] += monte_carlo_p(p.value(measure), rows, "greater") <= 0.05
        for k in range(3):
            print(f"{measure:12}{k:6}{hits[0, k] / runs:16.3f}{hits[1, k] / runs:16.3f}")


def _against(chain, a, x, other):
    return same_layers(chain, a, other[0], x, other[1])


def compatibility() -> None:
    """Lines above their thresholds, by what is compared, measure, null and whether the networks have anything in common."""
    things = ("weights", "magnitude", "movement", "fisher", "gradient_weight", "activations")
    for images in ("shared", "split", "scrambled"):
        made = wb.digits_siblings(models=4, images=images)
        for null in ("order", "networks"):
            for measure in MEASURES:
                table = wb.tether_compatibility(
                    made,
                    sources=things,
                    measure=measure,
                    null=null,
                    steps=1,
                    n_null=99 if null == "order" else 39,
                ).table()
                between = table["from"].str[-1] != table["to"].str[-1]
                said = []
                for thing in things:
                    own = table["of"] == thing
                    said.append(
                        f"{thing} {table.above[own & between].mean():.2f}/{table.above[own & ~between].mean():.2f}"
                    )
                print(f"{images:10}{null:10}{measure:11}", "; ".join(said), flush=True)


def samples(sets: int = 8) -> None:
    """The same rate for sources that look at samples, by both nulls: networks with nothing in common, the same probe."""
    things = ("fisher", "gradient_weight", "magnitude")
    for null in ("order", "networks"):
        above: dict[str, list[bool]] = {t: [] for t in things}
        for seed in range(sets):
            made = wb.digits_siblings(models=4, images="scrambled", random_state=100 * seed)
            table = wb.tether_compatibility(made, sources=things, null=null, steps=1, n_null=19).table()
            table = table[table["from"].str[-1] != table["to"].str[-1]]
            for t in things:
                above[t] += table.above[table["of"] == t].tolist()
        print(null, {t: f"{np.mean(v):.3f} of {len(v)}" for t, v in above.items()}, flush=True)


def ensemble() -> None:
    """What merging by tethers has over the other arms, by source and setting."""
    made = wb.digits_siblings()
    usual = {"repeats": 16}
    for change in (
        {},
        {"scored": "trained"},
        {"source": "fisher"},
        {"source": "gradient_weight"},
        {"source": "magnitude"},
        {"source": "random"},
        {"drift": "push"},
        {"measure": "cosine"},
        {"fraction": 0.1},
        {"fraction": 1.0},
        {"start": "last"},
        {"rounds": 20},
        {"rounds": 20, "scored": "trained"},
    ):
        result = wb.ensemble(made, **{**usual, **change})
        print(change or "defaults", "|", result.caveat)
        for arm, panel, y in zip(result.names, result.panels, result.y[-1], strict=True):
            if panel != "disagreement":
                print(f"    {panel:26}{arm:34}{y:.3f}")
        for e in result.evidence:
            print("   ", e.sentence())
        sys.stdout.flush()
    split = wb.digits_siblings(images="split")
    for change in ({}, {"rounds": 20}):
        result = wb.ensemble(split, **{**usual, **change})
        print("each trained on a part of its own", change, "|", result.caveat)
        for e in result.evidence:
            print("   ", e.sentence())
        sys.stdout.flush()


if __name__ == "__main__":
    for name in sys.argv[1:] or ["rates", "samples", "compatibility", "ensemble"]:
        {"rates": rates, "samples": samples, "compatibility": compatibility, "ensemble": ensemble}[name]()
