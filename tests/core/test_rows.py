"""What is looked at in blocks is what looking at every number gives."""

from __future__ import annotations

import numpy as np
import pytest

from workbench.core import rows
from workbench.core.digest import _TREE_ABOVE, digest
from workbench.core.rows import all_finite, by_blocks


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, np.complex64, np.int32, np.bool_])
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, None])
def test_one_number_that_is_not_finite_is_found(dtype: type, bad: float | None, monkeypatch) -> None:
    monkeypatch.setattr(rows, "BLOCK_CELLS", 60)  # so that there are several blocks
    x = np.ones((100, 3), dtype)
    assert all_finite(x)
    if np.dtype(dtype).kind == "f":
        assert all_finite(np.full((100, 3), np.finfo(dtype).max, dtype))  # whose sum isn't
    if bad is not None and np.dtype(dtype).kind in "fc":
        x[57, 1] = complex(0, bad) if np.dtype(dtype).kind == "c" else bad
        assert not all_finite(x)


def test_blocks_come_in_order_and_hold_everything(monkeypatch) -> None:
    monkeypatch.setattr(rows, "BLOCK_CELLS", 10)
    x = np.arange(90).reshape(45, 2)
    assert [i for block in by_blocks(lambda b: b[:, 0].tolist(), x) for i in block] == x[:, 0].tolist()
    assert by_blocks(len, np.empty((0, 3))) == []


def test_a_large_array_is_told_by_every_byte_whatever_its_memory() -> None:
    x = np.zeros((_TREE_ABOVE // 64 + 1000, 8))
    first = digest(x)
    assert digest(np.asfortranarray(x)) == first
    assert digest(x[:, :7]) != first
    for at in (0, len(x) // 2, len(x) - 1):
        x[at, 3] = 1
        assert digest(x) != first
        x[at, 3] = 0
    assert digest(x) == first


@pytest.mark.parametrize("dtype", ["datetime64[ns]", "<U8", "complex128", "bool"])
def test_a_large_array_of_any_kind_is_told(dtype: str) -> None:
    x = np.zeros(_TREE_ABOVE // np.dtype(dtype).itemsize + 9, dtype)
    first = digest(x)
    x[-1] = np.ones(1, "int64").astype(dtype)[0]
    assert digest(x) != first
