"""What a descent has beside its row table, and how networks are told apart without their weights."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from workbench.numerics.objectives import Probe
from workbench.subjects.descents.bookmarks import Bookmarks
from workbench.subjects.descents.step_weights import WeightSource

if TYPE_CHECKING:
    import pandas as pd
    import torch


@dataclass(frozen=True, eq=False)
class Record:
    """What a trajectory has beside its row table; the same for any choice of its rows.

    Attributes
    ----------
    weights : at some steps; None where none were kept.
    gradient_norms, update_norms : one line a recorded step, one column a parameter; None where not recorded.
    optimizer : summaries of the optimizer's state, one line a step where they were taken.
    probe : what the loss is evaluated on.
    training : what it was trained on, where that was kept; instruments that train on draw their batches from it.
    model : the network that the weights belong to; whatever weights it has itself don't count.
    outcome : how the descent ended, in words; "" for an end without incident.
    diverged : the step at which loss or gradient were no longer finite, or None.
    about : the optimizer, its groups and what else the recorder said.
    """

    weights: WeightSource | None = None
    gradient_norms: pd.DataFrame | None = None
    update_norms: pd.DataFrame | None = None
    optimizer: pd.DataFrame | None = None
    probe: Probe | None = None
    training: Probe | None = None
    model: torch.nn.Module | None = field(default=None, repr=False)
    outcome: str = ""
    diverged: int | None = None
    about: Mapping[str, Any] = field(default_factory=dict)
    bookmarks: Mapping[str, Bookmarks] = field(default_factory=dict)
    """The most tethered edges at some steps, by name, where they were advertised (`workbench.bookmark`)."""
    folder: Path | None = None
    """Where it is stored as it is, if it is."""
    keep: Any = field(default=None, repr=False)
    """What must live as long as the record: a temporary folder."""


def structure(module: torch.nn.Module | None) -> list[Any]:
    """What a network is made of, without its weights."""
    if module is None:
        return []
    return [[n, type(m).__module__, type(m).__qualname__, m.extra_repr()] for n, m in module.named_modules()]


def few(steps: np.ndarray) -> str:
    """Steps in words, the middle ones left out where there are many."""
    shown = [str(s) for s in steps]
    return ", ".join(shown if len(shown) <= 6 else [*shown[:3], "…", *shown[-2:]])
