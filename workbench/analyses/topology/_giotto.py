"""The door to giotto-tda, which is installed apart and may be missing.

Its last release pins libraries that are years old. We call the parts of it that run as they are on today's
(cover, clustering, nerve, Takens embedding) and join them ourselves: the pipeline that joins them there
(``make_mapper_pipeline``) and its validation of collections don't run on scikit-learn from 1.5 and 1.8 on.
Always with ``n_jobs=1``: for what is asked of it here, starting workers costs more than it saves.
"""

from __future__ import annotations

import importlib
from typing import Any

from workbench.core.errors import MissingError

INSTALL = 'pip install --no-deps "giotto-tda==0.6.2" and pip install "igraph>=0.11" "joblib>=1.4" "pyflagser>=0.4.7"'


def giotto(module: str) -> Any:
    """Return a module of giotto-tda (``mapper``, ``time_series``).

    Raises
    ------
    MissingError
        It is not installed, or a library that it needs isn't; with the command that installs both.
    """
    try:
        return importlib.import_module(f"gtda.{module}")
    except ModuleNotFoundError as e:
        raise MissingError(
            f"This method calls giotto-tda, and {e.name or 'gtda'} is not installed. Install it (Python 3.11 or 3.12) with: "
            f"{INSTALL}. Without --no-deps it would replace the scikit-learn and numpy that everything else needs."
        ) from e
