"""Small floating-point formats: bfloat16 and those of 8 bits read exactly as float32, and float32 rounded to bfloat16."""

from __future__ import annotations

from functools import cache

import numpy as np

# exponent bits, mantissa bits, bias, and which codes are not finite numbers:
# "ieee" has infinities and NaN in the last exponent, "fn" only NaN in the last code of each sign,
# "fnuz" only one NaN, in the place of minus zero.
_EIGHT_BITS = {
    "F8_E4M3": (4, 3, 7, "fn"),
    "F8_E5M2": (5, 2, 15, "ieee"),
    "F8_E4M3FNUZ": (4, 3, 8, "fnuz"),
    "F8_E5M2FNUZ": (5, 2, 16, "fnuz"),
}
CODED = {"BF16": "<u2", **dict.fromkeys((*_EIGHT_BITS, "F8_E8M0"), "u1")}
"""Format to the dtype that its codes are stored in."""


def decode(codes: np.ndarray, dtype: str) -> np.ndarray:
    """Return the float32 that codes of the format ``dtype`` (a key of `CODED`) stand for.

    References
    ----------
    Micikevicius et al. 2022, "FP8 formats for deep learning", arXiv:2209.05433; Noune et al. 2022,
    "8-bit numerical formats for deep neural networks", arXiv:2206.02915 (the FNUZ variants); Open Compute
    Project 2023, "OCP Microscaling Formats (MX) v1.0" (E8M0).
    """
    if dtype == "BF16":
        return (codes.astype(np.uint32) << 16).view(np.float32)
    return _table(dtype)[codes]


def as_numbers(stored: np.ndarray, dtype: str) -> np.ndarray:
    """What is stored in a format as weights are read: floating point as float32, booleans as such, integers as they are.

    What is beyond float32's range is infinite.
    """
    if dtype in CODED:
        return decode(stored, dtype)
    if dtype == "BOOL":
        return stored != 0
    if stored.dtype.kind != "f" or stored.dtype == np.float32:
        return stored
    with np.errstate(over="ignore", invalid="ignore"):  # infinite and NaN are told by the methods, counted
        return stored.astype(np.float32)


def encode(values: np.ndarray, dtype: str) -> np.ndarray:
    """Return the codes of the numbers of the format ``dtype`` (only ``BF16``) nearest to float32 values, ties to even.

    Beyond the largest it is infinite, as by numpy's own conversions; NaN stays NaN.
    """
    assert dtype == "BF16", dtype
    bits = np.ascontiguousarray(values, np.float32).view(np.uint32)
    nearest = bits >> 16
    nearest &= 1
    nearest += 0x7FFF
    nearest += bits  # a carry into the exponent is right
    nearest >>= 16
    codes = nearest.astype("<u2")
    if (lost := np.isnan(values)).any():
        codes[lost] = (bits[lost] >> 16) | 0x40  # a NaN must not round to infinity
    return codes


def rounding(dtype: str) -> str:
    """What storing weights in a format did to them, in words; empty for 16 bits and more."""
    if dtype not in _EIGHT_BITS:
        return ""
    percent = 100 / (1 + 2 ** (_EIGHT_BITS[dtype][1] + 1))  # halfway between 1 and the next number
    return f"8-bit floats: rounded by up to {percent:.3g} %; a scale tensor beside it is not applied"


@cache
def _table(dtype: str) -> np.ndarray:
    codes = np.arange(256)
    if dtype == "F8_E8M0":
        values = np.ldexp(1.0, codes - 127)
        values[255] = np.nan
        return values.astype(np.float32)
    exponent_bits, mantissa_bits, bias, special = _EIGHT_BITS[dtype]
    exponent = (codes >> mantissa_bits) & ((1 << exponent_bits) - 1)
    mantissa = (codes & ((1 << mantissa_bits) - 1)) / (1 << mantissa_bits)
    subnormal = exponent == 0
    values = np.ldexp(np.where(subnormal, mantissa, 1 + mantissa), np.maximum(exponent, 1) - bias)
    values = np.where(codes & 0x80, -values, values)
    if special == "ieee":
        top = exponent == (1 << exponent_bits) - 1
        values = np.where(top, np.where(mantissa == 0, np.copysign(np.inf, values), np.nan), values)
    elif special == "fn":
        values[[0x7F, 0xFF]] = np.nan
    else:
        values[0x80] = np.nan
    return values.astype(np.float32)
