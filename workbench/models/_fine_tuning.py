"""Fine-tuning: a network that predicts the next token, trained on new texts and recorded."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

import numpy as np

from workbench.core.errors import DataError, ViewError
from workbench.core.lineage import step
from workbench.core.parameters import require_integer
from workbench.subjects.corpus import Corpus
from workbench.subjects.descents.trajectory import Trajectory

if TYPE_CHECKING:
    import torch
    from jaxtyping import Int

    from workbench.subjects.checkpoint import Checkpoint
    from workbench.subjects.network import Network

HELD_OUT = 0.1  # of the texts
PROBED = 64  # chunks of the probe at most


@step
def fine_tune(
    checkpoint: Checkpoint,
    texts: Corpus,
    *,
    steps: int = 60,
    learning_rate: float = 3e-4,
    batch_size: int = 8,
    length: int = 48,
    optimizer: str = "adam",
    random_state: int = 0,
) -> Trajectory:
    """Train a network that predicts the next token on texts, and return the recorded descent.

    A tenth of the texts, chosen by the seed, is held out; the probe is up to 64 chunks of them. The checkpoint itself
    is left as it is.

    Parameters
    ----------
    checkpoint : of a language model that can be called (``wb.open("glassllm-en")``).
    texts : a corpus (``wb.corpus("default")``); its texts follow each other and are cut into chunks.
    steps, batch_size : updates, and chunks of each. length : tokens of a chunk.
    optimizer : ``sgd``, ``momentum``, ``adam`` or ``adamw``.

    Raises
    ------
    ViewError
        The checkpoint is of no network that reads text and predicts tokens.
    DataError
        The texts are too few for one chunk to train on and two to hold out.
    """
    import torch

    from workbench.models._training import descend, optimizer_of, seeded

    for name, value in (("steps", steps), ("batch_size", batch_size)):
        require_integer(value, name, "fine_tune", low=1)
    length = require_integer(length, "length", "fine_tune", low=2)
    network: Network = checkpoint.network()
    if network.encode is None or "next tokens" not in network.answers:
        raise ViewError(
            f"{checkpoint.name} doesn't predict tokens, which fine_tune trains. Open a language model: wb.open('glassllm-en')."
        )
    order = np.random.default_rng([random_state, 0x74756E65]).permutation(len(texts.table))
    cut = max(1, round(HELD_OUT * len(order)))
    held, trained = (_chunks(network, texts, np.sort(rows), length) for rows in (order[:cut], order[cut:]))
    if len(held) < 2 or not len(trained):
        raise DataError(
            f"{texts.name} makes {len(trained)} chunks of {length} tokens to train on and {len(held)} to hold out: give more texts, "
            f"or a smaller length."
        )
    module = copy.deepcopy(network.module)
    x, probe = torch.from_numpy(trained), torch.from_numpy(held[:PROBED])
    with seeded(random_state):

        def batch(step: int) -> tuple[torch.Tensor, torch.Tensor]:
            chosen = x[torch.randint(len(x), (batch_size,))]
            return chosen, chosen

        return descend(
            module,
            optimizer_of(optimizer, module, learning_rate),
            batch,
            steps,
            loss="next_token",
            probe=(probe, probe),
            training=(x, x),
            name=f"{checkpoint.name} on {texts.name}",
            optimizer_state=True,
        )


def _chunks(network: Network, texts: Corpus, rows: np.ndarray, length: int) -> Int[np.ndarray, "n length"]:
    """Tokens of some of the texts, one after another, in rows."""
    lines = texts.table.iloc[rows]
    lines = lines.assign(text=lines["text"] + "\n")
    assert network.encode is not None
    found = []
    for at in range(0, len(lines), 256):
        batch = network.encode(lines.iloc[at : at + 256], 128)
        assert isinstance(batch.inputs, dict) and batch.keep is not None
        found.append(batch.inputs["input_ids"].numpy()[batch.keep])
    tokens = np.concatenate(found)
    return tokens[: len(tokens) // length * length].reshape(-1, length)
