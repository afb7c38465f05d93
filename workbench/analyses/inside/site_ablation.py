"""Site ablation: how far a network's answer goes by one layer, head, neuron or place of it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
from annotated_types import Interval
from typing_extensions import Doc

from workbench.analyses.inside._language import not_predicting
from workbench.analyses.inside._texts import alike, batches, numbers_of
from workbench.core.errors import ParameterError
from workbench.core.evidence import Evidence
from workbench.core.parameters import NullDraws, Seed
from workbench.core.registry import analysis
from workbench.evidence.nulls.named import Null
from workbench.numerics.controls import draw_until_clear
from workbench.numerics.inside.changes import Read, Site, change_of, site_at, turned
from workbench.results.estimate import Estimate
from workbench.subjects.reading import Reading, Tokens

if TYPE_CHECKING:
    import torch

FEWEST = 19
"""Other sites, under which none can be told from the strongest of them at 5 %."""
DIRECTIONS = Null(
    "any_direction",
    "a change of this size does as much in any direction",
    "the change turned at random",
)
SITES = Null("any_site", "this site is one of its kind", "others of its kind")


@analysis
def site_ablation(
    tokens: Tokens,
    *,
    site: Annotated[
        str | None,
        Doc("Name of the module whose output is changed, such as a block; None: the block in the middle."),
    ] = None,
    head: Annotated[
        int | None,
        Interval(ge=0, le=4096),
        Doc("A head of the attention in that module; None: the whole output."),
    ] = None,
    neuron: Annotated[
        int | None, Interval(ge=0), Doc("A column of the module's output; None: all of them.")
    ] = None,
    position: Annotated[
        int | None,
        Interval(ge=0, le=1 << 20),
        Doc("The token's place in its text, from 0; None: all places."),
    ] = None,
    how: Annotated[
        Literal["mean", "zero", "patch"],
        Doc(
            "What is put there: the mean over all tokens, zero, or what another text has at the same place ('patch')."
        ),
    ] = "mean",
    shift: Annotated[
        int,
        Interval(ge=0, le=2000),
        Doc("From which text is patched: so many further on. 0 patches with its own."),
    ] = 1,
    n_texts: Annotated[
        int, Interval(ge=2, le=64), Doc("Texts of one length that are read at once; drawn of more.")
    ] = 16,
    n_null: NullDraws = 99,
    random_state: Seed = 0,
) -> Estimate:
    """Take away what a site of a network says, and measure how far the answer moves, beside other changes of the same size.

    Of a language model the answer's move is the divergence (Kullback and Leibler) of the next token's distribution, and how
    much less likely the token becomes that does come next; of any other network it is how far its output moves, as a share
    of its length. One null turns the change into random directions, which leaves all lengths and the angles between the
    tokens' changes: a site says something in particular where its own direction does more. The other does the same to the
    other heads or neurons (drawn of many), to other places of the text where one is asked about, or to other blocks.

    Returns
    -------
    Estimate
        ``per_row`` (texts x tokens, m): the move at each token.

    Raises
    ------
    MissingError
        No such module.
    ParameterError
        It has no such head, neuron or place; or a head and a neuron are both given.
    ViewError
        It runs more than once, or gives no (batch, positions, width).
    DataError
        The texts have fewer than 3 tokens.

    References
    ----------
    Vig and others 2020, Investigating gender bias in language models using causal mediation analysis, NeurIPS; Meng and
    others 2022, Locating and editing factual associations in GPT, NeurIPS; Michel, Levy and Neubig 2019, Are sixteen heads
    really better than one?, NeurIPS; Zhang and Nanda 2024, Towards best practices of activation patching, ICLR.
    """
    reading = tokens.reading
    if head is not None and neuron is not None:
        raise ParameterError(f"site_ablation: head={head} and neuron={neuron} are two sites. Leave one out.")
    meant = site_at(reading.module, site, head=head, neuron=neuron)
    places, length = alike(reading, n_texts, random_state)
    if position is not None and position >= length:
        raise ParameterError(
            f"site_ablation: position={position} is not legal: these texts have {length} tokens, from 0."
        )
    numbers = numbers_of(reading, places, length)
    ((_, inputs),) = batches(reading, places, length, together=len(places))
    known = Read.of(reading.module, inputs, meant)
    moves = Moves(reading, known, numbers)
    given: dict[str, Any] = {"how": how, "shift": shift, "position": position}
    change = change_of(known.values, meant.columns, **given)
    per_row = moves.of(known.changed(reading.module, meant, change))
    values = per_row.mean(axis=0)

    def in_other_directions(rng: np.random.Generator) -> np.ndarray:
        return moves.of(known.changed(reading.module, meant, turned(change, rng))).mean(axis=0)

    silent = float(change.abs().max()) == 0
    draws = draw_until_clear(
        in_other_directions,
        values,
        ["greater"] * len(values),
        0 if silent else n_null,
        random_state,
        "site ablation: other directions",
    )
    of_sites = _of_sites(
        reading, meant, known, moves, inputs, given, length, 0 if silent else n_null, random_state
    )
    shared: dict[str, Any] = {"n": len(places), "unit": "texts"}
    evidence = [
        Evidence(
            id=id,
            question=question,
            label=f"{label} without {meant.name}"
            if how != "patch"
            else f"{label} with {meant.name} of another text",
            value=value,
            **_said(DIRECTIONS, drawn, n_null, silent),
            **shared,
        )
        for (id, question, label), value, drawn in zip(moves.questions, values, draws, strict=True)
    ]
    id, _, label = moves.questions[0]
    evidence.append(
        Evidence(
            id=f"{id}_among_sites",
            question="Does the answer go by this site more than by others of its kind?",
            label=f"{label} at {meant.name} beside {of_sites[0]}",
            value=values[0],
            **_said(SITES, of_sites[1], n_null, silent, FEWEST),
            **shared,
        )
    )
    rows = (reading.starts[places][:, None] + np.arange(length)).ravel()
    return Estimate(per_row=per_row, ids=reading.ids[rows], names=moves.names, evidence=tuple(evidence))


class Moves:
    """How far the answers to some texts move, token by token."""

    def __init__(self, reading: Reading, known: Read, numbers: np.ndarray):
        import torch

        self.before = known.answer.float()
        self.shape = numbers.shape
        self.predicts = not not_predicting(reading)
        self.follows = torch.as_tensor(numbers[:, 1:], device=self.before.device)[..., None]
        if self.predicts:
            self.log_p = self.before.log_softmax(-1)

    @property
    def names(self) -> tuple[str, ...]:
        """What is measured of each row."""
        return tuple(label for *_, label in self.questions)

    @property
    def questions(self) -> Sequence[tuple[str, str, str]]:
        """Id, question and label of each number."""
        if not self.predicts:
            return [("moved", "Does the output go by what this site says?", "relative move of the output")]
        return [
            (
                "divergence",
                "Does the next token's distribution go by what this site says?",
                "divergence in bits",
            ),
            ("bits_lost", "Does this site help to foretell the next token?", "bits lost of the next token"),
        ]

    def of(self, after: torch.Tensor) -> np.ndarray:
        """(texts x tokens, m) how far each answer moved; a text's last token has no next one, and takes the mean of the others."""
        after = after.float()
        if not self.predicts:
            if after.ndim != 3 or after.shape[:2] != self.shape:  # one answer a text
                after, before = after.flatten(1)[:, None], self.before.flatten(1)[:, None]
            else:
                before = self.before
            size = before.norm(dim=-1).clamp(min=1e-30)
            moved = ((after - before).norm(dim=-1) / size).double().cpu().numpy()
            return np.broadcast_to(moved, self.shape).reshape(-1, 1).copy()
        now = after.log_softmax(-1)
        bits = (self.log_p.exp() * (self.log_p - now)).sum(-1).clamp(min=0).double().cpu().numpy() / np.log(2)
        fell = (self.log_p[:, :-1] - now[:, :-1]).gather(2, self.follows)[..., 0]
        lost = fell.double().cpu().numpy() / np.log(2)
        lost = np.column_stack([lost, lost.mean(axis=1)])
        return np.stack([bits.ravel(), lost.ravel()], axis=1)


def _said(null: Null, draws: np.ndarray, n_null: int, silent: bool, least: int = 1) -> dict[str, Any]:
    if not n_null:
        return null.refused("no null was drawn")
    if silent:
        return null.refused("nothing was changed")
    if len(draws) < least:
        return null.refused(f"there are {len(draws)} others, and fewer than {least} say too little")
    return null.said(np.asarray(draws).tolist())


def _of_sites(
    reading: Reading,
    meant: Site,
    known: Read,
    moves: Moves,
    inputs: Any,
    given: dict[str, Any],
    length: int,
    n: int,
    random_state: int,
) -> tuple[str, np.ndarray]:
    """What the others are, and the first measure with each of them changed in place of the one that is meant."""
    what, others = _others(reading, meant, known, given["position"], length)
    order = np.random.default_rng([random_state, 0x73697465]).permutation(len(others))[:n]
    out = []
    for other, position in (others[i] for i in order):
        read = known if other.module == meant.module else Read.of(reading.module, inputs, other)
        change = change_of(read.values, other.columns, **{**given, "position": position})
        out.append(moves.of(read.changed(reading.module, other, change))[:, 0].mean())
    return what, np.array(out)


def _others(
    reading: Reading, meant: Site, known: Read, position: int | None, length: int
) -> tuple[str, list[tuple[Site, int | None]]]:
    if position is not None:
        return "other places", [(meant, p) for p in range(length) if p != position]
    start, stop, _ = meant.columns.indices(known.values.shape[-1])
    size, width = stop - start, known.values.shape[-1]
    if size == width:
        return "the other blocks", [
            (Site(m, meant.before, meant.columns, m), None) for m in _twins(reading.module, meant.module)
        ]
    where = [meant.module, *(_twins(reading.module, meant.module) if meant.before else ())]
    columns = [slice(s, s + size) for s in range(0, width - size + 1, size)]
    sites = [
        Site(m, meant.before, c, m)
        for m in where
        for c in columns
        if (m, c) != (meant.module, slice(start, stop))
    ]
    return ("the other heads" if meant.before else "the other neurons"), [(s, None) for s in sites]


def _twins(module: torch.nn.Module, name: str) -> Iterator[str]:
    """Modules of the same name in the other blocks."""
    pattern = re.compile(r"\.".join(r"\d+" if p.isdigit() else re.escape(p) for p in name.split(".")))
    return (other for other, _ in module.named_modules() if other != name and pattern.fullmatch(other))
