"""Distances by one product are those by going through the columns, however the rows lie."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.distance import cdist

from workbench.numerics import pairwise as module
from workbench.numerics.pairwise import pairwise

RNG = np.random.default_rng(0)
NORMAL = RNG.standard_normal((90, 40))
ROWS = {
    "normal": NORMAL,
    "far from 0": NORMAL + 1e6,
    "one row far out": np.vstack([NORMAL, np.full(40, 1e4)]),
    "repeated": NORMAL[RNG.integers(0, 80, 90)],
    "near repeats": np.vstack([NORMAL, NORMAL[:20] + 1e-7 * RNG.standard_normal((20, 40))]),
    "two tight groups": np.repeat([[0.0], [1.0]], 40, axis=0) + 1e-6 * RNG.standard_normal((80, 30)),
    "lattice": RNG.integers(0, 3, (90, 20)).astype(float),
    "bits": RNG.integers(0, 2, (90, 64)).astype(float),
    "very small": NORMAL * 1e-150,
    "very large": NORMAL * 1e150,
    "two rows": NORMAL[:2],
    "one row": NORMAL[:1],
    "narrow": NORMAL[:, :3],
}


@pytest.mark.parametrize("kind", ROWS)
@pytest.mark.parametrize("metric", ["euclidean", "cityblock", "chebyshev"])
def test_peer_is_scipy(kind: str, metric: str) -> None:
    rows = ROWS[kind]
    d, peer = pairwise(rows, metric), cdist(rows, rows, metric)
    np.testing.assert_allclose(d, peer, rtol=1e-9, atol=0)
    np.testing.assert_array_equal(d, d.T)
    np.testing.assert_array_equal(d == 0, peer == 0)


@pytest.mark.parametrize("kind", ["lattice", "bits"])
def test_ties_stay_ties_in_single_precision(kind: str) -> None:
    rows = ROWS[kind]
    np.testing.assert_array_equal(
        pairwise(rows, "euclidean").astype(np.float32), cdist(rows, rows).astype(np.float32)
    )


def test_both_ways_are_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    ways = {k: module._by_product(v) is not None for k, v in ROWS.items()}
    assert ways["normal"] and ways["repeated"] and ways["near repeats"]
    assert not ways["two tight groups"] and not ways["one row far out"]


def test_what_overflows_is_infinite_as_in_scipy() -> None:
    rows = NORMAL * 1e200
    with np.errstate(over="ignore"):
        peer = cdist(rows, rows)
    np.testing.assert_array_equal(pairwise(rows, "euclidean"), peer)
