"""Top rows: the tokens that a neuron or a direction of a network is excited by most, in their context."""

from __future__ import annotations

import re
from typing import Annotated

import numpy as np
from annotated_types import Interval
from typing_extensions import Doc

from workbench.core.errors import DataError, MissingError, ParameterError, suggest
from workbench.core.evidence import Evidence
from workbench.core.inputs import Unpaired
from workbench.core.parameters import NullDraws, Seed
from workbench.core.registry import analysis
from workbench.core.rows import codes
from workbench.evidence.nulls.named import Null
from workbench.numerics.controls import draw_until_clear
from workbench.numerics.inside.changes import Site, site_at, watching
from workbench.numerics.inside.stream import run
from workbench.results.contexts import Contexts
from workbench.subjects.points import Points
from workbench.subjects.reading import Reading, Tokens

AROUND = 16  # tokens of the context before and behind
MARKER = re.compile(r"\[[A-Z]+\]|</?[a-z_]+>|<\|[a-z_]+\|>")
"""Tokens that stand for no part of a text: [CLS], </s>, <|endoftext|>."""
NULL = Null("any_direction", "the direction is one of any", "directions drawn at random")


@analysis
def top_rows(
    tokens: Tokens,
    directions: Annotated[
        Points | None,
        Unpaired,
        Doc("Directions to look along, as many numbers each as the site has: rows of a matrix, say."),
    ] = None,
    *,
    site: Annotated[
        str | None,
        Doc("Name of the module whose output is looked at, such as a block; None: the block in the middle."),
    ] = None,
    index: Annotated[
        int,
        Interval(ge=0),
        Doc("Which neuron (column of the site), or which of the directions where they are given."),
    ] = 0,
    top: Annotated[int, Interval(ge=2, le=500), Doc("How many of the highest rows.")] = 20,
    label: Annotated[
        str | None,
        Doc("A column of the row table, of which it is asked whether the top rows share its value as well."),
    ] = None,
    markers: Annotated[
        bool, Doc("Whether tokens count that stand for no part of a text, such as [CLS].")
    ] = False,
    n_texts: Annotated[int, Interval(ge=2, le=20_000), Doc("Texts that are read; drawn of more.")] = 200,
    n_null: NullDraws = 399,
    random_state: Seed = 0,
) -> Contexts:
    """Show the tokens that a neuron or a direction of a network is excited by most, each in its context.

    The number of a row is its product with the direction, of length one. How far the highest lie above the others is
    measured in standard deviations of that direction's own numbers, and set beside directions drawn at random: in these,
    too, some rows are the highest, and what they have in common (a token, a topic) is what rows near each other have in
    common anyhow. A neuron stands for something by itself where its own top rows stand out or agree more than theirs.

    Returns
    -------
    Contexts
        The top rows, the highest first.

    Raises
    ------
    MissingError
        No such module, or no such column.
    ParameterError
        There is no such neuron or direction.
    DataError
        The directions have another width than the site; it gives the same number for all rows; or fewer rows than ``top``.

    References
    ----------
    Karpathy, Johnson and Li 2016, Visualizing and understanding recurrent networks, ICLR workshop; Bills and others 2023,
    Language models can explain neurons in language models; Bolukbasi and others 2021, An interpretability illusion for
    BERT, arXiv:2104.07143.
    """
    reading = tokens.reading
    place = site_at(reading.module, site, head=None, neuron=None)
    rows, values = _values(reading, place, n_texts, random_state)
    words = reading.table["token"].to_numpy(dtype=object)[rows]
    if not markers:
        plain = np.array([MARKER.fullmatch(str(t)) is None for t in words])
        rows, values = rows[plain], values[plain]
    if len(rows) <= top:
        raise DataError(
            f"{reading.name} has {len(rows)} rows to choose from; top={top} takes more. Give more texts."
        )
    centred = values - values.mean(axis=0)
    direction, said = _direction(directions, index, values.shape[1], place.name)
    scores = values @ direction
    if not np.ptp(scores) > 1e-9 * np.abs(scores).max(initial=0):
        raise DataError(f"{said} is the same in all rows: none of them is higher than another.")
    text = np.repeat(np.arange(len(reading)), reading.lengths)[rows]
    kinds = {"token": codes(reading.table["token"].iloc[rows])}
    if label is not None:
        if label not in reading.table.columns:
            raise MissingError(
                f"top_rows: {reading.name} has no column {label!r}. {suggest(label, reading.table.columns)}"
            )
        kinds["label"] = codes(reading.table[label].iloc[rows])

    def statistics(along: np.ndarray) -> np.ndarray:
        s = centred @ along
        highest = np.argpartition(-s, top)[:top]
        excess = s[highest].mean() / max(s.std(), 1e-30)
        return np.array([excess, *(_agreeing(k[highest], text[highest]) for k in kinds.values())])

    found = statistics(direction)

    def drawn(rng: np.random.Generator) -> np.ndarray:
        v = rng.standard_normal(len(direction))
        return statistics(v / np.linalg.norm(v))

    draws = draw_until_clear(drawn, found, ["greater"] * len(found), n_null, random_state, "top rows: null")
    where = f"the highest rows of {said}"
    asked = [
        ("excess", "Do its highest rows stand out more", f"standard deviations of {where} above the mean"),
        ("same_token", "Do its highest rows share a token more", f"pairs of {where} that share their token"),
        (
            "same_label",
            "Do its highest rows share a label more",
            f"pairs of {where} that share their {label}",
        ),
    ]
    highest = np.argsort(-scores, kind="stable")[:top]
    before, own, behind = zip(*(_context(reading, int(r)) for r in rows[highest]), strict=True)
    return Contexts(
        before=before,
        tokens=own,
        behind=behind,
        scores=scores[highest].astype(np.float64),
        ids=reading.ids[rows[highest]],
        quantity=said,
        evidence=tuple(
            Evidence(
                id=id,
                question=f"{question} than those of other directions?",
                label=what,
                value=value,
                n=len(rows),
                **(NULL.said(null.tolist()) if n_null else NULL.refused("no null was drawn")),
            )
            for (id, question, what), value, null in zip(asked, found, draws, strict=False)
        ),
    )


def _values(reading: Reading, place: Site, n_texts: int, random_state: int) -> tuple[np.ndarray, np.ndarray]:
    """Which rows were read, and (n, d) what the site gives for them."""
    places = np.arange(len(reading))
    if len(places) > n_texts:
        places = np.sort(
            np.random.default_rng([random_state, 0x746F70]).choice(places, n_texts, replace=False)
        )
    out = []
    for _, batch in reading.batches(places):
        with watching(reading.module, place) as seen:
            run(reading.module, batch.inputs)
        if len(seen) != 1:
            raise DataError(
                f"{place.module} ran {len(seen)} times in one pass; a site runs once. Choose another."
            )
        out.append(seen[0].float().cpu().numpy()[batch.keep])
    rows = np.concatenate([np.arange(reading.starts[p], reading.starts[p + 1]) for p in places])
    return rows, np.concatenate(out).astype(np.float64)


def _direction(directions: Points | None, index: int, width: int, site: str) -> tuple[np.ndarray, str]:
    """The direction, of length one, and what it is called."""
    if directions is None:
        if index >= width:
            raise ParameterError(f"top_rows: index={index} is not legal: {site} has {width} neurons, from 0.")
        return np.eye(width)[index], f"neuron {index} of {site}"
    if directions.values.shape[1] != width:
        raise DataError(
            f"{directions.name} has {directions.values.shape[1]} columns and {site} gives {width} numbers: a direction has as many "
            "as the site."
        )
    if index >= directions.n:
        raise ParameterError(
            f"top_rows: index={index} is not legal: {directions.name} has {directions.n} rows, from 0."
        )
    row = directions.values[index].astype(np.float64)
    if not np.linalg.norm(row):
        raise DataError(f"Row {index} of {directions.name} is zero, which is no direction.")
    return row / np.linalg.norm(row), f"{directions.name}, row {index}"


def _agreeing(kinds: np.ndarray, texts: np.ndarray) -> float:
    """The share of pairs of different texts that are of one kind; 0 without such pairs."""
    apart = texts[:, None] != texts[None]
    return float((kinds[:, None] == kinds[None])[apart].mean()) if apart.any() else 0.0


def _context(reading: Reading, row: int) -> tuple[str, str, str]:
    """The text before a row, its token, and the text behind it, as far as a reader wants it."""
    text = int(np.searchsorted(reading.starts, row, side="right")) - 1
    tokens = reading.tokens(text)
    at = row - int(reading.starts[text])
    # tokens that begin with a space say so; those of other vocabularies are words, or go on after ##
    if any(t.startswith(" ") for t in tokens):
        spelled = list(tokens)
    else:
        spelled = [
            t.removeprefix("##") if t.startswith("##") or not i else f" {t}" for i, t in enumerate(tokens)
        ]
    own = spelled[at]
    space = own[: len(own) - len(own.lstrip())]
    before = "".join(spelled[max(0, at - AROUND) : at]).lstrip() + space
    return before, own.strip() or own, "".join(spelled[at + 1 : at + 1 + AROUND])
