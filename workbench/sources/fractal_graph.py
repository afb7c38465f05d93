"""A graph that repeats itself: flowers, hierarchical trees, Sierpiński's gasket and Vicsek's cross."""

from __future__ import annotations

from typing import Annotated, Literal

from annotated_types import Interval
from typing_extensions import Doc

from workbench.core.errors import ParameterError
from workbench.core.registry import source
from workbench.subjects.graph import GraphSubject

MOST_EDGES = 200_000


@source
def fractal_graph(
    *,
    rule: Annotated[
        Literal["flower", "hierarchical", "gasket", "cross"],
        Doc(
            "How it grows: every edge to two paths, trees whose hubs keep apart, or copies by three or five maps."
        ),
    ] = "flower",
    u: Annotated[
        int,
        Interval(ge=1, le=12),
        Doc(
            "Edges of a flower's shorter path, 1 for one that is no fractal; leaves an edge's end bears, of hierarchical."
        ),
    ] = 2,
    v: Annotated[int, Interval(ge=2, le=12), Doc("Edges of a flower's longer path.")] = 2,
    generations: Annotated[int, Interval(ge=1, le=12), Doc("How often the rule is applied.")] = 4,
) -> GraphSubject:
    """Grow a graph whose box dimension is known.

    Known answers: ln(u + v) / ln u of a flower with 1 < u ≤ v (none for u = 1, which is no fractal), ln(2u + 1) / ln 3 of a
    hierarchical tree, ln 3 / ln 2 of the gasket and ln 5 / ln 3 of the cross. ``truth`` has it as ``dimension``, and ``scale``, by
    how much a generation is longer than the one before. The column ``generation`` says when a node came.
    """
    import pandas as pd

    from workbench.numerics import fractal_graphs as grow

    times = {"flower": u + v, "hierarchical": 2 * u + 1, "gasket": 3, "cross": 5}[rule]
    if 4 * times**generations > MOST_EDGES:
        raise ParameterError(
            f"fractal_graph: generations={generations} of {rule} has about {times**generations:,} edges; at most "
            f"{MOST_EDGES // 4:,} are grown. Take fewer generations, or smaller u and v."
        )
    if rule == "flower":
        made = grow.flower(u, v, generations)
    elif rule == "hierarchical":
        made = grow.hierarchical(u, generations)
    else:
        made = (grow.gasket if rule == "gasket" else grow.cross)(generations)
    called = {"flower": f"({min(u, v)}, {max(u, v)})-flower", "hierarchical": "hierarchical tree"}
    return GraphSubject(
        made.edges,
        made.n,
        name=called.get(rule, rule),
        table=pd.DataFrame({"generation": made.born}),
        truth={"dimension": made.dimension, "scale": made.scale},
    )
