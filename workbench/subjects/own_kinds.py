"""The workbench's own kinds of networks: what a configuration names, and what is written beside the weights.

A kind is one entry of `KINDS`: the name that ``config.json`` gives as ``model_type``, and where its configuration and its
module are defined. Nothing that lies in a folder is run.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

KINDS = {
    "workbench_ghost": ("workbench.numerics.ghost.model", "GhostConfig", "Ghost"),
    "workbench_chain": ("workbench.numerics.chain", "ChainConfig", "Chain"),
}
"""``model_type`` to the file, the configuration's class and the module's."""
READS_BYTES = ("workbench_ghost",)


def kind_of(config: Mapping[str, Any]) -> str:
    """The workbench's own kind that a configuration names, or ""."""
    named = config.get("model_type")
    return named if isinstance(named, str) and named in KINDS else ""


def configuration_of(module: Any) -> dict[str, Any]:
    """What ``config.json`` holds of a module of an own kind; empty for others."""
    from pydantic import BaseModel

    config = getattr(module, "config", None)
    found = config.model_dump(mode="json") if isinstance(config, BaseModel) else {}
    return found if kind_of(found) else {}
