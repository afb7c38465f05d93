"""Weights on the GPU against the CPU's."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

pytest.importorskip("annotated_types", reason="needs what the package requires, not what its primitives do")

from weights_for_tests import assert_same, of_every_kind

import workbench as wb

pytestmark = pytest.mark.gpu
if not torch.cuda.is_available():
    pytest.skip("needs a CUDA device", allow_module_level=True)


@pytest.mark.parametrize("largest_exact", [8192, 0])
def test_all_that_is_said_equals_the_cpus(largest_exact: int, tmp_path: Path) -> None:
    net = wb.open(of_every_kind(tmp_path))
    here, there = (
        wb.weights.function(net, largest_exact=largest_exact, n_null=39, device=d) for d in ("cpu", "cuda")
    )
    assert_same(here, there)


def test_a_matrix_without_room_there_is_weighed_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from workbench.numerics import streamed_torch

    net = wb.open(of_every_kind(tmp_path))
    here = wb.weights.function(net, n_null=0, device="cpu")
    monkeypatch.setattr(streamed_torch, "memory_budget", lambda device: 0)
    assert_same(here, wb.weights.function(net, n_null=0, device="cuda"))
