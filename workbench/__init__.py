"""A workbench for opening up neural networks.

Open a subject, ask methods questions of it, get results that carry their control:

>>> import workbench as wb
>>> net = wb.open("minilm")
>>> acts = wb.capture(net, wb.corpus("default"), at="encoder.layer.*")
>>> wb.umap(acts.at("encoder.layer.5"), n_neighbors=30).figure(color="topic")

Every method that ``workbench list`` shows is an attribute of this package. Importing the package is
light: libraries load where they are used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_PLACES = {
    "open": "workbench.io",
    "corpus": "workbench.io",
    "capture": "workbench.capturing",
    "record": "workbench.recording",
    "bookmark": "workbench.recording",
    "fine_tune": "workbench.models._fine_tuning",
    "siblings": "workbench.subjects.descents.siblings",
    "load": "workbench.core.loading",
    "methods": "workbench.core.registry",
    "method": "workbench.core.registry",
    "along": "workbench.evidence",
    "side_by_side": "workbench.evidence",
    "correct": "workbench.evidence",
    "Findings": "workbench.evidence",
    "Edit": "workbench.core.edit",
    "Affine": "workbench.edits.affine",
    "Dense": "workbench.edits.dense",
    "LowRank": "workbench.edits.low_rank",
    "Mask": "workbench.edits.mask",
    "Replacement": "workbench.edits.replacement",
    "SiteFunction": "workbench.edits.site_function",
    "Activations": "workbench.subjects.activations",
    "Checkpoint": "workbench.subjects.checkpoint",
    "Corpus": "workbench.subjects.corpus",
    "GraphSubject": "workbench.subjects.graph",
    "PointCloud": "workbench.subjects.points",
    "TimeSeries": "workbench.subjects.series",
    "Siblings": "workbench.subjects.descents.siblings",
    "Trajectory": "workbench.subjects.descents.trajectory",
    "Result": "workbench.core.result",
    "WorkbenchError": "workbench.core.errors",
}

if TYPE_CHECKING:
    from workbench.capturing.capture import capture as capture
    from workbench.core.edit import Edit as Edit
    from workbench.core.errors import WorkbenchError as WorkbenchError
    from workbench.core.loading import load as load
    from workbench.core.registry import method as method
    from workbench.core.registry import methods as methods
    from workbench.core.result import Result as Result
    from workbench.edits.affine import Affine as Affine
    from workbench.edits.dense import Dense as Dense
    from workbench.edits.low_rank import LowRank as LowRank
    from workbench.edits.mask import Mask as Mask
    from workbench.edits.replacement import Replacement as Replacement
    from workbench.edits.site_function import SiteFunction as SiteFunction
    from workbench.evidence import Findings as Findings
    from workbench.evidence import correct as correct
    from workbench.evidence.along import along as along
    from workbench.evidence.along import side_by_side as side_by_side
    from workbench.io import open as open
    from workbench.io.corpus import corpus as corpus
    from workbench.models._fine_tuning import fine_tune as fine_tune
    from workbench.subjects.activations import Activations as Activations
    from workbench.subjects.checkpoint import Checkpoint as Checkpoint
    from workbench.subjects.corpus import Corpus as Corpus
    from workbench.subjects.descents.siblings import Siblings as Siblings
    from workbench.subjects.descents.siblings import siblings as siblings
    from workbench.subjects.descents.trajectory import Trajectory as Trajectory
    from workbench.subjects.graph import GraphSubject as GraphSubject
    from workbench.subjects.points import PointCloud as PointCloud
    from workbench.subjects.series import TimeSeries as TimeSeries


def __getattr__(name: str) -> Any:
    if name in _PLACES:
        return getattr(importlib.import_module(_PLACES[name]), name)
    if name.startswith("_"):
        raise AttributeError(name)
    from workbench.core.errors import MissingError
    from workbench.core.registry import method

    try:
        return method(name)
    except MissingError as e:
        raise AttributeError(str(e)) from None


def __dir__() -> list[str]:
    from workbench.core.registry import names

    return sorted({*globals(), *_PLACES, *names()})
