"""The story that comes along: its table, and where minilm puts each sentence."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import pandas as pd
    from jaxtyping import Float

DATA = Path(__file__).parent / "data"


def shipped() -> tuple[Float[np.ndarray, "k d"], pd.DataFrame]:
    """The vectors, float64 of what is kept as float16, and the table: place, character, event, text."""
    import pandas as pd

    vectors = np.load(DATA / "story.npy", allow_pickle=False).astype(np.float64)
    return vectors, pd.read_csv(DATA / "story.csv")
