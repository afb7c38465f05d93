"""Schmidt entropy across cuts: factors have none, pairs have a logarithm of 2, random entries have Page's."""

from __future__ import annotations

from functools import reduce

import numpy as np
import pytest

import workbench as wb
from workbench.core.errors import DataError
from workbench.core.rows import owned
from workbench.numerics.cuts import cut_entropies, cut_shapes, legs_of, random_entropies
from workbench.subjects.checkpoint import TensorInfo


def matrix(values: np.ndarray) -> wb.Checkpoint:
    w = owned(values.astype(np.float32))
    info = TensorInfo("w", w.shape, "F32", w.nbytes)
    return wb.Checkpoint({"w": info}, {"w": w}.__getitem__, name="toy", content=lambda: str(w.sum()))


def test_known_answer_of_factors_and_of_pairs() -> None:
    """A product of 2 x 2 matrices shares nothing but between each one's row and column: an identity log 2 a pair."""
    rng = np.random.default_rng(0)
    rank_one = reduce(np.kron, [np.outer(*rng.standard_normal((2, 2))) for _ in range(5)])
    assert np.allclose(cut_entropies(rank_one.ravel(), (2,) * 10), 0, atol=1e-7)
    identity = cut_entropies(
        np.eye(32).ravel(), (2,) * 10
    )  # each row digit has its column digit as a partner
    expected = np.log(2) * np.array([1, 2, 3, 4, 5, 4, 3, 2, 1])
    assert np.allclose(identity, expected)
    result = wb.schmidt_entropy(matrix(np.eye(32)), n_null=39)
    assert np.allclose(result.y[:, 0], expected, atol=1e-6) and result.x_names[4] == "5: rows | columns"
    planted = reduce(np.kron, rng.standard_normal((5, 2, 2)))
    product = wb.schmidt_entropy(matrix(planted), n_null=39)
    assert product.evidence[0].p_value == 1 / 40
    twin = rng.permuted(planted.ravel()).reshape(planted.shape)  # the same entries in another order
    assert wb.schmidt_entropy(matrix(twin), n_null=39).evidence[0].p_value > 0.05
    assert np.isclose(product.y[4, 0], product.y[:5, 0].max()), (
        "what is between a row's and a column's digit adds up"
    )


def test_random_entries_have_pages_value_and_pass_no_test() -> None:
    rng = np.random.default_rng(1)
    drawn = np.mean([cut_entropies(rng.standard_normal(4096), (2,) * 12) for _ in range(40)], axis=0)
    assert np.allclose(drawn, random_entropies((2,) * 12), atol=0.01)
    scales = np.exp(rng.standard_normal((64, 1))) * np.exp(rng.standard_normal(48))
    (evidence,) = wb.schmidt_entropy(matrix(rng.standard_normal((64, 48)) * scales), n_null=39).evidence
    assert evidence.p_value > 0.05


def test_peer_is_numpy() -> None:
    """Of every cut, by the singular values of the reshaped matrix."""
    rng = np.random.default_rng(2)
    legs = (3, 2, 2, 5, 2)
    x = rng.standard_normal(120)
    for got, (n, m) in zip(cut_entropies(x, legs), cut_shapes(legs), strict=True):
        p = np.linalg.svd(x.reshape(n, m), compute_uv=False) ** 2
        p /= p.sum()
        assert np.isclose(got, -(p * np.log(p)).sum())
    assert [legs_of(n) for n in (384, 1, 13, 1024)] == [(3, *(2,) * 7), (), (13,), (2,) * 10]


def test_of_a_long_side_an_aligned_block_is_taken() -> None:
    rng = np.random.default_rng(3)
    w = rng.standard_normal((64, 6))
    result = wb.schmidt_entropy(matrix(w), largest_side=16, n_null=0)
    blocks = [
        cut_entropies(w[i : i + 16].astype(np.float32).astype(float).ravel(), (2, 2, 2, 2, 3, 2))
        for i in (0, 16, 32, 48)
    ]
    assert any(np.allclose(result.y[:, 0], b, atol=1e-6) for b in blocks)
    assert "aligned block of 16 x 6" in result.caveat


def test_bad_input_is_refused_in_words() -> None:
    with pytest.raises(DataError, match="prime factor 67"):
        wb.schmidt_entropy(matrix(np.ones((67, 4))))
    with pytest.raises(DataError, match="no factor"):
        wb.schmidt_entropy(matrix(np.ones((1, 4))))
    with pytest.raises(DataError, match="zero"):
        wb.schmidt_entropy(matrix(np.zeros((4, 4))))
    with pytest.raises(DataError, match="complex"):
        w = owned(np.ones((4, 4), np.complex64))
        info = TensorInfo("w", w.shape, "C64", w.nbytes)
        wb.schmidt_entropy(wb.Checkpoint({"w": info}, {"w": w}.__getitem__, name="z", content=lambda: "z"))
