"""Running out of a GPU's memory: a refusal that says what would fit, nothing left behind, and the next call answers."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

torch = pytest.importorskip("torch")
if not torch.cuda.is_available():
    pytest.skip("needs a CUDA device", allow_module_level=True)

from workbench.core.device import refusing_what_does_not_fit  # noqa: E402
from workbench.core.errors import DataError  # noqa: E402
from workbench.numerics.neighbours_torch import k_nearest  # noqa: E402
from workbench.numerics.umap_torch import fit  # noqa: E402

pytestmark = pytest.mark.gpu


@pytest.fixture
def small_card() -> Iterator[None]:
    """A card of which this process may have half a gigabyte."""
    torch.cuda.empty_cache()
    total = torch.cuda.get_device_properties("cuda").total_memory
    torch.cuda.set_per_process_memory_fraction(2**29 / total)
    yield
    torch.cuda.set_per_process_memory_fraction(1.0)


def rows(n: int, d: int = 256) -> object:
    return torch.randn((n, d), generator=torch.Generator().manual_seed(0)).numpy()


def test_what_does_not_fit_is_refused_with_what_would(small_card: None) -> None:
    held = torch.cuda.memory_allocated()
    with (
        pytest.raises(
            DataError, match=r"umap of rows of 600,000 rows ran out of the GPU's memory"
        ) as refused,
        refusing_what_does_not_fit("cuda", 600_000, "umap of rows"),
    ):
        fit(rows(600_000), device="cuda", random_state=0)
    assert torch.cuda.memory_allocated() - held < 2**26, "the refused rows are still on the card"
    fits = int(re.search(r"About ([\d,]+) rows may fit", str(refused.value))[1].replace(",", ""))
    assert 50_000 < fits < 600_000
    with refusing_what_does_not_fit("cuda", 20_000, "umap of rows"):
        found = fit(rows(20_000), device="cuda", random_state=0)
    assert len(found.embedding) == 20_000


def test_other_errors_pass(small_card: None) -> None:
    with pytest.raises(ZeroDivisionError), refusing_what_does_not_fit("cuda", 10, "nothing"):
        1 / 0  # noqa: B018
    with refusing_what_does_not_fit("cuda", 10, "neighbours"):
        assert k_nearest(torch.randn(100, 4), 3, device="cuda").indices.shape == (100, 3)
