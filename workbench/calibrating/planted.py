"""Small networks that read made-up texts, with something planted in them that the tours ought to find, or with nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from workbench.subjects.corpus import Corpus
from workbench.subjects.network import Batch, Network

if TYPE_CHECKING:
    import pandas as pd
    import torch

WIDTH, BLOCKS, LENGTH, TEXTS = 24, 4, 12, 60
WORDS, MARKERS = 60, 6
AT = 2
"""The block, from 0, that something is planted in."""


@dataclass(frozen=True)
class Planted:
    """A kind of network whose truth is known.

    Attributes
    ----------
    says : what was planted, in a sentence.
    plant : writes it into a drawn module, in place. claims : evidence that a tour ought to claim, to the way it differs.
    """

    says: str
    plant: Callable[[Any, np.random.Generator], None]
    claims: Mapping[str, str]


def texts(seed: int) -> Corpus:
    """Texts of words ``w0`` ..., of two kinds that differ in a few of their words, and of two by a coin."""
    import pandas as pd

    rng = np.random.default_rng([seed, 0x74657874])
    kind, coin = rng.permutation(np.arange(TEXTS) % 2), rng.permutation(np.arange(TEXTS) % 2)
    lines = []
    for k in kind:
        words = 2 * MARKERS + rng.zipf(1.5, LENGTH) % (WORDS - 2 * MARKERS)
        at = rng.choice(LENGTH, 3, replace=False)
        words[at] = k * MARKERS + rng.integers(0, MARKERS, 3)
        lines.append(" ".join(f"w{w}" for w in words))
    names = np.array(["a", "b"])
    return Corpus(
        pd.DataFrame({"text": lines, "kind": names[kind], "coin": names[coin]}), name="made-up texts"
    )


def network(kind: str, seed: int) -> Network:
    """A network of a kind of `KINDS`, its other weights as they are drawn."""
    import torch

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        module = _module()
    with torch.no_grad():
        KINDS[kind].plant(module, np.random.default_rng([seed, 0x706C]))
    known = Network(kind, "", module.eval(), encode=_encode).identity
    return Network(kind, known, module, encode=_encode)


def _module() -> torch.nn.Module:
    from workbench.calibrating.reader import Reader

    return Reader(WORDS, LENGTH, WIDTH, BLOCKS)


def _encode(lines: pd.DataFrame, max_length: int) -> Batch:
    import pandas as pd
    import torch

    words = [line.split()[:max_length] for line in lines["text"]]
    ids = torch.tensor([[int(w[1:]) for w in line] for line in words])
    rows = pd.DataFrame(
        {
            "text_id": np.repeat(lines.index.to_numpy(), ids.shape[1]),
            "token": [w for line in words for w in line],
            "position": np.tile(np.arange(ids.shape[1], dtype=np.int32), len(words)),
        }
    )
    return Batch({"ids": ids}, np.ones(tuple(ids.shape), bool), rows)


def _nothing(module: Any, rng: np.random.Generator) -> None:
    """The weights are as they were drawn."""


def _label(module: Any, rng: np.random.Generator) -> None:
    """Block `AT` writes into all tokens of a text, along one direction, of which kind its words are."""
    import torch

    direction = torch.tensor(_unit(rng, 2).astype(np.float32))
    embedding = module.embedding.weight
    embedding -= embedding @ direction.T @ direction  # nothing else lies along the two directions
    embedding[:MARKERS] += 3 * direction[0]
    embedding[MARKERS : 2 * MARKERS] -= 3 * direction[0]
    attention = module.blocks[AT].attention
    attention.query.weight.zero_()
    attention.query.bias.zero_()  # looks at all alike
    attention.value.weight.copy_(direction[1:].T @ direction[:1] * 4)
    attention.value.bias.zero_()
    attention.out.weight.copy_(torch.eye(WIDTH))
    attention.out.bias.zero_()


def _copies(module: Any, rng: np.random.Generator) -> None:
    """Every block but the first gives what it was given."""
    for block in module.blocks[1:]:
        _silence(block.attention.out)
        _silence(block.narrow)


def _turns(module: Any, rng: np.random.Generator) -> None:
    """Every block but the first gives what it was given, turned."""
    import torch

    for block in module.blocks[1:]:
        _silence(block.attention.out)
        _silence(block.wide)
        _silence(block.narrow)
        turn = torch.tensor(np.linalg.qr(rng.standard_normal((WIDTH, WIDTH)))[0].astype(np.float32))
        change = turn - torch.eye(WIDTH)
        block.wide.weight[: 2 * WIDTH].copy_(torch.cat([change, -change]))  # relu(z) - relu(-z) = z
        block.narrow.weight[:, : 2 * WIDTH].copy_(torch.cat([torch.eye(WIDTH), -torch.eye(WIDTH)], dim=1))


def _groups(module: Any, rng: np.random.Generator) -> None:
    """Words are of four groups, far from each other."""
    import torch

    centres = 8 * _unit(rng, 4)
    module.embedding.weight += torch.tensor(centres[np.arange(WORDS) % 4].astype(np.float32))


def _flat(module: Any, rng: np.random.Generator) -> None:
    """All that is read lies in three dimensions, and no block leaves them."""
    import torch

    plane = _unit(rng, 3)
    onto = torch.tensor((plane.T @ plane).astype(np.float32))
    for table in (module.embedding, module.positions):
        table.weight.copy_(table.weight @ onto)
    for block in module.blocks:
        for layer in (block.attention.out, block.narrow):
            layer.weight.copy_(onto @ layer.weight)
            layer.bias.copy_(onto @ layer.bias)


def _unit(rng: np.random.Generator, k: int) -> np.ndarray:
    """(k, WIDTH) orthonormal directions."""
    return np.asarray(np.linalg.qr(rng.standard_normal((WIDTH, k)))[0].T)


def _silence(layer: Any) -> None:
    layer.weight.zero_()
    layer.bias.zero_()


KINDS = {
    "untrained": Planted("nothing: the weights are as they were drawn", _nothing, {}),
    "label": Planted(
        "the kind of a text, in all its tokens from the third block on", _label, {"balanced_accuracy": "more"}
    ),
    "copies": Planted("blocks that give what they are given", _copies, {"recall": "more", "cka": "more"}),
    "turns": Planted("blocks that turn what they are given", _turns, {"recall": "more", "cka": "more"}),
    "groups": Planted("four groups of words", _groups, {"least_cut": "less", "longest_bar@H0": "more"}),
    "flat": Planted("tokens in three dimensions", _flat, {"intrinsic_dimension@TwoNN": "less"}),
}
