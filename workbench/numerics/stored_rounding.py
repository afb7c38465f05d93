"""How numbers were rounded to the format that they are stored in: its steps, what these may add, and which rounding it was."""

from __future__ import annotations

import numpy as np

from workbench.numerics.floats import decode, encode

MANTISSA = {"F64": 52, "F32": 23, "F16": 10, "BF16": 7}
GROUPS = (128, 64, 32)  # entries of a row that share a scale, where a row as a whole doesn't


def exponents(values: np.ndarray) -> np.ndarray:
    """The bits of the power of two of each float32 number: larger for larger powers, and a float32 number themselves."""
    return np.ascontiguousarray(values, np.float32).view(np.uint32) & np.uint32(0x7F800000)


def spacing(values: np.ndarray, dtype: str) -> np.ndarray:
    """The distance from each number to the next larger one in the format that it is stored in."""
    step, smallest = _step(dtype)
    return np.maximum(exponents(values).view(np.float32) * np.float32(step), np.float32(smallest))


def _step(dtype: str) -> tuple[float, float]:
    """A format's step over the power of two, and its smallest step."""
    return 2.0 ** -min(MANTISSA.get(dtype, 23), 23), {"F16": 2.0**-24, "BF16": 2.0**-133}.get(
        dtype, 2.0**-149
    )


def rounding_edge(values: np.ndarray, dtype: str) -> float:
    """The largest singular value that rounding a matrix to its format may add, by its scales of rows and columns.

    References
    ----------
    Latala 2005, Some estimates of norms of random matrices, Proc. Am. Math. Soc. 133.
    """
    power = np.square(exponents(values).view(np.float32), dtype=np.float64)
    return edge_of_rounding(power.sum(axis=1), power.sum(axis=0), dtype)


def edge_of_rounding(by_rows: np.ndarray, by_columns: np.ndarray, dtype: str) -> float:
    """`rounding_edge` from the sums, by rows and by columns, of the squared powers of two of the entries."""
    # what was added was itself made in float32, by sums whose rounding is as large as that of float32 weights
    margin = 1.5 if dtype in ("F16", "BF16") else 4.0
    step, smallest = _step(dtype)
    sides = ((by_rows, len(by_columns)), (by_columns, len(by_rows)))
    deviations = (np.sqrt(step**2 * sums.max() + many * smallest**2) for sums, many in sides)
    return margin * float(sum(deviations)) / 12**0.5


def grain(values: np.ndarray, dtype: str) -> str:
    """The coarsest format that has all these numbers: what was rounded to 16 bits may be stored in 32."""
    return next((f for f in ("BF16", "F16") if np.array_equal(cast(values, f), values)), dtype)


def rounded_as(before: np.ndarray, after: np.ndarray) -> str:
    """Say which rounding turns one block of rows into another, or "".

    A cast to a narrower format is found where each number is the nearest of that format; quantization where, within a row
    or a group in a row, what comes out is a step function of what went in, with at most half as many steps as numbers, or
    lies on a grid of 255 steps that spans the group.
    """
    finite = np.isfinite(before).all() and np.isfinite(after).all()
    if not finite or before.shape != after.shape or not before.size or np.array_equal(before, after):
        return ""
    for name in ("F16", "BF16"):
        if np.array_equal(cast(before, name), after):
            return name
    for group in (before.shape[-1], *GROUPS):
        if before.shape[-1] % group == 0 and group >= 16:
            b, a = before.reshape(-1, group), after.reshape(-1, group)
            if (_in_steps(b[:1], a[:1]) and _in_steps(b, a)) or _on_grid(b, a):
                return f"groups of {group}"
    return ""


def cast(values: np.ndarray, dtype: str) -> np.ndarray:
    """The numbers as they come back from a narrower format (``F16`` or ``BF16``)."""
    if dtype == "BF16":
        return decode(encode(values, "BF16"), "BF16")
    with np.errstate(over="ignore"):
        return values.astype(np.float16).astype(np.float32)


def _in_steps(before: np.ndarray, after: np.ndarray) -> bool:
    order = np.argsort(before, axis=1, kind="stable")
    risen = np.diff(np.take_along_axis(after, order, axis=1), axis=1)
    levels = 1 + (np.diff(np.sort(after, axis=1), axis=1) > 0).sum(axis=1)
    return bool((risen >= 0).all() and levels.max() <= after.shape[1] / 2)


def _on_grid(before: np.ndarray, after: np.ndarray) -> bool:
    step = np.abs(after).max(axis=1, keepdims=True) / 127
    if not (step > 0).all():
        return False
    grid = after / step
    near = np.abs(grid - np.rint(grid)) < 1e-3
    return bool(near.all() and (np.abs(after - before) < 0.55 * step).all())
