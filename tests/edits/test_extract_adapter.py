"""Adapters drawn out of a base and what was merged into it: planted ranks come out, and what has none is said to have none."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

import workbench as wb
from workbench.core.errors import DataError, MissingError

DTYPES = (torch.float32, torch.float16, torch.bfloat16)


def pair(folder: Path, dtype: torch.dtype, size: float, rank: int, noise: bool = False):
    torch.manual_seed(0)
    w = torch.randn(96, 64)
    d = torch.randn(96, 64) if noise else torch.randn(96, rank) @ torch.randn(rank, 64)
    d *= size * w.norm() / d.norm()
    base = w.to(dtype)
    save_file({"w": base, "same": torch.ones(8, 8)}, folder / "base.safetensors")
    save_file({"w": (base.float() + d).to(dtype), "same": torch.ones(8, 8)}, folder / "merged.safetensors")
    return wb.open(folder / "base.safetensors"), wb.open(folder / "merged.safetensors"), d.numpy()


@pytest.mark.parametrize("size", [0.02, 0.1, 1])
@pytest.mark.parametrize("dtype", DTYPES)
def test_a_planted_rank_and_product_come_out(dtype: torch.dtype, size: float, tmp_path: Path) -> None:
    base, merged, d = pair(tmp_path, dtype, size, 8)
    adapter = wb.extract_adapter(base, merged)
    assert list(adapter.tensors) == ["w"] and adapter.rank == 8
    assert "adapter of rank 8" in adapter.title
    made = adapter.left["w"] @ adapter.right["w"]
    lost = {torch.float32: 1e-5, torch.float16: 2e-2, torch.bfloat16: 0.12}[dtype]
    assert np.linalg.norm(made - d) < lost * np.linalg.norm(d)


@pytest.mark.parametrize("dtype", DTYPES)
def test_noise_is_not_low_rank_and_says_how_much_is_explained(dtype: torch.dtype, tmp_path: Path) -> None:
    base, merged, d = pair(tmp_path, dtype, 0.1, 8, noise=True)
    adapter = wb.extract_adapter(base, merged, max_rank=8)
    s = np.linalg.svd(d, compute_uv=False)
    percent = 100 * np.square(s[:8]).sum() / np.square(s).sum()
    assert adapter.title.startswith("not low-rank: factors of rank 8 explain")
    assert float(adapter.title.split("explain ")[1].split(" %")[0]) == pytest.approx(percent, rel=0.02)


def test_what_does_not_fit_is_refused(tmp_path: Path) -> None:
    base, merged, _ = pair(tmp_path, torch.float32, 0.1, 8)
    with pytest.raises(DataError, match="nothing was added"):
        wb.extract_adapter(base, base)
    with pytest.raises(MissingError, match="has no tensor 'w'"):
        wb.extract_adapter(base, merged.at("same"))


def test_one_matrix_without_a_rank_does_not_hide_that_of_the_others(tmp_path: Path) -> None:
    torch.manual_seed(0)
    base = {n: torch.randn(96, 64) for n in ("adapted", "trained")}
    made = {
        "adapted": base["adapted"] + 0.1 * torch.randn(96, 4) @ torch.randn(4, 64),
        "trained": base["trained"] + 0.1 * torch.randn(96, 64),
    }
    for name, tensors in (("base", base), ("made", made)):
        save_file(tensors, tmp_path / f"{name}.safetensors")
    adapter = wb.extract_adapter(
        *(wb.open(tmp_path / f"{n}.safetensors") for n in ("base", "made")), max_rank=16
    )
    assert adapter.title.startswith("adapter of rank 4 on 1 tensor (")
    assert "of 1 more the rank can't be told. All factors explain" in adapter.title
