"""Runs: what was asked of what, with which parameters, seed, versions and device."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from functools import cache
from importlib import metadata
from typing import Any

import workbench
from workbench.core.digest import digest

_LIBRARIES = (
    "numpy",
    "scipy",
    "pandas",
    "scikit-learn",
    "networkx",
    "igraph",
    "umap-learn",
    "pynndescent",
    "giotto-ph",
    "giotto-tda",
    "torch",
    "transformers",
)


@dataclass(frozen=True)
class Run:
    """Subject digest, method, version, parameters, seed and device: the unit of caching and provenance.

    Attributes
    ----------
    key : equal for runs that must give the same answer.
    seconds : wall time of the method, its control included.
    """

    method: str
    version: str
    subject: str
    subject_digest: str
    parameters: dict[str, Any]
    device: str = "cpu"
    started: str = ""
    seconds: float = 0.0
    versions: dict[str, str] = field(default_factory=dict)

    @property
    def seed(self) -> int | None:
        """The seed, where the method takes one (``random_state``)."""
        return self.parameters.get("random_state")

    @property
    def key(self) -> str:
        """Digest of everything that the answer depends on; libraries count, the clock doesn't."""
        return digest(
            self.method, self.version, self.subject_digest, self.parameters, self.device, self.versions
        )

    def to_json(self) -> dict[str, Any]:
        """Plain dictionary, with the key."""
        return {**asdict(self), "key": self.key}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Run:
        """Read what `to_json` gave."""
        parameters = {k: tuple(v) if isinstance(v, list) else v for k, v in data["parameters"].items()}
        return cls(**{k: v for k, v in data.items() if k not in ("key", "parameters")}, parameters=parameters)


def now() -> str:
    """The time as ISO 8601, UTC, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


@cache
def versions() -> dict[str, str]:
    """Installed versions of what an answer may depend on."""
    found = {"python": platform.python_version(), "workbench": workbench.__version__}
    for name in _LIBRARIES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found
