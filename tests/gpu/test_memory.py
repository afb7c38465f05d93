"""Running out of a GPU's memory: a refusal that says what would fit, nothing left behind, and the next call answers."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
if not torch.cuda.is_available():
    pytest.skip("needs a CUDA device", allow_module_level=True)

from workbench.core.device import refusing_what_does_not_fit  # noqa: E402
from workbench.core.errors import DataError  # noqa: E402
from workbench.numerics.neighbours_torch import k_nearest  # noqa: E402
from workbench.numerics.preservation import trust_of_rows  # noqa: E402
from workbench.numerics.umap_torch import fit  # noqa: E402

pytestmark = pytest.mark.gpu


@pytest.fixture
def small_card() -> Iterator[None]:
    """A card of which this process may have half a gigabyte."""
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    total = torch.cuda.get_device_properties("cuda").total_memory
    torch.cuda.set_per_process_memory_fraction(2**29 / total)
    yield
    torch.cuda.set_per_process_memory_fraction(1.0)


def rows(n: int, d: int = 256) -> object:
    return torch.randn((n, d), generator=torch.Generator().manual_seed(0)).numpy()


def test_rows_that_do_not_fit_are_laid_out_in_pieces(small_card: None) -> None:
    """150,000 rows take 0.9 GB, and the card has half a gigabyte."""
    x = rows(150_000, 1536)
    x[:75_000] += 4  # type: ignore[index]
    found = fit(x, device="cuda", random_state=0, n_epochs=30)
    torch.cuda.empty_cache()
    places = found.embedding.cpu().numpy()
    assert torch.cuda.max_memory_allocated() <= 2**29
    apart = np.linalg.norm(places[:75_000].mean(0) - places[75_000:].mean(0))
    assert apart > places[:75_000].std()
    trusted = trust_of_rows(x, places, 10, queries=np.arange(0, 150_000, 1500), device="cuda")
    assert trusted.mean() > 0.5


def test_what_does_not_fit_is_refused_with_what_would(small_card: None) -> None:
    held = torch.cuda.memory_allocated()
    with (
        pytest.raises(
            DataError, match=r"umap of rows of 4,000,000 rows ran out of the GPU's memory"
        ) as refused,
        refusing_what_does_not_fit("cuda", 4_000_000, "umap of rows"),
    ):
        fit(rows(4_000_000, 8), device="cuda", random_state=0)
    assert torch.cuda.memory_allocated() - held < 2**26, "the refused rows are still on the card"
    fits = int(re.search(r"About ([\d,]+) rows may fit", str(refused.value))[1].replace(",", ""))
    assert 50_000 < fits < 4_000_000
    with refusing_what_does_not_fit("cuda", 20_000, "umap of rows"):
        found = fit(rows(20_000), device="cuda", random_state=0)
    assert len(found.embedding) == 20_000


def test_other_errors_pass(small_card: None) -> None:
    with pytest.raises(ZeroDivisionError), refusing_what_does_not_fit("cuda", 10, "nothing"):
        1 / 0  # noqa: B018
    with refusing_what_does_not_fit("cuda", 10, "neighbours"):
        assert k_nearest(torch.randn(100, 4), 3, device="cuda").indices.shape == (100, 3)


LOST = """
import numpy as np, torch
import workbench as wb
broken = torch.zeros(1, device="cuda")[torch.tensor([5], device="cuda")]  # an assertion on the device ends its use
wb.umap(np.random.default_rng(0).standard_normal((300, 5)))
"""


def test_a_gpu_that_does_not_answer_is_said_to(tmp_path: Path) -> None:
    asked = {**os.environ, "WORKBENCH_CACHE": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", LOST], env=asked, capture_output=True, text=True)
    last = done.stderr.strip().splitlines()[-1]
    assert "MissingError" in last
    assert "doesn't answer any more" in last
    assert "device='cpu'" in last
