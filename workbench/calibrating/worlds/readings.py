"""Networks that read made-up texts and learned nothing of them; heads that go by position, or beside the point; and a circuit."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from workbench.calibrating.planted.readers import network
from workbench.calibrating.world import World
from workbench.subjects.corpus import Corpus
from workbench.subjects.network import Network
from workbench.subjects.reading import Reading, encode_words

WORDS, LENGTH, WIDTH, TEXTS = 24, 10, 24, 32
MANY = 4000
"""Words, of which hardly any comes twice, so that none has a say of its own in what heads look at and what matters."""

_ONE, _OTHER = "w3 w1 w2 w8 w4 w5 w6 w1", "w3 w8 w2 w1 w4 w5 w6 w1"
"""Two texts whose last word was there before, and was followed by another."""

Make = Callable[[np.random.Generator], tuple[Any, ...]]


def _reading(module: Any, numbers: np.ndarray) -> tuple[Reading, ...]:
    import pandas as pd

    lines = [" ".join(f"w{w}" for w in row) for row in numbers]
    texts = Corpus(pd.DataFrame({"text": lines}), name="made-up texts")
    known = Network("world", "", module.eval(), encode=encode_words).identity
    return (
        Reading(Network("world", known, module, encode=encode_words), texts, max_length=numbers.shape[1]),
    )


def _drawn(change: Callable[[Any], None] | None = None, words: int = WORDS) -> Make:
    """A causal transformer of two blocks as it is drawn, then changed, and texts of words drawn alike."""

    def make(rng: np.random.Generator) -> tuple[Any, ...]:
        import torch

        from workbench.numerics.small_reader import Reader

        with torch.random.fork_rng(devices=[]), torch.no_grad():
            torch.manual_seed(int(rng.integers(2**31)))
            module = Reader(words, LENGTH, WIDTH, 2, heads=2).causal()
            if change is not None:
                change(module)
        return _reading(module, rng.integers(0, words, (TEXTS, LENGTH)))

    return make


def _by_position(module: Any) -> None:
    """Words and what blocks write lie in the first half of the width, places in the second, which alone heads look at."""
    half = module.embedding.weight.shape[1] // 2
    module.embedding.weight[:, half:] = 0
    module.positions.weight[:, :half] = 0
    for block in module.blocks:
        for layer in (block.attention.query, block.attention.key):
            layer.weight[:, :half] = 0
            layer.weight *= 3
        for layer in (block.attention.out, block.narrow):
            layer.weight[half:] = 0
            layer.bias[half:] = 0


def _beside_the_point(module: Any) -> None:
    """Heads look at one half of a word's numbers and hand on the other, so that what they look at says nothing of what matters."""
    half = module.embedding.weight.shape[1] // 2
    module.positions.weight *= 0
    for block in module.blocks:
        attention = block.attention
        for layer in (attention.query, attention.key):
            layer.weight[:, half:] = 0
        block.narrow.weight *= 0
        block.narrow.bias *= 0
    first, second = (block.attention for block in module.blocks)
    first.query.weight *= 6  # looks at some words, and hands on nothing
    first.out.weight *= 0
    second.query.weight *= 0  # looks at all alike, and hands on half of their numbers
    second.query.bias *= 0
    second.value.weight[:, :half] = 0


def _induction(rng: np.random.Generator) -> tuple[Any, ...]:
    """A planted induction head, and texts of a few words that come again in their order."""
    module: Any = network("induction", int(rng.integers(2**31))).module
    rows = [np.resize(rng.permutation(60)[: rng.integers(3, 7)], 12) for _ in range(TEXTS)]
    return _reading(module.causal(), np.stack(rows))


TOKENS = ("Tokens",)
WORLDS = (
    World(
        "untrained reader",
        "a transformer as it was drawn, and texts of words drawn alike",
        TOKENS,
        _drawn(),
        only=("logit_lens", "patch_map", "site_ablation", "top_rows"),
        parameters={"site_ablation": {"site": "blocks.0", "neuron": 0}},
    ),
    World(
        "untrained reader of two texts",
        "a transformer as it was drawn, and two texts that differ in two words",
        TOKENS,
        _drawn(),
        only=("patch_map",),
        parameters={"patch_map": {"text": _ONE, "corrupted": _OTHER}},
    ),
    World(
        "induction head of two texts",
        "a head that looks for what followed the word when it was last there, and two texts in which another did",
        TOKENS,
        _induction,
        holds={"patch_map": ("passes_between",)},
        parameters={"patch_map": {"text": _ONE, "corrupted": _OTHER}},
    ),
    World(
        "untrained heads",
        "heads of a transformer as it was drawn, which look at the same word more or less than at others",
        TOKENS,
        _drawn(),
        holds={"attention_patterns": ("same_token", "after_same_token")},
    ),
    World(
        "heads by position",
        "heads that look at places alone, more sharply than as they are drawn",
        TOKENS,
        _drawn(_by_position),
        holds={"attention_patterns": ("previous_token", "first_token", "itself", "by_position")},
    ),
    World(
        "heads beside the point",
        "heads that look at what the answer doesn't go by",
        TOKENS,
        _drawn(_beside_the_point, MANY),
        only=("attention_flow",),
    ),
    World(
        "induction head",
        "a head that looks for what followed the word when it was last there, in texts whose words come again",
        TOKENS,
        _induction,
        holds={
            "attention_patterns": (
                "after_same_token",
                "previous_token",
                "first_token",
                "itself",
                "by_position",
                "same_token",
            ),
            "logit_lens": tuple(f"reads_next@layer {i}" for i in (1, 2, 3)),
            "attention_flow": ("ranks_what_matters",),
            "site_ablation": ("divergence", "bits_lost"),
        },
        parameters={"site_ablation": {"site": "blocks.1", "head": 0}},
    ),
)
