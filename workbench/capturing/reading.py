"""`reading`: a network and texts, for methods that look inside while it reads."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from workbench.capturing.made_of import made_of
from workbench.core.errors import ParameterError, ViewError
from workbench.core.lineage import step
from workbench.subjects.activations import Activations
from workbench.subjects.checkpoint import Checkpoint
from workbench.subjects.corpus import Corpus
from workbench.subjects.network import Network
from workbench.subjects.reading import Reading

MAX_LENGTH = 64  # tokens, as a capture reads


@step
def reading(
    network: Checkpoint | Network | Activations,
    texts: Corpus | Sequence[str] | str | None = None,
    *,
    max_length: int | None = None,
    markers: bool | None = None,
    name: str | None = None,
) -> Reading:
    """Put a network and texts together, for methods that look inside while the one reads the other.

    Nothing is run yet. Rows are tokens, with the ids that a `capture` of the same texts gives them, so that a figure of
    the one and points of the other share a selection.

    Parameters
    ----------
    network : a checkpoint that has an architecture, a `Network` that reads text, or a capture of this session alone: then its
        own network and texts, read as they were read for it.
    texts : a corpus (`workbench.corpus`), several texts, or one.
    max_length : tokens of a text that are read, the rest is cut off; None for 64, or the capture's.
    markers : whether rows of what the tokenizer adds to every text are among the others, as in a capture with ``markers=True``,
        instead of behind them; None for False, or the capture's.
    name : for titles.

    Returns
    -------
    Reading

    Raises
    ------
    ViewError
        The network can't be called, doesn't read text, or pads texts in front.
    DataError
        No text holds a token.
    ParameterError
        ``max_length`` is more than the network reads; or there are no texts, or texts beside a capture.
    MissingError
        What the capture was made of is no longer in memory.
    """
    how: dict[str, Any] = {"max_length": MAX_LENGTH, "markers": False}
    if isinstance(network, Activations):
        if texts is not None:
            raise ParameterError(
                "reading: a capture has read its own texts; give it alone, or a network and texts."
            )
        network, texts, how = made_of(network)
    if texts is None:
        raise ParameterError(
            "reading: texts is missing. Give a corpus, several texts, or one; a capture alone needs none."
        )
    built = network.shared_network() if isinstance(network, Checkpoint) else network
    if not isinstance(built, Network):
        raise ViewError(
            f"reading takes a checkpoint or a network that reads text; it was given a {type(network).__name__}. Of a torch "
            "module make a workbench.subjects.network.Network with encode=, which turns lines into its arguments."
        )
    corpus = (
        texts
        if isinstance(texts, Corpus)
        else Corpus.from_texts([texts] if isinstance(texts, str) else texts)
    )
    chosen = {"max_length": max_length, "markers": markers}
    how |= {n: v for n, v in chosen.items() if v is not None}
    return Reading(built, corpus, name=name or "", **how)
