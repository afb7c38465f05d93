"""`weight_graph`: the units of a network, joined by their largest weights."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise
from typing import TYPE_CHECKING, Literal

import numpy as np

from workbench.core.errors import DataError, MissingError, ParameterError
from workbench.core.lazy import LazyTensor
from workbench.core.lineage import step
from workbench.core.parameters import require_integer
from workbench.core.patterns import matching
from workbench.subjects.checkpoint import Checkpoint, weights_of
from workbench.subjects.graph import GraphSubject

if TYPE_CHECKING:
    import pandas as pd

MOST_NODES, MOST_EDGES = 200_000, 2_000_000


@step
def weight_graph(
    checkpoint: Checkpoint,
    at: str = "**",
    *,
    per_unit: int = 5,
    join: Literal["order", "none"] = "order",
) -> GraphSubject:
    """Make a graph of units: from each unit that a matrix reads to those that it writes, by the size of the weight.

    A matrix has a unit for every column (what comes in) and one for every row (what goes out). Each unit that goes out keeps
    the edges of its ``per_unit`` largest weights. Matrices are read a few rows at a time.

    Parameters
    ----------
    at : pattern of tensor names, in which * stays within one dotted part and ** is any; "encoder.layer.*.*.dense.weight".
    per_unit : edges that come into each unit.
    join : "order": what one matrix puts out is what the next one reads, as in a sequence of layers, so that they have these
        units in common; matrices are in the order of the numbers in their names, then of the file. "none": no two matrices
        have a unit in common.

    Returns
    -------
    GraphSubject
        Directed, weights not negative; each node with its ``name``, ``level`` (0 for what the first matrix reads) and
        ``unit``. Zeros make no edge.

    Raises
    ------
    MissingError
        It has no such matrix.
    DataError
        Matrices don't follow each other, a weight isn't finite, or there are more than 200,000 units or 2,000,000 edges.
    ParameterError
        ``per_unit`` is no integer of at least 1, or ``join`` is neither.
    """
    checkpoint = weights_of(checkpoint)
    per_unit = require_integer(per_unit, "per_unit", "weight_graph", low=1)
    if join not in ("order", "none"):
        raise ParameterError(f"weight_graph: join={join!r} is not legal. It takes 'order' or 'none'.")
    chosen = [
        n
        for n in matching(checkpoint.tensors, at)
        if len(checkpoint.tensors[n].shape) == 2
        and checkpoint.tensors[n].floating
        and not checkpoint.tensors[n].packed
    ]
    if not chosen:
        raise MissingError(
            f"{checkpoint.name} has no weight matrix that {at!r} matches ({checkpoint.holds})."
        )
    chosen.sort(key=lambda n: tuple(int(i) for i in re.findall(r"(?:^|\.)(\d+)(?=\.|$)", n)))
    shapes = [checkpoint.tensors[n].shape for n in chosen]
    starts, levels = _places(checkpoint.name, chosen, shapes, join)
    _bounded(checkpoint.name, starts[-1], sum(s[0] * min(per_unit, s[1]) for s in shapes))
    edges, weights = [], []
    for k, name in enumerate(chosen):
        read, written = _sides(k, join)
        for ends, values in _largest(name, checkpoint.lazy(name), per_unit):
            edges.append(ends + np.array([starts[read], starts[written]]))
            weights.append(values)
    return GraphSubject(
        np.concatenate(edges),
        starts[-1],
        weights=np.concatenate(weights),
        directed=True,
        name=f"{checkpoint.name} · {at} · {per_unit} largest weights a unit",
        table=_table(chosen, starts, levels, join),
    )


def _sides(k: int, join: str) -> tuple[int, int]:
    """At which places the units of the ``k``-th matrix stand: those that it reads, and those that it writes."""
    return (k, k + 1) if join == "order" else (2 * k, 2 * k + 1)


def _places(
    whose: str, names: list[str], shapes: list[tuple[int, ...]], join: str
) -> tuple[list[int], list[int]]:
    """Where each set of units starts (and where the last ends), and its level."""
    if join == "none":
        sizes = [side for n, m in shapes for side in (m, n)]
        levels = list(range(len(sizes)))
    else:
        for (one, (n, _)), (other, (_, m)) in pairwise(zip(names, shapes, strict=True)):
            if n != m:
                raise DataError(
                    f"{whose}: {one} writes {n} units and {other}, the next, reads {m}. Choose matrices that follow each other "
                    "with at=, or say join='none'."
                )
        sizes = [shapes[0][1], *(s[0] for s in shapes)]
        levels = list(range(len(sizes)))
    return np.cumsum([0, *sizes]).tolist(), levels


def _bounded(whose: str, nodes: int, edges: int) -> None:
    if nodes > MOST_NODES or edges > MOST_EDGES:
        raise DataError(
            f"{whose}: the graph would have {nodes:,} units and up to {edges:,} edges; at most {MOST_NODES:,} and "
            f"{MOST_EDGES:,} are taken. Choose fewer matrices with at=, or a smaller per_unit."
        )


def _largest(name: str, tensor: LazyTensor, k: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Of each block of rows the ends (column, row) and the sizes of each row's ``k`` largest entries."""
    for start, block in tensor.blocks():
        sizes = np.abs(np.asarray(block, np.float64))
        if not np.isfinite(sizes).all():
            row, column = np.argwhere(~np.isfinite(sizes))[0]
            raise DataError(
                f"{name} holds an entry that isn't finite, at row {start + row}, column {column}."
            )
        some = np.argsort(-sizes, axis=1, kind="stable")[:, :k]
        rows = np.repeat(np.arange(len(sizes)), some.shape[1])
        values = sizes[rows, some.ravel()]
        ends = np.column_stack([some.ravel(), start + rows])
        yield ends[values > 0], values[values > 0]


def _table(names: list[str], starts: list[int], levels: list[int], join: str) -> pd.DataFrame:
    import pandas as pd

    whose = [""] * (len(starts) - 1)
    for k, name in enumerate(names):
        read, written = _sides(k, join)
        whose[read] = whose[read] or f"{name} in"
        whose[written] = f"{name} out"
    sizes = np.diff(starts)
    unit = np.concatenate([np.arange(s) for s in sizes])
    called = np.repeat(np.array(whose, object), sizes)
    return pd.DataFrame(
        {
            "name": [f"{w} {u}" for w, u in zip(called, unit, strict=True)],
            "level": np.repeat(levels, sizes),
            "unit": unit,
        }
    )
