"""Patch map: through which layers and positions of a text a network's answer passes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import numpy as np
from annotated_types import Interval
from typing_extensions import Doc

from workbench.analyses.inside._language import not_predicting
from workbench.analyses.inside._texts import alike, batches
from workbench.core.early import show_early
from workbench.core.errors import DataError, ParameterError
from workbench.core.evidence import Evidence
from workbench.core.parameters import NullDraws, Seed
from workbench.core.progress import track
from workbench.core.registry import analysis
from workbench.evidence.nulls.named import Null
from workbench.numerics.controls import generators
from workbench.numerics.inside.heads import layer_names
from workbench.numerics.inside.patching import Seen, changed, one_at_a_time, rotation, see, sites_of
from workbench.numerics.inside.stream import stream
from workbench.results.site_map import SiteMap
from workbench.subjects.reading import Reading, Shown, Tokens

if TYPE_CHECKING:
    import torch
    from jaxtyping import Float

    from workbench.numerics.inside.changes import Site

WORDS = 5
"""Next words that are kept of each site."""
DIRECTIONS = Null(
    "any_direction",
    "a change of this size does as much in any direction",
    "the changes turned at random",
)
ROUNDING = 1e-5  # of the answer's size, under which two answers are alike
SHARE = "share of the answer that comes back"


@analysis
def patch_map(
    tokens: Tokens,
    *,
    text: Annotated[str | None, Doc("The text; None: one of those that are read, by text_id.")] = None,
    text_id: Annotated[
        int | None, Interval(ge=0), Doc("Which of the texts that are read it is; None: the first.")
    ] = None,
    corrupted: Annotated[
        str | None,
        Doc(
            "A text of as many tokens with another answer, into whose reading the first one's is put; None: the mean of the "
            "texts is put into the text's own."
        ),
    ] = None,
    part: Annotated[
        str | None,
        Doc("Module of each block whose output is changed, such as mlp; None: what the block hands on."),
    ] = None,
    position: Annotated[
        int | None,
        Interval(ge=0, le=1 << 20),
        Doc("The token after which the answer is read, from 0; None: the last."),
    ] = None,
    max_layers: Annotated[
        int, Interval(ge=1, le=512), Doc("Layers that are asked, evenly spread over more.")
    ] = 12,
    n_texts: Annotated[
        int,
        Interval(ge=2, le=64),
        Doc("Texts whose mean is put there where corrupted is None; drawn of more."),
    ] = 16,
    n_null: NullDraws = 49,
    random_state: Seed = 0,
) -> SiteMap:
    """Show through which layers and positions of a text the answer passes: each is changed alone, beside random changes.

    With a ``corrupted`` text (activation patching) the network reads that one, and what it has at one layer and position is
    replaced by what it had there when it read the text. 1 is all of the difference between the two answers, 0 none. Of a
    language model that is the difference of two logits: those of the likeliest word of each, or where that is one word, of
    those that became likelier and less likely the most.
    Of any other network it is the distance between its outputs. With one text (ablation) the mean over tokens is put there,
    and the number is how far the answer moves: the divergence of the next word in bits, or the output's relative move.

    The null turns all changes by one random rotation, which leaves their lengths and what they have in common. Each site is
    told from its own control with a p-value corrected for all sites (the largest of standardized values, as Westfall and
    Young). That the answer passes the token that differs, and where it is read at the end, is so in any network. So the
    question that is tested of two texts is whether it passes through a token that they share.

    Returns
    -------
    SiteMap
        ``values`` (layers, tokens), the random changes beside them, and the likeliest next words with each site changed.

    Raises
    ------
    MissingError
        There is no such text, or no such module in each block.
    ParameterError
        The texts have not as many tokens, or no such position.
    DataError
        The network answers both texts alike.
    ViewError
        Its blocks hand on no stream.

    References
    ----------
    Meng and others 2022, Locating and editing factual associations in GPT, NeurIPS; Wang and others 2023, Interpretability
    in the wild, ICLR; Zhang and Nanda 2024, Towards best practices of activation patching, ICLR; Westfall and Young 1993,
    Resampling-based multiple testing.
    """
    reading = tokens.reading
    shown = reading.shown(text, text_id, "patch_map")
    at = _position(position, len(shown.tokens))
    known = stream(reading.module, shown.inputs)
    names = layer_names(known.names)
    some = np.unique(np.linspace(len(names) - 1, 0, min(max_layers, len(names))).round().astype(int))
    sites = sites_of(reading.module, [known.names[i] for i in some], part)
    own = see(reading.module, shown.inputs, sites)
    predicts = not not_predicting(reading)
    read_at = at if predicts or position is not None else None
    _require_answers(own, read_at)
    if corrupted is None:
        mean = _means(reading, sites, n_texts, random_state)
        put = _of_the_mean(own, shown, mean, read_at, predicts, n_texts)
    else:
        put = _of_another_text(reading, own, shown, sites, read_at, predicts, corrupted)
    grid = _Grid(reading.module, put.inputs, put.host, sites, put.changes, read_at)
    values, answers = grid.values(put.measure, keep=predicts)
    result = SiteMap(
        layers=tuple(names[i] for i in some),
        tokens=shown.tokens,
        ids=shown.ids,
        others=put.others,
        values=values,
        quantity=put.quantity,
        caveat=put.caveat,
        **(_words(reading, _answer(put.host, read_at), answers, values.shape) if predicts else {}),
    )
    show_early(result)
    draws = grid.turned(put.measure, n_null, random_state)
    stands, drawn = _standing_out(values, draws, either=bool(put.others))
    asked = _asked(result, stands, drawn, put.family, bool(put.others))
    if not n_null:
        return replace(result, evidence=(asked,))
    low, high = np.quantile(draws, [0.025, 0.975], axis=0)
    highest = drawn.reshape(n_null, -1).max(axis=1)
    p = (1 + (highest[:, None, None] >= stands).sum(axis=0)) / (1 + n_null)
    control = f"{n_null} random changes of the same size"
    return replace(result, low=low, high=high, p=p, control=control, evidence=(asked,))


class _Put(NamedTuple):
    """What is put where, and how its effect is measured.

    Attributes
    ----------
    host, inputs : the reading that is changed, and of what. changes : (tokens, d) of each site. measure : of an answer.
    family : (sites, tokens) which are asked. others : tokens of the other text, where there is one.
    """

    host: Seen
    inputs: Any
    changes: list[torch.Tensor]
    measure: Callable[[torch.Tensor], np.ndarray]
    quantity: str
    caveat: str
    family: np.ndarray
    others: tuple[str, ...] = ()


def _of_the_mean(
    own: Seen, shown: Shown, mean: list[torch.Tensor], read_at: int | None, predicts: bool, n_texts: int
) -> _Put:
    """The mean of texts is put into the text's own reading."""
    return _Put(
        host=own,
        inputs=shown.inputs,
        changes=[m - v[0] for m, v in zip(mean, own.values, strict=True)],
        measure=_moves(_answer(own, read_at), predicts),
        quantity="bits by which the next word moves" if predicts else "relative move of the output",
        caveat=f"What is put there is the mean over tokens of {n_texts} texts or fewer.",
        family=np.ones((len(mean), len(shown.tokens)), bool),
    )


def _of_another_text(
    reading: Reading,
    own: Seen,
    shown: Shown,
    sites: list[Site],
    read_at: int | None,
    predicts: bool,
    corrupted: str,
) -> _Put:
    """The text's own is put into the reading of another one; the position that is read isn't asked."""
    other = _other_text(reading, corrupted, shown)
    host = see(reading.module, other.inputs, sites)
    measure, caveat = _recovered(reading, _answer(own, read_at), _answer(host, read_at), predicts, corrupted)
    between = np.array([a == b for a, b in zip(shown.tokens, other.tokens, strict=True)])
    if read_at is not None:
        between[read_at] = False
    return _Put(
        host=host,
        inputs=other.inputs,
        changes=[a[0] - b[0] for a, b in zip(own.values, host.values, strict=True)],
        measure=measure,
        quantity=SHARE,
        caveat=caveat,
        family=np.broadcast_to(between, (len(sites), len(between))),
        others=tuple(other.tokens),
    )


class _Grid:
    """One text's answers with each site changed at one position."""

    def __init__(
        self,
        module: torch.nn.Module,
        inputs: Any,
        host: Seen,
        sites: list[Site],
        changes: list[Float[torch.Tensor, "t d"]],
        at: int | None,
    ):
        self.module, self.inputs, self.host, self.sites, self.at = module, inputs, host, sites, at
        self.changes = changes

    def values(
        self, measure: Callable[[torch.Tensor], np.ndarray], keep: bool
    ) -> tuple[Float[np.ndarray, "l t"], list[torch.Tensor]]:
        """What the sites' own changes do, and the answers themselves where they are kept."""
        answers, out = [], []
        for i, change in enumerate(self.changes):
            answer = self._answers(i, change)
            out.append(measure(answer))
            answers += [answer] if keep else []
        return np.stack(out), answers

    def turned(
        self, measure: Callable[[torch.Tensor], np.ndarray], n: int, random_state: int
    ) -> Float[np.ndarray, "n l t"]:
        """The same with all changes turned by one rotation a draw."""
        import torch

        drawn = []
        for rng in track(generators(n, random_state), "patch map: random directions", n):
            turns: dict[int, torch.Tensor] = {}
            out = []
            for i, change in enumerate(self.changes):
                width = change.shape[-1]
                if width not in turns:
                    turns[width] = torch.as_tensor(rotation(width, rng)).to(change)
                out.append(measure(self._answers(i, change @ turns[width])))
            drawn.append(out)
        return np.array(drawn).reshape(n, len(self.sites), len(self.changes[0]))

    def _answers(self, i: int, change: Float[torch.Tensor, "t d"]) -> torch.Tensor:
        return changed(
            self.module, self.inputs, self.host.known, self.sites[i], one_at_a_time(change), self.at
        )


def _answer(seen: Seen, at: int | None) -> torch.Tensor:
    """(1, ...) the answer that is asked about."""
    answer = seen.known.answer
    return answer if at is None else answer[:, at]


def _require_answers(seen: Seen, at: int | None) -> None:
    shape = tuple(seen.known.answer.shape)
    if at is not None and (len(shape) < 3 or shape[1] <= at):
        raise ParameterError(
            f"patch_map: position={at} is not legal: the network's output has the shape {shape}, no answer for each token."
        )


def _means(reading: Reading, sites: list[Site], n_texts: int, random_state: int) -> list[torch.Tensor]:
    """(d,) the mean over the tokens of some texts at each site."""
    places, length = alike(reading, n_texts, random_state, least=1)
    sums: list[Any] = [0.0] * len(sites)
    for _, inputs in batches(reading, places, length):
        seen = see(reading.module, inputs, sites)
        sums = [s + v.sum(dim=(0, 1)) for s, v in zip(sums, seen.values, strict=True)]
    return [s / (len(places) * length) for s in sums]


def _moves(before: torch.Tensor, predicts: bool) -> Callable[[torch.Tensor], np.ndarray]:
    """How far answers lie from the usual one."""
    usual = before.float()
    if not predicts:
        return lambda after: _apart(after, usual) / max(float(usual.norm()), 1e-30)
    log_p = usual.log_softmax(-1)

    def bits(after: torch.Tensor) -> np.ndarray:
        now = after.float().log_softmax(-1)
        moved = (log_p.exp() * (log_p - now)).sum(-1).clamp(min=0)
        return np.asarray(moved.double().cpu().numpy() / np.log(2))

    return bits


def _recovered(
    reading: Reading, clean: torch.Tensor, other: torch.Tensor, predicts: bool, corrupted: str
) -> tuple[Callable[[torch.Tensor], np.ndarray], str]:
    """The share of the difference between two answers that comes back, and what the difference is, in words."""
    clean, other = clean.float(), other.float()
    alike = f"patch_map: the network answers the text and corrupted={corrupted!r} alike. Give one with another answer."
    if not predicts:
        apart = float((clean - other).norm())
        if apart <= ROUNDING * float(clean.norm()):
            raise DataError(alike)
        caveat = "The answer is the network's output; 1 is that of the text, 0 that of the corrupted one."
        return lambda after: 1 - _apart(after, clean) / apart, caveat
    right, wrong = int(clean[0].argmax()), int(other[0].argmax())
    if right == wrong:
        gain = (clean.softmax(-1) - other.softmax(-1))[0]
        right, wrong = int(gain.argmax()), int(gain.argmin())
    whole = float(clean[0, right] - clean[0, wrong])
    none = float(other[0, right] - other[0, wrong])
    if right == wrong or abs(whole - none) <= ROUNDING * float(clean.abs().max()):
        raise DataError(alike)
    a, b = reading.spelled(np.array([right, wrong]))
    caveat = f"The answer is the logit of {a!r} less that of {b!r}: {whole:.3g} after the text, {none:.3g} after the corrupted one."

    def share(after: torch.Tensor) -> np.ndarray:
        now = (after[:, right] - after[:, wrong]).double().cpu().numpy()
        return np.asarray((now - none) / (whole - none))

    return share, caveat


def _apart(after: torch.Tensor, from_: torch.Tensor) -> np.ndarray:
    return (after.float() - from_).flatten(1).norm(dim=1).double().cpu().numpy()


def _words(
    reading: Reading, before: torch.Tensor, after: list[torch.Tensor], shape: tuple[int, ...]
) -> dict[str, Any]:
    """The likeliest next words without a change, and with each."""
    import torch

    many = min(WORDS, before.shape[-1])
    tops = [x.float().softmax(-1).topk(many) for x in (before, *after)]
    first, *rest = (reading.spelled(top.indices.cpu().numpy().ravel()) for top in tops)
    chances = torch.stack([top.values for top in tops[1:]]).double().cpu().numpy()
    return {
        "words_before": first,
        "chances_before": tops[0].values[0].double().cpu().numpy(),
        "words": tuple(word for words in rest for word in words),
        "chances": chances.reshape(*shape, many),
    }


def _standing_out(
    values: Float[np.ndarray, "l t"], draws: Float[np.ndarray, "n l t"], *, either: bool = False
) -> tuple[Float[np.ndarray, "l t"], Float[np.ndarray, "n l t"]]:
    """By how many spreads each value stands above the others of its site: of the sites' own, and of each draw.

    A site's own value counts among those that the mean and the spread are of, so that where the null is true it is one of
    them like any other, and so is the largest over sites. Where no change does anything, nothing stands as low. ``either``
    counts what lies below as well: the words that an answer is measured in were chosen by how it moves, so that more lies
    above than below by that alone.
    """
    all_of = np.concatenate([values[None], draws])
    spread = all_of.std(axis=0)
    rounding = 1e-6 * np.maximum(np.abs(all_of).max(axis=0), 1e-6)
    apart = (all_of - all_of.mean(axis=0)) / np.maximum(spread, rounding)
    stands = np.where(spread > rounding, np.abs(apart) if either else apart, -np.sqrt(len(all_of)))
    return stands[0], stands[1:]


def _asked(
    result: SiteMap, stands: np.ndarray, drawn: np.ndarray, family: np.ndarray, two_texts: bool
) -> Evidence:
    id, question = (
        ("passes_between", "Does the answer pass through a token that both texts have?")
        if two_texts
        else (
            "goes_by_a_site",
            "Does the answer go by what some site says, more than by a change of its size?",
        )
    )
    n = int(family.sum())
    if not n:
        said, value, where = DIRECTIONS.refused("both texts have no token alike but the last"), 0.0, "none"
    elif len(drawn) and stands[family].max() <= -np.sqrt(len(drawn) + 1):
        said, value, where = (
            DIRECTIONS.refused("no change at any of these sites reaches the answer"),
            0.0,
            "none",
        )
    else:
        # without draws nothing stands out of anything: the largest is the largest
        among = np.where(family, stands if len(drawn) else result.values, -np.inf)
        layer, place = np.unravel_index(int(among.argmax()), among.shape)
        where = f"{result.layers[layer]} at {result.tokens[place]!r}, {result.values[layer, place]:.3g}"
        value = float(stands[layer, place])
        highest = (
            np.where(family, drawn, -np.inf).reshape(len(drawn), -1).max(axis=1) if len(drawn) else drawn
        )
        said = DIRECTIONS.said(highest.tolist()) if len(drawn) else DIRECTIONS.refused("no null was drawn")
    return Evidence(
        id=id,
        question=question,
        label=f"spreads by which a site stands {'apart from' if two_texts else 'above'} random changes, highest ({where})",
        value=value,
        n=n,
        unit="sites",
        **said,
    )


def _position(position: int | None, length: int) -> int:
    if position is not None and position >= length:
        raise ParameterError(
            f"patch_map: position={position} is not legal: the text has {length} tokens, from 0."
        )
    return length - 1 if position is None else position


def _other_text(reading: Reading, corrupted: str, shown: Shown) -> Shown:
    """The text that is set beside another of as many tokens."""
    try:
        other = reading.shown(corrupted, None, "patch_map")
    except DataError as e:
        raise DataError(f"corrupted={corrupted!r} can't be read. {e}") from e
    a, b = len(shown.tokens), len(other.tokens)
    if a != b:
        raise ParameterError(
            f"patch_map: the text has {a} tokens and corrupted has {b} ({' '.join(map(repr, other.tokens[:12]))}). Exchange "
            "words for others of as many tokens."
        )
    if shown.tokens == other.tokens:
        raise ParameterError("patch_map: corrupted is the text itself. Exchange a word or more of it.")
    return other
