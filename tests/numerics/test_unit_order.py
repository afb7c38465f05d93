"""The order in which units were put is found through training, and in unrelated matrices none is."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from workbench.numerics.unit_order import chance_limit, order_of

Draw = Callable[[np.random.Generator, tuple[int, int]], np.ndarray]


def normal(rng: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
    return rng.standard_normal(shape).astype(np.float32)


def long_tailed(rng: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
    return rng.standard_t(3, shape).astype(np.float32)


def of_scales(rng: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
    """Rows and columns of very different scale, which some order brings together."""
    return (
        normal(rng, shape) * np.geomspace(0.1, 10, shape[0])[:, None] * np.geomspace(0.3, 3, shape[1])
    ).astype(np.float32)


def far_from_zero(rng: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
    return normal(rng, shape) + 3


def with_one_entry(rng: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
    """One entry holds most, which some order brings to that of another such matrix."""
    out = normal(rng, shape)
    out[rng.integers(shape[0]), rng.integers(shape[1])] = 20 * shape[0]
    return out


@pytest.mark.parametrize("which", ["rows", "columns", "both"])
@pytest.mark.parametrize("noise", [0.01, 0.1])
def test_known_answer_order_is_found_through_noise(which: str, noise: float) -> None:
    rng = np.random.default_rng(1)
    for n, m in ((96, 64), (128, 128), (64, 256)):
        rows = rng.permutation(n) if which != "columns" else np.arange(n)
        columns = rng.permutation(m) if which != "rows" else np.arange(m)
        before = normal(rng, (n, m))
        after = before[rows][:, columns] + np.float32(noise) * normal(rng, (n, m))
        found = order_of(before, after)
        assert found is not None
        assert (found.rows == rows).all() and (found.columns == columns).all()
        assert found.cosine == pytest.approx(1 / np.sqrt(1 + noise**2), abs=0.01)


@pytest.mark.parametrize("draw", [normal, long_tailed, of_scales, far_from_zero, with_one_entry])
def test_no_order_is_found_in_unrelated_matrices(draw: Draw) -> None:
    """0 of 60 (at most 1 of 100 is allowed for), and the bound is no bound that nothing could pass."""
    rng = np.random.default_rng(2)
    pairs = [
        (draw(rng, shape), draw(rng, shape)) for shape in ((96, 64), (48, 48), (200, 30)) for _ in range(20)
    ]
    assert not any(order_of(b, a) for b, a in pairs)
    b, rows = draw(rng, (128, 96)), rng.permutation(128)
    found = order_of(b, b[rows])
    assert found is not None and (found.rows == rows).all()


def test_the_limit_holds_in_the_order_that_fits_best() -> None:
    """Of tiny matrices every order can be tried; what the best of all reaches stays under the limit in 99 of 100."""
    from itertools import permutations

    rng = np.random.default_rng(3)
    orders = np.array(list(permutations(range(4))))
    over = 0
    for _ in range(200):
        b, a = rng.choice([-1.0, 1.0], (4, 40)), rng.choice([-1.0, 1.0], (4, 40))
        best = max(float((b[list(order)] * a).sum()) / 160 for order in orders)
        over += best > chance_limit(b, a)
    assert over <= 2
    assert chance_limit(np.ones((8, 8)), np.ones((8, 8))) > 0.85, "in small matrices some order fits anything"
