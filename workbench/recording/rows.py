"""Rows that were measured and not yet stored."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from workbench.core.errors import DataError


class Chunk:
    """Steps, learning rates and logged values of some rows, beside what a meter has of them.

    Attributes
    ----------
    sums : step and summaries of the optimizer's state, where they were taken.
    """

    def __init__(self) -> None:
        self.sums: list[tuple[int, dict[str, Any]]] = []
        self._steps: list[int] = []
        self._rates: list[list[Any]] = []
        self._logs: dict[str, dict[int, list[Any]]] = {}

    def __len__(self) -> int:
        return len(self._steps)

    def open(self, step: int, rates: list[Any], logged: dict[str, list[Any]]) -> int:
        """Begin the row of a step; return which it is."""
        row = len(self._steps)
        self._steps.append(step)
        self._rates.append(rates)
        for key, values in logged.items():
            self._logs.setdefault(key, {})[row] = values
        return row

    def drop_last(self) -> None:
        """Forget the last row."""
        row = len(self._steps) - 1
        del self._steps[row], self._rates[row]
        for found in self._logs.values():
            found.pop(row, None)

    def log(self, key: str, value: Any) -> None:
        """Add a value to the last row."""
        self._logs.setdefault(key, {}).setdefault(len(self._steps) - 1, []).append(value)

    def first(self, row: int, key: str, value: Any) -> None:
        """Add a value to a row, unless it has one."""
        self._logs.setdefault(key, {}).setdefault(row, [value])

    def logged(self, row: int, key: str) -> list[Any]:
        """What was logged of a row."""
        return self._logs.get(key, {}).get(row, [])

    def columns(self, gradients: np.ndarray, updates: np.ndarray) -> dict[str, np.ndarray]:
        """Everything as arrays, under the names that they are stored by."""
        n = len(self)
        logs = {key: _means(found, n) for key, found in self._logs.items()}
        found = {
            "step": np.array(self._steps, np.int64), "loss": logs.pop("loss", np.full(n, np.nan)),
            "lr": np.array([[float(lr) for lr in rates] for rates in self._rates], np.float64),
            "grad": gradients, "update": updates,
        }  # fmt: skip
        found.update({f"log.{k}": v for k, v in logs.items()})
        if self.sums:
            found["state.step"] = np.array([s for s, _ in self.sums], np.int64)
            for key in dict.fromkeys(k for _, held in self.sums for k in held):
                values = [float(held[key]) if key in held else np.nan for _, held in self.sums]
                found[f"state.{key}"] = np.array(values)
        return found

    def divergence(self, columns: dict[str, np.ndarray], parameters: Sequence[str]) -> tuple[int, str] | None:
        """The first step that isn't finite and what of it, in words; None where all are."""
        logged = np.zeros(len(self), bool)
        logged[list(self._logs.get("loss", {}))] = True
        loss = logged & ~np.isfinite(columns["loss"])
        gradient, update = (~np.isfinite(columns[k]) for k in ("grad", "update"))
        bad = loss | gradient.any(1) | update.any(1)
        if not bad.any():
            return None
        row = int(bad.argmax())
        said = [f"the loss was {columns['loss'][row]}"] if loss[row] else []
        for what, found in (("gradient", gradient[row]), ("update", update[row])):
            names = [n for n, b in zip(parameters, found, strict=True) if b]
            if names:
                more = f" (and of {len(names) - 1} more)" if len(names) > 1 else ""
                said.append(f"the {what} of {names[0]}{more} was not finite")
                break  # the update follows from the gradient
        step = int(columns["step"][row])
        return step, f"diverged at step {step}: {', '.join(said)}"


def as_number(key: str, value: Any) -> Any:
    """A number at once, unless it lies on a GPU, which isn't waited for.

    Raises
    ------
    DataError
        It is no number, or several.
    """
    try:
        if not hasattr(value, "detach"):
            return float(value)
        return value.item() if value.is_cpu else value.detach().reshape(()).clone()
    except (TypeError, ValueError, RuntimeError):
        shape = f" of the shape {tuple(value.shape)}" if hasattr(value, "shape") else ""
        raise DataError(
            f"log: {key} is a {type(value).__name__}{shape}; log one number a step, such as its mean."
        ) from None


def _means(found: dict[int, list[Any]], n: int) -> np.ndarray:
    column = np.full(n, np.nan)
    for row, values in found.items():
        column[row] = sum(map(float, values)) / len(values)
    return column
