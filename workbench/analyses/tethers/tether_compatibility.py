"""Tether compatibility: which layers, of one network or of several, are tethered alike beyond chance."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Literal

import numpy as np
from annotated_types import Interval
from typing_extensions import Doc

from workbench.analyses.tethers._asking import Fraction
from workbench.analyses.tethers._behind import behind
from workbench.analyses.tethers._between import (
    Member,
    between,
    by_chance,
    chain_and_sources,
    moments,
    within,
)
from workbench.core.evidence import Evidence
from workbench.core.parameters import NullDraws, OnDevice, Seed
from workbench.core.progress import track
from workbench.core.registry import analysis
from workbench.numerics.compatibility import Measure, Pair, threshold
from workbench.numerics.tethers import SAMPLED, SOURCES, Tensors
from workbench.numerics.threads import one_thread
from workbench.results.ties import Ties
from workbench.subjects.descents.siblings import Models

if TYPE_CHECKING:
    from workbench.numerics.neuron_chain import Layer

DESTROYED = {
    "order": "inputs in a random order",
    "networks": "independent networks of the same statistics a neuron",
}
COMPARED = tuple(s for s in SOURCES if s != "attention")
Rate = Annotated[
    float,
    Interval(gt=0, lt=1),
    Doc("False-positive rate of each line: how often unrelated layers would be above the threshold."),
]
Chance = Annotated[
    Literal["auto", "order", "networks"],
    Doc(
        "What the null draws: 'networks' for sources that look at samples and 'order' for the others, or one for all. By "
        "'order' one of two networks reads its inputs and names its classes in a random order and is matched anew (for two "
        "layers of one network: the neurons between them in a random order); by 'networks' they are independent networks, "
        "each neuron's weights in a random order, matched and measured anew on the same samples."
    ),
]


@analysis
def tether_compatibility(
    models: Models,
    *,
    sources: Annotated[
        tuple[str, ...],
        Doc(
            f"What is compared, a colour each: tethers by source ({', '.join(COMPARED)}), weights, activations."
        ),
    ] = ("magnitude", "fisher"),
    measure: Annotated[
        Measure,
        Doc(
            "Linear CKA; the cosine after the best rotation (Procrustes); or the cosine after neurons are matched one to one."
        ),
    ] = "cka",
    false_positive_rate: Rate = 0.05,
    null: Chance = "auto",
    steps: Annotated[
        int,
        Interval(ge=1, le=20),
        Doc("Moments that are looked at, evenly among the steps with weights, the last always."),
    ] = 3,
    fraction: Fraction = 0.1,
    n_null: NullDraws = 99,
    device: OnDevice = "auto",
    random_state: Seed = 0,
) -> Ties:
    """Compare the tethers of the same layer in every two networks, and of every two layers in a row of one network.

    Two tethers are compared by rows that are the same things: a layer's inputs (pixels, or neurons that were matched
    through the layers before it alone), or the neurons between two layers. A line is above its threshold when its
    compatibility is greater than ``false_positive_rate`` of its own null's draws leave; widths are compatibilities,
    and lines below are dotted. Behind a line stand the edges that both tether (the top ``fraction`` of each), and the
    samples whose signal passes through them for the greatest share.

    The null of ``order`` is exact for networks without a relation, and is what ``auto`` takes for tethers that are read
    off weights. Networks that saw the same images share what the images have alike (dark corners), which it counts as a
    relation, and so does every source that looks at samples, whatever the network: with a rate of 5 %, unrelated
    networks passed in 39 % of comparisons by Fisher information. For these ``auto`` takes ``networks``, which gives its
    networks the same samples (6 %); but they lack what training gives to any network (a few strong directions), so that
    by weights and magnitude trained networks that have nothing in common exceed it more often than at the rate (16 %).

    Returns
    -------
    Ties
        Columns are layers, rows are networks; ``lines`` (steps, edges), ``thresholds``, ``strong``. The evidence is the
        mean over lines at the last step, between networks and between layers. It has no interval: what few networks say of
        others isn't known to cover.

    Raises
    ------
    ParameterError
        A source is unknown or named twice.
    ViewError, MissingError
        The networks aren't attached, or a source lacks what it needs.
    DataError
        A layer isn't part of a chain whose neurons can be matched: it is named.

    References
    ----------
    Kornblith, Norouzi, Lee, Hinton 2019, Similarity of neural network representations revisited, ICML; Williams, Kunz,
    Kornblith, Linderman 2021, Generalized shape metrics on neural representations, NeurIPS; Ainsworth, Hayase,
    Srinivasa 2023, Git Re-Basin, ICLR.
    """
    at = moments(models, steps, sources)
    chain = chain_and_sources("tether_compatibility", models, sources, at.tolist())
    frames: list[list[_Line]] = []
    for step in track([int(s) for s in at], "comparing tethers"):
        members = [Member.of(models, chain, i, step, device) for i in range(models.n)]
        rng = np.random.default_rng([random_state, step, 0x74657468])
        found: list[_Line] = []
        for g, what in enumerate(sources):
            found += _lines(
                members, what, g, measure, _null_for(what, null), n_null, fraction, models.ids, rng
            )
        frames.append(found)
    return _result(
        models, chain, frames, [f"step {s}" for s in at], sources, measure, false_positive_rate, n_null, null
    )


def _null_for(what: str, null: str) -> str:
    """The null whose rate of false alarms holds for a source, unless one is asked for."""
    if null != "auto":
        return null
    return "networks" if what in SAMPLED or what == "activations" else "order"


@dataclass(frozen=True, eq=False)
class _Line:
    """One comparison: which layers of which networks, its value, its null, and what stands behind it."""

    a: tuple[int, int]
    b: tuple[int, int]
    group: int
    value: float
    null: np.ndarray
    rows: np.ndarray
    note: str

    @property
    def between(self) -> bool:
        return self.a[0] != self.b[0]


def _lines(
    members: list[Member],
    what: str,
    group: int,
    measure: Measure,
    null: str,
    n_null: int,
    fraction: float,
    ids: np.ndarray,
    rng: np.random.Generator,
) -> list[_Line]:
    """All lines of one source at one step."""
    arrays: list[Tensors] = [
        {} if what == "activations" else m.arrays(what, i) for i, m in enumerate(members)
    ]
    drawn: list[list[tuple[Member, Tensors]]] = []
    if null == "networks":
        with one_thread():  # hundreds of small networks: a second thread costs more than it gains
            drawn = [
                [m.shuffled(what, x, rng) for m, x in zip(members, arrays, strict=True)]
                for _ in track(range(n_null), f"unrelated networks by {what}")
            ]
    out = []

    def add(a: tuple[int, int], b: tuple[int, int], pair: Pair, chance: np.ndarray) -> None:
        rows, note = behind(members, arrays, what, a, b, fraction, ids)
        out.append(_Line(a, b, group, pair.value(measure), chance, rows, note))

    def values(draws: list[dict[int, Pair]], k: int) -> np.ndarray:
        return np.array([d[k].value(measure) for d in draws])

    for i, j in itertools.combinations(range(len(members)), 2):
        pairs = between(members[i], members[j], what, arrays[i], arrays[j])
        fresh = [between(members[i], o, what, arrays[i], y) for o, y in (d[j] for d in drawn)]
        mixed = (
            {}
            if drawn
            else by_chance(members[i], members[j], what, arrays[i], arrays[j], measure, n_null, rng)
        )
        for k, pair in pairs.items():
            add((i, k), (j, k), pair, values(fresh, k) if fresh else mixed.get(k, np.empty(0)))
    for i, m in enumerate(members):
        fresh = [within(o, what, y) for o, y in (d[i] for d in drawn)]
        for k, pair in within(m, what, arrays[i]).items():
            add((i, k), (i, k + 1), pair, values(fresh, k) if fresh else pair.by_chance(measure, n_null, rng))
    return out


def _result(
    models: Models,
    chain: tuple[Layer, ...],
    frames: list[list[_Line]],
    names: list[str],
    sources: tuple[str, ...],
    measure: str,
    rate: float,
    n_null: int,
    null: str,
) -> Ties:
    depth = len(chain)
    last = frames[-1]
    limits = np.array([[threshold(line.null, rate) for line in f] for f in frames])
    values = np.array([[line.value for line in f] for f in frames])
    strong = np.isfinite(limits) & (values > limits)
    rows = [line.rows for f in frames for line in f]
    node = np.array([(k, i) for i in range(models.n) for k in range(depth)], np.float64)
    few = n_null and not np.isfinite(limits).all()
    caveat = (
        f"{n_null} draws can't hold a rate of {rate:g}: give n_null of at least {int(np.ceil(1 / rate)) - 1}."
        if few
        else ""
        if n_null
        else "Without a null no line has a threshold: give n_null."
    )
    above = [int(strong[-1][[line.group == g for line in last]].sum()) for g in range(len(sources))]
    total = [sum(line.group == g for line in last) for g in range(len(sources))]
    said = "; ".join(f"{s}: {a} of {t} lines" for s, a, t in zip(sources, above, total, strict=True))
    return Ties(
        positions=node,
        edges=np.array([[_node(line.a, depth), _node(line.b, depth)] for line in last], np.int64),
        lines=values,
        strong=strong,
        thresholds=np.where(np.isfinite(limits), limits, 0.0),
        lines_name="compatibility",
        frame_names=tuple(names),
        groups=np.array([line.group for line in last], np.int64),
        group_names=tuple(sources),
        line_ids=np.concatenate(rows).astype(np.int64),
        line_starts=np.concatenate([[0], np.cumsum([len(r) for r in rows])]),
        line_notes=tuple(line.note for f in frames for line in f),
        node_names=tuple(f"{layer.name} of model {i}" for i in range(models.n) for layer in chain),
        column_names=tuple(f"layer {layer.name}" for layer in chain),
        row_names=tuple(f"model {i}" for i in range(models.n)),
        evidence=tuple(_evidence(last, sources, measure, null)),
        caveat=(
            f"Above their thresholds at the last step (false-positive rate {rate:g} each): {said}. "
            if n_null
            else ""
        )
        + caveat,
    )


def _node(at: tuple[int, int], depth: int) -> int:
    return at[0] * depth + at[1]


def _evidence(lines: list[_Line], sources: tuple[str, ...], measure: str, null: str) -> list[Evidence]:
    out = []
    for g, what in enumerate(sources):
        for between_them in (True, False):
            asked = [x for x in lines if x.group == g and x.between == between_them]
            if not asked:
                continue
            where = (
                "the same layers of different networks" if between_them else "layers in a row of one network"
            )
            value = float(np.mean([x.value for x in asked]))
            draws = np.mean([x.null for x in asked], axis=0) if len(asked[0].null) else np.empty(0)
            destroyed = DESTROYED[_null_for(what, null)]
            which = "between networks" if between_them else "between layers"
            out.append(
                Evidence(
                    question=f"Are {where} tethered alike by {what}?",
                    id="between_networks" if between_them else "between_layers",
                    of=what,
                    label=f"mean {measure} of {what}, {which}",
                    value=value,
                    n=len(asked),
                    unit="pairs of layers",
                    null=destroyed if len(draws) else "",
                    hypothesis="the layers have nothing to do with each other",
                    null_values=tuple(draws),
                )
            )
    return out
