"""Names for clusters of tokens: those that a cluster has more of than the rest."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from jaxtyping import Int

TOKENS = 4
SURE = 1.64  # standard errors above no difference
LEAST = 0.05  # share of a group that a token must make up to name it
LONGEST = 24  # characters of a token that are shown


def typical_tokens(tokens: Iterable[object], labels: Int[np.ndarray, " n"]) -> tuple[str, ...]:
    """Name each group by the tokens that are most surely over-represented in it.

    Tokens are ranked by the log-odds ratio of group against rest, smoothed by the tokens' overall counts and
    divided by its standard error, so that neither the common nor the once-seen win by that alone. Only tokens
    that make up 5 % of the group or more name it; in brackets stands what they make up together. A group
    without such a token is called ``mixed``.

    References
    ----------
    Monroe, Colaresi and Quinn 2008, Fightin' words: lexical feature selection and evaluation for identifying
    the content of political conflict, Political Analysis 16.
    """
    words, codes = np.unique([str(t).strip() for t in tokens], return_inverse=True)
    if len(words) == 1:
        return ("mixed",) * (int(labels.max()) + 1)
    counts = np.zeros((int(labels.max()) + 1, len(words)))
    np.add.at(counts, (labels, codes), 1)
    total = counts.sum(axis=0)
    prior = total / total.sum() * min(len(words), len(labels))  # as much as one token each
    names = []
    for inside in counts:
        outside = total - inside
        odds = [np.log((c + prior) / (c.sum() + prior.sum() - c - prior)) for c in (inside, outside)]
        surely = (odds[0] - odds[1]) / np.sqrt(1 / (inside + prior) + 1 / (outside + prior))
        share = inside / max(inside.sum(), 1)
        fit = [i for i in np.argsort(-surely, kind="stable") if surely[i] > SURE and share[i] >= LEAST]
        best = fit[:TOKENS]
        said = ", ".join(_short(str(words[i])) for i in best)
        names.append(f"{said} ({share[best].sum():.0%})".replace("%", " %") if best else "mixed")
    return tuple(names)


def _short(word: str) -> str:
    return word if len(word) <= LONGEST else word[: LONGEST - 1] + "…"
