"""The workbench's own kinds of networks: what a configuration names, and what is written beside the weights.

A kind is one entry of `KINDS`: the name that ``config.json`` gives as ``model_type``, and where its configuration and its
module are defined. Nothing that lies in a folder is run.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any

KINDS = {
    "workbench_ghost": (
        "workbench.numerics.ghost.config.GhostConfig",
        "workbench.numerics.ghost.model.Ghost",
    ),
    "workbench_medusa": (
        "workbench.numerics.medusa.model.WorldConfig",
        "workbench.numerics.medusa.model.WorldStep",
    ),
    "workbench_geometry": (
        "workbench.numerics.geometry.config.GeometryConfig",
        "workbench.numerics.geometry.gpt.GPT",
    ),
    "workbench_chain": ("workbench.numerics.chain.ChainConfig", "workbench.numerics.chain.Chain"),
}
"""``model_type`` to the configuration's class and the module's, each by where it is defined."""
READS_BYTES = ("workbench_ghost",)


def kind_of(config: Mapping[str, Any]) -> str:
    """The workbench's own kind that a configuration names, or ""."""
    named = config.get("model_type")
    return named if isinstance(named, str) and named in KINDS else ""


def defined(where: str) -> Any:
    """The class that a dotted name of `KINDS` means."""
    file, _, name = where.rpartition(".")
    return getattr(import_module(file), name)


def configuration_of(module: Any) -> dict[str, Any]:
    """What ``config.json`` holds of a module of an own kind; empty for others."""
    config = getattr(module, "config", None)
    kind = kind_of({"model_type": getattr(config, "model_type", None)})
    return config.as_json() if kind and isinstance(config, defined(KINDS[kind][0])) else {}
