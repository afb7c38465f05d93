"""Small floats equal torch's own conversion, code by code."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from workbench.numerics.floats import CODED, decode, rounding

TORCH = {
    "F8_E4M3": torch.float8_e4m3fn,
    "F8_E5M2": torch.float8_e5m2,
    "F8_E4M3FNUZ": torch.float8_e4m3fnuz,
    "F8_E5M2FNUZ": torch.float8_e5m2fnuz,
    "F8_E8M0": torch.float8_e8m0fnu,
}


def test_every_format_is_compared_with_torch() -> None:
    assert {*TORCH, "BF16"} == set(CODED)


@pytest.mark.parametrize("dtype", TORCH)
def test_peer_torch_reads_every_8_bit_code_the_same(dtype: str) -> None:
    codes = np.arange(256, dtype=np.uint8)
    theirs = torch.from_numpy(codes.copy()).view(TORCH[dtype]).to(torch.float32).numpy()
    ours = decode(codes, dtype)
    assert ours.dtype == np.float32
    np.testing.assert_array_equal(ours, theirs)
    finite = np.isfinite(ours)
    np.testing.assert_array_equal(np.signbit(ours[finite]), np.signbit(theirs[finite]))  # minus zero is one


def test_peer_torch_reads_every_bfloat16_the_same() -> None:
    codes = np.arange(1 << 16, dtype=np.uint16)
    theirs = torch.from_numpy(codes.copy()).view(torch.bfloat16).to(torch.float32).numpy()
    np.testing.assert_array_equal(decode(codes, "BF16"), theirs)


@pytest.mark.parametrize(("dtype", "largest"), [("F8_E4M3", 1 / 17), ("F8_E5M2", 1 / 9)])
def test_known_answer_rounding_error_reaches_what_is_said_and_not_more(dtype: str, largest: float) -> None:
    x = torch.linspace(1, 2, 100_001)
    back = decode(x.to(TORCH[dtype]).view(torch.uint8).numpy(), dtype)
    worst = float(np.abs(back / x.numpy() - 1).max())
    assert 0.99 * largest < worst <= 1.0001 * largest
    assert f"{100 * largest:.3g} %" in rounding(dtype)
    assert rounding("BF16") == ""
