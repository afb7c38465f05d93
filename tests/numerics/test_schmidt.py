"""Schmidt entropy: Page's value for random matrices, the ends for one direction and for equal ones."""

from __future__ import annotations

import numpy as np
import pytest

from workbench.numerics.schmidt import page_entropy, schmidt_entropy


def test_known_answer_one_direction_and_equal_ones() -> None:
    assert schmidt_entropy(np.array([3.0, 0.0])) == 0
    assert schmidt_entropy(np.zeros(3)) == 0
    assert schmidt_entropy(np.ones(7)) == pytest.approx(np.log(7))


@pytest.mark.parametrize("shape", [(2, 2), (3, 8), (40, 20)])
def test_known_answer_pages_value_is_the_mean_of_random_matrices(shape: tuple[int, int]) -> None:
    rng = np.random.default_rng(0)
    draws = rng.standard_normal((2000, *shape)) + 1j * rng.standard_normal((2000, *shape))
    found = [schmidt_entropy(s) for s in np.linalg.svd(draws, compute_uv=False)]
    assert np.mean(found) == pytest.approx(page_entropy(*shape), abs=4 * np.std(found) / np.sqrt(2000))


@pytest.mark.parametrize("shape", [(60, 30), (30, 90)])
def test_known_answer_of_real_entries_it_is_lower_by_half_over_the_longer_side(
    shape: tuple[int, int],
) -> None:
    draws = np.random.default_rng(1).standard_normal((500, *shape))
    found = [schmidt_entropy(s) for s in np.linalg.svd(draws, compute_uv=False)]
    error = np.std(found) / np.sqrt(500)
    assert np.mean(found) == pytest.approx(page_entropy(*shape) - 1 / (2 * max(shape)), abs=5 * error + 3e-4)
