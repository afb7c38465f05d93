"""Vietoris-Rips barcodes against giotto-ph and against shapes whose holes are known."""

from __future__ import annotations

import re
import tracemalloc

import numpy as np
import pytest
from scipy.sparse import coo_array, csr_array
from scipy.spatial.distance import cdist

from workbench.core.errors import DataError, ParameterError
from workbench.numerics import rips_pairs
from workbench.numerics.rips import rips

RNG = np.random.default_rng(0)
CLOUDS = {
    "gaussian": (RNG.normal(size=(120, 4)), 2),
    "to H3": (RNG.normal(size=(40, 5)), 3),
    "one block and one": (RNG.normal(size=(33, 3)), 2),
    "duplicates": (np.repeat(RNG.normal(size=(20, 3)), 3, axis=0), 2),
    "all equal": (np.ones((12, 3)), 2),
    "one point": (np.ones((1, 3)), 2),
    "two points": (np.eye(2), 3),
    "line": (np.arange(40.0)[:, None], 2),
    "integer grid": (RNG.integers(0, 4, size=(50, 3)).astype(float), 3),
    "octahedron": (np.concatenate([np.eye(4), -np.eye(4)]), 3),
}


def sphere(n: int, d: int, seed: int = 0) -> np.ndarray:
    x = np.random.default_rng(seed).normal(size=(n, d + 1))
    return x / np.linalg.norm(x, axis=1, keepdims=True)


def giotto(x: np.ndarray, highest: int, **options: object) -> np.ndarray:
    from gph import ripser_parallel

    found = ripser_parallel(x, maxdim=highest, n_threads=1, **options)["dgms"]
    bars = [np.column_stack([b.reshape(-1, 2), np.full(len(b), i)]) for i, b in enumerate(found)]
    pairs = np.concatenate(bars).astype(np.float32)
    pairs = pairs[pairs[:, 0] < pairs[:, 1]]
    return pairs[np.lexsort((pairs[:, 1], pairs[:, 0], pairs[:, 2]))]


@pytest.mark.parametrize("name", CLOUDS)
@pytest.mark.parametrize("threads", [1, 4])
def test_peer_giotto(name: str, threads: int) -> None:
    x, highest = CLOUDS[name]
    distances = cdist(x, x).astype(np.float32)
    ours = rips(distances, max_dimension=highest, metric="precomputed", device="cpu", n_threads=threads)
    if len(x) == 1:  # giotto-ph refuses a single point
        np.testing.assert_array_equal(ours, [[0, np.inf, 0]])
    else:
        np.testing.assert_array_equal(ours, giotto(distances, highest, metric="precomputed"))


@pytest.mark.parametrize("threshold", [0.0, 0.3, 0.9, 1.9])
def test_peer_giotto_with_a_threshold(threshold: float) -> None:
    x = sphere(70, 2)
    ours = rips(x, max_dimension=2, threshold=threshold, device="cpu")
    expected = giotto(cdist(x, x).astype(np.float32), 2, thresh=threshold, metric="precomputed")
    assert ours.shape == expected.shape
    np.testing.assert_allclose(ours, expected, rtol=1e-6)
    assert np.isinf(ours[:, 1]).sum() > (threshold == 0.3)


def test_peer_giotto_on_sparse_distances() -> None:
    d = cdist(*[sphere(60, 2)] * 2).astype(np.float32)
    kept = csr_array(np.where(d < 0.8, d, 0))
    ours = rips(kept, max_dimension=2, metric="precomputed", device="cpu")
    np.testing.assert_array_equal(ours, giotto(kept, 2, metric="precomputed"))


def test_sparse_distances_keep_a_stored_zero_and_pieces_that_never_meet() -> None:
    """Two squares far apart, one of whose corners is there twice, at a stored distance of 0."""
    i, j, d = zip(
        (0, 1, 1),
        (1, 2, 1),
        (2, 3, 1),
        (3, 0, 1),
        (4, 0, 0),
        (4, 1, 1),
        (4, 3, 1),
        (5, 6, 2),
        (6, 7, 2),
        (7, 8, 2),
        (8, 5, 2),
        (5, 7, 3),
        strict=True,
    )
    ours = rips(coo_array((d, (i, j)), shape=(9, 9)), max_dimension=2, metric="precomputed", device="cpu")
    inf = np.inf
    components = [[0, 1, 0]] * 3 + [[0, 2, 0]] * 3 + [[0, inf, 0]] * 2
    np.testing.assert_array_equal(ours, [*components, [1, inf, 1], [2, 3, 1]])


def test_a_threshold_keeps_what_begins_below_it() -> None:
    """The barcode below the threshold, with what would end beyond it left open."""
    x = sphere(60, 2, seed=2)
    whole = rips(x, max_dimension=2, device="cpu")
    radius = float(cdist(x, x).max(axis=1).min())
    for threshold in (0.4, 0.8, 1.2, 0.99 * radius):
        expected = whole[whole[:, 0] <= threshold].copy()
        expected[expected[:, 1] > threshold, 1] = np.inf
        expected = expected[np.lexsort((expected[:, 1], expected[:, 0], expected[:, 2]))]
        np.testing.assert_array_equal(rips(x, max_dimension=2, threshold=threshold, device="cpu"), expected)


@pytest.mark.parametrize("metric", ["manhattan", "chebyshev", "cosine"])
def test_peer_scipy_for_other_metrics(metric: str) -> None:
    x = sphere(60, 3)[:, :3] + 0.1
    d = cdist(x, x, {"manhattan": "cityblock"}.get(metric, metric)).astype(np.float32)
    expected = rips(np.minimum(d, d.T), max_dimension=1, metric="precomputed", device="cpu")
    ours = rips(x, max_dimension=1, metric=metric, device="cpu")
    assert ours.shape == expected.shape
    np.testing.assert_allclose(ours, expected, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("d", [1, 2, 3])
def test_known_answer_sphere_has_one_hole(d: int) -> None:
    bars = rips(sphere(90, d), max_dimension=d, device="cpu")
    length = np.where(np.isinf(bars[:, 1]), 0, bars[:, 1] - bars[:, 0])
    longest = np.sort(length[bars[:, 2] == d])[::-1]
    assert (longest[0] > 0.4 and len(longest[1:]) == 0) or longest[0] > 2 * longest[1:].max(initial=0)


def test_known_answer_octahedron() -> None:
    """Opposite corners of a cross-polytope are the last to join: until then it is a sphere."""
    bars = rips(np.concatenate([np.eye(4), -np.eye(4)]), max_dimension=3, device="cpu")
    top = bars[bars[:, 2] == 3]
    np.testing.assert_allclose(top, [[np.sqrt(2), 2, 3]], rtol=1e-6)
    assert not (bars[:, 2] == 1).any()
    assert not (bars[:, 2] == 2).any()


def test_same_bars_for_any_order_of_the_rows() -> None:
    x = sphere(80, 2, seed=3)
    shuffled = x[np.random.default_rng(1).permutation(len(x))]
    np.testing.assert_array_equal(
        rips(x, max_dimension=2, device="cpu"), rips(shuffled, max_dimension=2, device="cpu")
    )


def near_pairs(x: np.ndarray, count: int) -> csr_array:
    """The ``count`` shortest distances, float32."""
    d = cdist(x, x).astype(np.float32)
    threshold = np.partition(d[np.triu_indices(len(x), 1)], count)[count]
    return csr_array(np.where(np.triu(d <= threshold, 1), d, 0))


@pytest.mark.parametrize(
    ("x", "pairs"),
    [
        (sphere(4096, 3), 70_000),
        (RNG.normal(size=(4096, 3)), 60_000),
        (RNG.normal(size=(3000, 8)), 30_000),
        (sphere(2500, 1), 80_000),
    ],
    ids=["3-sphere", "normal in 3-d", "normal in 8-d, with hubs", "circle, with links of many words"],
)
def test_peer_giotto_on_sparse_filtrations_of_thousands_of_points_up_to_h3(x: np.ndarray, pairs: int) -> None:
    kept = near_pairs(x, pairs)
    highest = 3 if len(x) != 2500 else 2
    ours = rips(kept, max_dimension=highest, metric="precomputed", device="cpu", n_threads=2)
    assert len(np.unique(ours[:, 2])) >= min(highest, 3)
    np.testing.assert_array_equal(ours, giotto(kept, highest, metric="precomputed"))


@pytest.mark.parametrize(("side", "d", "threshold"), [(11, 3, 2.0), (5, 4, 1.5), (40, 2, 2.3), (3, 6, 1.0)])
def test_peer_giotto_on_lattices_where_nearly_all_distances_are_equal(
    side: int, d: int, threshold: float
) -> None:
    """With every seventh point left out, so that there are holes."""
    x = np.indices((side,) * d).reshape(d, -1).T
    x = x[RNG.random(len(x)) > 1 / 7].astype(float)
    lengths = cdist(x, x).astype(np.float32)
    kept = csr_array(np.where(np.triu(lengths <= threshold, 1), lengths, 0))
    ours = rips(kept, max_dimension=3, metric="precomputed", device="cpu", n_threads=2)
    assert (ours[:, 2] == 1).any()
    np.testing.assert_array_equal(ours, giotto(kept, 3, metric="precomputed"))


def test_distances_in_blocks_give_what_all_at_once_do(monkeypatch: pytest.MonkeyPatch) -> None:
    x = sphere(150, 2, seed=4)
    d = cdist(x, x).astype(np.float32)
    options = ({"max_dimension": 2}, {"threshold": 0.5})
    rows = [rips(x, device="cpu", **o) for o in options]
    given = [rips(d, metric="precomputed", device="cpu", **o) for o in options]
    monkeypatch.setattr(rips_pairs, "BLOCK_CELLS", 7 * len(x))
    for at, o in enumerate(options):
        np.testing.assert_array_equal(rips(x, device="cpu", **o), rows[at])
        np.testing.assert_array_equal(rips(d, metric="precomputed", device="cpu", **o), given[at])


def test_simplices_that_no_code_can_tell_are_refused_with_the_dimension_that_fits() -> None:
    x = np.random.default_rng(0).normal(size=(400, 8))
    with pytest.raises(DataError, match="dimension 5 would do"):
        rips(x, max_dimension=6, device="cpu")


def _cap(monkeypatch: pytest.MonkeyPatch, budget: int) -> None:
    monkeypatch.setattr(rips_pairs, "CPU_BUDGET", budget)
    monkeypatch.setattr(rips_pairs, "BLOCK_CELLS", 1 << 20)


@pytest.mark.parametrize("sparse", [False, True])
def test_pairs_beyond_memory_are_refused_with_a_threshold_that_fits(
    monkeypatch: pytest.MonkeyPatch, sparse: bool
) -> None:
    """Under a cap of 16 MiB the 4.5 million pairs of 3,000 points don't fit, and the threshold that is named does."""
    x = sphere(3000, 2)
    given = csr_array(np.triu(cdist(x, x), 1)) if sparse else x
    metric = "precomputed" if sparse else "euclidean"
    _cap(monkeypatch, 1 << 24)
    tracemalloc.start()
    try:
        with pytest.raises(DataError, match="fit into memory") as refused:
            rips(given, metric=metric, device="cpu")
        assert sparse or tracemalloc.get_traced_memory()[1] < 2 << 24
    finally:
        tracemalloc.stop()
    fits = float(re.findall(r"a threshold of about ([\d.]+)", str(refused.value))[0])
    bars = rips(given, metric=metric, threshold=0.9 * fits, device="cpu")
    assert (bars[:, 2] == 1).any()


def test_points_beyond_memory_are_refused_with_their_number(monkeypatch: pytest.MonkeyPatch) -> None:
    _cap(monkeypatch, 1 << 20)
    with pytest.raises(DataError, match="about 2,048 points would fit"):
        rips(np.zeros((4000, 2)), threshold=0.1, device="cpu")


@pytest.mark.parametrize(
    ("x", "options", "error"),
    [
        (np.ones((3, 2)), {"max_dimension": -1}, ParameterError),
        (np.ones((3, 2)), {"threshold": float("nan")}, ParameterError),
        (np.ones((3, 2)), {"metric": "hamming"}, ParameterError),
        (np.ones((3, 2)), {"n_threads": 0}, ParameterError),
        (np.ones((0, 2)), {}, DataError),
        (np.full((3, 2), np.nan), {}, DataError),
        (np.zeros((3, 2)), {"metric": "cosine"}, DataError),
        (np.ones((3, 2)), {"metric": "precomputed"}, DataError),
        (np.arange(9.0).reshape(3, 3), {"metric": "precomputed"}, DataError),
    ],
)
def test_refusals(x: np.ndarray, options: dict, error: type[Exception]) -> None:
    with pytest.raises(error):
        rips(x, device="cpu", **options)


def test_same_bars_however_many_threads_meet() -> None:
    """Threads that put two pivots into one slot of the table at once took one for the other, once in 200 times."""
    d = cdist(*[sphere(60, 3, seed=3)] * 2).astype(np.float32)
    one = rips(d, max_dimension=3, metric="precomputed", device="cpu", n_threads=1)
    for _ in range(40):
        np.testing.assert_array_equal(
            rips(d, max_dimension=3, metric="precomputed", device="cpu", n_threads=6), one
        )
