"""Attention as it is drawn, of any scales; heads of few products; and an induction head, turned so that it lies along no coordinate."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from workbench.calibrating.world import World
from workbench.core.digest import digest
from workbench.core.rows import owned
from workbench.subjects.checkpoint import Checkpoint, TensorInfo

WIDTH, LAYERS, HEADS = 24, 3, 2
METHOD = "attention_heads"
FORMULA = "head_formula"
STRONG = 5  # products of a form that are larger than their scales give

Weights = dict[str, np.ndarray]


def checkpoint(weights: Weights, heads: int) -> Checkpoint:
    """Weights by name as a network with so many heads a layer."""
    held = {n: owned(w.astype(np.float32)) for n, w in weights.items()}
    infos = {n: TensorInfo(n, w.shape, "F32", w.nbytes) for n, w in held.items()}
    return Checkpoint(
        infos,
        held.__getitem__,
        name="world",
        content=lambda: digest(list(held), *held.values()),
        config={"num_attention_heads": heads},
    )


def induction(rng: np.random.Generator, *, broken: bool = False) -> Checkpoint:
    """The induction head of `readers`, in a turned basis; ``broken``: what the first head writes is turned once more."""
    from workbench.calibrating.planted.readers import network

    module: Any = network("induction", int(rng.integers(2**31))).module
    width = int(module.head.in_features)
    turn, again = (np.linalg.qr(rng.standard_normal((width, width)))[0] for _ in range(2))
    held = {n: w.numpy() for n, w in module.state_dict().items() if ".attention." in n and w.ndim == 2}
    for name in held:
        held[name] = turn @ held[name] if ".out." in name else held[name] @ turn.T
    if broken:
        held["blocks.0.attention.out.weight"] = again @ held["blocks.0.attention.out.weight"]
    return checkpoint(held, 1)


def _projections(rng: np.random.Generator, scaled: bool) -> Weights:
    """Independent projections; ``scaled``: of heavy tails, with coordinates of the stream and heads of unlike scales."""
    stream = np.exp(rng.standard_normal(WIDTH)) if scaled else np.ones(WIDTH)
    held = {}
    for layer in range(LAYERS):
        for part in "qkvo":
            w = rng.standard_t(3, (WIDTH, WIDTH)) if scaled else rng.standard_normal((WIDTH, WIDTH))
            units = np.exp(rng.standard_normal((WIDTH, 1))) if scaled else 1
            w = w * units * stream
            held[f"layers.{layer}.self_attn.{part}_proj.weight"] = w.T if part == "o" else w
    return held


def _drawn(scaled: bool) -> Callable[[np.random.Generator], tuple[Checkpoint, ...]]:
    return lambda rng: (checkpoint(_projections(rng, scaled), HEADS),)


def _few_products(rng: np.random.Generator) -> tuple[Checkpoint, ...]:
    """Projections as they are drawn, but that the first head reads some pairs of coordinates along one direction each."""
    held = _projections(rng, scaled=False)
    query, key = (held[f"layers.0.self_attn.{part}_proj.weight"] for part in "qk")
    pairs = zip(*(rng.permutation(WIDTH)[:STRONG] for _ in "qk"), strict=True)
    for i, j in pairs:
        along = 2 * rng.choice([-1.0, 1.0], WIDTH // HEADS)
        query[: WIDTH // HEADS, i] = key[: WIDTH // HEADS, j] = along
    return (checkpoint(held, HEADS),)


WORLDS = (
    World(
        "untrained attention",
        "three layers of two heads, of independent Gaussian weights",
        ("Checkpoint",),
        _drawn(scaled=False),
        only=(METHOD, FORMULA),
    ),
    World(
        "attention of unlike scales",
        "three layers of two heads, independent but for the scales of coordinates, with heavy tails",
        ("Checkpoint",),
        _drawn(scaled=True),
        only=(METHOD, FORMULA),
    ),
    World(
        "induction circuit",
        "a head that notes the word before, and one in the next layer whose keys read it; two untrained layers",
        ("Checkpoint",),
        lambda rng: (induction(rng),),
        holds={METHOD: ("key_composition", "matching")},
    ),
    World(
        "broken induction circuit",
        "the same, but what the first head writes is turned, so that none reads it",
        ("Checkpoint",),
        lambda rng: (induction(rng, broken=True),),
        holds={METHOD: ("matching",)},
    ),
    World(
        "few products",
        "untrained attention, whose first head has a query and a key alike at five pairs of coordinates",
        ("Checkpoint",),
        _few_products,
        holds={FORMULA: ("held_by_few",)},
    ),
)
