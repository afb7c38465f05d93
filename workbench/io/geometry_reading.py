"""How a geometry GPT that was trained on bytes reads texts, and how it is asked to go on."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from workbench.core.errors import DataError
from workbench.subjects.byte_reading import ANSWERS, LINE_END, MOST, encode, exact_bytes
from workbench.subjects.network import Batch, Network

if TYPE_CHECKING:
    import pandas as pd

FEWEST, MOST_TOKENS = 128, 256  # tokens of a network of bytes: letters without accents at least


def reading_texts(network: Network) -> Network:
    """The same network, which reads texts where its tokens can be bytes: where it has 128 to 256 of them."""
    module: Any = network.module.eval()
    vocabulary = module.config.vocabulary
    if not FEWEST <= vocabulary <= MOST_TOKENS:
        return network
    return Network(
        name=network.name,
        digest=network.digest,
        module=module,
        encode=partial(_encode, vocabulary=vocabulary),
        ask=go_on,
        answers=ANSWERS,
    )


def _encode(lines: pd.DataFrame, max_length: int, *, vocabulary: int) -> Batch:
    batch = encode(lines, max_length)
    assert isinstance(batch.inputs, dict)
    _require_known(batch.inputs["input_ids"].numpy(), vocabulary)
    return batch


def go_on(module: Any, prompt: str, most: int = MOST) -> str:
    """What is written after a prompt, the likeliest byte each time, until a line ends. Bytes that are no UTF-8 show as U+FFFD.

    Raises
    ------
    DataError
        The prompt is empty, is no text, has half a character, or a byte that the network has no token for.
    """

    import torch

    from workbench.numerics.geometry.gpt import GPTState

    read = exact_bytes(prompt, "The prompt", "at least one character to go on from")
    _require_known(np.frombuffer(read, np.uint8), module.config.vocabulary)
    state = None if module.mechanism.mixer.NO_CACHE else GPTState()
    device = next(module.parameters()).device
    written = bytearray()
    new: bytes | bytearray = read
    with torch.inference_mode():
        while len(written) < most:
            tokens = torch.tensor(list(new), device=device)[None]
            byte = int(module(tokens, state)[0, -1].argmax())
            if byte == LINE_END:
                break
            written.append(byte)
            new = bytes([byte]) if state is not None else read + written
    return written.decode("utf-8", "replace")


def _require_known(tokens: np.ndarray, vocabulary: int) -> None:
    """Refuse bytes that have no token."""
    unknown = np.unique(tokens[tokens >= vocabulary])
    if unknown.size:
        raise DataError(
            f"The network has {vocabulary:,} tokens, the bytes 0 to {vocabulary - 1}, and the text has {unknown.size:,} others, such as "
            f"{', '.join(map(str, unknown[:3]))}, which letters with accents and signs beyond ASCII are made of. Replace them, for "
            "example: text.encode('ascii', 'replace').decode()."
        )
