"""Attention heads: what each looks for and hands on, and which feed which, from the weights alone."""

from __future__ import annotations

from typing import Annotated, Any

import numpy as np
from annotated_types import Interval
from typing_extensions import Doc

from workbench.analyses.weights._attention import Attention, attentions, read_heads
from workbench.analyses.weights._composition import Stack, Tested, corrected
from workbench.core.errors import DataError
from workbench.core.evidence import Evidence
from workbench.core.parameters import NullDraws, Seed
from workbench.core.progress import track
from workbench.core.registry import analysis
from workbench.evidence.nulls.named import Null
from workbench.numerics.head_circuits import Circuits, circuits
from workbench.results.head_map import LEVEL, SIDES, HeadMap
from workbench.subjects.checkpoint import Checkpoint

WORDS = {"query": "queries", "key": "keys", "value": "values"}
_OF_HEADS = (
    (
        "copying",
        "Does some head hand on what it reads, or its opposite, beyond the scales of coordinates?",
        "largest trace of an output-value circuit, in standard deviations of its draws",
    ),
    (
        "matching",
        "Does some head look for what is like the token that looks, or for its opposite, beyond the scales of coordinates?",
        "largest trace of a query-key circuit, in standard deviations of its draws",
    ),
)
HELD = 1 << 32  # bytes of circuits and draws that are kept
NULL = Null(
    "same_scales",
    "what one head reads and another writes share nothing but the scales of the stream's coordinates",
    "the signs of the coordinates that are read turned at random",
)


@analysis
def attention_heads(
    checkpoint: Checkpoint,
    *,
    n_heads: Annotated[
        int, Interval(ge=0, le=1024), Doc("Heads a layer; 0 takes what the network's configuration says.")
    ] = 0,
    n_directions: Annotated[
        int,
        Interval(ge=1, le=1024),
        Doc("Strongest directions of each circuit of which the control is asked."),
    ] = 16,
    n_null: NullDraws = 99,
    random_state: Seed = 0,
) -> HeadMap:
    """Read every attention head off the weights: what it looks for, what it hands on, and which heads compose.

    A head's output-value circuit W_O W_V says what it hands on of a token that it looks at, and its query-key circuit W_Qᵀ W_K
    which tokens it looks at. Singular values, norms, stable ranks and eigenvalues come of the thin factors, whose products are
    never formed. The sum of the eigenvalues over the sum of their sizes is 1 for a head that copies (or looks for its like) and
    -1 for one that does the opposite. An earlier head composes with a later one by what the later one's queries, keys or values
    read of what the earlier one writes: ‖read · write‖ / (‖read‖ ‖write‖), Frobenius norms of whole circuits.

    Every number is beside the hypothesis that reading and writing share the scales of the stream's coordinates (a few of which
    are large in most networks) and no direction: the signs of the coordinates that are read are turned at random, which is
    exact for independent symmetric weights of any scales of rows and columns; draws are elements of a group of sign changes of
    128 or more parts of the coordinates (Hemerik and Goeman), which share their work. A pair's departure from the mean of all draws, in
    their standard deviations, is set beside the largest of any pair in each draw, so that its p-value is corrected for all
    pairs (Westfall and Young). It is asked of the strongest ``n_directions`` of each circuit. What it can't see: a circuit that
    lies along single coordinates, as one written by hand does; and it isn't specific where all heads share a direction.

    Left out are biases, the norms between the layers with their gains, and rotations of queries and keys by position (so that
    the query-key circuit is that of a token with one at its own place). Composition isn't shown to be used: that takes a look
    at the network while it reads.

    Returns
    -------
    HeadMap
        One line a head, and every pair of an earlier and a later one. As a graph it gives the pairs beyond chance.

    Raises
    ------
    ParameterError
        ``n_heads`` doesn't divide the projections.
    DataError
        No attention is told by its names, or nobody says how many heads there are; entries that aren't finite, an unknown
        order of a fused projection, or more heads than are held at once.

    References
    ----------
    Elhage and others 2021, A mathematical framework for transformer circuits, Transformer Circuits Thread; Westfall and Young
    1993, Resampling-based multiple testing, Wiley; Hemerik and Goeman 2018, Exact testing with random permutations, TEST 27;
    Hong, Sheng and Dobriban 2020, Selecting the number of components in PCA via random signflips, arXiv:2012.02985.
    """
    found, left = attentions(checkpoint)
    stacks = list(dict.fromkeys(a.stack for a in found))
    built = {stack: Stack(n_directions) for stack in stacks}
    facts: list[dict[str, Any]] = []
    ov_values, qk_values = [], []
    for a in track(found, "attention heads", len(found)):
        heads = read_heads(checkpoint, a, n_heads)
        _within_bounds(checkpoint, found, heads.output.shape, n_null)
        ov = circuits(heads.output, heads.value[heads.shared])
        qk = circuits(heads.query, heads.key[heads.shared])
        built[a.stack].add(ov, qk)
        facts += _facts(a, len(stacks) > 1, heads.shared, ov, qk)
        ov_values += list(ov.values)
        qk_values += list(qk.values)
    several = list(built.values())
    starts = np.cumsum([0, *(stack.n for stack in several)])
    earlier, later = np.concatenate([s.pairs() + i for s, i in zip(several, starts, strict=False)], axis=1)
    tested = corrected(several, n_null, random_state)
    for key, p in (("copying_p", tested.copying_p), ("matching_p", tested.matching_p)):
        for fact, value in zip(facts, p, strict=False):
            fact[key] = float(value)
    return HeadMap(
        title=f"Attention heads of {checkpoint.name}",
        heads=tuple(facts),
        ov_values=_padded(ov_values),
        qk_values=_padded(qk_values),
        earlier=earlier,
        later=later,
        scores=np.concatenate([s.scores for s in several]),
        by_scale=np.concatenate([s.by_scale for s in several]),
        p=tested.p,
        evidence=_evidence(tested, len(facts), len(earlier)),
        caveat=_caveat(facts, np.concatenate([s.scores for s in several]), earlier, later, tested, left),
    )


def _within_bounds(
    checkpoint: Checkpoint, found: list[Attention], shape: tuple[int, ...], n_null: int
) -> None:
    """Refuse what would take more memory than is given to it, before it is taken."""
    n, d, h = shape
    heads = n * len(found)
    takes = heads * d * h * 4 + 2 * n_null * heads**2 * 3
    if takes > HELD:
        raise DataError(
            f"The {heads:,} heads of {checkpoint.name} and the draws of their pairs take {takes / 2**30:.1f} GiB, and "
            f"{HELD >> 30} GiB is what is held at once. Choose some layers with .at('*.layers.[0-9].**'), or lower n_null={n_null}."
        )


def _facts(
    found: Attention, several: bool, shared: list[int], ov: Circuits, qk: Circuits
) -> list[dict[str, Any]]:
    layer = f"{found.stack.strip('.')} layer {found.layer}" if several else f"layer {found.layer}"
    rows = []
    for i, key_head in enumerate(shared):
        row: dict[str, Any] = {
            "name": f"{layer}, head {i}",
            "stack": found.stack.strip(".") if several else "",
            "layer": found.layer,
            "head": i,
            "key_head": key_head,
            "confidence": found.confidence,
            "copying": float(ov.positive[i]),
            "matching": float(qk.positive[i]),
        }
        for name, of in (("ov", ov), ("qk", qk)):
            row |= {
                f"{name}_norm": float(of.norms[i]),
                f"{name}_largest": float(of.values[i, 0]),
                f"{name}_stable_rank": float(of.stable_ranks[i]),
            }
        rows.append(row)
    return rows


def _padded(rows: list[np.ndarray]) -> np.ndarray:
    """Singular values of all heads, with zeros behind those of narrower ones."""
    out = np.zeros((len(rows), max(map(len, rows))))
    for i, row in enumerate(rows):
        out[i, : len(row)] = row
    return out


def _evidence(tested: Tested, heads: int, pairs: int) -> tuple[Evidence, ...]:
    """Is there a pair that composes, by each way; a head that copies; and one that looks for its like?"""
    asked: list[Evidence] = []
    if len(tested.largest) < 2:
        return ()  # a departure is measured in its draws
    for j, side in enumerate(SIDES if pairs else ()):
        asked.append(
            Evidence(
                id=f"{side}_composition",
                question=f"Is what some later head's {WORDS[side]} read what an earlier head writes, beyond the scales of coordinates?",
                label=f"largest composition by {WORDS[side]}, in standard deviations of its draws",
                value=tested.largest[0, j],
                n=pairs,
                unit="pairs of heads",
                **NULL.said(tested.largest[1:, j].tolist()),
            )
        )
    for j, (id, question, label) in enumerate(_OF_HEADS, 3):
        asked.append(
            Evidence(
                id=id,
                question=question,
                label=label,
                value=tested.largest[0, j],
                n=heads,
                unit="heads",
                **NULL.said(tested.largest[1:, j].tolist()),
            )
        )
    return tuple(asked)


def _caveat(
    facts: list[dict[str, Any]],
    scores: np.ndarray,
    earlier: np.ndarray,
    later: np.ndarray,
    tested: Tested,
    left: int,
) -> str:
    said = []
    if tested.p.size:
        beyond = tested.p <= LEVEL
        counts = ", ".join(f"{int(beyond[:, j].sum()):,} by {WORDS[side]}" for j, side in enumerate(SIDES))
        said.append(
            f"Of {len(scores):,} pairs of an earlier and a later head these compose beyond the scales of coordinates (5 %, corrected "
            f"for all pairs and ways): {counts}."
        )
        if beyond.any():
            pair, j = np.unravel_index(np.where(beyond, tested.z, -np.inf).argmax(), beyond.shape)
            said.append(
                f"Most clearly the {WORDS[SIDES[j]]} of {facts[later[pair]]['name']} read what {facts[earlier[pair]]['name']} "
                f"writes: {scores[pair, j]:.3g}."
            )
    elif not len(scores):
        said.append("There is one layer, so that no head composes with another.")
    if min(f["confidence"] for f in facts) < 0.5:
        said.append("Which matrix is the attention's output is a guess from its shape.")
    if left:
        said.append(
            f"{left} other modules with queries, keys or values were left out: they read another stream, or lack a part."
        )
    said.append("Norms, biases and rotations by position are left out.")
    return " ".join(said)
