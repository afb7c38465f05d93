"""Inputs drawn from a domain, what networks give for them, and how far rounding may have moved that."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import numpy as np

from workbench.core.errors import ParameterError
from workbench.numerics.exact.reading import PIECEWISE, Program, is_piecewise

BLOCK = 4096  # inputs that are run at once
UNIT = 2.0**-24  # the relative rounding of float32, to nearest


def require_domain(low: float | None, high: float | None, method: str) -> None:
    """Refuse a domain that holds one point or none.

    Raises
    ------
    ParameterError
        ``low`` isn't under ``high``.
    """
    if low is not None and high is not None and low >= high:
        raise ParameterError(
            f"{method}: low={low} and high={high} are not legal: low must be smaller than high."
        )


def domain(low: float | None, high: float | None) -> dict[str, Fraction | None]:
    """Bounds as the exact numbers that they are, by the names that functions take them by."""
    return {"low": None if low is None else Fraction(low), "high": None if high is None else Fraction(high)}


def domain_words(low: float | None, high: float | None) -> str:
    """A domain in words, and how inputs are drawn from it."""
    if low is None and high is None:
        return "all inputs"
    if low is None or high is None:
        return f"all inputs of {low:g} or more" if low is not None else f"all inputs up to {high:g}"
    return f"inputs from {low:g} to {high:g}"


def drawn_words(low: float | None, high: float | None) -> str:
    return "drawn evenly" if low is not None and high is not None else "drawn standard normal"


def drawn(
    n: int, width: int, low: float | None, high: float | None, random_state: int
) -> Iterator[np.ndarray]:
    """Inputs in blocks: even between two bounds, else standard normal, mirrored into the domain. They are float32's numbers."""
    rng = np.random.default_rng([random_state, 0x696E])
    for start in range(0, n, BLOCK):
        shape = (min(BLOCK, n - start), width)
        if low is not None and high is not None:
            x = rng.uniform(low, high, shape)
        elif low is not None:
            x = low + np.abs(rng.standard_normal(shape))
        elif high is not None:
            x = high - np.abs(rng.standard_normal(shape))
        else:
            x = rng.standard_normal(shape)
        yield np.clip(x.astype(np.float32).astype(np.float64), low, high)


def in_double(module: Any) -> Any:
    """A copy of a module in double precision, to be run by `run`."""
    return copy.deepcopy(module).double().cpu().eval()


def run(module: Any, x: np.ndarray, dtype: type = np.float64) -> np.ndarray:
    """What a module gives for some inputs, as float64."""
    import torch

    device = next((p.device for p in module.parameters()), torch.device("cpu"))
    with torch.no_grad():
        given = torch.as_tensor(x.astype(dtype), device=device)
        return module(given).double().cpu().numpy()


def rounding_bound(program: Program, x: np.ndarray) -> np.ndarray | None:
    """Bound how far float32 may be from real arithmetic at some inputs that are float32's own, number by number.

    Any order of summation, with or without fused operations (Higham 2002, section 3.1). None where an activation is
    smooth, for libraries don't say how well they compute those.

    Returns
    -------
    (n, m) array or None

    References
    ----------
    Higham 2002, Accuracy and stability of numerical algorithms, 2nd ed.
    """
    if not is_piecewise(program):
        return None
    values: list[tuple[np.ndarray, np.ndarray]] = [(x, np.zeros_like(x))]  # the value, and its error at most
    for step in program[1:]:
        v, e = values[step.args[0]]
        if step.op == "add":
            w, f = values[step.args[1]]
            values.append((v + w, e + f + UNIT * (np.abs(v + w) + e + f)))
        elif step.op == "unit":
            assert step.kind in PIECEWISE
            out = np.where(v > 0, v, step.number * v)
            slope = max(1.0, abs(step.number))
            more = 0.0 if step.kind == "relu" else 2 * UNIT * (np.abs(out) + slope * e)
            values.append((out, slope * e + more))
        else:
            assert step.weight is not None
            linear = step.op == "affine"
            terms = (step.weight.shape[1] if linear else 1) + 1
            gamma = terms * UNIT / (1 - terms * UNIT)
            b = np.zeros(step.width) if step.bias is None else step.bias
            size = np.abs(v) + e
            total, spread, moved = (
                (v @ step.weight.T, size @ np.abs(step.weight).T, e @ np.abs(step.weight).T)
                if linear
                else (v * step.weight, size * np.abs(step.weight), e * np.abs(step.weight))
            )
            values.append((total + b, moved + gamma * (spread + np.abs(b))))
    return values[-1][1] * (1 + 1e-9)  # for this bound's own rounding, in float64
