"""The rows that contenders are given: a file's, token activations of the bundled network, or made ones."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from workbench.core.errors import DataError, FormatError, MissingError

if TYPE_CHECKING:
    from jaxtyping import Float

DIMENSIONS, GROUPS = 384, 2000


@dataclass(frozen=True)
class Setting:
    """What all measurements share.

    Attributes
    ----------
    device : "cpu" or "cuda". scale : of every number of rows. repeats : warm calls.
    data : an .npy file of rows; None takes the bundled network's activations, or makes rows.
    """

    device: str
    scale: float = 1.0
    repeats: int = 3
    data: Path | None = None

    def rows(self, n: int) -> tuple[str, Float[np.ndarray, "n d"]]:
        """Return what the rows are, and ``n`` of them in float32."""
        n = self.scaled(n)
        name, held = self._held
        if len(held) >= n:
            return name, np.array(held[:n], dtype=np.float32)
        if self.data is not None:
            raise DataError(f"{self.data} has {len(held):,} rows, and {n:,} are asked for: lower --scale.")
        return "made rows", made(n)

    def scaled(self, n: int, least: int = 64) -> int:
        """Return how many rows stand for ``n``."""
        return max(least, round(n * self.scale))

    @cached_property
    def _held(self) -> tuple[str, Any]:
        if self.data is not None:
            return self.data.name, opened(self.data)
        try:
            return "MiniLM tokens", activations()
        except ImportError:
            return "made rows", np.empty((0, DIMENSIONS), np.float32)


def opened(path: Path) -> np.ndarray:
    """Open an .npy file of rows, memory-mapped.

    Raises
    ------
    MissingError, FormatError
        There is no such file, or it holds no table of numbers.
    """
    try:
        held = np.load(path, mmap_mode="r", allow_pickle=False)
    except FileNotFoundError:
        raise MissingError(f"There is no file {path}.") from None
    except (ValueError, OSError, EOFError) as e:
        raise FormatError(f"{path} is not an .npy file of numbers ({e}).") from None
    if held.ndim != 2 or held.dtype.kind not in "fiu":
        raise FormatError(f"{path} holds {held.dtype} of shape {held.shape}, not rows of numbers (n, d).")
    return held


def activations() -> np.ndarray:
    """Return the token activations of the last layer of MiniLM over the default corpus, memory-mapped.

    Raises
    ------
    ImportError
        What captures them isn't installed.
    """
    from workbench.capturing import capture
    from workbench.core.errors import WorkbenchError
    from workbench.io import corpus
    from workbench.io.bundled import open_bundled

    try:
        captured = capture(open_bundled("minilm"), corpus(), at="encoder.layer.5")
    except WorkbenchError as missing:
        raise ImportError(str(missing)) from missing
    return captured.array("encoder.layer.5")


def made(n: int, d: int = DIMENSIONS, seed: int = 0) -> Float[np.ndarray, "n d"]:
    """Return normal clusters of uneven size and width, a hundredth of the rows copies of others."""
    rng = np.random.default_rng(seed)
    centres = rng.standard_normal((min(GROUPS, max(2, n // 20)), d), dtype=np.float32)
    share = rng.random(len(centres)) ** 3
    of = rng.choice(len(centres), n, p=share / share.sum())
    spread = (0.2 + rng.random(len(centres), dtype=np.float32))[of]
    x = rng.standard_normal((n, d), dtype=np.float32)
    x *= spread[:, None]
    x += centres[of]
    there, here = rng.integers(0, n, (2, n // 100))
    x[there] = x[here]
    return x
