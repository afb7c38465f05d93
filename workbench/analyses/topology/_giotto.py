"""The door to giotto-tda, which is installed apart and may be missing.

Its last release pins libraries that are years old. We call the parts of it that run as they are on today's
(cover, clustering, nerve, Takens embedding, distances, landscapes and images of diagrams) and join them
ourselves: the pipeline that joins them there (``make_mapper_pipeline``) and its validation of collections and
diagrams don't run on scikit-learn from 1.5 and 1.8 on. One name that numpy 2 has dropped is given back to it.
Always with ``n_jobs=1``: for what is asked of it here, starting workers costs more than it saves.
"""

from __future__ import annotations

import importlib
from types import ModuleType
from typing import Any

import numpy as np

from workbench.core.errors import MissingError

INSTALL = 'pip install --no-deps "giotto-tda==0.6.2" and pip install "igraph>=0.11" "joblib>=1.4" "pyflagser>=0.4.7"'


def giotto(module: str) -> Any:
    """Return a module of giotto-tda (``mapper``, ``time_series``, ``diagrams._metrics``).

    Raises
    ------
    MissingError
        It is not installed, or a library that it needs isn't; with the command that installs both.
    """
    try:
        found = importlib.import_module(f"gtda.{module}")
    except ModuleNotFoundError as e:
        raise MissingError(
            f"This method calls giotto-tda, and {e.name or 'gtda'} is not installed. Install it (Python 3.11 or 3.12) with: "
            f"{INSTALL}. Without --no-deps it would replace the scikit-learn and numpy that everything else needs."
        ) from e
    if getattr(found, "np", None) is np and not hasattr(np, "product"):
        vars(found)["np"] = _Numpy("numpy")
    return found


class _Numpy(ModuleType):
    """numpy as giotto-tda knows it, for its own modules alone."""

    product = staticmethod(np.prod)

    def __getattr__(self, name: str) -> Any:
        return getattr(np, name)
