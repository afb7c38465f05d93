"""What a user's call costs above its primitive: arrays in and out; an estimator on them; the method, with its evidence."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from workbench.benchmarks import quality
from workbench.benchmarks.contests import Contender, Contest
from workbench.benchmarks.rows import Setting

LABEL = "side"
LANDMARKS, DRAWN, COMPARED = (
    256,
    128,
    1000,
)  # rows of a barcode, of one of several, and of CKA, by the methods' defaults
ASKED, ALL_ASKED = 2000, 5000  # rows that preservation asks of more than so many
MOST = {
    "isomap": 5000,
    "tsne": 5000,
    "mapper": 50_000,
}  # rows, beyond which what a library computes takes minutes


class Cost(NamedTuple):
    """A method, and the arrays' way to the same answer, ours or a library's.

    Attributes
    ----------
    estimator : whether the method's own takes arrays, beside the primitive.
    """

    method: str
    subject: Any
    primitive: Callable[[], Any]
    parameters: tuple[tuple[str, Any], ...] = ()
    estimator: bool = False


def costs(setting: Setting, n: int) -> Iterator[Contest]:
    """Each method beside its primitive, its estimator and itself without evidence; processor time on a CPU."""
    name, x = setting.rows(n)
    x = np.random.default_rng(0).permutation(
        x
    )  # tokens of a text stand together, which a probe would take for dependence
    for cost in _costs(x, setting.device):
        if len(x) <= MOST.get(cost.method, len(x)):
            yield Contest(
                f"{cost.method}, {name}, {len(x):,} × {x.shape[1]}",
                tuple(_contenders(cost, x, setting.device)),
                partial(_judged, x, setting.device),
                processor_time=True,
            )


def _contenders(cost: Cost, x: np.ndarray, device: str) -> Iterator[Contender]:
    import workbench as wb

    asked = wb.method(cost.method)
    own: dict[str, Any] = dict(cost.parameters)
    given = dict(own)
    if "device" in asked.parameters:
        given["device"] = device
    bare = given | dict.fromkeys((k for k in ("n_null", "n_boot") if k in asked.parameters), 0)
    yield Contender("primitive", lambda: cost.primitive, ours=True)
    if cost.estimator:
        yield Contender("estimator", lambda: lambda: asked.make_estimator(**own).fit_transform(x))
    yield Contender("method, no evidence", lambda: lambda: _computed(asked, cost.subject, bare))
    yield Contender("method", lambda: lambda: _computed(asked, cost.subject, given))


def _computed(asked: Any, subject: Any, parameters: dict[str, Any]) -> Any:
    """What a user's call gives, computed and not looked up."""
    before = os.environ.get("WORKBENCH_NO_CACHE")
    os.environ["WORKBENCH_NO_CACHE"] = "1"
    try:
        return asked(subject, **parameters)
    finally:
        if before is None:
            del os.environ["WORKBENCH_NO_CACHE"]
        else:
            os.environ["WORKBENCH_NO_CACHE"] = before


def _judged(x: np.ndarray, device: str, answer: Any) -> dict[str, Any]:
    """Trustworthiness and recall of a layout, and the draws behind a method's evidence."""
    of = {}
    values = getattr(answer, "values", answer)
    if isinstance(values, np.ndarray) and values.shape == (len(x), 2):
        of = quality.layout(quality.tensor(x, device), quality.tensor(values, device))
    drawn = [len(e.null_values) for e in getattr(answer, "evidence", ())]
    return {**of, **({"draws": sum(drawn)} if drawn else {})}


def _costs(x: np.ndarray, device: str) -> Iterator[Cost]:
    import pandas as pd
    from scipy.linalg import svdvals
    from sklearn.decomposition import PCA
    from sklearn.manifold import TSNE, Isomap

    import workbench as wb
    from workbench.core.digest import digest
    from workbench.numerics.walks import walk
    from workbench.subjects.checkpoint import TensorInfo

    rng = np.random.default_rng(0)
    moved = x + 0.3 * x.std() * rng.standard_normal(x.shape, dtype=np.float32)
    side = x[:, 0] + moved[:, 1] > np.median(x[:, 0] + moved[:, 1])
    table = pd.DataFrame({LABEL: np.where(side, "one", "other")})
    cloud = wb.PointCloud(x, name="rows", table=table)
    both = wb.Activations({"before": x, "after": moved}, table, name="rows")
    info = TensorInfo("rows", x.shape, "F32", x.nbytes)
    matrix = wb.Checkpoint({"rows": info}, {"rows": x}.__getitem__, name="rows", content=lambda: digest(x))
    yield Cost("umap", cloud, lambda: _umap(x, device), estimator=True)
    yield Cost("pca", cloud, lambda: PCA(2).fit_transform(x))
    yield Cost("tsne", cloud, lambda: TSNE(random_state=0).fit_transform(x))
    yield Cost("isomap", cloud, lambda: Isomap(n_neighbors=10, eigen_solver="dense").fit_transform(x))
    yield Cost("spectral_embedding", cloud, lambda: walk(x, 3, 14, device=device).modes[:, 1:])
    yield Cost(
        "spectral_clustering", cloud, lambda: walk(x, 17, 9, device=device).cluster(8), (("n_clusters", 8),)
    )
    yield Cost("persistence", cloud, lambda: _bars(_landmarks(x, device)))
    yield Cost("mapper", cloud, lambda: _mapper(cloud))
    yield Cost("intrinsic_dimension", cloud, lambda: _dimensions(x, device))
    yield Cost("neighbourhood_preservation", both, lambda: _preserved(x, moved, device))
    drawn = rng.choice(len(x), min(len(x), DRAWN), replace=False)
    yield Cost("barcode_distance", both, lambda: _bottleneck(_bars(x[drawn])[1], _bars(moved[drawn])[1]))
    compared = rng.choice(len(x), min(len(x), COMPARED), replace=False)
    yield Cost("cka", both, lambda: _cka(x[compared], moved[compared]))
    yield Cost("linear_probe", cloud, lambda: _probed(x, side.astype(np.int64)), (("label", LABEL),))
    yield Cost("singular_values", matrix, lambda: svdvals(x.astype(np.float64)))
    yield Cost("weights", matrix, lambda: svdvals(x.astype(np.float64)))


def _umap(x: np.ndarray, device: str) -> Any:
    from workbench.numerics.umap_torch import fit

    return fit(x, device=device, random_state=0).embedding.cpu().numpy()


def _landmarks(x: np.ndarray, device: str) -> np.ndarray:
    from workbench.numerics.landmarks import farthest_first

    return x[farthest_first(x.astype(np.float64), LANDMARKS, "euclidean", device)[0]]


def _bars(rows: np.ndarray) -> list[np.ndarray]:
    from gph import ripser_parallel

    return list(ripser_parallel(rows, maxdim=1, n_threads=1)["dgms"])


def _bottleneck(a: np.ndarray, b: np.ndarray) -> Any:
    from gtda.externals.modules.gtda_bottleneck import bottleneck_distance

    return bottleneck_distance(a, b, 0.0)


def _mapper(cloud: Any) -> Any:
    from gtda import mapper
    from sklearn.cluster import DBSCAN
    from sklearn.decomposition import PCA
    from sklearn.neighbors import NearestNeighbors

    x = cloud.values.astype(np.float64)
    near = NearestNeighbors(n_neighbors=3).fit(x).kneighbors(x[:2000])[0][:, -1]
    cover = mapper.CubicalCover(n_intervals=10, overlap_frac=0.3).fit_transform(PCA(2).fit_transform(x))
    clusters = mapper.ParallelClustering(DBSCAN(eps=np.quantile(near, 0.99), min_samples=3), n_jobs=1)
    return mapper.Nerve().fit_transform(
        [tuple(n for n in of if n[1] >= 0) for of in clusters.fit_predict([x, cover])]
    )


def _dimensions(x: np.ndarray, device: str) -> tuple[float, float]:
    """TwoNN, and Levina and Bickel's at 20 neighbours."""
    if device == "cpu":
        from workbench.numerics.neighbours import k_nearest

        near = k_nearest(x, 20)[1]
    else:
        from workbench.numerics.neighbours_torch import k_nearest as search

        near = search(x, 20, search="exact", recall_rows=0, device=device).numpy()[1]
    near = np.maximum(near, np.finfo(np.float32).tiny)  # rows that repeat another
    ratios = np.log(near[:, 1] / near[:, 0])
    return 1 / float(ratios.mean()), 19 / float(np.log(near[:, -1:] / near[:, :-1]).sum(axis=1).mean())


def _preserved(x: np.ndarray, moved: np.ndarray, device: str) -> Any:
    from workbench.numerics.preservation import preservation

    some = np.arange(0, len(x), len(x) // ASKED)[:ASKED] if len(x) > ALL_ASKED else None
    return preservation(x, moved, 10, queries=some, device=device)


def _cka(a: np.ndarray, b: np.ndarray) -> Any:
    from workbench.numerics.similarity import alignment, centred, gram

    return alignment([centred(gram(k.astype(np.float64), "linear"), debiased=True) for k in (a, b)])


def _probed(x: np.ndarray, side: np.ndarray) -> Any:
    from workbench.numerics.heldout import ALPHAS, Folds, HeldOut

    return HeldOut(x, Folds.of(np.arange(len(x)), 5, 0), ALPHAS, 2).predict(side[:, None])
