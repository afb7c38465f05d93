"""MEDUSA: a stochastic world that grows from a story, or on a flower alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
from annotated_types import Interval
from typing_extensions import Doc

from workbench.core.errors import ParameterError
from workbench.core.parameters import Few, Seed
from workbench.core.registry import source
from workbench.numerics.fractal_graphs import EDGE, Grown, flower, hierarchical
from workbench.numerics.medusa import story
from workbench.numerics.medusa.crossings import Crossing, crossings
from workbench.sources._story import shipped
from workbench.subjects.graph import GraphSubject
from workbench.subjects.points import Points
from workbench.subjects.world import World

if TYPE_CHECKING:
    import pandas as pd

    from workbench.numerics.medusa.noise import NoiseKind
    from workbench.numerics.medusa.system import Run, System
    from workbench.numerics.medusa.wiring import Wiring

MOST_HELD = 10_000_000  # nodes times steps, whose states are held
MOST_EDGES = 100_000
MOST_CORRELATED = 2_000  # nodes of a noise whose covariance is written in full
LOOKED_AT = 8  # numbers of the world that a channel is a sum of
QUOTED = 60  # characters of a sentence in an event
HALF = 0.5  # of the noise's variance that neighbours share, at most, where it is correlated


@source
def medusa(
    told: Points | None = None,
    *,
    ground: Annotated[
        Literal["story", "flower"],
        Doc(
            "What it grows from: the sentences told, those of the story that comes along without any, or one edge."
        ),
    ] = "story",
    rule: Annotated[
        Literal["flower", "hierarchical"],
        Doc("How every edge grows: to two paths, or to leaves whose hubs keep apart; see fractal_graph."),
    ] = "flower",
    u: Annotated[
        int,
        Interval(ge=1, le=6),
        Doc("Shorter path of a flower; leaves that an edge's end bears, of hierarchical."),
    ] = 2,
    v: Annotated[int, Interval(ge=2, le=6), Doc("Longer path of a flower.")] = 2,
    generations: Annotated[
        int, Interval(ge=0, le=5), Doc("How often the rule is applied; 0 leaves edges.")
    ] = 1,
    steps: Annotated[int, Interval(ge=50, le=20_000), Few(120), Doc("Steps of the world.")] = 1000,
    h: Annotated[
        float, Interval(gt=0, le=1), Doc("Length of a step; at or over the wave's largest it is refused.")
    ] = 0.1,
    channels: Annotated[int, Interval(ge=1, le=64), Doc("Channels that are seen.")] = 3,
    gain: Annotated[
        float,
        Interval(ge=0, le=20),
        Doc("Size of the weights between rates; above some 1 they don't settle at 0."),
    ] = 1.0,
    speed: Annotated[float, Interval(ge=0, le=20), Doc("Of the wave.")] = 1.0,
    damping: Annotated[float, Interval(ge=0, le=20), Doc("Of the wave.")] = 0.1,
    holding: Annotated[
        float,
        Interval(ge=0, le=20),
        Doc("How strongly each node's wave is held at 0; 0 lets the whole wander off."),
    ] = 0.25,
    noise: Annotated[
        Literal["wiener", "correlated", "coloured", "fractional"],
        Doc("What drives the rates; 'correlated' is shared by nodes that an edge joins."),
    ] = "wiener",
    strength: Annotated[float, Interval(ge=0, le=100), Doc("Of the noise that drives the rates.")] = 0.5,
    growing: Annotated[
        bool,
        Doc("Whether the noise of a node grows with its rate, by √(1 + r²); not with noise='fractional'."),
    ] = False,
    rate: Annotated[float, Interval(gt=0, le=100), Doc("Of noise='coloured': one over its memory.")] = 1.0,
    hurst: Annotated[
        float, Interval(gt=0, lt=1), Doc("Of noise='fractional': above ½ it remembers, below it turns back.")
    ] = 0.7,
    adapting: Annotated[
        float,
        Interval(ge=0, le=20),
        Doc("How much edges conduct better between nodes that agree; 0 leaves them."),
    ] = 0.0,
    heads: Annotated[
        int,
        Interval(ge=0, le=16),
        Doc("Heads, each of which looks at a stretch of the story and tells of events."),
    ] = 6,
    reaching: Annotated[
        float, Interval(ge=0, le=20), Doc("Size of what heads write to the world; 0 has them look alone.")
    ] = 0.0,
    crossing: Annotated[
        float,
        Interval(gt=0, le=10),
        Doc("Standard deviations of what a head holds beyond which it is an event."),
    ] = 1.5,
    seen_noise: Annotated[
        float, Interval(ge=0, le=10), Doc("Noise of what is seen, which the world doesn't feel.")
    ] = 0.0,
    scheme: Annotated[
        Literal["euler", "milstein", "derivative_free_milstein", "srk"],
        Doc(
            "How rates step; 'srk' needs noise='wiener' or 'correlated'. Milstein differs from Euler where the noise grows."
        ),
    ] = "euler",
    random_state: Seed = 0,
) -> World:
    """Grow a graph from a story, let rates and a wave live on it, and give what is seen, what happened, and all behind it.

    Sentences are joined to the next and to the earlier one that is most like them; each edge grows by the rule. Rates are
    Hopfield's, driven by noise; the wave guide couples to them. A channel is a fixed random sum of a few rates and displacements;
    an event is a step in which a head leaves its range, told of the sentence that is loudest where it looks. A world that diverges
    ends there: ``truth`` says the ``outcome`` and the ``step``. The same call gives the same numbers.

    A story of one's own comes from ``workbench.sentences(text)``, with the columns ``place``, ``character`` and ``event`` where its
    table has them.

    Raises
    ------
    ParameterError
        A parameter out of its range, a step at or over the wave's largest, a scheme that the noise doesn't have, or more nodes
        times steps than are held.
    DataError
        Fewer than two sentences, or sentences that all lie at one point.
    """
    if told is not None and ground == "flower":
        raise ParameterError("ground='flower' takes no sentences: leave them out, or take ground='story'.")
    vectors, table = shipped() if told is None else (told.values, told.table)
    graph = _grown(vectors if ground == "story" else None, table, rule, u, v, generations, steps)
    rng = np.random.default_rng([random_state, 0x6D656475])
    n, m = len(graph), len(graph.edges)
    degree = np.bincount(graph.edges.reshape(-1), minlength=n)
    weights = gain * rng.standard_normal(m) / np.sqrt(degree[graph.edges].mean(axis=1))
    system, watched = _system(
        graph,
        weights,
        heads,
        random_state,
        h=h,
        speed=speed,
        damping=damping,
        holding=holding,
        rate_noise=strength,
        growing=growing,
        adapting=adapting,
        reaching=reaching,
        scheme=scheme,
    )
    driven = _noise(noise, graph, rate, hurst, steps)
    run = system.run(system.rest(1), steps, seed=random_state, noise=driven)
    readout = _readout(channels, n, rng)
    seen = _seen(run, readout, seen_noise, random_state)
    held = run.m[:, :: system.settings.width, 0].numpy()
    r = run.r[..., 0].numpy()
    u_written = np.stack([system.written(m_now)[:, 0].numpy() for m_now in run.m])
    made = {
        "ground": ground if told is None else told.name[:200],
        "rule": rule,
        "u": u,
        "v": v,
        "generations": generations,
        "steps": steps,
        "channels": channels,
        "gain": gain,
        "noise": noise,
        "strength": strength,
        "growing": growing,
        "rate": rate,
        "hurst": hurst,
        "heads": heads,
        "reaching": reaching,
        "crossing": crossing,
        "seen_noise": seen_noise,
        "scheme": scheme,
        "random_state": random_state,
    }
    maps = {
        "rates": system.rates,
        "wave": system.wave,
        "looks": system.looks,
        "writes": system.writes,
        "seen": readout,
    }
    return World(
        _config(system, channels, made),
        graph,
        weights,
        {name: (wiring.to, wiring.of, wiring.weights) for name, wiring in maps.items()},
        system.given[:, 0].numpy(),
        {"r": r, "q": run.q[..., 0].numpy(), "p": run.p[..., 0].numpy(), "u": u_written},
        seen,
        held,
        _events(crossings(held, crossing), r, watched, graph.table, h),
        name=f"world on {graph.name}",
        truth={
            "outcome": run.outcome,
            "step": run.step,
            "nodes": n,
            "noise": noise,
            "strength": strength,
            "dimension": graph.truth["dimension"],
        },
    )


def _config(system: System, channels: int, made: dict[str, Any]) -> dict[str, Any]:
    """What ``config.json`` holds: what a step needs beside the matrices, and the call."""
    s = system.settings
    needed = ("h", "speed", "damping", "holding", "adapting", "forgetting", "from_wave", "to_wave")
    return {
        "model_type": "workbench_medusa",
        "nodes": system.n,
        "channels": channels,
        "looks": s.heads * s.width,
        **{name: getattr(s, name) for name in needed},
        "made": made,
    }


def _grown(
    vectors: np.ndarray | None,
    told: pd.DataFrame,
    rule: Literal["flower", "hierarchical"],
    u: int,
    v: int,
    generations: int,
    steps: int,
) -> GraphSubject:
    """The graph with where each node lies; of no vectors, that which one edge grows to."""
    import pandas as pd

    edges = EDGE if vectors is None else story.linked(vectors)
    corners = np.array([[0.0, 0.0, 0.0], [1.0, 0.0, 1.0]]) if vectors is None else story.laid_out(vectors)
    times = u + v if rule == "flower" else 2 * u + 1
    many = len(edges) * times**generations
    if many > MOST_EDGES:
        raise ParameterError(
            f"medusa: generations={generations} of {len(edges):,} edges make {many:,}; at most {MOST_EDGES:,} are grown. Take "
            "fewer generations, or smaller u and v."
        )
    grown: Grown = (
        flower(u, v, generations, edges) if rule == "flower" else hierarchical(u, generations, edges)
    )
    if grown.n * steps > MOST_HELD:
        raise ParameterError(
            f"medusa: steps={steps:,} of generations={generations} ({grown.n:,} nodes) are {grown.n * steps:,} node-steps; at most "
            f"{MOST_HELD:,} are held. Take fewer steps or generations."
        )
    at = story.placed(grown, corners)
    of = story.sentence_of(grown, len(corners))
    table = pd.DataFrame(
        {"generation": grown.born, "sentence": of, "x": at[:, 0], "y": at[:, 1], "z": at[:, 2]}
    )
    if vectors is not None:
        for column in ("place", "character", "event", "text"):
            if column in told:
                table[column] = told[column].astype(str).to_numpy()[of]
        if "text" not in table:
            table["text"] = [f"sentence {i}" for i in of]
    called = f"({min(u, v)}, {max(u, v)})-flowers" if rule == "flower" else "hierarchical trees"
    name = f"{called} of {len(corners):,} sentences" if vectors is not None else f"one edge's {called}"
    dimension = grown.dimension if vectors is None else None
    return GraphSubject(grown.edges, grown.n, name=name, table=table, truth={"dimension": dimension})


def _system(
    graph: GraphSubject, weights: np.ndarray, heads: int, seed: int, **settings: Any
) -> tuple[System, list[np.ndarray]]:
    """The system, whose heads look at stretches of the story, and the nodes of each stretch."""
    from workbench.numerics.medusa.system import Settings, System

    sentence = graph.table["sentence"].to_numpy()
    stretch = sentence * max(heads, 1) // (sentence.max() + 1)
    watched = [np.flatnonzero(stretch == i) for i in range(heads)]
    watched = [
        nodes if len(nodes) else np.arange(len(graph)) for nodes in watched
    ]  # more heads than sentences
    conducts = np.ones(len(weights))
    made = Settings(heads=heads, **settings)
    return System(graph.edges, weights, conducts, len(graph), made, seed=seed, watched=watched), watched


def _noise(noise: str, graph: GraphSubject, rate: float, hurst: float, steps: int) -> NoiseKind:
    from workbench.numerics.medusa.noise import Coloured, Correlated, Fractional, Wiener

    if noise == "coloured":
        return Coloured(rate)
    if noise == "fractional":
        return Fractional(hurst, steps)
    if noise == "correlated":
        return Correlated(_shared(graph))
    return Wiener()


def _shared(graph: GraphSubject) -> np.ndarray:
    """A covariance (n, n) of ones on its diagonal, positive between nodes that an edge joins.

    By Gershgorin's circles none of its eigenvalues is negative, as what a node shares with all its neighbours is half at most.
    """
    n = len(graph)
    if n > MOST_CORRELATED:
        raise ParameterError(
            f"noise='correlated' of {n:,} nodes is not legal: its covariance, nodes by nodes, is written in full for at most "
            f"{MOST_CORRELATED:,}. Take fewer generations, or noise='wiener'."
        )
    i, j = graph.edges.T
    degree = np.bincount(graph.edges.reshape(-1), minlength=n)
    shared = np.eye(n)
    shared[i, j] = shared[j, i] = HALF / np.maximum(degree[i], degree[j])
    return shared


def _readout(channels: int, n: int, rng: np.random.Generator) -> Wiring:
    """Channels as sums of a few rates and displacements."""
    from workbench.numerics.medusa.wiring import Wiring

    looked = min(LOOKED_AT, 2 * n)
    at = np.concatenate([rng.choice(2 * n, looked, replace=False) for _ in range(channels)])
    size = rng.standard_normal(len(at)) / np.sqrt(looked)
    return Wiring(np.repeat(np.arange(channels), looked), at, size, channels, 2 * n)


def _seen(run: Run, readout: Wiring, noise: float, seed: int) -> np.ndarray:
    """What is seen of each step, (steps + 1, channels)."""
    import torch

    from workbench.numerics.medusa.counters import normals

    seen = readout(torch.cat([run.r[..., 0], run.q[..., 0]], dim=1).T).T.numpy()
    return seen + noise * normals(seed, 2**16, range(len(seen)), readout.n_to, [0])[..., 0]


def _events(
    found: list[Crossing], r: np.ndarray, watched: list[np.ndarray], table: pd.DataFrame, h: float
) -> pd.DataFrame:
    """A line for each step in which heads left their range, in words, indexed by the step."""
    import pandas as pd

    by_step: dict[int, list[Crossing]] = {}
    for c in found:
        by_step.setdefault(c.step, []).append(c)
    columns = ["text", "time", "heads", "sentences", "rising"]
    lines = []
    for step, together in by_step.items():
        of = [watched[c.head][np.abs(r[step, watched[c.head]]).argmax()] for c in together]
        said = " ".join(_told(c, table.iloc[node]) for c, node in zip(together, of, strict=True))
        sentences = " ".join(str(table["sentence"].iloc[node]) for node in of)
        heads = " ".join(str(c.head) for c in together)
        lines.append((f"Step {step}: {said}", step * h, heads, sentences, sum(c.rises for c in together)))
    return pd.DataFrame(lines, columns=columns, index=np.array(list(by_step), dtype=np.int64))


def _told(crossing: Crossing, node: pd.Series) -> str:
    """One event in words: of the story's table where it has one, else of the sentence itself."""
    how = "rises" if crossing.rises else "sinks"
    if {"place", "character", "event"} <= set(node.index):
        return f"{node['character']} {node['event']} at the {node['place']}, and it {how}."
    if "text" in node.index:
        text = node["text"]
        return f"\u201c{text[:QUOTED]}{'…' if len(text) > QUOTED else ''}\u201d {how}."
    return f"What head {crossing.head} looks at {how}."
