"""What is inside a network is the same where its module lies on a GPU."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from inside_for_tests import llama, named, reading_of, texts

import workbench as wb

pytestmark = pytest.mark.gpu
if not torch.cuda.is_available():
    pytest.skip("needs a CUDA device", allow_module_level=True)


@pytest.mark.parametrize(
    "name", ["attention_patterns", "attention_flow", "logit_lens", "patch_map", "site_ablation", "top_rows"]
)
def test_a_module_on_a_gpu_answers_alike(name: str) -> None:
    method, asked = getattr(wb, name), {"n_null": 19}
    asked |= {"n_untrained": 0} if name == "attention_patterns" else {}
    asked |= {"site": "model.layers.1"} if name in ("site_ablation", "top_rows") else {}
    module = llama()
    here = method(reading_of(module, texts(16), encode=named), **asked)
    there = method(reading_of(copy.deepcopy(module).cuda(), texts(16), encode=named), **asked)
    for field, value in vars(here).items():
        if isinstance(value, np.ndarray) and value.dtype.kind == "f":
            np.testing.assert_allclose(getattr(there, field), value, rtol=2e-3, atol=2e-3)
    for a, b in zip(here.evidence, there.evidence, strict=True):
        assert b.value == pytest.approx(a.value, rel=2e-3, abs=2e-3)
