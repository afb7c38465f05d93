"""An adapter drawn out of two checkpoints: what was added to each weight, as thin factors."""

from __future__ import annotations

from typing import Annotated

import numpy as np
from annotated_types import Interval
from typing_extensions import Doc

from workbench.core.errors import DataError, MissingError
from workbench.core.lazy import as_tensors
from workbench.core.registry import edit
from workbench.edits._matrices import matrices
from workbench.edits.low_rank import LowRank
from workbench.numerics.stored_rounding import grain, rounding_edge
from workbench.numerics.streamed import LOST
from workbench.subjects.checkpoint import Checkpoint

GAP = 3.0  # from the last singular value that counts to the next one, from which a change is said to be of low rank


@edit
def extract_adapter(
    checkpoint: Checkpoint,
    tuned: Checkpoint,
    *,
    max_rank: Annotated[
        int, Interval(ge=1, le=512), Doc("Of the factors; a change of higher rank is cut there.")
    ] = 64,
    at: Annotated[
        str, Doc("Pattern of tensor names, in which * stays within one dotted part; ** is any.")
    ] = "**",
) -> LowRank:
    """Draw an adapter out of a base and what was made of it: of each changed matrix its change as factors of lowest rank.

    The rank is how many singular values lie above what rounding to the stored format gives. The title says which it is and
    the gap to the next singular value, which tells a merged adapter, and of how many tensors it can't be told; or that the
    change is not of low rank and how much of it these factors explain. Factors are known up to an invertible matrix between
    them, so that the scale that was trained (alpha / rank) is in them and can't be told apart.

    Raises
    ------
    MissingError
        The pattern matches no weight matrix, or ``tuned`` lacks one.
    DataError
        A matrix has another shape, numbers that aren't finite, or none of them changed.
    """
    left, right, told = {}, {}, []
    explained = np.zeros(2)
    for name in matrices(checkpoint, at):
        if name not in tuned.tensors:
            raise MissingError(
                f"{tuned.name} has no tensor {name!r}: narrow both with at=, or give what was made of the base."
            )
        before, after = (np.asarray(c[name], np.float32) for c in (checkpoint, tuned))
        if before.shape != after.shape:
            raise DataError(
                f"{name} has the shapes {before.shape} and {after.shape}: what was made of a base has its shapes."
            )
        if not (np.isfinite(before).all() and np.isfinite(after).all()):
            raise DataError(f"{name} holds NaN or infinite numbers, of which there is no difference.")
        if np.array_equal(before, after):
            continue
        before, after = (x.reshape(len(x), -1) for x in (before, after))
        u, s, v = np.linalg.svd(after.astype(np.float64) - before, full_matrices=False)
        edge = max(rounding_edge(after, grain(after, tuned.tensors[name].dtype)), LOST * s[0])
        rank = int(min(max_rank, max(1, (s > edge).sum())))
        left[name] = (u[:, :rank] * np.sqrt(s[:rank])).astype(np.float32)
        right[name] = (np.sqrt(s[:rank])[:, None] * v[:rank]).astype(np.float32)
        told.append((rank, s[rank - 1] / max(s[rank], 1e-30 * s[0]) if rank < len(s) else 1.0))
        explained += [np.square(s[:rank]).sum(), np.square(s).sum()]
    if not told:
        raise DataError(
            f"No matrix of {checkpoint.name} that matches {at!r} differs in {tuned.name}: nothing was added."
        )
    return LowRank(
        as_tensors(left), as_tensors(right), title=_title(told, float(explained[0] / explained[1]))
    )


def _title(told: list[tuple[int, float]], explained: float) -> str:
    sure = [pair for pair in told if pair[1] >= GAP]
    if sure and len(sure) < len(told):
        return (
            f"{_title(sure, explained)}; of {len(told) - len(sure):,} more the rank can't be told. All factors explain "
            f"{100 * explained:.3g} %"
        )
    ranks = [rank for rank, _ in told]
    many = f"rank {ranks[0]}" if len(set(ranks)) == 1 else f"ranks {min(ranks)} to {max(ranks)}"
    gap = min(g for _, g in told)
    if gap >= GAP:
        return f"adapter of {many} on {len(told):,} tensor{'s' * (len(told) != 1)} (the next singular value is {gap:.3g} times smaller)"
    return f"not low-rank: factors of {many} explain {100 * explained:.3g} % of what {len(told):,} tensors changed by"
