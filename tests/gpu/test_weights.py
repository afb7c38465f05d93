"""Weights on the GPU against the CPU's."""

from __future__ import annotations

import numpy as np
import pytest
import torch

pytest.importorskip("annotated_types", reason="needs what the package requires, not what its primitives do")

import workbench as wb
from workbench.subjects.checkpoint import Checkpoint, TensorInfo

pytestmark = pytest.mark.gpu
if not torch.cuda.is_available():
    pytest.skip("needs a CUDA device", allow_module_level=True)


@pytest.mark.parametrize("largest_exact", [8192, 0])
def test_spectra_and_sketches_equal_the_cpus(largest_exact: int) -> None:
    rng = np.random.default_rng(0)
    held = {
        "a.weight": rng.standard_normal((700, 300)).astype(np.float32),
        "b.weight": rng.standard_normal((200, 900)).astype(np.float32),
    }
    infos = {n: TensorInfo(n, w.shape, "F32", w.nbytes) for n, w in held.items()}
    net = Checkpoint(infos, held.__getitem__, name="net", content=lambda: "net")
    here, there = (
        wb.weights.function(net, largest_exact=largest_exact, n_null=0, device=d) for d in ("cpu", "cuda")
    )
    for one, other in zip(here.matrices, there.matrices, strict=True):
        for key in ("largest", "stable_rank", "effective_rank", "noise"):
            assert other[key] == pytest.approx(one[key], rel=1e-6)
        assert (other["tier"], other["outside"]) == (one["tier"], one["outside"])
