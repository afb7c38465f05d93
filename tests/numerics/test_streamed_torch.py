"""Spectra by torch are those of `streamed`; what a GPU does with it is in tests/gpu."""

from __future__ import annotations

import numpy as np
import pytest

from workbench.core.lazy import LazyTensor
from workbench.numerics import streamed_torch
from workbench.numerics.streamed import gram_spectrum, measure, sketch


@pytest.mark.parametrize("shape", [(90, 40), (40, 90), (50, 50)])
@pytest.mark.parametrize("held", [1 << 25, 700])
def test_equals_the_plain_path(shape: tuple[int, int], held: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streamed_torch, "_NUMBERS", held)
    w = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    w[:, 3] *= 20
    w.flags.writeable = False
    matrix = LazyTensor.of(w)
    plain = gram_spectrum(measure(matrix, gram=True, keep=np.empty(0, np.int64)).gram)
    found = streamed_torch.gram_spectrum_on(matrix, "cpu")
    assert found == pytest.approx(plain, abs=1e-7 * plain[0])
    assert found == pytest.approx(np.linalg.svd(w.astype(float), compute_uv=False), abs=1e-7 * plain[0])
    times = streamed_torch.gram_product_on(matrix, "cpu")
    here, there = (sketch(matrix, 4, np.random.default_rng(1), t) for t in (None, times))
    assert there.top == pytest.approx(here.top, rel=1e-9)
    assert there.effective_rank == pytest.approx(here.effective_rank, rel=1e-6)
