"""``workbench convert``: weights of any kind as safetensors."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

import workbench as wb

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    torch.save({"model": {"w": torch.eye(3)}, "epoch": 3}, tmp_path / "x.pth")
    return tmp_path / "x.pth"


@pytest.mark.parametrize("target", ["y.safetensors", "folder"])
def test_known_answer_what_is_written_opens_as_what_was_there(run: Run, weights: Path, target: str) -> None:
    code, out, _ = run("convert", str(weights), str(weights.parent / target))
    assert code == 0
    assert "1 tensors, 9 numbers; set aside: epoch" in out
    np.testing.assert_array_equal(wb.open(weights.parent / target)["w"], np.eye(3))


def test_other_formats_are_converted_too(run: Run, tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", a=np.ones((2, 3)), b=np.ones(3))
    assert run("convert", str(tmp_path / "x.npz"), str(tmp_path / "y.safetensors"))[0] == 0
    assert list(wb.open(tmp_path / "y.safetensors")) == ["a", "b"]


def test_refusals_say_what_is_wrong(run: Run, weights: Path) -> None:
    folder = weights.parent
    code, _, error = run("convert", str(folder / "nothing.pth"), "y.safetensors")
    assert (code, "does not exist" in error) == (4, True)
    code, _, error = run("convert", str(weights), str(folder / "y.gguf"))
    assert (code, "weights are written as .safetensors" in error) == (2, True)
    code, _, error = run("convert", str(weights), str(weights.with_suffix("")))
    assert code == 0  # a folder
    code, _, error = run("convert", str(weights), str(weights.with_suffix("")))
    assert (code, "is there already" in error) == (5, True)
    np.save(folder / "cloud.npy", np.ones((5, 2)))
    code, _, error = run("convert", str(folder / "cloud.npy"), str(folder / "z.safetensors"))
    assert (code, "this converts weights" in error) == (3, True)
