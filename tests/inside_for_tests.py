"""Small networks that read made-up words, and texts in which words come again."""

from __future__ import annotations

import numpy as np
import pandas as pd
import torch

from workbench.calibrating.planted.readers import network
from workbench.numerics.small_reader import Reader
from workbench.subjects.corpus import Corpus
from workbench.subjects.network import Batch, Network
from workbench.subjects.reading import Reading, encode_words

WORDS, LENGTH = 60, 12


def texts(n: int = 24, length: int = LENGTH, seed: int = 0) -> Corpus:
    """Texts of one length, of words drawn alike."""
    return corpus(np.random.default_rng(seed).integers(0, WORDS, (n, length)))


def again(n: int = 48, seed: int = 0) -> Corpus:
    """Texts of three to seven words, which then come again in the same order."""
    rng = np.random.default_rng(seed)
    return corpus(
        np.stack([np.resize(rng.permutation(WORDS)[: rng.integers(3, 8)], LENGTH) for _ in range(n)])
    )


def corpus(numbers: np.ndarray) -> Corpus:
    """Texts of words by their numbers."""
    lines = [" ".join(f"w{w}" for w in row) for row in numbers]
    return Corpus(pd.DataFrame({"text": lines}), name="made-up texts")


def reading_of(module: torch.nn.Module, corpus: Corpus, encode=encode_words) -> Reading:
    known = Network("made up", "", module.eval(), encode=encode).identity
    return Reading(Network("made up", known, module.eval(), encode=encode), corpus, max_length=LENGTH)


def reader(seed: int = 0, heads: int = 2) -> Reader:
    """A causal transformer of two blocks, as it was drawn."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return Reader(WORDS, LENGTH, 16, 2, heads=heads).causal()


def induction() -> Reading:
    """Texts of words that come again, read by a network with an induction head in its second block."""
    made = network("induction", 0)
    return reading_of(made.module.causal(), again())


def named(lines: pd.DataFrame, max_length: int) -> Batch:
    """`encode_words` under the names that transformers' modules take."""
    batch = encode_words(lines, max_length)
    keep = torch.as_tensor(batch.keep)
    return Batch({"input_ids": batch.inputs["ids"], "attention_mask": keep.long()}, batch.keep, batch.rows)


def llama(seed: int = 0) -> torch.nn.Module:
    """A Llama of three layers with two key heads for four, as it was drawn, its weights a little larger."""
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(
        vocab_size=WORDS,
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=3,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=64,
        use_cache=False,
        initializer_range=0.3,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return LlamaForCausalLM(config).eval()


def bert(seed: int = 0) -> torch.nn.Module:
    """A BERT of two layers, as it was drawn."""
    from transformers import BertConfig, BertModel

    config = BertConfig(
        vocab_size=WORDS,
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=4,
        max_position_embeddings=64,
        initializer_range=0.3,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return BertModel(config).eval()
