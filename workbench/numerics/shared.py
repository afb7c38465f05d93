"""Work shared among several devices of one process: each does its part of the rows and hands what came out to the others.

No process group is needed: copies between the devices of a process wait for what both still do, so that the next step finds
everything in its place. NCCL, which several processes would need, moves the same bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import TYPE_CHECKING, TypeVar

import numpy as np
import torch

from workbench.core.device import sharing
from workbench.core.progress import track
from workbench.numerics.device import choose, current
from workbench.numerics.kernels import chunked, layout

if TYPE_CHECKING:
    from jaxtyping import Float
    from torch import Tensor

T = TypeVar("T")
Places = str | torch.device | Sequence[str | torch.device]
"""A device, or several that share the work, the first of which leads and holds the answer; one may stand there twice."""
STEP = 64  # rows at whose multiples shares of a layout begin: aligned as the whole is, so that no kernel is compiled anew


def given(device: Places, x: Tensor | np.ndarray) -> tuple[torch.device, ...]:
    """The devices that are named, where "auto" is where the rows lie, if they lie on one."""
    if isinstance(device, str | torch.device):
        return (x.device if isinstance(x, torch.Tensor) and device == "auto" else choose(device),)
    return tuple(torch.device(name) for name in sharing([str(d) for d in device], len(x)))


def among(device: Places, x: Tensor | np.ndarray) -> tuple[torch.device, ...]:
    """`given`, where "auto" and "cuda" are all GPUs for many rows (`core.device.sharing`)."""
    own = given(device, x)
    if own[0].type == "cpu" or device not in ("auto", "cuda"):
        return own
    several = tuple(torch.device(name) for name in sharing("cuda", len(x)))
    if len(several) == 1:
        return own
    lead = several[0] if own[0].index is None else own[0]
    return (lead, *(d for d in several if d != lead))


def parts(n: int, count: int, step: int = 1) -> list[slice]:
    """Cut ``n`` into ``count`` consecutive slices about as long, at multiples of ``step``; into fewer where none would be left."""
    steps = -(-n // step)
    edges = [min(n, steps * i // count * step) for i in range(count + 1)]
    return [slice(a, b) for a, b in pairwise(edges) if a < b]


def each(devices: Sequence[torch.device], work: Callable[[int], T]) -> list[T]:
    """What ``work`` gives for every place in the list, a thread each, so that no device waits for another's launches."""
    if len(devices) == 1:
        return [work(0)]

    def there(place: int) -> T:
        with current(devices[place]):
            return work(place)

    # the first works in the thread that asked, where progress is listened to
    with ThreadPoolExecutor(len(devices) - 1) as pool:
        others = [pool.submit(there, place) for place in range(1, len(devices))]
        return [there(0), *(other.result() for other in others)]


def exchange(wholes: Sequence[Tensor], cuts: Sequence[slice]) -> None:
    """Copy the slice that each device has computed to all others, in turns in which every device sends to another one."""
    for turn in range(1, len(wholes)):
        for place, cut in enumerate(cuts):
            wholes[(place + turn) % len(wholes)][cut].copy_(wholes[place][cut], non_blocking=True)


def steps(
    start: Float[Tensor, "n d"],
    graph: chunked.Chunks,
    repel: Float[Tensor, " n"],
    a: float,
    b: float,
    alphas: Sequence[float],
    negatives: int,
    seed: int,
    devices: Sequence[torch.device],
) -> Float[Tensor, "n d"]:
    """The positions after a step of each length, as `layout.step` moves all rows: the same bits on devices of one kind.

    A step moves all rows from where they were before it, so that sharing them out changes nothing: every device has
    all positions, moves its own rows, and is sent where the others' came to lie.
    """
    cuts = parts(len(start), len(devices), STEP)
    places = [start.to(device, copy=True) for device in devices[: len(cuts)]]
    owned = [_owned(graph, repel, cut, y) for cut, y in zip(cuts, places, strict=True)]
    # before a step every device holds the same positions of all rows
    for epoch, alpha in enumerate(track(alphas, "layout")):
        for y, cut, (piece, push, room) in zip(places, cuts, owned, strict=True):
            with current(y.device):
                y[cut] = layout.step(
                    y[cut], y, piece, push, a, b, alpha, negatives, epoch, seed, room, begin=cut.start
                )
        exchange(places, cuts)
    return places[0]


def _owned(
    graph: chunked.Chunks, repel: Tensor, cut: slice, y: Tensor
) -> tuple[chunked.Chunks, Tensor, Tensor]:
    """A device's rows of the graph, their pushes, and room for their forces."""
    piece = chunked.of_rows(graph, cut)
    moved = chunked.Chunks(*(t.to(y.device, copy=True) for t in piece))
    room = torch.empty((len(piece.heads), y.shape[1]), device=y.device)
    return moved, repel[cut].to(y.device, copy=True), room
