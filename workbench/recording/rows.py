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
    n : rows so far. every : steps from one to the next.
    rates : learning rates, with the row from which on they hold.
    sums : step and summaries of the optimizer's state, where they were taken.
    """

    def __init__(self, every: int) -> None:
        self.n = 0
        self.first = 0
        self.every = every
        self.rates: list[tuple[int, list[Any]]] = []
        self.sums: list[tuple[int, dict[str, Any]]] = []
        self._logs: dict[str, tuple[list[int], list[Any]]] = {}  # rows and values, no list for each row

    def open(self, step: int, rates: list[Any]) -> int:
        """Begin the row of a step; return which it is. ``rates`` is another list when they have changed."""
        row = self.n
        if row == 0:
            self.first = step
        if row == 0 or rates is not self.rates[-1][1]:
            self.rates.append((row, rates))
        self.n = row + 1
        return row

    def drop_last(self) -> None:
        """Forget the last row."""
        self.n -= 1
        for rows, values in self._logs.values():
            while rows and rows[-1] >= self.n:
                del rows[-1], values[-1]
        while self.rates and self.rates[-1][0] >= self.n:
            del self.rates[-1]

    def log(self, row: int, key: str, value: Any) -> None:
        """Add a value to a row."""
        if key not in self._logs:
            self._logs[key] = ([], [])
        rows, values = self._logs[key]
        rows.append(row)
        values.append(value)

    def has(self, row: int, key: str) -> bool:
        """Whether anything was logged of a row."""
        rows = self._logs[key][0] if key in self._logs else []
        return bool(rows) and rows[-1] == row

    def logged(self, row: int, key: str) -> list[Any]:
        """What was logged of a row."""
        rows, values = self._logs.get(key, ((), ()))
        return [v for r, v in zip(rows, values, strict=True) if r == row]

    def columns(self, gradients: np.ndarray, updates: np.ndarray) -> dict[str, np.ndarray]:
        """Everything as arrays, under the names that they are stored by."""
        n = self.n
        logs = {key: _means(*logged, n) for key, logged in self._logs.items()}
        if "loss" in logs:
            logs["loss"] = self._losses(logs["loss"], gradients)
        starts = [row for row, _ in self.rates] + [n]
        rates = [np.array([float(lr) for lr in of_groups], np.float64) for _, of_groups in self.rates]
        arrays = {
            "step": self.first + self.every * np.arange(n, dtype=np.int64),
            "loss": logs.pop("loss", np.full(n, np.nan)),
            "lr": np.repeat(rates, np.diff(starts), axis=0),
            "grad": gradients,
            "update": updates,
        }
        arrays.update({f"log.{k}": v for k, v in logs.items()})
        if self.sums:
            arrays["state.step"] = np.array([s for s, _ in self.sums], np.int64)
            for key in dict.fromkeys(k for _, held in self.sums for k in held):
                values = [float(held[key]) if key in held else np.nan for _, held in self.sums]
                arrays[f"state.{key}"] = np.array(values)
        return arrays

    def _losses(self, means: np.ndarray, gradients: np.ndarray) -> np.ndarray:
        """Means of the losses; a turn whose step a scaler skipped may have left one that isn't finite with those of the next."""
        logged, numbers = self._logs["loss"]
        rows, values = np.array(logged), np.array([float(v) for v in numbers])
        finite = np.isfinite(values)
        of_finite = _means(rows[finite].tolist(), values[finite].tolist(), self.n)
        mixed = ~np.isfinite(means) & np.isfinite(of_finite) & np.isfinite(gradients).all(axis=1)
        return np.where(mixed, of_finite, means)

    def divergence(self, columns: dict[str, np.ndarray], parameters: Sequence[str]) -> tuple[int, str] | None:
        """The first step that isn't finite and what of it, in words; None where all are."""
        logged = np.zeros(self.n, bool)
        logged[self._logs.get("loss", ([], []))[0]] = True
        loss = logged & ~np.isfinite(columns["loss"])
        gradient, update = (~np.isfinite(columns[k]) for k in ("grad", "update"))
        bad = loss | gradient.any(1) | update.any(1)
        if not bad.any():
            return None
        row = int(bad.argmax())
        causes = [f"the loss was {columns['loss'][row]}"] if loss[row] else []
        for what, nonfinite in (("gradient", gradient[row]), ("update", update[row])):
            names = [n for n, b in zip(parameters, nonfinite, strict=True) if b]
            if names:
                more = f" (and of {len(names) - 1} more)" if len(names) > 1 else ""
                causes.append(f"the {what} of {names[0]}{more} was not finite")
                break  # the update follows from the gradient
        step = int(columns["step"][row])
        return step, f"diverged at step {step}: {', '.join(causes)}"


def as_number(key: str, value: Any) -> Any:
    """A number at once, unless it lies on a GPU, which isn't waited for.

    Raises
    ------
    DataError
        It is no number, or several.
    """
    try:
        if type(value) is float or not hasattr(value, "detach"):
            return float(value)
        return value.item() if value.is_cpu else value.detach().reshape(()).clone()
    except (TypeError, ValueError, RuntimeError):
        shape = f" of the shape {tuple(value.shape)}" if hasattr(value, "shape") else ""
        raise DataError(
            f"log: {key} is a {type(value).__name__}{shape}; log one number a step, such as its mean."
        ) from None


def _means(rows: list[int], values: list[Any], n: int) -> np.ndarray:
    counts = np.bincount(rows, minlength=n)
    sums = np.bincount(rows, np.array([float(v) for v in values]), minlength=n)
    with np.errstate(invalid="ignore"):
        return np.where(counts > 0, sums / np.maximum(counts, 1), np.nan)
