"""How often methods and their peers find what was planted, and what wasn't, side by side: ``python benchmarks/hit_rates.py [runs]``.

Both are asked in the same draws of a world (`workbench.calibrating.worlds`), at a level of 5 % with 39 draws of a null. A peer
that isn't installed (diptest, dcor, scikit-dimension) is left out.
"""

from __future__ import annotations

import sys
import warnings
import zlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from importlib.util import find_spec
from typing import Any, NamedTuple

import numpy as np

from workbench.calibrating.ledger import Rate
from workbench.calibrating.running import DRAWS, LEVEL, run_once
from workbench.calibrating.world import worlds_for
from workbench.core.registry import method

Peer = Callable[[tuple[Any, ...], np.random.Generator], float]


def p_of(value: float, draws: list[float]) -> float:
    return float((1 + sum(d >= value for d in draws)) / (1 + len(draws)))


def dip_of_component(subjects: tuple[Any, ...], rng: np.random.Generator) -> float:
    """Hartigan's dip test of the first principal coordinate (Hartigan and Hartigan 1985)."""
    from diptest import diptest

    x = subjects[0].values - subjects[0].values.mean(axis=0)
    return float(diptest(x @ np.linalg.svd(x, full_matrices=False)[2][0])[1])


def dip_of_distances(subjects: tuple[Any, ...], rng: np.random.Generator) -> float:
    """The dip test of all distances (Adolfsson, Ackerman and Brownstein 2019)."""
    from diptest import diptest
    from scipy.spatial.distance import pdist

    return float(diptest(pdist(subjects[0].values))[1])


def distance_covariance(subjects: tuple[Any, ...], rng: np.random.Generator) -> float:
    """The permutation test of distance covariance (Székely, Rizzo and Bakirov 2007)."""
    from dcor.independence import distance_covariance_test

    a, b = (subjects[0].at(f"layer.{i}").as_points().values.astype(float) for i in (0, 1))
    return float(distance_covariance_test(a, b, num_resamples=DRAWS, random_state=rng).pvalue)


def permuted_scores(subjects: tuple[Any, ...], rng: np.random.Generator) -> float:
    """Scikit-learn's permutation test of a cross-validated score (Ojala and Garriga 2010)."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import StratifiedKFold, permutation_test_score

    found = permutation_test_score(
        LogisticRegression(class_weight="balanced", max_iter=500),
        subjects[0].values,
        subjects[0].table["label"].to_numpy(),
        scoring="balanced_accuracy",
        cv=StratifiedKFold(5),
        n_permutations=DRAWS,
        random_state=int(rng.integers(2**31)),
    )
    return float(found[2])


def parallel_rows(subjects: tuple[Any, ...], rng: np.random.Generator) -> float:
    """Horn's parallel analysis with permuted columns, of the variance that two components explain."""

    def share(x: np.ndarray) -> float:
        s = np.linalg.svd(x - x.mean(axis=0), compute_uv=False) ** 2
        return round(float(s[:2].sum() / s.sum()), 6)

    x = subjects[0].values.astype(float)
    return p_of(share(x), [share(rng.permuted(x, axis=0)) for _ in range(DRAWS)])


def parallel_entries(subjects: tuple[Any, ...], rng: np.random.Generator) -> float:
    """Parallel analysis with permuted columns, of the largest singular value."""
    w = subjects[0].as_matrix().values.astype(float)
    drawn = [np.linalg.norm(rng.permuted(w, axis=0), 2) for _ in range(DRAWS)]
    return p_of(float(np.linalg.norm(w, 2)), [float(d) for d in drawn])


class Contest(NamedTuple):
    """A question of a method, and who else is asked it: in the first world it holds, in the others it doesn't."""

    method: str
    question: str
    worlds: tuple[str, ...]
    peers: tuple[Peer, ...]
    needs: str = "numpy"


BLOBS = ("two blobs", "iid", "lognormal", "texts 0.5")
CONTESTS = (
    Contest("spectral_clustering", "least_cut", BLOBS, (dip_of_component, dip_of_distances), "diptest"),
    Contest("cka", "cka", ("turned copy", "iid", "texts 0.5", "order"), (distance_covariance,), "dcor"),
    Contest("pca", "variance_explained", ("direction", "iid", "heavy tails"), (parallel_rows,)),
    Contest("pca", "variance_explained", ("direction in texts", "texts 0.5"), (parallel_rows,)),
    Contest(
        "singular_values",
        "largest_over_noise",
        ("spike", "iid", "rows", "rows and columns"),
        (parallel_entries,),
    ),
    Contest("linear_probe", "balanced_accuracy", ("rare topic", "rare label"), (permuted_scores,)),
    Contest("linear_probe", "balanced_accuracy", ("topic", "texts 0.5"), (permuted_scores,)),
)


def rates(contest: Contest, runs: int) -> Iterator[str]:
    """A line for each world: how often the method claims something, and how often its peers do."""
    asked = method(contest.method)
    for i, name in enumerate(contest.worlds):
        # two worlds may have one name: the first is one that holds something for this method, the others aren't
        found = next(w for w in worlds_for(asked, (name,)) if bool(w.holds.get(asked.name)) == (i == 0))
        world = replace(found, covers=False)  # intervals aren't asked for
        claimed: dict[str, list[bool]] = {asked.name: [], **{p.__name__: [] for p in contest.peers}}
        for seed in range(runs):
            for key, answer in run_once(asked, world, seed).get("answers", {}).items():
                if key.partition("@")[0] == contest.question and answer["p"] is not None:
                    claimed[asked.name].append(answer["p"] <= LEVEL)
            subjects = world.make(np.random.default_rng([seed, zlib.crc32(name.encode())]))
            for peer in contest.peers:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    claimed[peer.__name__].append(peer(subjects, np.random.default_rng(seed)) <= LEVEL)
        said = ", ".join(f"{who} {Rate(sum(c), len(c))}" for who, c in claimed.items())
        yield f"{'hits  ' if i == 0 else 'claims'} {name}: {said}"


def dimensions(runs: int, rows: int = 1000) -> Iterator[str]:
    """What estimators read of Gaussian and evenly filled volumes of known dimension, in twice as many columns."""
    import skdim

    import workbench as wb

    peers = {"ESS": skdim.id.ESS, "FisherS": skdim.id.FisherS}
    for d in (2, 5, 20):
        for kind in ("Gaussian", "cube"):
            read: dict[str, list[float]] = {}
            for seed in range(runs):
                rng = np.random.default_rng([seed, d])
                x = rng.standard_normal((rows, d)) if kind == "Gaussian" else rng.random((rows, d))
                x = x @ np.linalg.qr(rng.standard_normal((2 * d, 2 * d)))[0][:d]
                for e in wb.intrinsic_dimension(x, n_null=0, n_boot=0).evidence:
                    read.setdefault(e.of, []).append(e.value)
                for name, peer in peers.items():
                    with warnings.catch_warnings():
                        warnings.simplefilter("ignore")
                        read.setdefault(name, []).append(float(peer().fit(x).dimension_))
            yield f"{kind} of dimension {d}: " + ", ".join(f"{n} {np.mean(v):.1f}" for n, v in read.items())


def main(runs: int) -> None:
    for contest in CONTESTS:
        for line in rates(contest, runs) if find_spec(contest.needs) else ():
            print(line, flush=True)
    for line in dimensions(max(2, runs // 50)) if find_spec("skdim") else ():
        print(line, flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 100)
