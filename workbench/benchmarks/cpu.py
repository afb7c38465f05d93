"""What our methods cost above the libraries called directly, and the first UMAP of a fresh process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from workbench.benchmarks import quality
from workbench.benchmarks.contests import Contender, Contest
from workbench.benchmarks.rows import Setting

FRESH = {
    "ours": "import workbench as wb; fit = wb.umap.make_estimator(n_neighbors=15, random_state=0)",
    "umap-learn": "import umap; fit = umap.UMAP(n_neighbors=15)",
}
PROGRAM = """
import sys, time, warnings
start = time.perf_counter()
warnings.simplefilter("ignore")
import numpy as np
x = np.load(sys.argv[1])
{imports}
y = fit.fit_transform(x)
np.save(sys.argv[2], np.asarray(y))
print(time.perf_counter() - start)
"""


def overhead(setting: Setting, n: int) -> Iterator[Contest]:
    """Our methods, without their controls, beside the libraries called directly."""
    import workbench as wb

    name, held = setting.rows(n)
    few = held[: min(len(held), 256)]
    cloud, small = wb.PointCloud(held, name="rows"), wb.PointCloud(few, name="rows")
    alone = {"n_null": 0, "n_boot": 0, "cycles": 0}  # no more than the libraries give
    for method, subject, rows, more, peer, library in (
        ("persistence", small, few, alone, "giotto-ph", _persistence),
        ("spectral_clustering", cloud, held, {**alone, "n_clusters": 8}, "scikit-learn", _clustering),
        ("pca", cloud, held, alone, "scikit-learn", _pca),
    ):
        asked = wb.method(method)

        def ours(asked: Any = asked, subject: Any = subject, more: Any = more) -> Callable[[], Any]:
            view = subject.view(asked.inputs[0].takes)
            extra = {"device": "cpu"} if "device" in asked.parameters else {}
            known = {k: v for k, v in {**more, **extra}.items() if k in asked.parameters}
            return lambda: asked.function(view, **known)

        yield Contest(
            f"{method}, {name}, {len(rows):,} × {rows.shape[1]}",
            (
                Contender("ours", ours, ours=True),
                Contender(peer, partial(library, rows)),
            ),
        )
    yield Contest(
        f"UMAP, {name}, {len(held):,} × {held.shape[1]}",
        (
            Contender("ours", partial(_estimated, held), ours=True),
            Contender("umap-learn", partial(_umap, held)),
        ),
        lambda y: quality.layout(quality.tensor(held, "cpu"), quality.tensor(y, "cpu")),
    )


def _estimated(held: np.ndarray) -> Callable[[], Any]:
    import workbench as wb

    return lambda: wb.umap.make_estimator(n_neighbors=15, random_state=0).fit_transform(held)


def _umap(held: np.ndarray) -> Callable[[], Any]:
    from umap import UMAP

    return lambda: UMAP(n_neighbors=15, random_state=0, n_jobs=1).fit_transform(held)


def _persistence(rows: np.ndarray) -> Callable[[], Any]:
    from gph import ripser_parallel

    return lambda: ripser_parallel(rows, maxdim=1, n_threads=-1)


def _clustering(rows: np.ndarray) -> Callable[[], Any]:
    from sklearn.cluster import SpectralClustering

    return lambda: SpectralClustering(8, affinity="nearest_neighbors", random_state=0).fit_predict(rows)


def _pca(rows: np.ndarray) -> Callable[[], Any]:
    from sklearn.decomposition import PCA

    return lambda: PCA(2).fit_transform(rows)


def first(setting: Setting, n: int) -> Iterator[Contest]:
    """The first UMAP of a fresh process with nothing compiled, imports included."""
    from sklearn.datasets import load_digits

    digits = load_digits().data.astype(np.float32)
    name, held = setting.rows(n)
    for which, x in {"digits": digits[: setting.scaled(len(digits))], name: held}.items():
        yield Contest(
            f"first UMAP, {which}, {len(x):,} × {x.shape[1]}",
            tuple(Contender(who, partial(_fresh, who, x), ours=who == "ours", warm=False) for who in FRESH),
            partial(_timed_inside, x),
        )


def _timed_inside(x: np.ndarray, found: tuple[float, np.ndarray]) -> dict[str, float]:
    seconds, y = found
    return {"seconds": seconds, **quality.layout(quality.tensor(x, "cpu"), quality.tensor(y, "cpu"))}


def _fresh(who: str, x: np.ndarray) -> Callable[[], tuple[float, np.ndarray]]:
    import umap  # noqa: F401  both need it, or say that it is missing

    def work() -> tuple[float, np.ndarray]:
        with tempfile.TemporaryDirectory(prefix="workbench-bench-") as folder:
            rows, answer = Path(folder) / "x.npy", Path(folder) / "y.npy"
            np.save(rows, x)
            environment = {
                **os.environ,
                "NUMBA_CACHE_DIR": str(Path(folder) / "compiled"),
                "WORKBENCH_NO_CACHE": "1",
                "PYTHONPATH": os.pathsep.join(p for p in sys.path if p),
            }
            command = [sys.executable, "-c", PROGRAM.format(imports=FRESH[who]), str(rows), str(answer)]
            done = subprocess.run(command, env=environment, capture_output=True, text=True)
            if done.returncode:
                raise RuntimeError((done.stderr.strip().splitlines() or ["no message"])[-1])
            return json.loads(done.stdout.splitlines()[-1]), np.load(answer)

    return work
