"""What the toy clouds share: a table with the generating coordinates."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from workbench.subjects.points import PointCloud


def cloud(
    name: str,
    values: np.ndarray,
    noise: float,
    rng: np.random.Generator,
    truth: Mapping[str, Any],
    **columns: np.ndarray,
) -> PointCloud:
    """Add isotropic Gaussian noise of standard deviation ``noise`` and name the rows by ``columns``."""
    import pandas as pd

    values = values + noise * rng.standard_normal(values.shape)
    return PointCloud(
        values.astype(np.float32), name=name, table=pd.DataFrame(columns), truth={**truth, "noise": noise}
    )
