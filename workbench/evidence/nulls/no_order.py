"""No order: a series says as much as its steps in random order."""

from __future__ import annotations

from workbench.evidence.nulls.named import Null

NULL = Null(
    "no_order",
    "the order of the synthetic steps says nothing about what comes in the real series",
    "synthetic steps in random order",
)
