"""A workbench for opening up neural networks.

Open a subject, ask methods questions of it, get results that carry their control:

>>> import workbench as wb
>>> net = wb.open("minilm")
>>> acts = wb.capture(net, wb.corpus("default", max_texts=200), at="encoder.layer.*")
>>> wb.umap(acts.at("encoder.layer.5"), n_neighbors=30).figure(color="topic")

Every method that ``workbench list`` shows is an attribute of this package. Importing the package is
light: libraries load where they are used.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from typing import Any

from workbench.core import release as _release

__version__ = _release.VERSION

# What a type checker and an editor see of all this is written down in __init__.pyi (scripts/make_stub.py).
PLACES = {
    "open": "workbench.io",
    "corpus": "workbench.io",
    "capture": "workbench.capturing",
    "reading": "workbench.capturing",
    "sentences": "workbench.telling",
    "weight_stack": "workbench.capturing.weight_stack",
    "weight_graph": "workbench.capturing.weight_graph",
    "computation_graph": "workbench.capturing.computation_graph",
    "record": "workbench.recording",
    "bookmark": "workbench.recording",
    "fine_tune": "workbench.models",
    "siblings": "workbench.subjects.descents.siblings",
    "load": "workbench.core.loading",
    "methods": "workbench.core.registry",
    "method": "workbench.core.registry",
    "along": "workbench.evidence",
    "side_by_side": "workbench.evidence",
    "correct": "workbench.evidence",
    "Findings": "workbench.evidence",
    "forget": "workbench.core.history",
    "Edit": "workbench.core.edit",
    "Affine": "workbench.edits.affine",
    "Bits": "workbench.edits.bits",
    "Dense": "workbench.edits.dense",
    "LoRA": "workbench.edits.lora",
    "LowRank": "workbench.edits.low_rank",
    "Mask": "workbench.edits.mask",
    "Replacement": "workbench.edits.replacement",
    "SiteFunction": "workbench.edits.site_function",
    "Unmerge": "workbench.edits.lora",
    "certify": "workbench.edits.taking_out",
    "read_adapter": "workbench.io.adapters",
    "Arrays": "workbench.subjects.arrays",
    "Activations": "workbench.subjects.activations",
    "Checkpoint": "workbench.subjects.checkpoint",
    "Corpus": "workbench.subjects.corpus",
    "GraphSubject": "workbench.subjects.graph",
    "PointCloud": "workbench.subjects.points",
    "Reading": "workbench.subjects.reading",
    "WeightStack": "workbench.subjects.stack",
    "World": "workbench.subjects.world",
    "TimeSeries": "workbench.subjects.series",
    "Siblings": "workbench.subjects.descents.siblings",
    "Trajectory": "workbench.subjects.descents.trajectory",
    "Result": "workbench.core.result",
    "WorkbenchError": "workbench.core.errors",
}

IN_NOTEBOOKS = ("explore", "panel", "browse")
"""What somebody who looks for it here finds in ``widgets``, which stands on this package."""


def __getattr__(name: str) -> Any:
    if name in PLACES:
        return getattr(importlib.import_module(PLACES[name]), name)
    if name.startswith("_"):
        raise AttributeError(name)
    if name in IN_NOTEBOOKS:
        raise AttributeError(
            f"{name} is one of the widgets for notebooks: import widgets; widgets.{name}(...)."
        )
    from workbench.core.errors import MissingError
    from workbench.core.registry import method

    try:
        return method(name)
    except MissingError as e:
        if importlib.util.find_spec(f"{__name__}.{name}"):  # a part of the package: wb.recording
            return importlib.import_module(f"{__name__}.{name}")
        raise AttributeError(str(e)) from None


def __dir__() -> list[str]:
    from workbench.core.registry import names

    return sorted({*globals(), *PLACES, *names()})


def _show_in_cells() -> None:
    """Have a notebook show answers that are plotted by `workbench.report.in_cell`."""
    shell = sys.modules["IPython"].get_ipython()
    if shell is not None:
        shell.display_formatter.ipython_display_formatter.for_type_by_name(
            "workbench.results.plotted",
            "Plotted",
            lambda result: importlib.import_module("workbench.report.in_cell").show(result),
        )


if "IPython" in sys.modules:
    _show_in_cells()
