"""Each kind of edit against what it says it computes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from nets_for_tests import checkpoint

import workbench as wb
from workbench.core.errors import DataError, MissingError


def weights(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape, np.float32)


# -- low rank -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(30, 20), (6, 5, 2, 2)])
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_known_answer_low_rank_is_the_product_added(shape, dtype) -> None:
    w = weights(*shape)
    left, right = weights(shape[0], 3, seed=1).astype(dtype), weights(3, w[0].size, seed=2).astype(dtype)
    edit = wb.LowRank({"w": left}, {"w": right}, scale=0.25)
    after = (checkpoint(w=w) + edit)["w"]
    expected = w + 0.25 * (left.astype(float) @ right.astype(float)).reshape(shape)
    assert after.dtype == np.float32
    np.testing.assert_allclose(after, expected, rtol=0, atol=2e-6)
    assert edit.rank == 3
    assert np.linalg.matrix_rank((after - w).reshape(shape[0], -1).astype(float), tol=1e-3) == 3


def test_low_rank_of_rank_nothing_changes_nothing() -> None:
    w = weights(5, 4)
    edit = wb.LowRank({"w": np.zeros((5, 0))}, {"w": np.zeros((0, 4))})
    assert (checkpoint(w=w) + edit)["w"].tobytes() == w.tobytes()
    assert (edit.rank, wb.LowRank({}, {}).rank) == (0, 0)


def test_factors_that_do_not_fit_are_refused() -> None:
    with pytest.raises(DataError, match=r"\(n, rank\) and \(rank, m\).*\(5, 2\) and \(3, 4\)"):
        wb.LowRank({"w": np.zeros((5, 2))}, {"w": np.zeros((3, 4))})
    with pytest.raises(MissingError, match="v has no left factor"):
        wb.LowRank({"w": np.zeros((5, 2))}, {"w": np.zeros((2, 4)), "v": np.zeros((2, 4))})


# -- dense --------------------------------------------------------------------------------------------


def test_known_answer_dense_is_the_sum_rounded_once() -> None:
    w, d = weights(6, 5), weights(6, 5, seed=1) * 1e-5
    after = (checkpoint(w=w) + wb.Dense({"w": d}, 0.1))["w"]
    np.testing.assert_array_equal(after, (w.astype(float) + 0.1 * d.astype(float)).astype(np.float32))


ordinary = st.floats(2**-10, 2**10, width=32) | st.floats(-(2**10), -(2**-10), width=32) | st.just(0.0)
matrix = arrays.arrays(np.float32, (4, 3), elements=ordinary)


@settings(deadline=None, max_examples=200)
@given(matrix, matrix)
def test_a_difference_gives_the_other_network_to_the_last_bit_and_back(before, after) -> None:
    one, other = checkpoint(w=before), checkpoint(w=after)
    feature = wb.Dense.between(one, other)
    there = (one + feature)["w"]
    assert (there == after).all()
    assert ((other - feature)["w"] == before).all()  # by its negative: it was never added to this one
    assert ((checkpoint(w=there) - feature)["w"] == before).all()


def test_numbers_too_far_apart_come_back_to_the_larger_ones_last_bit() -> None:
    large, small = np.float32([[2.0**30]]), np.float32([[1e-3]])
    feature = wb.Dense.between(checkpoint(w=large), checkpoint(w=small))
    found = (checkpoint(w=large) + feature)["w"]
    assert found != small  # as the docstring says
    np.testing.assert_allclose(found, small, rtol=0, atol=2.0**30 * 2**-53)


def test_a_difference_is_of_weights_that_both_have() -> None:
    one = checkpoint(w=weights(3, 2), v=weights(2), ids=np.arange(3), own=weights(1))
    other = checkpoint(w=weights(3, 2, seed=1), v=weights(2, seed=1), ids=np.arange(3) + 1)
    feature = wb.Dense.between(one, other, title="the feature")
    assert set(feature.tensors) == {"w", "v"}
    assert (one + feature).name == "small (the feature)"
    np.testing.assert_array_equal((one + feature)["ids"], one["ids"])
    with pytest.raises(DataError, match=r"shapes \(3, 2\) and \(2, 3\)"):
        wb.Dense.between(one, checkpoint(w=weights(2, 3)))
    with pytest.raises(DataError, match="no difference"):
        wb.Dense.between(one, checkpoint(u=weights(2, 3)))


def test_base_and_adapter_less_feature() -> None:
    """The sentence of the design: an adapter added, what another training did taken away."""
    base, tuned = checkpoint(w=weights(8, 6)), checkpoint(w=weights(8, 6, seed=3))
    adapter = wb.LowRank({"w": weights(8, 2, seed=1)}, {"w": weights(2, 6, seed=2)})
    feature = wb.Dense.between(base, tuned)
    both = base + adapter - feature
    np.testing.assert_allclose(
        both["w"], 2 * base["w"] + adapter.left["w"] @ adapter.right["w"] - tuned["w"], atol=1e-5
    )
    assert both - adapter + feature - feature - -feature is base


# -- replacement, masks, permutation ------------------------------------------------------------------


def test_a_replacement_may_be_another_checkpoint_and_keeps_the_dtype() -> None:
    other = checkpoint(w=weights(3, 2, seed=1).astype(np.float64), v=weights(2, seed=2))
    net = checkpoint(w=weights(3, 2), v=weights(2), u=weights(1))
    found = net + wb.Replacement(other)
    assert found["w"].dtype == np.float32
    np.testing.assert_array_equal(found["w"], other["w"].astype(np.float32))
    np.testing.assert_array_equal(found["v"], other["v"])
    assert np.shares_memory(found["u"], net["u"])


def test_a_mask_keeps_what_is_true_and_takes_a_bit_for_each() -> None:
    w = weights(30, 80)
    w[0, 0] = np.nan
    keep = np.random.default_rng(1).random(w.shape) < 0.5
    keep[0, 0] = False
    edit = wb.Mask.of({"w": keep})
    np.testing.assert_array_equal((checkpoint(w=w) + edit)["w"], np.where(keep, w, 0))
    assert edit.bits["w"].nbytes == w.size // 8
    with pytest.raises(DataError, match=r"holds booleans.*int64"):
        wb.Mask.of({"w": np.ones((2, 2), np.int64)})
    with pytest.raises(DataError, match="no mask of the shape"):
        wb.Mask({"w": np.zeros((2, 1), np.uint8)}, {"w": (2, 9)})


def test_a_magnitude_of_integers_is_refused_when_it_is_read() -> None:
    from workbench.edits.magnitude_mask import MagnitudeMask

    edited = checkpoint(ids=np.arange(6).reshape(2, 3)) + MagnitudeMask(("ids",), 0.5)
    with pytest.raises(DataError, match="int64, which are no weights"):
        edited["ids"]
