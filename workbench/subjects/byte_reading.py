"""How a network reads texts as bytes, and how it is asked to go on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from workbench.core.errors import DataError
from workbench.subjects.network import Batch

if TYPE_CHECKING:
    import pandas as pd
    import torch

    from workbench.numerics.ghost.memory import Rows
    from workbench.numerics.ghost.model import GhostState, Reading

LINE_END = 10
MOST = 200  # bytes that are written where no line ends
PIECE = 4096  # bytes that are read at once
ANSWERS = "the likeliest next tokens (its tokens are bytes) after a prompt, until a line ends"
SPELLED = np.array([chr(b) if 32 <= b < 127 else f"<0x{b:02X}>" for b in range(256)], object)
"""How each byte is written in a table of tokens."""


def as_bytes(text: str) -> bytes:
    """UTF-8; halves of characters, which have none, become question marks."""
    return text.encode("utf-8", "replace")


def exact_bytes(text: Any, what: str, such_as: str) -> bytes:
    """UTF-8 of what is asked or kept, in which nothing is replaced.

    Parameters
    ----------
    what : the text is, and ``such_as`` a good one, both for a refusal.

    Raises
    ------
    DataError
        It is empty, isn't a text, or has half a character (as bytes that are no UTF-8 become in a command line).
    """
    if isinstance(text, bytes | bytearray):
        raise DataError(
            f"{what} is given as bytes ({bytes(text[:20])!r}), and a text is wanted. Decode them, for example: "
            "given.decode('utf-8', 'replace'), in which U+FFFD stands for bytes that are no UTF-8."
        )
    if not isinstance(text, str) or not text:
        told = "empty" if isinstance(text, str) else f"{text!r:.40}, which is no text"
        raise DataError(f"{what} is {told}: give {such_as}.")
    try:
        return text.encode()
    except UnicodeEncodeError as e:
        raise DataError(
            f"{what} has half a character (a lone surrogate) at place {e.start:,}: {text[max(e.start - 20, 0) : e.start + 20]!a}. "
            "Bytes that are no UTF-8 become such. Replace it, for example: text.encode('utf-8', 'replace').decode()."
        ) from None


def encode(lines: pd.DataFrame, max_length: int) -> Batch:
    """The first ``max_length`` bytes of each line, zeros behind the shorter ones: what is behind reaches nothing before it."""
    import pandas as pd
    import torch

    texts = [as_bytes(text) for text in lines["text"]]
    lengths = np.array([min(len(text), max_length) for text in texts], np.int64)
    numbers = np.zeros((len(texts), max(1, int(lengths.max(initial=0)))), np.int64)
    keep = np.arange(numbers.shape[1]) < lengths[:, None]
    numbers[keep] = np.frombuffer(b"".join(text[:max_length] for text in texts), np.uint8)
    line, position = np.nonzero(keep)
    rows = pd.DataFrame(
        {
            "text_id": lines.index.to_numpy()[line],
            "token": SPELLED[numbers[keep]],
            "position": position.astype(np.int32),
        }
    )
    cut = np.array([len(text) for text in texts], np.int64) - lengths
    return Batch({"input_ids": torch.from_numpy(numbers)}, keep, rows, cut=cut)


def go_on(module: torch.nn.Module, prompt: str, most: int = MOST) -> str:
    """What a causal network of bytes writes after a prompt, the likeliest byte each time, until a line ends.

    Raises
    ------
    DataError
        See `exact_bytes`.
    """
    return answers_of(module, [prompt], most)[0]


def answers_of(
    module: torch.nn.Module, prompts: Sequence[str], most: int = MOST, rows: Rows | None = None
) -> list[str]:
    """What is written after each prompt, one after the other; see `go_on`. Bytes that are no UTF-8 show as U+FFFD.

    Parameters
    ----------
    rows : of a memory that is read, for networks that have one.

    Raises
    ------
    DataError
        A prompt is empty, is no text, or has half a character.
    """
    import torch

    from workbench.numerics.ghost.model import GhostState

    found = []
    with torch.inference_mode():
        for given in [
            exact_bytes(prompt, "The prompt", "at least one character to go on from") for prompt in prompts
        ]:
            state, written, new = GhostState(), bytearray(), given
            while len(written) < most:
                byte = int(read_on(module, new, state, rows).logits[0, -1].argmax())
                if byte == LINE_END:
                    break
                written.append(byte)
                new = bytes([byte])
            found.append(written.decode("utf-8", "replace"))
    return found


def read_on(module: Any, new: bytes, state: GhostState, rows: Rows | None = None) -> Reading:
    """What a Ghost makes of the last piece of new bytes, after all before: of a text of any length it holds a piece."""
    import torch

    device = next(module.parameters()).device
    for at in range(0, len(new), PIECE):
        piece = torch.frombuffer(bytearray(new[at : at + PIECE]), dtype=torch.uint8)
        read = module.read(piece.to(device, torch.int64)[None], state, rows)
    return read
