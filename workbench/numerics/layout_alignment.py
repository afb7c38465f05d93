"""How well layouts of related rows can be read side by side: how far rows move from one to the next."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from workbench.numerics.resampling import NORMAL, null_draws

if TYPE_CHECKING:
    from jaxtyping import Float, Int


@dataclass(frozen=True)
class Alignment:
    """Consecutive pairs of layouts compared, t - 1 of them.

    Attributes
    ----------
    displacement : (t - 1,) mean distance of related rows, over the root mean square distance of rows related at
        random: 0 where nothing moves, about 0.9 where the layouts have nothing to do with each other.
    disparity : (t - 1,) share of the layouts' variation that no turn, reflection and shift of one onto the other
        takes away; what is left of it in ``displacement`` is how far they aren't turned alike.
    null : (draws, t - 1) displacement with the relation's rows permuted.
    error : (t - 1,) standard error of the displacement over rows, the layouts kept.
    rows : each pair's (m,) displacements row by row; ``related`` (m, 2) which rows they are.
    """

    displacement: Float[np.ndarray, " p"]
    disparity: Float[np.ndarray, " p"]
    null: Float[np.ndarray, "draws p"]
    error: Float[np.ndarray, " p"]
    rows: tuple[Float[np.ndarray, " m"], ...]
    related: tuple[Int[np.ndarray, "m 2"], ...]

    def interval(self, pair: int) -> tuple[float, float]:
        """95 % interval of a pair's displacement over the choice of rows."""
        value, half = self.displacement[pair], NORMAL * self.error[pair]
        return max(0.0, float(value - half)), float(value + half)


def measure_alignment(
    layouts: Sequence[Float[np.ndarray, "n c"]],
    matches: Sequence[Int[np.ndarray, " n"]],
    *,
    n_null: int = 0,
    random_state: int = 0,
) -> Alignment:
    """Compare each layout with the next.

    Parameters
    ----------
    matches : for each layout but the last: the related row of the next, -1 for none.
    n_null : draws with the relation permuted among the related rows.
    """
    found = []
    for (before, after), match in zip(pairwise(layouts), matches, strict=True):
        left = np.flatnonzero(match >= 0)
        found.append(
            (left, match[left], before[left].astype(np.float64), after[match[left]].astype(np.float64))
        )
    scales = [_at_random(a, b) for _, _, a, b in found]
    rows = tuple(_distance(a, b) / s for (_, _, a, b), s in zip(found, scales, strict=True))

    def draw(rng: np.random.Generator) -> np.ndarray:
        pairs = zip(found, scales, strict=True)
        return np.array([_distance(a, b[rng.permutation(len(b))]).mean() / s for (_, _, a, b), s in pairs])

    return Alignment(
        displacement=np.array([r.mean() for r in rows]),
        disparity=np.array([disparity(a, b) for _, _, a, b in found]),
        null=null_draws(draw, n_null, random_state, "rows related at random").reshape(n_null, len(found)),
        error=np.array([r.std(ddof=1) / np.sqrt(len(r)) if len(r) > 1 else 0.0 for r in rows]),
        rows=rows,
        related=tuple(np.stack([left, right], 1) for left, right, _, _ in found),
    )


def disparity(a: Float[np.ndarray, "m c"], b: Float[np.ndarray, "m c"]) -> float:
    """The share of variation that the best turn, reflection and shift of ``b`` onto ``a`` leaves, 0 to 1."""
    a, b = a - a.mean(0), b - b.mean(0)
    total = np.square(a).sum() + np.square(b).sum()
    if total == 0:
        return 0.0
    return float(max(0.0, 1 - 2 * np.linalg.svd(a.T @ b, compute_uv=False).sum() / total))


def _at_random(a: np.ndarray, b: np.ndarray) -> float:
    """Root mean square distance of rows related at random, over all ways to relate them."""
    square = a.var(0).sum() + b.var(0).sum() + np.square(a.mean(0) - b.mean(0)).sum()
    return float(np.sqrt(square)) or 1.0


def _distance(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.sqrt(np.square(a - b).sum(1))
