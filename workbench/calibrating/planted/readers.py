"""Small networks that read made-up texts, with something planted in them that the tours ought to find, or with nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from workbench.calibrating.planted import Planted
from workbench.subjects.corpus import Corpus
from workbench.subjects.network import Network
from workbench.subjects.reading import encode_words

if TYPE_CHECKING:
    import torch

WIDTH, BLOCKS, LENGTH, TEXTS = 24, 4, 12, 60
WORDS, MARKERS = 60, 6
CODE = 7
"""Dimensions of a word's code in a circuit built by hand."""
AT = 2
"""The block, from 0, that something is planted in."""
CONTRASTS_ALONE = True
"""No claim of the atlas rests on intervals or on the nulls of single questions, which are left out."""
PARAMETERS = {"max_rows": 240, "label": "kind", "n_neighbors": 10}


def opened(kind: str, seed: int) -> dict[str, Any]:
    """The network and the texts that the atlas is run on."""
    return {"random_state": 1000 * seed, "net": network(kind, 1000 * seed), "texts": texts(seed)}


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
    known = Network(kind, "", module.eval(), encode=encode_words).identity
    return Network(kind, known, module, encode=encode_words)


def _module() -> torch.nn.Module:
    from workbench.numerics.small_reader import Reader

    return Reader(WORDS, LENGTH, WIDTH, BLOCKS)


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


def _unused(module: Any, rng: np.random.Generator) -> None:
    """As `_label`, along a direction that no later block and no answer reads."""
    import torch

    _label(module, rng)
    written = module.blocks[AT].attention.value.weight  # rank one: its column space is where it writes
    direction = torch.linalg.svd(written)[0][:, :1]
    readers = [layer for b in module.blocks[AT + 1 :] for layer in _readers(b)]
    for layer in (module.blocks[AT].wide, *readers, module.head):
        layer.weight -= layer.weight @ direction @ direction.T


def _readers(block: Any) -> tuple[Any, ...]:
    """The layers of a block that look at what it is given."""
    return (block.attention.query, block.attention.key, block.attention.value, block.wide)


def _induction(module: Any, rng: np.random.Generator) -> None:
    """An induction head: block 0 notes at each token which word stood before it, block 1 looks for tokens before which the
    present word stood, and copies them: what followed the word when it was last there.
    """
    import torch

    word, before, after = (slice(i * CODE, (i + 1) * CODE) for i in range(3))
    place = slice(3 * CODE, 3 * CODE + 2)
    drawn = rng.standard_normal((WORDS, CODE))
    codes = torch.tensor((drawn / np.linalg.norm(drawn, axis=1, keepdims=True)).astype(np.float32))
    module.embedding.weight.zero_()
    module.embedding.weight[:, word] = codes
    angle = torch.arange(LENGTH + 1) * np.pi / LENGTH
    places = torch.stack([angle.cos(), angle.sin()], dim=1)
    module.positions.weight.zero_()
    module.positions.weight[:, place] = places[:LENGTH]
    back = torch.stack([places[1], torch.stack([-places[1, 1], places[1, 0]])])  # turns one place back
    for block, query, key, made, turn, sharp in (
        (module.blocks[0], place, place, before, back, 3000.0),
        (module.blocks[1], word, before, after, torch.eye(CODE), 3000.0),
    ):
        head = block.attention
        head.causal = True
        for layer in (head.query, head.key, head.value, head.out, block.narrow):
            _silence(layer)
        size = query.stop - query.start
        head.query.weight[:size, query] = sharp * turn
        head.key.weight[:size, key] = torch.eye(size)
        head.value.weight[:CODE, word] = torch.eye(CODE)
        head.out.weight[made, :CODE] = torch.eye(CODE)
    _silence(module.head)
    module.head.weight[:, after] = codes


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
    "untrained": Planted("nothing: the weights are as they were drawn", _nothing, never=("*",)),
    "label": Planted(
        "the kind of a text, in all its tokens from the third block on", _label, {"balanced_accuracy": "more"}
    ),
    "unused": Planted(
        "the same label, along a direction that nothing reads", _unused, {"balanced_accuracy": "more"}
    ),
    "induction": Planted("an induction head, of which the atlas asks nothing", _induction),
    "copies": Planted("blocks that give what they are given", _copies, {"recall": "more", "cka": "more"}),
    "turns": Planted("blocks that turn what they are given", _turns, {"recall": "more", "cka": "more"}),
    "groups": Planted("four groups of words", _groups, {"least_cut": "less", "longest_bar@H0": "more"}),
    "flat": Planted("tokens in three dimensions", _flat, {"intrinsic_dimension@TwoNN": "less"}),
}
