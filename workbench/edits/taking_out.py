"""What is known of a base from a merged checkpoint and the adapter that was merged, and of an adapter from both checkpoints."""

from __future__ import annotations

import math
from typing import get_args

import numpy as np

from workbench.core.errors import DataError, MissingError, ParameterError, ViewError, suggest
from workbench.core.evidence import Evidence
from workbench.core.progress import track
from workbench.edits.lora import LoRA
from workbench.numerics.rounded_sums import FORMATS, Arithmetic, candidates
from workbench.results.certificate import CLASSES, Certificate
from workbench.subjects.checkpoint import Checkpoint

BLOCK = 1 << 18  # entries whose candidates are looked for at a time
ALONE = (
    "From a merged checkpoint alone nothing of this is known: every number of it may have been the base's, and any base differs "
    "from it by some adapter and a rest. Give the adapter (certify) or the base (extract_adapter)."
)


def certify(
    merged: Checkpoint, adapter: LoRA | None = None, *, arithmetic: Arithmetic = "workbench"
) -> Certificate:
    """Count, for each entry of merged tensors, the numbers that the merge would have rounded to what is seen.

    Adding the same number and rounding never turns two numbers round, so that what gives one sum is an interval of the
    format's numbers. An entry whose interval has one number is certain. Where one has none, another adapter, strength or
    arithmetic was merged, or something was done to it afterwards.

    Parameters
    ----------
    merged : stored in F32, F16 or BF16. adapter : what was merged, plain or rank-stabilized LoRA, at its strength.
    arithmetic : ``workbench`` is that of our own merge: the product is the same to the last bit everywhere, added in float32 and
        rounded once. ``peft`` is PEFT's on a processor: the product in float32, rounded to the format before it is added. In which
        order a library sums it isn't known, so that every product within its error bound is counted, and fewer entries are certain.

    Raises
    ------
    MissingError
        There is no adapter (what that means is said), or it is of tensors that aren't there.
    ViewError
        A tensor is under DoRA, whose scales the merged checkpoint doesn't tell, or in another format.
    DataError
        A tensor has another shape, or numbers that aren't finite.
    """
    if arithmetic not in get_args(Arithmetic):
        raise ParameterError(
            f"arithmetic={arithmetic!r} is not legal. It takes {', '.join(map(repr, get_args(Arithmetic)))}."
        )
    if adapter is None:
        raise MissingError(ALONE)
    for name in adapter.tensors:
        if name not in merged.tensors:
            raise MissingError(f"{merged.name} has no tensor {name!r}. {suggest(name, merged.tensors)}")
        adapter.fits(name, merged.tensors[name].shape)
    counts, largest = [], []
    for name in track(list(adapter.tensors), "taking the adapter out"):
        tally, most = _of_tensor(merged, adapter, name, arithmetic)
        counts.append(tally)
        largest.append(most)
    total = np.array(counts)
    share = total[:, 1].sum() / total.sum()
    impossible = int(total[:, 0].sum())
    return Certificate(
        title=f"What of {merged.name} is certain without {adapter.label}: {100 * share:.3g} %",
        names=tuple(adapter.tensors),
        counts=total,
        largest=np.array(largest),
        arithmetic=arithmetic,
        evidence=(
            Evidence(
                id="certified",
                question="How many entries have one number that could have been there before?",
                label="share of entries that are certain",
                value=float(share),
                n=int(total.sum()),
                unit="entries",
            ),
        ),
        caveat=(
            f"{impossible:,} entries have no such number: this adapter wasn't merged so (with {arithmetic}'s arithmetic, at "
            f"strength {adapter.strength:g}), or something was done afterwards."
            if impossible
            else ""
        ),
    )


def _of_tensor(
    merged: Checkpoint, adapter: LoRA, name: str, arithmetic: Arithmetic
) -> tuple[np.ndarray, int]:
    stored, dtype = merged.stored(name), merged.tensors[name].dtype
    if stored is None or dtype not in FORMATS:
        raise ViewError(
            f"{name} of {merged.name} is {dtype}: sums are taken back in {', '.join(FORMATS)} alone."
        )
    tally, most = np.zeros(len(CLASSES), np.int64), 0
    rows = max(1, BLOCK // max(1, math.prod(stored.shape[1:])))
    for start in range(0, stored.shape[0], rows):
        block = np.ascontiguousarray(stored.read(start, min(start + rows, stored.shape[0]))).view(
            FORMATS[dtype]
        )
        if not np.isfinite(merged.lazy(name).read(start, start + len(block))).all():
            raise DataError(
                f"{name} of {merged.name} has NaN or infinite numbers: no sum is taken back from those."
            )
        at, block = slice(start, start + len(block)), block.reshape(len(block), -1)
        slack = None if arithmetic == "workbench" else adapter.rounding(name, at)
        count = candidates(block, adapter.difference(name, at), dtype, arithmetic, slack)[1]
        tally += np.histogram(count, [0, 1, 2, 3, 5, 17, np.inf])[0]
        most = max(most, int(count.max()))
    return tally, most
