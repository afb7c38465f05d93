"""`reading`: a network and texts, for methods that look inside while it reads."""

from __future__ import annotations

from collections.abc import Sequence

from workbench.core.errors import ViewError
from workbench.core.lineage import step
from workbench.subjects.checkpoint import Checkpoint
from workbench.subjects.corpus import Corpus
from workbench.subjects.network import Network
from workbench.subjects.reading import Reading


@step
def reading(
    network: Checkpoint | Network,
    texts: Corpus | Sequence[str] | str,
    *,
    max_length: int = 64,
    name: str | None = None,
) -> Reading:
    """Put a network and texts together, for methods that look inside while the one reads the other.

    Nothing is run yet. Rows are tokens, with the ids that a `capture` of the same texts gives them, so that a figure of
    the one and points of the other share a selection.

    Parameters
    ----------
    network : a checkpoint that has an architecture, or a `Network` that reads text.
    texts : a corpus (`workbench.corpus`), several texts, or one.
    max_length : tokens of a text that are read; the rest is cut off.
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
        ``max_length`` is more than the network reads.
    """
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
    return Reading(built, corpus, max_length=max_length, name=name or "")
