"""Linear process: what comes next depends on what came before in a straight line, on fresh noise and on nothing else."""

from __future__ import annotations

from workbench.evidence.nulls.named import Null

NULL = Null(
    "linear_process",
    "the series is a linear process, seen through a fixed monotone function",
    "linear processes like it",
)
