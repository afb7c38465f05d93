"""Attention patterns: what each head of a transformer looks at in a text, and what it goes by."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

import numpy as np
from annotated_types import Interval
from typing_extensions import Doc

from workbench.analyses.inside._texts import alike, batches, numbers_of, tested
from workbench.core.evidence import Evidence
from workbench.core.parameters import Few, NullDraws, Seed
from workbench.core.registry import analysis
from workbench.evidence.nulls.untrained import beside_untrained
from workbench.numerics.exchanged_texts import exchanged_means
from workbench.numerics.inside.heads import POSITIONAL, HeadSums, Matches, attention_maps, head_sums
from workbench.results.attention_maps import AttentionMaps
from workbench.subjects.reading import Reading, Tokens

SHARE = "pattern that position alone foretells"
_CONTENT = (
    ("same_token", "Does a head look for the same token?", "the same token"),
    (
        "after_same_token",
        "Does a head look at what followed the token when it was there before?",
        "what followed the same token",
    ),
)
_ROLES = (
    ("previous_token", "Does training make a head look at the previous token?", "on the previous token"),
    ("first_token", "Does training make a head look at the first token?", "on the first token"),
    ("itself", "Does training make a head look at its own token?", "on the token itself"),
)


@analysis
def attention_patterns(
    tokens: Tokens,
    *,
    text: Annotated[str | None, Doc("A text to show; None: one of those that are read, by text_id.")] = None,
    text_id: Annotated[
        int | None, Interval(ge=0), Doc("Which of the texts that are read is shown; None: the first.")
    ] = None,
    n_texts: Annotated[
        int, Interval(ge=2, le=2000), Doc("Texts of one length that say what heads go by; drawn of more.")
    ] = 48,
    n_untrained: Annotated[
        int,
        Interval(ge=0, le=50),
        Few(3),
        Doc(
            "Untrained networks of the same architecture, beside which what position tells is set. 0 leaves them out."
        ),
    ] = 5,
    n_null: NullDraws = 399,
    random_state: Seed = 0,
) -> AttentionMaps:
    """Show what each attention head looks at in a text, and say of all heads what they go by, beside what chance gives.

    What a head does by position alone is its pattern averaged over other texts of the same length. A head that looks for
    the same token, or for what followed it when it was there before (an induction head), has more weight there than
    position gives it; the null exchanges the tokens of whole texts between the patterns, which keeps all that position
    does, and takes the strongest head each time, as the number itself does. Whether a head looks back by one, at the first
    token (a sink) or at itself is a matter of position: its strongest head stands beside those of networks whose weights
    were drawn anew, and so does the share of all patterns that position foretells.

    Returns
    -------
    AttentionMaps
        ``maps`` (heads, t, t) of the text; ``measures`` of each head over all texts: its weight on the previous token, the
        first, itself, and beyond position on the same token and on what followed it; and ``by_position``.

    Raises
    ------
    ViewError
        The network gives no attention maps.
    MissingError
        There is no such text.
    DataError
        The texts have fewer than 3 tokens.

    References
    ----------
    Clark, Khandelwal, Levy and Manning 2019, What does BERT look at?, BlackboxNLP; Elhage and others 2021, A mathematical
    framework for transformer circuits; Olsson and others 2022, In-context learning and induction heads; Xiao and others
    2024, Efficient streaming language models with attention sinks, ICLR.
    """
    reading = tokens.reading
    seen = reading.shown(text, text_id, "attention_patterns")
    shown, _ = attention_maps(reading.module, seen.inputs)
    places, length = alike(reading, n_texts, random_state)
    numbers = numbers_of(reading, places, length)
    sums = _sums(reading, places, length, numbers)
    looks, share = sums.looks, sums.by_position
    content, evidence = _content(sums, numbers, n_null, random_state, length)
    untrained = [
        _positional(_sums(r, places, length, numbers)) for r in _untrained(reading, n_untrained, random_state)
    ]
    evidence += [
        beside_untrained([e], [[other[i]] for other in untrained]) for i, e in enumerate(_positional(sums))
    ]
    measures = np.column_stack([looks, content, share])
    order, notes = _order(measures)
    return AttentionMaps(
        maps=np.concatenate([m[0].float().cpu().numpy() for m in shown.values()]),
        names=sums.names,
        tokens=seen.tokens,
        ids=seen.ids,
        order=order,
        notes=notes,
        measures=measures,
        measure_names=(*POSITIONAL, *(f"{what}, beyond position" for *_, what in _CONTENT), "by position"),
        evidence=tuple(evidence),
        caveat=f"What heads go by is measured on {len(places)} texts of {length} tokens.",
    )


def _sums(reading: Reading, places: np.ndarray, length: int, numbers: np.ndarray) -> HeadSums:
    return head_sums(reading.module, (inputs for _, inputs in batches(reading, places, length)), numbers)


def _untrained(reading: Reading, n: int, random_state: int) -> Iterator[Reading]:
    """Networks of the architecture, one at a time: several of a large one don't fit beside each other."""
    for i in range(n):
        yield reading.untrained(random_state=(random_state + 7919 * (i + 1)) % 2**32)


def _content(
    sums: HeadSums, numbers: np.ndarray, n_null: int, random_state: int, length: int
) -> tuple[np.ndarray, list[Evidence]]:
    """(h, 2) each head's weight beyond position, mean over the tokens that have such a match; and the strongest's evidence."""
    n = len(numbers)
    matches = Matches.of(numbers, causal=sums.causal)
    weights, evidence = [], []
    for (id, question, what), pairs, there in zip(
        _CONTENT, (sums.same, sums.after_same), (matches.same, matches.after_same), strict=True
    ):
        asking = int(there.any(axis=2).sum())  # tokens that have a match
        scaled = pairs * n / max(asking, 1)
        by_head = exchanged_means(scaled, 0, random_state)[0]
        top, draws = exchanged_means(
            scaled, n_null if asking else 0, random_state, highest=True, what="attention: null"
        )
        said = tested(draws[0], n, n_null, length)
        if not asking:
            said = {
                "untested": f"no token of these texts comes again{' before another' if id != 'same_token' else ''}"
            }
        weights.append(by_head)
        evidence.append(
            Evidence(
                id=id,
                question=question,
                label=f"weight on {what} beyond position, highest of all heads ({sums.names[int(by_head.argmax())]})",
                value=top[0],
                n=n,
                unit="texts",
                **said,
            )
        )
    return np.stack(weights, axis=1), evidence


def _positional(sums: HeadSums) -> list[Evidence]:
    """What the strongest head does by position, and how much position foretells; each without a null so far."""
    looks, n = sums.looks, len(sums.same)
    found = [
        Evidence(
            id=id,
            question=question,
            label=f"weight {where}, highest of all heads ({sums.names[int(looks[:, j].argmax())]})",
            value=looks[:, j].max(),
            n=n,
            unit="texts",
        )
        for j, (id, question, where) in enumerate(_ROLES)
    ]
    share = Evidence(
        id="by_position",
        question="Do heads go by position as much as without training?",
        label=f"share of a {SHARE}, mean over heads",
        value=sums.by_position.mean(),
        n=n,
        unit="texts",
    )
    return [*found, share]


def _order(measures: np.ndarray) -> tuple[np.ndarray, tuple[str, ...]]:
    """The strongest head of each role in front, then those that position foretells least; and what each is strongest in."""
    said = [""] * len(measures)
    first: list[int] = []
    names = ("previous token", "first token", "itself", "same token", "after same token")
    for j in (4, 3, 0, 1, 2):
        top = int(measures[:, j].argmax())
        if top not in first:
            first.append(top)
        words = f"{names[j]} {measures[top, j]:.2f}"
        said[top] = said[top] or words
    rest = [int(i) for i in np.argsort(measures[:, 5], kind="stable") if i not in first]
    return np.array(first + rest), tuple(said)
