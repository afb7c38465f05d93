"""Grids: what weights were rounded to is found, and what wasn't rounded isn't said to be."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from workbench.numerics.number_grids import grid_of


def noise(shape: tuple[int, int] = (16, 512)) -> np.ndarray:
    return np.random.default_rng(0).standard_normal(shape).astype(np.float32)


@pytest.mark.parametrize(("dtype", "words"), [(torch.bfloat16, "bfloat16"), (torch.float16, "float16")])
def test_known_answer_formats_of_fewer_digits(dtype: torch.dtype, words: str) -> None:
    w = noise()
    rounded = torch.tensor(w).to(dtype).float().numpy()
    grid = grid_of(rounded)
    assert grid.words == words
    measured = np.sqrt(np.square(rounded - w).mean() / np.square(w).mean())
    assert grid.noise == pytest.approx(measured, rel=0.1)


@pytest.mark.parametrize("levels", [15, 127])
def test_known_answer_whole_steps_in_each_row(levels: int) -> None:
    w = noise((16, 4096))
    step = np.abs(w).max(axis=1, keepdims=True) / (levels // 2)
    rounded = (np.round(w / step) * step).astype(np.float32)
    grid = grid_of(rounded)
    assert grid.words == "whole steps in each row"
    assert grid.levels <= levels
    assert grid.noise == pytest.approx(np.sqrt(np.square(rounded - w).mean() / np.square(w).mean()), rel=0.1)


def test_what_was_not_rounded_has_no_grid() -> None:
    assert grid_of(noise()).words == ""
    assert grid_of(np.zeros((3, 4), np.float32)).words == ""
    unequal = np.random.default_rng(1).choice(np.sort(noise((1, 9))[0]), (8, 512))
    assert grid_of(unequal).words == ""
