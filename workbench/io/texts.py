"""Networks that read text: how lines become batches, and the short answers that show that they work."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from workbench.core.errors import DataError, ParameterError
from workbench.subjects.network import Batch, Network

if TYPE_CHECKING:
    import pandas as pd
    import torch

# How byte-level and SentencePiece vocabularies spell a space and a line's end.
_SPELLED = str.maketrans({"Ġ": " ", "▁": " ", "Ċ": "\n"})
TOP = 5


def text_network(
    name: str,
    digest: str,
    module: torch.nn.Module,
    tokenizer: Any,
    *,
    predicts: bool,
    limit: int,
) -> Network:
    """Make a `Network` of a transformers module and its tokenizer.

    Parameters
    ----------
    predicts : whether it gives the next token's logits; otherwise its last hidden state is read.
    limit : the most tokens that it reads at once.
    """
    tokenizer.padding_side = tokenizer.truncation_side = "right"
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    ask = next_tokens if predicts else neighbours
    answers = (
        f"the {TOP} likeliest next tokens, with their probabilities, of a prompt"
        if predicts
        else "the other texts of a list by their cosine to the first, nearest first"
    )
    return Network(
        name=name,
        digest=digest,
        module=module.eval(),
        encode=_encoder(tokenizer, limit),
        ask=partial(ask, tokenizer, limit),
        answers=answers,
    )


def _encoder(tokenizer: Any, limit: int) -> Callable[[pd.DataFrame, int], Batch]:
    vocabulary = tokenizer.get_vocab()
    spelled = np.full(max(vocabulary.values()) + 1, "", object)  # a number may have no token
    for token, number in vocabulary.items():
        spelled[number] = token.translate(_SPELLED)

    def encode(lines: pd.DataFrame, max_length: int) -> Batch:
        """Rows: ``text_id`` (the line's index), ``token`` and ``position``."""
        import pandas as pd
        import torch

        if max_length > limit:
            raise ParameterError(
                f"This network reads at most {limit} tokens at once; max_length={max_length} is more."
            )
        found = tokenizer(
            lines["text"].tolist(), padding=True, truncation=True, max_length=max_length, return_tensors="np"
        )
        keep = found["attention_mask"].astype(bool)
        line, position = np.nonzero(keep)
        rows = pd.DataFrame(
            {
                "text_id": lines.index.to_numpy()[line],
                "token": spelled[found["input_ids"][keep].astype(np.int64)],
                "position": position.astype(np.int32),
            }
        )
        names = [n for n in tokenizer.model_input_names if n in found]
        return Batch({n: torch.tensor(found[n], dtype=torch.int64) for n in names}, keep, rows)

    return encode


def neighbours(
    tokenizer: Any, limit: int, module: torch.nn.Module, texts: Sequence[str]
) -> list[tuple[str, float]]:
    """The texts after the first, nearest to it first, each with the cosine of the mean last hidden states."""
    import torch

    if isinstance(texts, str) or len(texts) < 2:
        raise DataError("Give a list of at least two texts: the first is compared with the others.")
    found = tokenizer(list(texts), padding=True, truncation=True, max_length=limit, return_tensors="pt")
    with torch.inference_mode():
        hidden = getattr(module, "base_model", module)(
            **found
        ).last_hidden_state  # without a head that predicts
    mask = found["attention_mask"][..., None].to(hidden.dtype)
    mean = torch.nn.functional.normalize((hidden * mask).sum(1) / mask.sum(1).clamp(min=1), dim=-1)
    cosine = (mean[1:] @ mean[0]).tolist()
    return sorted(zip(texts[1:], cosine, strict=True), key=lambda pair: -pair[1])


def next_tokens(tokenizer: Any, limit: int, module: torch.nn.Module, prompt: str) -> list[tuple[str, float]]:
    """The likeliest next tokens after a prompt, as text, each with its probability."""
    import torch

    found = tokenizer(prompt, return_tensors="pt")["input_ids"][:, -limit:]
    if found.shape[1] == 0:
        raise DataError("The prompt is empty: give at least one token to go on from.")
    with torch.inference_mode():
        chance = module(input_ids=found).logits[0, -1].softmax(-1)
    top = chance.topk(TOP)
    return [
        (tokenizer.decode([i]), p) for i, p in zip(top.indices.tolist(), top.values.tolist(), strict=True)
    ]
