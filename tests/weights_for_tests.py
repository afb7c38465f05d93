"""A checkpoint of every kind of matrix that is weighed, and what two weighings of it have to agree in."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from workbench.results.weight_map import WeightMap

# rounding itself, or a difference of numbers that are nearly equal
LOOSE = {"largest_bound", "effective_rank_error", "noise_error"}
# of a matrix of low rank, whose noise is rounding
OF_ROUNDING = {"noise", "spectrum", "largest_over_noise"}
LOW_RANK = "layers.1.mlp.gate_proj.weight"


def of_every_kind(folder: Path) -> Path:
    """Matrices in three formats: tall, wide, spiked, of low rank, of few steps, all zero, with outliers, and not finite."""
    generator = torch.Generator().manual_seed(0)

    def noise(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator)

    outlier, broken = noise(400, 90), noise(60, 400)
    outlier[:, 17] *= 8
    broken[33, 5], broken[50, 2] = float("nan"), float("inf")
    tensors = {
        "embed_tokens.weight": noise(700, 300).to(torch.bfloat16),
        "layers.0.self_attn.q_proj.weight": noise(350, 350).half(),
        "layers.0.mlp.up_proj.weight": noise(500, 200) + torch.outer(noise(500), noise(200)),
        "layers.0.mlp.down_proj.weight": noise(200, 900).to(torch.bfloat16),
        "layers.0.mlp.gate_proj.weight": outlier,
        LOW_RANK: noise(300, 4) @ noise(4, 200),
        "layers.1.mlp.up_proj.weight": torch.round(3 * noise(100, 400)) / 8,
        "layers.1.mlp.down_proj.weight": torch.zeros(40, 60),
        "layers.2.mlp.down_proj.weight": broken,
        "layers.2.mlp.up_proj.weight": noise(70, 50).double(),
    }
    save_file(tensors, folder / "net.safetensors")
    return folder / "net.safetensors"


def assert_same(here: WeightMap, there: WeightMap) -> None:
    """Facts to two parts in 100,000 (five digits of a spectrum are kept), words and counts and the number of draws to the letter."""
    assert [m["name"] for m in here.matrices] == [m["name"] for m in there.matrices]
    for one, other in zip(here.matrices, there.matrices, strict=True):
        assert set(one) == set(other)
        for key in set(one) - LOOSE - (OF_ROUNDING if one["name"] == LOW_RANK else set()):
            _assert_near(one[key], other[key], f"{one['name']}: {key}")
    for asked, again in zip(here.evidence, there.evidence, strict=True):
        assert (asked.id, asked.of) == (again.id, again.of)
        assert again.value == pytest.approx(asked.value, rel=1e-4)
        assert again.p_value == asked.p_value
        assert again.null_values == pytest.approx(asked.null_values, rel=1e-4)


def _assert_near(one: object, other: object, what: str) -> None:
    if isinstance(one, dict) and isinstance(other, dict):
        assert set(one) == set(other), what
        for key, value in one.items():
            _assert_near(value, other[key], f"{what}, {key}")
    elif isinstance(one, float) or (isinstance(one, list) and one and isinstance(one[0], float)):
        assert other == pytest.approx(one, rel=2e-5, abs=1e-9), what
    else:
        assert other == one, what
