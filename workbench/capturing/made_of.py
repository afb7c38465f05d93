"""Which network and texts a capture was made of, while they are in memory: to look inside at the text of one of its rows."""

from __future__ import annotations

import functools
import inspect
import weakref
from collections import deque
from collections.abc import Callable
from typing import Any, ParamSpec

from workbench.core.errors import MissingError
from workbench.subjects.activations import Activations
from workbench.subjects.checkpoint import Checkpoint
from workbench.subjects.corpus import Corpus
from workbench.subjects.network import Network

P = ParamSpec("P")
KEPT = 8  # captures; a checkpoint is a file that is mapped, a network isn't kept alive


def remembered(capture: Callable[P, Activations]) -> Callable[P, Activations]:
    """Have the last captures know what they were made of."""
    signature = inspect.signature(capture)

    @functools.wraps(capture)
    def call(*args: P.args, **kwargs: P.kwargs) -> Activations:
        made = capture(*args, **kwargs)
        bound = signature.bind(*args, **kwargs).arguments
        network, texts = bound["network"], bound["source"]
        if isinstance(network, Checkpoint | Network) and isinstance(texts, Corpus | list | tuple):
            _made.append((_held(network), texts))
        return made

    return call


_made: deque[tuple[Callable[[], Checkpoint | Network | None], Any]] = deque(maxlen=KEPT)


def _held(network: Checkpoint | Network) -> Callable[[], Checkpoint | Network | None]:
    return (lambda: network) if isinstance(network, Checkpoint) else weakref.ref(network)


def made_of(acts: Activations) -> tuple[Checkpoint | Network, Any, dict[str, Any]]:
    """Return the network that a capture is of, the texts that it read, and how they were read.

    Parameters
    ----------
    acts : a capture of this session, or rows or sites of one.

    Returns
    -------
    network, texts, and the ``max_length`` and ``markers`` of the capture.

    Raises
    ------
    MissingError
        It is no capture of texts, or the network is no longer in memory.
    """
    links = [] if acts.run is None else [link for link in acts.run.chain() if link.method == "capture"]
    for link in links[-1:]:
        given = {item.name: item.digest for item in link.inputs}
        how = {name: link.parameters[name] for name in ("max_length", "markers")}
        for held, texts in reversed(_made):
            network = held()
            if network is None or network.digest != given.get("network"):
                continue
            if not isinstance(texts, Corpus) or texts.digest == given.get("source"):
                return network, texts, how
    raise MissingError(
        f"What {acts.name} was captured of isn't in memory: no capture of texts in this session, or the network was let go. "
        "Give both: workbench.reading(network, texts)."
    )
