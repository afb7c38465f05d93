"""No order: either series says as much as its steps in random order, so that nothing of the one's order is in the other's."""

from __future__ import annotations

from workbench.evidence.nulls.named import Null

NULL = Null(
    "no_order",
    "the synthetic steps' order, or the real ones', is as good as random",
    "steps in random order",
)
