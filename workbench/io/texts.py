"""Networks that read text: how lines become batches, and the short answers that show that they work."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from dataclasses import dataclass
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
NO_LIMIT = 1 << 20  # tokens; tokenizers without a limit say 1e30


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
    reading = Reading.of(module.eval(), tokenizer, limit)
    ask = next_tokens if predicts else neighbours
    answers = (
        f"the {TOP} likeliest next tokens, with their probabilities, of a prompt"
        if predicts
        else "the other texts of a list by their cosine to the first, nearest first"
    )
    return Network(
        name=name,
        digest=digest,
        module=module,
        encode=Encoder(reading),
        ask=partial(ask, reading),
        answers=answers,
    )


@dataclass(frozen=True)
class Reading:
    """How texts become what a module's ``forward`` takes.

    Attributes
    ----------
    limit : the most tokens that are read at once.
    takes : names of what ``forward`` takes.
    padding : a token that the module has, which stands where the mask hides it.
    multiple : of how many tokens texts are made, for networks that would do so themselves.
    start : the first token for a decoder that is to be fed the text, moved by one; None where there is none.
    """

    tokenizer: Any
    limit: int
    takes: frozenset[str]
    padding: int
    multiple: int | None
    start: int | None

    @classmethod
    def of(cls, module: Any, tokenizer: Any, limit: int) -> Reading:
        """Read off the module and its tokenizer how they go together."""
        tokenizer.padding_side = tokenizer.truncation_side = "right"
        if tokenizer.pad_token is None:  # any will do: it stands only where the mask hides it
            some = tokenizer.eos_token or tokenizer.unk_token
            tokenizer.pad_token = some or min(tokenizer.get_vocab().items(), key=lambda entry: entry[1])[0]
        config: Any = getattr(module, "config", None)
        if (
            getattr(config, "pad_token_id", 0) is None
        ):  # heads that pool look for the last token before the padding
            config.pad_token_id = tokenizer.pad_token_id
        embedding = module.get_input_embeddings() if hasattr(module, "get_input_embeddings") else None
        known = getattr(embedding, "num_embeddings", tokenizer.pad_token_id + 1)
        takes = frozenset(inspect.signature(module.forward).parameters)
        return cls(
            tokenizer,
            min(limit, positions(module)),
            takes,
            tokenizer.pad_token_id if tokenizer.pad_token_id < known else 0,
            _multiple(config),
            _start(module, tokenizer) if "decoder_input_ids" in takes else None,
        )

    def __call__(
        self, texts: Sequence[str], max_length: int
    ) -> tuple[dict[str, torch.Tensor], np.ndarray, np.ndarray]:
        """The module's arguments, which of the (texts, tokens) are no padding, and which of these the tokenizer added."""
        import torch

        encoded = self.tokenizer(
            list(texts),
            padding=True,
            truncation=True,
            max_length=max_length,
            pad_to_multiple_of=self.multiple,
            return_attention_mask=True,
            return_special_tokens_mask=True,
            return_tensors="np",
        )
        keep = encoded["attention_mask"].astype(bool)
        markers = encoded.pop("special_tokens_mask").astype(bool) & keep
        encoded["input_ids"] = np.where(keep, encoded["input_ids"], self.padding)
        if self.start is not None:
            first = np.full((len(keep), 1), self.start)
            encoded["decoder_input_ids"] = np.concatenate([first, encoded["input_ids"][:, :-1]], axis=1)
        given = [n for n in encoded if n in self.takes or n == "input_ids"]
        return {n: torch.tensor(np.asarray(encoded[n]), dtype=torch.int64) for n in given}, keep, markers

    def cut(self, texts: Sequence[str], keep: np.ndarray, max_length: int) -> np.ndarray:
        """How many tokens of each text were cut off; only those that fill ``max_length`` are looked at again."""
        lost = np.zeros(len(keep), np.int64)
        full = np.flatnonzero(keep.sum(axis=1) >= max_length)
        if len(full):
            whole = self.tokenizer([texts[int(i)] for i in full], truncation=False, verbose=False)[
                "input_ids"
            ]
            lost[full] = [len(ids) - max_length for ids in whole]
        return lost


def positions(module: torch.nn.Module) -> int:
    """How many tokens a module's tables of positions hold: those of RoBERTa's kin begin behind the padding's place."""
    tables = [
        part
        for name, part in module.named_modules()
        if name.rpartition(".")[2] == "position_embeddings"
        and isinstance(getattr(part, "padding_idx", None), int)
    ]
    return min((len(table.weight) - table.padding_idx - 1 for table in tables), default=NO_LIMIT)


def _multiple(config: Any) -> int | None:
    """What a network's texts are padded to: Longformer's kin and BigBird see a window or blocks of so many tokens."""
    windows = getattr(config, "attention_window", None)
    if getattr(config, "attention_type", None) == "block_sparse":
        windows = config.block_size
    return max(windows) if isinstance(windows, list | tuple) else windows


def _start(module: Any, tokenizer: Any) -> int | None:
    """The first token that a decoder is fed, where it is to be fed at all: some (BART) feed their text on themselves."""
    import torch

    config = module.config
    try:
        with torch.no_grad():
            module(
                input_ids=torch.full((1, 2), int(tokenizer.pad_token_id == 0))
            )  # a text that isn't all padding
    except Exception:
        asked = (config, getattr(config, "decoder", None), tokenizer)
        names = ("decoder_start_token_id", "bos_token_id", "cls_token_id", "pad_token_id")
        known = (getattr(owner, name, None) for name in names for owner in asked)
        return next((number for number in known if number is not None), 0)
    return None


class Encoder:
    """Turns lines of a corpus into a batch, and tokens' numbers into text."""

    def __init__(self, reading: Reading):
        self.reading = reading
        vocabulary = reading.tokenizer.get_vocab()
        self._spelled = np.full(max(vocabulary.values()) + 1, "", object)  # a number may have no token
        for token, number in vocabulary.items():
            self._spelled[number] = token.translate(_SPELLED)

    def __call__(self, lines: pd.DataFrame, max_length: int) -> Batch:
        """Rows: ``text_id`` (the line's index), ``token`` and ``position``."""
        import pandas as pd

        if max_length > self.reading.limit:
            raise ParameterError(
                f"This network reads at most {self.reading.limit} tokens at once; max_length={max_length} is more."
            )
        texts = lines["text"].tolist()
        inputs, keep, markers = self.reading(texts, max_length)
        line, position = np.nonzero(keep)
        rows = pd.DataFrame(
            {
                "text_id": lines.index.to_numpy()[line],
                "token": self.spell(inputs["input_ids"].numpy()[keep]),
                "position": position.astype(np.int32),
            }
        )
        return Batch(inputs, keep, rows, markers, self.reading.cut(texts, keep, max_length))

    def spell(self, numbers: np.ndarray) -> np.ndarray:
        """Tokens as they are spelled, "" for numbers that the vocabulary leaves out."""
        return np.where(
            numbers < len(self._spelled), self._spelled[np.minimum(numbers, len(self._spelled) - 1)], ""
        )


def neighbours(reading: Reading, module: Any, texts: Sequence[str]) -> list[tuple[str, float]]:
    """The texts after the first, nearest to it first, each with the cosine of the mean last hidden states.

    Those are the encoder's where there is one, and never a predicting head's.
    """
    import torch

    if isinstance(texts, str) or len(texts) < 2:
        raise DataError("Give a list of at least two texts: the first is compared with the others.")
    inputs, keep, _ = reading(texts, reading.limit)
    body = getattr(module, "base_model", module)
    if "decoder_input_ids" in reading.takes:
        body = body.get_encoder()
        inputs = {name: value for name, value in inputs.items() if not name.startswith("decoder_")}
    with torch.inference_mode():
        hidden = body(**inputs).last_hidden_state
    mask = torch.tensor(keep)[..., None].to(hidden.dtype)
    mean = torch.nn.functional.normalize((hidden * mask).sum(1) / mask.sum(1).clamp(min=1), dim=-1)
    cosine = (mean[1:] @ mean[0]).tolist()
    return sorted(zip(texts[1:], cosine, strict=True), key=lambda pair: -pair[1])


def next_tokens(reading: Reading, module: torch.nn.Module, prompt: str) -> list[tuple[str, float]]:
    """The likeliest next tokens after a prompt, as text, each with its probability."""
    import torch

    tokens = reading.tokenizer(prompt, return_tensors="pt")["input_ids"][:, -reading.limit :]
    if tokens.shape[1] == 0:
        raise DataError("The prompt is empty: give at least one token to go on from.")
    with torch.inference_mode():
        chance = module(input_ids=tokens).logits[0, -1].softmax(-1)
    top = chance.topk(TOP)
    return [
        (reading.tokenizer.decode([i]), p)
        for i, p in zip(top.indices.tolist(), top.values.tolist(), strict=True)
    ]
